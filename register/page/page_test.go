package page_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ancre/register/page"
	"ancre/register/page/pagetest"
	"ancre/register/store"

	"golang.org/x/net/html"
)

const base = "https://registre.example"

func newPage(t testing.TB, s *pagetest.Source, change ...func(*page.Config)) *page.Page {
	t.Helper()
	c := page.Config{Source: s, URL: base, Authority: page.Authority{Name: "Ville de Saint-Exemple", Site: "https://www.example.org"}}
	for _, f := range change {
		f(&c)
	}
	p, err := page.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// get asks a page. The headers come in pairs.
func get(t testing.TB, p *page.Page, path string, headers ...string) *http.Response {
	t.Helper()
	return ask(t, p, http.MethodGet, path, headers...)
}

func ask(t testing.TB, p *page.Page, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://any.example"+path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// hostile are texts that must not do anything where they are shown.
var hostile = []string{
	`<img src=x onerror=alert(1)>`, `"><script>alert(1)</script>`, `' onmouseover='alert(1)`, `javascript:alert(1)`, `</title><script>alert(1)</script>`,
	"acte\u202efdp.exe", "\u2067\u2068rtl", "bell\x07\x1b[31m", "ligne\nfausse\r\nSet-Cookie: a=b", "{{.}}", "=HYPERLINK(\"http://evil\")", "+1", "-1", "@SUM(1)",
	strings.Repeat("é", 127) + "x", "\xff\xfe not UTF-8", "]]></title>", "%s%d%!", `\..\..\etc`, "../../etc/passwd",
}

// hostileSource is a register with every hostile text in every place.
func hostileSource() *pagetest.Source {
	s := pagetest.Generate(len(hostile), 3)
	for i, text := range hostile {
		m := &s.MeetingList[i]
		m.Title, m.Place = text, text
		for j := range 3 {
			e := &s.EntryList[3*i+j]
			e.Title, e.Number, e.FileName, e.MediaType = text, text, text, text
			if j == 2 {
				e.Title = ""
			}
		}
	}
	s.BodyList[0].Name, s.BodyList[0].NameEN = hostile[0], hostile[1]
	return s
}

func TestHostileNamesAreShownAsText(t *testing.T) {
	p := newPage(t, hostileSource(), func(c *page.Config) { c.Authority.Name = hostile[1] })
	for a, err := range p.Pages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Kind == page.AttestationFile {
			continue // PDF is held by its own tests
		}
		answer, err := p.Render(t.Context(), a, p.ServerLinks())
		if err != nil {
			t.Errorf("%s: %v", a.Path(), err)
			continue
		}
		if strings.HasPrefix(answer.Type, "text/html") && a.Kind != page.Verifier {
			checkHTML(t, a.Path(), answer.Body)
		}
		if answer.Content != nil {
			answer.Content.Close()
		}
	}
	for _, q := range hostile {
		r := get(t, p, "/fr/recherche?q="+url.QueryEscape(q))
		checkHTML(t, "the search for "+q, []byte(bodyOf(t, r)))
	}
}

// allowedElements are the elements that pages are made of.
var allowedElements = strings.Fields(`html head meta title link body a header div span strong p nav ul ol li main section h1 h2 h3 dl dt dd footer
	svg circle path article table caption thead tbody tr th td code pre details summary bdi br form label input select option button time script ancre-verify img`)

// voidElements have no end.
var voidElements = strings.Fields("meta link br input img")

// checkHTML fails if a page is not well-formed: elements that are not ours or not closed,
// attributes that run script, the same ID twice, characters that turn the text around.
func checkHTML(t *testing.T, name string, body []byte) {
	t.Helper()
	if i := bytes.IndexFunc(body, func(r rune) bool {
		return r < ' ' && r != '\n' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfffd
	}); i >= 0 {
		t.Errorf("%s: a character that must not be there: %q", name, body[i:min(i+8, len(body))])
	}
	if bytes.Contains(body, []byte("ZgotmplZ")) || bytes.Contains(body, []byte("%!")) && !bytes.Contains(body, []byte("%d%!")) {
		t.Errorf("%s: a template went wrong", name)
	}
	var open []string
	ids := map[string]bool{}
	headings := 0
	z := html.NewTokenizer(bytes.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) || len(open) > 0 {
				t.Errorf("%s: %v, and %q is not closed", name, z.Err(), open)
			}
			if headings != 1 {
				t.Errorf("%s: %d headings of the first level, want 1", name, headings)
			}
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			if token.Data == "h1" {
				headings++
			}
			checkElement(t, name, token, ids)
			if !slices.Contains(voidElements, token.Data) && token.Type == html.StartTagToken {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			token := z.Token()
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Errorf("%s: </%s> ends %q", name, token.Data, open)
				return
			}
			open = open[:len(open)-1]
		}
	}
}

func checkElement(t *testing.T, name string, token html.Token, ids map[string]bool) {
	t.Helper()
	if !slices.Contains(allowedElements, token.Data) {
		t.Errorf("%s: an element <%s>", name, token.Data)
	}
	for _, a := range token.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on") || a.Key == "style":
			t.Errorf("%s: <%s> has the attribute %s", name, token.Data, a.Key)
		case a.Key == "id" && ids[a.Val]:
			t.Errorf("%s: the ID %q stands twice", name, a.Val)
		case a.Key == "id":
			ids[a.Val] = true
		case (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.Contains(strings.ToLower(a.Val), "script:"):
			t.Errorf("%s: %s=%q", name, a.Key, a.Val)
		}
	}
	if token.Data == "script" && !slices.ContainsFunc(token.Attr, func(a html.Attribute) bool { return a.Key == "src" }) {
		t.Errorf("%s: a script stands in the page", name)
	}
}

// linksOf returns where the links of a page lead.
func linksOf(body string) (list []string) {
	z := html.NewTokenizer(strings.NewReader(body))
	for z.Next() != html.ErrorToken {
		for _, a := range z.Token().Attr {
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && a.Val != "" {
				list = append(list, a.Val)
			}
		}
	}
	return list
}

func TestEveryLinkOfEveryPageLeadsSomewhere(t *testing.T) {
	s := pagetest.Generate(14, 12)
	s.EntryList[5].Meeting, s.EntryList[6].Meeting = "", ""
	s.EntryList[4].ReplacedBy, s.EntryList[8].Replaces = s.EntryList[8].ID, s.EntryList[4].ID
	s.EntryList[10].Published = false
	p := newPage(t, s)
	seen := map[string]bool{}
	next := []string{"/", "/fr/", "/en/", "/robots.txt", "/sitemap.xml", "/seances.atom", "/fr/recherche?q=document", "/embed"}
	for len(next) > 0 {
		path := next[0]
		next = next[1:]
		if path, _, _ = strings.Cut(path, "#"); seen[path] {
			continue
		}
		seen[path] = true
		if strings.HasSuffix(path, "/attestation.pdf") && len(seen) > 200 {
			continue // some are enough: they take long
		}
		r := get(t, p, path)
		if r.StatusCode == http.StatusFound {
			next = append(next, r.Header.Get("Location"))
			continue
		}
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, r.Status)
		}
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || path == "/verifier.html" {
			continue
		}
		from, _ := url.Parse(base + path)
		for _, link := range linksOf(bodyOf(t, r)) {
			to, err := from.Parse(link)
			if err != nil {
				t.Errorf("%s: the link %q: %v", path, link, err)
				continue
			}
			if to.Host == from.Host {
				next = append(next, to.RequestURI())
			}
		}
	}
	if len(seen) < 14*12*2 {
		t.Errorf("only %d pages were found", len(seen))
	}
}

// An export has a file for each link of its pages.
func TestEveryLinkOfAnExportLeadsToAFile(t *testing.T) {
	s := pagetest.Generate(3, 12)
	s.EntryList[5].Meeting = ""
	p := newPage(t, s, func(c *page.Config) {
		c.Theme.Logo = []byte("<svg xmlns='http://www.w3.org/2000/svg'/>")
	})
	files := map[string]page.Answer{}
	for a, err := range p.Pages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		name := a.FileName()
		if _, twice := files[name]; twice {
			t.Errorf("%s comes twice", name)
		}
		if strings.Contains(name, "..") || strings.HasPrefix(name, "/") || strings.Contains(name, "//") {
			t.Errorf("%q leads elsewhere", name)
		}
		if a.Kind == page.AttestationFile {
			files[name] = page.Answer{}
			continue
		}
		answer, err := p.Render(t.Context(), a, p.StaticLinks())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files[name] = answer
	}
	for name, answer := range files {
		if !strings.HasPrefix(answer.Type, "text/html") || name == "verifier.html" {
			continue
		}
		checkHTML(t, name, answer.Body)
		from, _ := url.Parse("file:///" + name)
		for _, link := range linksOf(string(answer.Body)) {
			to, err := from.Parse(link)
			if err != nil || to.Scheme != "file" {
				continue
			}
			if _, ok := files[strings.TrimPrefix(to.Path, "/")]; !ok {
				t.Errorf("%s: the link %q leads to no file", name, link)
			}
		}
	}
}

// secret stands in everything that must not be shown.
const secret = "TopSecret"

func TestWhatIsNotOnLineIsNeverShown(t *testing.T) {
	s := pagetest.Generate(4, 12)
	withdrawn, hidden := &s.EntryList[3], &s.EntryList[4]
	for _, e := range []*store.Entry{withdrawn, hidden} {
		e.Title, e.FileName, e.Number, e.Published, e.WithdrawnAt = secret, secret, secret, false, e.OnlineSince
	}
	hidden.OnlineSince = hidden.OnlineSince.AddDate(-3000, 0, 0) // zero would not tell the test's source
	hidden.OnlineSince, hidden.WithdrawnAt = store.Entry{}.OnlineSince, store.Entry{}.WithdrawnAt
	s.EntryList[5].ReplacedBy, s.EntryList[6].Replaces = hidden.ID, hidden.ID
	s.MeetingList[1].Published, s.MeetingList[1].Title, s.MeetingList[1].Place = false, secret, secret
	for i := range 12 {
		s.EntryList[12+i].Title, s.EntryList[12+i].FileName = secret, secret
	}
	// A source that answers more than it should.
	p := newPage(t, s, func(c *page.Config) { c.Source = careless{s} })
	for a, err := range p.Pages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(a.Path(), hidden.Digest.String()) {
			t.Errorf("%s has an address", a.Path())
		}
		if a.Kind == page.AttestationFile {
			continue
		}
		answer, err := p.Render(t.Context(), a, p.ServerLinks())
		if err != nil {
			t.Errorf("%s: %v", a.Path(), err)
			continue
		}
		body := answer.Body
		if answer.Stream != nil {
			var b bytes.Buffer
			if err := answer.Stream(&b); err != nil {
				t.Errorf("%s: %v", a.Path(), err)
			}
			body = b.Bytes()
		}
		if bytes.Contains(body, []byte(secret)) {
			t.Errorf("%s shows what is not on line", a.Path())
		}
		if bytes.Contains(body, []byte(hidden.Digest.String())) {
			t.Errorf("%s shows the digest of a document that never was on line", a.Path())
		}
	}
	for _, after := range []string{".ots", ".receipt.json", "/fichier"} {
		for _, e := range []*store.Entry{withdrawn, hidden, &s.EntryList[13]} {
			if r := get(t, p, "/documents/"+e.Digest.String()+after); r.StatusCode != http.StatusNotFound {
				t.Errorf("%s of %q is answered with %s", after, e.Title, r.Status)
			}
		}
	}
	if r := get(t, p, "/fr/documents/"+withdrawn.Digest.String()); r.StatusCode != http.StatusOK || !strings.Contains(bodyOf(t, r), "retiré") {
		t.Errorf("a document that was withdrawn is answered with %s", r.Status)
	}
	if r := get(t, p, "/fr/recherche?q="+secret); strings.Contains(bodyOf(t, r), "/fr/documents/"+withdrawn.Digest.String()) {
		t.Error("the search finds what was withdrawn by its name")
	}
}

// careless is a source that also answers entries that never were on line.
type careless struct{ *pagetest.Source }

func (c careless) Entries(ctx context.Context, q store.EntryQuery) ([]store.Entry, error) {
	list, err := c.Source.Entries(ctx, q)
	for _, e := range c.EntryList {
		if q.Meeting != nil && *q.Meeting == e.Meeting && !e.Published && e.OnlineSince.IsZero() {
			list = append(list, e)
		}
	}
	return list, err
}

func TestFeedsAndDataAreWellFormed(t *testing.T) {
	p := newPage(t, hostileSource())
	for _, path := range []string{"/seances.atom", "/sitemap.xml", "/sitemap-2026.xml"} {
		d := xml.NewDecoder(strings.NewReader(bodyOf(t, get(t, p, path))))
		elements := 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if _, ok := token.(xml.StartElement); ok {
				elements++
			}
		}
		if elements < 2 {
			t.Errorf("%s has %d elements", path, elements)
		}
	}
	var register struct {
		Network   string           `json:"network"`
		Meetings  []map[string]any `json:"meetings"`
		Documents []map[string]any `json:"documents"`
	}
	if err := json.Unmarshal([]byte(bodyOf(t, get(t, p, "/registre.json"))), &register); err != nil {
		t.Fatal(err)
	}
	if len(register.Meetings) != len(hostile) || len(register.Documents) != 3*len(hostile) || register.Network != "mainnet" {
		t.Errorf("the register in JSON has %d meetings and %d documents of %q", len(register.Meetings), len(register.Documents), register.Network)
	}
}

func TestCellsOfTheCSVAreNoFormulas(t *testing.T) {
	s := hostileSource()
	for i := range s.EntryList {
		s.EntryList[i].Kind = store.Deliberation
	}
	lines, err := csv.NewReader(strings.NewReader(bodyOf(t, get(t, newPage(t, s), "/registre.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1+3*len(hostile) || len(lines[0]) != 19 || lines[0][0] != "COLL_NOM" || lines[0][18] != "PREUVE_URL" {
		t.Fatalf("%d lines, the first is %q", len(lines), lines[0])
	}
	for _, line := range lines[1:] {
		for _, cell := range line {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("the cell %q is a formula", cell)
			}
		}
	}
}

func TestTheListOfAByteHasAllThatACheckNeeds(t *testing.T) {
	s := pagetest.Generate(3, 12)
	p := newPage(t, s)
	for _, e := range s.EntryList {
		r := get(t, p, "/empreintes/"+e.Digest.String()[:2]+".json")
		var list struct {
			First, Network string
			Digests        map[string]struct {
				State, Page, Title string
				OTS                []byte
				Height             int32
			}
		}
		if err := json.Unmarshal([]byte(bodyOf(t, r)), &list); err != nil {
			t.Fatal(err)
		}
		got, ok := list.Digests[e.Digest.String()]
		if !ok || got.Title != e.Title || got.Page != "/fr/documents/"+e.Digest.String() || list.First != e.Digest.String()[:2] {
			t.Errorf("%+v", got)
		}
		if want, err := s.OTS(t.Context(), e.Digest); err == nil && !bytes.Equal(want, got.OTS) {
			t.Errorf("the proof is %x, want %x", got.OTS, want)
		}
		if r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Error("another site may not read the list")
		}
	}
}
