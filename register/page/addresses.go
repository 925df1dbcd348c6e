package page

import (
	"regexp"
	"strconv"
	"strings"

	"ancre/register/store"
)

// Lang is a language of the page.
type Lang string

// The languages. Machine-readable addresses have none.
const (
	French  Lang = "fr"
	English Lang = "en"
)

// Langs are all languages.
var Langs = []Lang{French, English}

// Other returns the other language.
func (l Lang) Other() Lang {
	if l == French {
		return English
	}
	return French
}

// Kind is what is at an address.
type Kind int

// The kinds of addresses.
const (
	None Kind = iota

	// In each language.
	Home
	Meetings        // the years
	Year            // the meetings of a year: ID is the year
	Meeting         // ID is the meeting's
	Documents       // the years and months of documents that belong to no meeting
	DocumentsMonth  // ID is the month: "2026-07"
	Document        // ID is the digest, as in all that follows about documents
	Attestation     // of a document
	AttestationFile // the same as PDF
	Check           // the check tool
	Search          // Query is what is searched for
	Method
	Accessibility
	Legal
	Privacy
	Map
	NoPage // says that there is nothing at an address; it has no address of its own

	// For machines, and for both languages.
	Root        // chooses a language
	Permalink   // of a document; chooses a language
	OTS         // the proof of a document
	Receipt     // its Chainpoint receipt
	File        // the document itself: Ext is its extension
	Digests     // the digests that begin with a byte: ID is that byte, "ab"
	Headers     // a window of block headers: ID is the retarget period
	DataJSON    // the register
	DataCSV     // the deliberations, in the columns of SCDL
	Feed        // Atom: the meetings
	Sitemap     // names the sitemaps
	SitemapYear // ID is the year
	Robots
	Style     // style sheet
	Icon      // for the tab of the browser
	Logo      // of the authority: Ext is its extension
	Script    // the check tool as a custom element
	Verifier  // the check tool as one file to save
	Embed     // the check tool for a frame
	Integrity // the integrity value of Script, as text
	Health    // of the server; not in an export
	last
)

// Address is an address of the page. It is comparable: the zero Address is none.
type Address struct {
	Kind  Kind
	Lang  Lang   // "" for machines
	ID    string // see the kinds
	Ext   string // of a file in an export, with its point; the server's addresses do not have it
	Query string // of Search, without "?"
}

// In returns the same address in another language.
func (a Address) In(l Lang) Address {
	if a.Kind.spoken() {
		a.Lang = l
	}
	return a
}

// spoken reports whether addresses of this kind have a language.
func (k Kind) spoken() bool { return k >= Home && k <= NoPage }

// Digest returns the digest of an address about a document.
func (a Address) Digest() (store.Digest, bool) {
	d, err := store.ParseDigest(a.ID)
	return d, err == nil && a.ID == d.String()
}

// route is how a kind of address is written: each language's words, then the ID, then what follows.
type route struct {
	kind   Kind
	fr, en string         // "seances"; en is used by kinds without a language too
	id     *regexp.Regexp // nil: the address has no ID
	after  string         // what follows the ID: "/attestation"
	file   string         // extension in an export: ".html"
}

// The forms of IDs. None of them can leave its folder, in an export either.
var (
	yearID    = regexp.MustCompile(`^[1-9][0-9]{3}$`)
	monthID   = regexp.MustCompile(`^[1-9][0-9]{3}-(0[1-9]|1[0-2])$`)
	meetingID = regexp.MustCompile(`^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}(-[A-Za-z0-9_-]{1,80})?$`)
	digestID  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	byteID    = regexp.MustCompile(`^[0-9a-f]{2}$`)
	periodID  = regexp.MustCompile(`^(0|[1-9][0-9]{0,5})$`)
)

// routes has each kind that has an address once. The first one that fits reads a path.
var routes = []route{
	{kind: Home, file: "index.html"},
	{kind: Meetings, fr: "seances", en: "meetings", file: ".html"},
	{kind: Year, fr: "seances/", en: "meetings/", id: yearID, file: ".html"},
	{kind: Meeting, fr: "seances/", en: "meetings/", id: meetingID, file: ".html"},
	{kind: Documents, fr: "documents", en: "documents", file: ".html"},
	{kind: DocumentsMonth, fr: "documents/", en: "documents/", id: monthID, file: ".html"},
	{kind: Document, fr: "documents/", en: "documents/", id: digestID, file: ".html"},
	{kind: Attestation, fr: "documents/", en: "documents/", id: digestID, after: "/attestation", file: ".html"},
	{kind: AttestationFile, fr: "documents/", en: "documents/", id: digestID, after: "/attestation.pdf"},
	{kind: Check, fr: "verifier", en: "check", file: ".html"},
	{kind: Search, fr: "recherche", en: "search", file: ".html"},
	{kind: Method, fr: "methode", en: "method", file: ".html"},
	{kind: Accessibility, fr: "accessibilite", en: "accessibility", file: ".html"},
	{kind: Legal, fr: "mentions-legales", en: "legal", file: ".html"},
	{kind: Privacy, fr: "donnees-personnelles", en: "privacy", file: ".html"},
	{kind: Map, fr: "plan", en: "map", file: ".html"},

	{kind: Root, file: "index.html"},
	{kind: Permalink, en: "documents/", id: digestID, file: ".html"},
	{kind: OTS, en: "documents/", id: digestID, after: ".ots"},
	{kind: Receipt, en: "documents/", id: digestID, after: ".receipt.json"},
	{kind: File, en: "documents/", id: digestID, after: "/fichier"},
	{kind: Digests, en: "empreintes/", id: byteID, after: ".json"},
	{kind: Headers, en: "entetes/", id: periodID, after: ".headers"},
	{kind: DataJSON, en: "registre.json"},
	{kind: DataCSV, en: "registre.csv"},
	{kind: Feed, en: "seances.atom"},
	{kind: Sitemap, en: "sitemap.xml"},
	{kind: SitemapYear, en: "sitemap-", id: yearID, after: ".xml"},
	{kind: Robots, en: "robots.txt"},
	{kind: Style, en: "page.css"},
	{kind: Icon, en: "icone.svg"},
	{kind: Logo, en: "logo"},
	{kind: Script, en: "ancre-verify.js"},
	{kind: Verifier, en: "verifier.html"},
	{kind: Embed, en: "embed", file: ".html"},
	{kind: Integrity, en: "ancre-verify.js.integrity"},
	{kind: Health, en: "healthz"},
}

// routeOf is routes by kind.
var routeOf = func() (of [last]route) {
	for _, r := range routes {
		of[r.kind] = r
	}
	return of
}()

// names are the names of the kinds, for logs and in the keys of words.
var names = [last]string{
	None: "none", Home: "home", Meetings: "meetings", Year: "year", Meeting: "meeting", Documents: "documents", DocumentsMonth: "month",
	Document: "document", Attestation: "attestation", AttestationFile: "attestation_pdf", Check: "check", Search: "search", Method: "method",
	Accessibility: "accessibility", Legal: "legal", Privacy: "privacy", Map: "map", NoPage: "missing",
	Root: "root", Permalink: "permalink", OTS: "ots", Receipt: "receipt", File: "file", Digests: "digests", Headers: "headers",
	DataJSON: "json", DataCSV: "csv", Feed: "feed", Sitemap: "sitemap", SitemapYear: "sitemap_year", Robots: "robots",
	Style: "style", Icon: "icon", Logo: "logo", Script: "script", Verifier: "verifier", Embed: "embed", Integrity: "integrity", Health: "health",
}

// String returns the name of a kind: "meeting".
func (k Kind) String() string { return names[k] }

// Path returns the address on the server: "/fr/seances/2026".
func (a Address) Path() string {
	path := a.path()
	if a.Query != "" {
		path += "?" + a.Query
	}
	return path
}

func (a Address) path() string {
	r := routeOf[a.Kind]
	switch {
	case a.Kind == None || a.Kind == NoPage:
		return "/"
	case !a.Kind.spoken():
		return "/" + r.en + a.ID + r.after
	case a.Lang == French:
		return "/fr/" + r.fr + a.ID + r.after
	}
	return "/en/" + r.en + a.ID + r.after
}

// FileName returns the name of the file in an export, with slashes: "fr/seances/2026.html".
func (a Address) FileName() string {
	r := routeOf[a.Kind]
	return strings.TrimPrefix(a.path(), "/") + r.file + a.Ext
}

// ParsePath reads the path of an address, without its query. Each address has one path; ok is false
// of all others.
func ParsePath(path string) (a Address, ok bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || len(path) > maxPath {
		return Address{}, false
	}
	if below, spoken := strings.CutPrefix(rest, "fr/"); spoken {
		return parse(below, French)
	}
	if below, spoken := strings.CutPrefix(rest, "en/"); spoken {
		return parse(below, English)
	}
	return parse(rest, "")
}

// maxPath is longer than the path of any address.
const maxPath = 200

// parse reads what follows the language.
func parse(rest string, lang Lang) (Address, bool) {
	for i := range routes {
		r := &routes[i]
		if r.kind.spoken() != (lang != "") {
			continue
		}
		word := r.en
		if lang == French {
			word = r.fr
		}
		id, ok := strings.CutPrefix(rest, word)
		if !ok {
			continue
		}
		if id, ok = strings.CutSuffix(id, r.after); !ok {
			continue
		}
		if r.id == nil && id == "" || r.id != nil && r.id.MatchString(id) {
			return Address{Kind: r.kind, Lang: lang, ID: id}, true
		}
	}
	return Address{}, false
}

// parseBare reads a path that lacks its language: "/seances/2026", "/search".
func parseBare(path string) (Address, bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || len(path) > maxPath {
		return Address{}, false
	}
	if a, ok := parse(rest, French); ok {
		return a, true
	}
	return parse(rest, English)
}

// Links says how addresses are written in an answer. The zero Links are those of the server, whose
// public address is not known.
type Links struct {
	Base   string // the public address: "https://registre.example.fr", without a slash at its end; "": not known
	Static bool   // relative links to files, for an export
}

// To returns a link from one address to another.
func (l Links) To(from, to Address) string {
	if !l.Static {
		return to.Path()
	}
	return relative(from.FileName(), to.FileName())
}

// Absolute returns the whole address, to be used elsewhere: in a QR code, in a feed. It is "" if
// the public address is not known.
func (l Links) Absolute(to Address) string {
	switch {
	case l.Base == "":
		return ""
	case l.Static:
		return l.Base + "/" + to.FileName()
	}
	return l.Base + to.Path()
}

// Has reports whether addresses of a kind exist where these links lead.
func (l Links) Has(k Kind) bool {
	switch k {
	case Search, Health: // they need a server
		return !l.Static
	}
	return true
}

// relative returns the way from one file to another.
func relative(from, to string) string {
	for {
		i := strings.IndexByte(from, '/')
		if i < 0 || len(to) <= i || from[:i+1] != to[:i+1] {
			break
		}
		from, to = from[i+1:], to[i+1:]
	}
	return strings.Repeat("../", strings.Count(from, "/")) + to
}

// At returns the address of a kind that has no ID, in the language of this address.
func (a Address) At(k Kind) Address { return a.With(k, "") }

// With returns the address of a kind and an ID, in the language of this address.
func (a Address) With(k Kind, id string) Address {
	to := Address{Kind: k, ID: id}
	if k.spoken() {
		to.Lang = a.Lang
	}
	return to
}

// DocumentOf returns the address of the page of a digest.
func (a Address) DocumentOf(d store.Digest) Address { return a.With(Document, d.String()) }

// HeadersOf returns the address of the window that a block is in.
func HeadersOf(height int32) Address {
	return Address{Kind: Headers, ID: strconv.Itoa(int(height / 2016))}
}
