package itest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"ancre/itest/harness/browser"
)

// The public page of a real register, on a real node. Every address that the page names is asked
// for, and every answer is looked at.
func TestPublicPage(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	p := publicPage{council: newCouncil(t)}
	var err error
	p.site, err = crawl(p.ctx, p.register.URL(), p.register.URL(), "/", "/fr/", "/en/", "/robots.txt", "/sitemap.xml", "/registre.json", "/registre.csv",
		"/seances.atom", "/verifier.html", "/embed", "/ancre-verify.js", "/page.css")
	p.must(err)
	t.Logf("%d addresses, %d of them pages", len(p.site.answers), len(p.site.pages()))

	for name, test := range map[string]func(publicPage){
		"every address answers":                    publicPage.everyAddressAnswers,
		"headers keep scripts and strangers out":   publicPage.headersAreStrict,
		"pages are whole in both languages":        publicPage.pagesAreWhole,
		"what is not published is nowhere":         publicPage.nothingHiddenIsShown,
		"what was published stays traceable":       publicPage.replacedAndWithdrawnAreTold,
		"lists for machines are well-formed":       publicPage.listsAreWellFormed,
		"odd names are shown and do nothing":       publicPage.oddNamesAreInert,
		"axe-core finds nothing":                   publicPage.axeFindsNothing,
		"pages fit narrow and enlarged windows":    publicPage.pagesFit,
		"the keyboard reaches everything":          publicPage.keyboardReachesEverything,
		"pages need no scripts":                    publicPage.pagesNeedNoScripts,
		"the language follows the browser's":       publicPage.languageIsChosen,
		"strange requests are refused":             publicPage.strangeRequestsAreRefused,
		"the check tool tells the four results":    publicPage.fourResults,
		"the check tool works from the keyboard":   publicPage.toolWorksFromTheKeyboard,
		"the check tool tells the server one byte": publicPage.toolTellsOneByte,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(p.in(t))
		})
	}
}

// publicPage is a council's page, and all that it answers.
type publicPage struct {
	*council
	site *crawled
}

func (p publicPage) in(t *testing.T) publicPage {
	c := *p.council
	c.world = c.world.in(t)
	p.council = &c
	return p
}

// get asks for one address.
func (p publicPage) get(path string) *answer {
	p.Helper()
	a, err := fetch(p.ctx, p.site.base, path)
	p.must(err)
	return a
}

func (p publicPage) everyAddressAnswers() {
	for _, a := range p.site.sorted() {
		switch a.status {
		case http.StatusOK, http.StatusFound, http.StatusSeeOther, http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			p.Errorf("status %d: %s", a.status, a)
		}
	}
	// A person may follow a link to another host. A browser must not have to ask one.
	for _, a := range p.site.pages() {
		for n := range a.doc.Descendants() {
			address := attribute(n, addressed[n.Data])
			if n.Data != "a" && strings.Contains(address, "://") && !strings.HasPrefix(address, p.site.base+"/") {
				p.Errorf("%s takes <%s> from another host: %s", a, n.Data, address)
			}
		}
	}
}

// inline are attributes that run a script or set a style.
var inline = regexp.MustCompile(`^(on[a-z]+|style)$`)

func (p publicPage) headersAreStrict() {
	for _, a := range p.site.sorted() {
		want := map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin"}
		for name, value := range want {
			if got := a.header.Get(name); got != value {
				p.Errorf("%s: header %s is %q, want %q", a, name, got, value)
			}
		}
		if cookie := a.header.Get("Set-Cookie"); cookie != "" {
			p.Errorf("%s sets a cookie: %s", a, cookie)
		}
		policy := a.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			p.Errorf("%s: the content security policy is %q", a, policy)
		}
		if !a.isPage() || strings.HasPrefix(a.path, "/verifier.html") {
			continue // that one is saved: it has its script in itself, and the policy has its hash
		}
		for n := range a.doc.Descendants() {
			for _, attr := range n.Attr {
				if inline.MatchString(attr.Key) || strings.HasPrefix(strings.TrimSpace(strings.ToLower(attr.Val)), "javascript:") && addressed[n.Data] == attr.Key {
					p.Errorf("%s: <%s %s=%q>", a, n.Data, attr.Key, attr.Val)
				}
			}
			if n.Type == html.ElementNode && (n.Data == "style" || n.Data == "script" && attribute(n, "src") == "") {
				p.Errorf("%s has an inline %s", a, n.Data)
			}
			if n.Type == html.ElementNode && n.Data == "script" && !strings.HasPrefix(attribute(n, "integrity"), "sha384-") {
				p.Errorf("%s: a script without its hash: %s", a, attribute(n, "src"))
			}
		}
	}
}

// pagesAreWhole wants what every page must have: a language, a title of its own, one heading of the
// first level, a way past the navigation, the same page in the other language.
func (p publicPage) pagesAreWhole() {
	titles := make(map[string]string)
	for _, a := range p.site.pages() {
		lang, spoken := languageOf(a.path)
		if !spoken || a.status != http.StatusOK {
			continue
		}
		if got := attribute(a.elements("html")[0], "lang"); got != lang {
			p.Errorf("%s: its language is %q, want %q", a, got, lang)
		}
		title := text(a.elements("title")[0])
		// A document that was replaced has the title of the one that replaces it, and says so
		// below.
		replaced := strings.Contains(a.path, p.changed[0].digest) || strings.Contains(a.path, p.changed[1].digest)
		if other := titles[title]; title == "" || other != "" && !strings.Contains(a.path, "?") && !replaced {
			p.Errorf("%s and %s have the title %q", a, other, title)
		}
		titles[title] = a.path
		for name, want := range map[string]int{"h1": 1, "main": 1} {
			if got := len(a.elements(name)); got != want {
				p.Errorf("%s has %d <%s>, want %d", a, got, name, want)
			}
		}
		p.wantOtherLanguage(a, lang)
	}
}

func languageOf(path string) (lang string, spoken bool) {
	for _, lang := range []string{"fr", "en"} {
		if strings.HasPrefix(path, "/"+lang+"/") {
			return lang, true
		}
	}
	return "", false
}

func (p publicPage) wantOtherLanguage(a *answer, lang string) {
	p.Helper()
	other := map[string]string{"fr": "en", "en": "fr"}[lang]
	i := slices.IndexFunc(a.elements("link"), func(n *html.Node) bool { return attribute(n, "hreflang") == other })
	if i < 0 {
		p.Errorf("%s names no page in the other language", a)
		return
	}
	at := strings.TrimPrefix(attribute(a.elements("link")[i], "href"), p.site.base)
	if b := p.site.answers[at]; b == nil || b.status != http.StatusOK || attribute(b.elements("html")[0], "lang") != other {
		p.Errorf("%s says that %s is the same page in the other language", a, at)
	}
}

// nothingHiddenIsShown looks for everything that is not published, in every answer, and at the
// addresses that a person who guesses would try.
func (p publicPage) nothingHiddenIsShown() {
	var secrets []string
	for _, d := range p.docs {
		if d.hidden {
			secrets = append(secrets, d.title, d.name, d.digest, strings.ToUpper(d.digest))
			p.wantUnknown(d.digest)
		}
	}
	secrets = append(secrets, "Comité secret", p.meetings["secret"])
	// Of what was withdrawn, the digest and the dates stay.
	secrets = append(secrets, p.withdrawn.title, p.withdrawn.name)
	for _, a := range append(p.site.sorted(), p.searches(secrets)...) {
		for _, secret := range secrets {
			body := a.body
			if strings.Contains(a.path, "?q=") { // the page repeats what was searched for
				body = bytes.ReplaceAll(body, []byte(html.EscapeString(secret)+`"`), nil)
			}
			if bytes.Contains(body, []byte(secret)) || bytes.Contains(body, []byte(html.EscapeString(secret))) {
				p.Errorf("%s shows %q", a, secret)
			}
		}
	}
	for _, path := range []string{"/fr/seances/", "/en/meetings/"} {
		if a := p.get(path + p.meetings["secret"]); a.status != http.StatusNotFound {
			p.Errorf("%s: status %d", a.path, a.status)
		}
	}
}

// wantUnknown wants each route of a digest to answer as if the register had never seen it.
func (p publicPage) wantUnknown(digest string) {
	p.Helper()
	never := strings.Repeat("0", 64)
	for _, route := range []string{
		"/documents/%", "/documents/%.ots", "/documents/%.receipt.json", "/documents/%/fichier",
		"/fr/documents/%", "/en/documents/%", "/fr/documents/%/attestation", "/en/documents/%/attestation.pdf",
	} {
		hidden, unknown := p.get(strings.Replace(route, "%", digest, 1)), p.get(strings.Replace(route, "%", never, 1))
		same := bytes.Equal(bytes.ReplaceAll(hidden.body, []byte(digest), nil), bytes.ReplaceAll(unknown.body, []byte(never), nil))
		redirected := hidden.status == http.StatusFound && hidden.header.Get("Location") == "/en/documents/"+digest
		if hidden.status != unknown.status || hidden.status != http.StatusNotFound && !redirected || !same {
			p.Errorf("%s: status %d, and %d for a digest that does not exist; the same answer: %t", hidden.path, hidden.status, unknown.status, same)
		}
	}
	if _, found, err := p.lookUp(p.ctx, digest); found || err != nil {
		p.Errorf("the list of digests has %s: %v", digest, err)
	}
}

// searches asks for each of these words.
func (p publicPage) searches(words []string) (all []*answer) {
	for _, word := range words {
		for _, path := range []string{"/fr/recherche?q=", "/en/search?q="} {
			a := p.get(path + url.QueryEscape(word))
			a.from = "the test"
			all = append(all, a)
		}
	}
	return all
}

// replacedAndWithdrawnAreTold wants both digests of a document that was changed, and that of one
// that was taken off line.
func (p publicPage) replacedAndWithdrawnAreTold() {
	was, is := p.changed[0], p.changed[1]
	for _, path := range []string{"/fr/documents/", "/en/documents/"} {
		for _, d := range []*document{was, is} {
			a := p.get(path + d.digest)
			for _, want := range []string{was.digest, is.digest} {
				if !bytes.Contains(a.body, []byte(want)) {
					p.Errorf("%s does not name %s", a.path, want)
				}
			}
		}
		gone := p.get(path + p.withdrawn.digest)
		if gone.status != http.StatusOK && gone.status != http.StatusGone || !bytes.Contains(gone.body, []byte(p.withdrawn.digest)) {
			p.Errorf("%s: status %d", gone.path, gone.status)
		}
	}
	if a := p.get("/documents/" + p.withdrawn.digest + "/fichier"); a.status < 400 {
		p.Errorf("the withdrawn file is still offered: status %d", a.status)
	}
	if a := p.get("/documents/" + p.named("plan-rue-eglise.pdf").digest + "/fichier"); a.status < 400 {
		p.Errorf("a file that is only listed is offered: status %d", a.status)
	}
	d := p.named("2026-041-tarifs-cantine.pdf")
	a := p.get("/documents/" + d.digest + "/fichier")
	if string(a.body) != d.content || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
		p.Errorf("%s answers %q with %q", a.path, a.body, a.header.Get("Content-Disposition"))
	}
}

// scdl are the columns that the schema of deliberations wants, of those that we can fill.
var scdl = []string{"COLL_NOM", "COLL_SIRET", "DELIB_ID", "DELIB_DATE", "DELIB_OBJET", "DELIB_URL"}

func (p publicPage) listsAreWellFormed() {
	for _, a := range p.site.sorted() {
		if a.status != http.StatusOK {
			continue
		}
		switch {
		case a.is("application/json"):
			if !json.Valid(a.body) {
				p.Errorf("%s is no JSON", a)
			}
		case a.is("application/atom+xml"), a.is("application/xml"):
			p.wantXML(a)
		}
	}
	table := p.site.answers["/registre.csv"]
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(table.body, []byte("\ufeff")))).ReadAll()
	if err != nil || len(rows) < 5 {
		p.Errorf("registre.csv has %d rows: %v", len(rows), err)
		return
	}
	for _, column := range scdl {
		if !slices.Contains(rows[0], column) {
			p.Errorf("registre.csv has no column %s: %v", column, rows[0])
		}
	}
	for path, kind := range map[string]string{"/seances.atom": "application/atom+xml", "/sitemap.xml": "application/xml", "/registre.json": "application/json", "/registre.csv": "text/csv"} {
		if a := p.site.answers[path]; !a.is(kind) {
			p.Errorf("%s is %q, want %s", path, a.header.Get("Content-Type"), kind)
		}
	}
}

func (p publicPage) wantXML(a *answer) {
	p.Helper()
	elements := 0
	for d := xml.NewDecoder(bytes.NewReader(a.body)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.Errorf("%s: %v", a, err)
			return
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
	if elements < 3 {
		p.Errorf("%s has %d elements", a, elements)
	}
}

// oddNamesAreInert opens the pages of documents with odd names, and wants the names as text.
func (p publicPage) oddNamesAreInert() {
	tab := browser.Start(p).Open(p, browser.Wide)
	for _, d := range p.docs {
		if d.meeting != "odd" {
			continue
		}
		for _, path := range []string{"/fr/documents/", "/en/documents/"} {
			tab.Go(p.site.base + path + d.digest)
			if title := browser.Eval[string](tab, "document.title"); title == "taken" {
				p.Errorf("the name %q ran a script", d.name)
			}
			shown := tab.Text("main")
			for _, want := range []string{d.title, d.name} {
				// A mark that turns text around is shown as its number.
				want = strings.ReplaceAll(want, "\u202e", `\u202e`)
				if !strings.Contains(squeezed(shown), squeezed(want)) {
					p.Errorf("the page of %q shows\n%s\nwant %q in it", d.name, shown, want)
				}
			}
			if strings.ContainsFunc(shown, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
				p.Errorf("the page of %q holds marks that turn text around", d.name)
			}
		}
		a := p.get("/documents/" + d.digest + "/fichier")
		if kind := a.header.Get("Content-Type"); a.status != http.StatusOK || strings.Contains(kind, "html") || strings.Contains(kind, "svg") || strings.Contains(kind, "xml") {
			p.Errorf("the file %q comes with status %d as %q", d.name, a.status, kind)
		}
		if how := a.header.Get("Content-Disposition"); !strings.HasPrefix(how, "attachment") || strings.ContainsAny(how, "\r\n<>") {
			p.Errorf("the file %q comes with %q", d.name, how)
		}
	}
	tab.WantNoErrors()
}

// squeezed is a text without spaces, which lines break at.
func squeezed(s string) string { return strings.Join(strings.Fields(s), "") }

// languageIsChosen wants an address without a language to lead to that of the browser.
func (p publicPage) languageIsChosen() {
	for _, c := range []struct{ accept, want string }{{"fr-FR,fr;q=0.9,en;q=0.5", "/fr/"}, {"en-GB,en", "/en/"}, {"", "/fr/"}, {"de", "/fr/"}, {"en;q=0.2, fr;q=0.8", "/fr/"}} {
		for _, path := range []string{"/", "/documents/" + p.changed[1].digest} {
			req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.site.base+path, nil)
			p.must(err)
			req.Header.Set("Accept-Language", c.accept)
			resp, err := noRedirects.Do(req)
			p.must(err)
			resp.Body.Close()
			to := resp.Header.Get("Location")
			if !strings.HasPrefix(to, c.want) || !strings.Contains(strings.ToLower(resp.Header.Get("Vary")), "accept-language") {
				p.Errorf("%s with Accept-Language %q leads to %q (Vary: %q), want %s", path, c.accept, to, resp.Header.Get("Vary"), c.want)
			}
		}
	}
}

// strangeRequestsAreRefused asks for what no page names.
func (p publicPage) strangeRequestsAreRefused() {
	digest := p.changed[1].digest
	for _, path := range []string{
		"/../../etc/passwd", "/fr/../../../etc/passwd", "/documents/%2e%2e%2f%2e%2e%2fregister.db", "/documents/" + digest + "%00.ots",
		"/documents/" + strings.ToUpper(digest), "/documents/" + digest[:63], "/documents/" + digest + "0", "/empreintes/zz.json", "/empreintes/abc.json",
		"/entetes/-1.headers", "/entetes/99999999999999999999.headers", "/fr/seances/2026-02-30", "/fr/seances/99999", "/fr/nothing", "/" + strings.Repeat("a", 5000),
	} {
		a := p.get(path)
		if a.status < 400 || a.status >= 500 {
			p.Errorf("%s: status %d", path, a.status)
		}
		if bytes.Contains(a.body, []byte("root:")) || bytes.Contains(a.body, []byte("SQLite")) {
			p.Errorf("%s answers a file", path)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, "PROPFIND"} {
		req, err := http.NewRequestWithContext(p.ctx, method, p.site.base+"/fr/", strings.NewReader("x"))
		p.must(err)
		resp, err := noRedirects.Do(req)
		p.must(err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
			p.Errorf("%s: %s, Allow: %q", method, resp.Status, resp.Header.Get("Allow"))
		}
	}
	// A link in an answer must not be made of a header that the visitor sent.
	req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.site.base+"/seances.atom", nil)
	p.must(err)
	req.Host = "evil.example"
	resp, err := noRedirects.Do(req)
	p.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	p.must(err)
	if bytes.Contains(body, []byte("evil.example")) {
		p.Error("the feed names a host that the visitor sent")
	}
}
