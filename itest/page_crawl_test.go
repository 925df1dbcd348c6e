package itest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// answer is what a site answered to one request.
type answer struct {
	path   string // with the query
	from   string // the page that names it
	status int
	header http.Header
	body   []byte
	doc    *html.Node // of a page; nil: it is something else
}

func (a *answer) String() string { return fmt.Sprintf("%s (named by %s)", a.path, a.from) }

// isPage reports whether a person reads it.
func (a *answer) isPage() bool { return a.doc != nil }

// crawled is everything that a site answers to somebody who follows each address that it names.
type crawled struct {
	base    string // http://127.0.0.1:1234
	answers map[string]*answer
}

// mostPages bounds a crawl: a site that names ever new addresses is a mistake.
const mostPages = 3000

// crawl follows every address, from the starts on. public is where the site says that it is.
func crawl(ctx context.Context, base, public string, starts ...string) (*crawled, error) {
	c := &crawled{base: base, answers: make(map[string]*answer)}
	type named struct{ path, from string }
	var queue []named
	for _, path := range starts {
		queue = append(queue, named{path, "the test"})
	}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if c.answers[next.path] != nil {
			continue
		}
		if len(c.answers) == mostPages {
			return nil, fmt.Errorf("more than %d addresses: the last is %s, which %s names", mostPages, next.path, next.from)
		}
		a, err := fetch(ctx, base, next.path)
		if err != nil {
			return nil, err
		}
		a.from = next.from
		c.answers[next.path] = a
		at, err := url.Parse(base + next.path)
		if err != nil {
			return nil, err
		}
		for _, address := range addressesIn(a) {
			u, err := at.Parse(address)
			if err != nil {
				return nil, fmt.Errorf("%s names %q: %w", next.path, address, err)
			}
			origin := u.Scheme + "://" + u.Host
			if origin == base || origin == public {
				queue = append(queue, named{u.RequestURI(), next.path})
			}
		}
	}
	return c, nil
}

// noRedirects answers redirects as they are.
var noRedirects = http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// fetch asks for one address, as a browser that prefers English does.
func fetch(ctx context.Context, base, path string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Language", "en")
	resp, err := noRedirects.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &answer{path: path, status: resp.StatusCode, header: resp.Header, body: body}
	if a.is("text/html") {
		if a.doc, err = html.Parse(bytes.NewReader(body)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return a, nil
}

func (a *answer) is(mediaType string) bool {
	have, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	return have == mediaType
}

// addressed are the attributes that hold an address which a browser or a person may open.
var addressed = map[string]string{
	"a": "href", "area": "href", "link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src",
	"embed": "src", "object": "data", "form": "action", "ancre-verify": "src",
}

// addressesInText finds addresses in what is no page: feeds, lists, maps of the site, styles.
var addressesInText = regexp.MustCompile(`https?://[^\s"'<>,)]+|"(/[^"\s<>]*)"|url\(([^)]+)\)`)

func addressesIn(a *answer) (addresses []string) {
	if location := a.header.Get("Location"); location != "" {
		addresses = append(addresses, location)
	}
	if a.doc != nil {
		for n := range a.doc.Descendants() {
			if n.Type == html.ElementNode {
				if address := attribute(n, addressed[n.Data]); address != "" {
					addresses = append(addresses, address)
				}
			}
		}
		return addresses
	}
	for _, kind := range []string{"application/atom+xml", "application/xml", "application/json", "text/csv", "text/css", "text/plain"} {
		if !a.is(kind) {
			continue
		}
		for _, m := range addressesInText.FindAllStringSubmatch(string(a.body), -1) {
			found := m[0]
			if m[1]+m[2] != "" {
				found = m[1] + m[2]
			}
			addresses = append(addresses, html.UnescapeString(found))
		}
	}
	return slices.DeleteFunc(addresses, func(s string) bool {
		return strings.HasPrefix(s, "http://www.w3.org/") || strings.HasPrefix(s, "http://www.sitemaps.org/")
	})
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name && name != "" {
			return a.Val
		}
	}
	return ""
}

// text returns the text of an element.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// elements returns those with a name, in their order.
func (a *answer) elements(name string) (found []*html.Node) {
	for n := range a.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

// sorted returns the answers in the order of their addresses.
func (c *crawled) sorted() (all []*answer) {
	for _, path := range slices.Sorted(maps.Keys(c.answers)) {
		all = append(all, c.answers[path])
	}
	return all
}

// pages returns what a person reads.
func (c *crawled) pages() []*answer {
	return slices.DeleteFunc(c.sorted(), func(a *answer) bool { return !a.isPage() })
}

func TestTheCrawlerFindsEveryAddress(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"text/html", `<a href="/a">x</a><form action="/b"></form><script src="c.js"></script><link rel=x href="d">`, "/a /b c.js d"},
		{"application/atom+xml", `<feed xmlns="http://www.w3.org/2005/Atom"><link href="http://h/a?b=1&amp;c=2"/>`, "http://h/a?b=1&c=2"},
		{"application/json", `{"page": "/fr/documents/ab", "x": "a/b"}`, "/fr/documents/ab"},
		{"text/css", `body { background: url(/a.png) }`, "/a.png"},
		{"application/pdf", `"/a"`, ""},
	} {
		a := &answer{header: http.Header{"Content-Type": {c.kind}}, body: []byte(c.body)}
		if a.is("text/html") {
			a.doc, _ = html.Parse(strings.NewReader(c.body))
		}
		if got := strings.Join(addressesIn(a), " "); got != c.want {
			t.Errorf("%s: found %q, want %q", c.kind, got, c.want)
		}
	}
}
