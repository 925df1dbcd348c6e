package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"time"

	"ancre/register/store"
)

// Answer is what is at an address.
type Answer struct {
	Status   int
	Type     string // media type, with its charset
	Body     []byte
	MaxAge   time.Duration // how long caches may keep it
	ETag     string        // of the body; "": none
	Location string        // of a redirect
	Name     string        // a file name: it is to be saved under that name, and never shown

	// Stream writes an answer that is too large to hold, if it is not nil; Body is empty then.
	Stream func(w io.Writer) error
	// Content is a file, if it is not nil; Body is empty then. Whoever gets it closes it.
	Content io.ReadSeekCloser

	Policy    string // Content-Security-Policy, if it is not that of all pages
	AnyOrigin bool   // scripts on other sites may read it
	Forever   bool   // it never changes
}

// Times for which caches may keep answers. What was withdrawn must disappear soon.
const (
	keepPage   = time.Minute
	keepData   = time.Minute
	keepAssets = 5 * time.Minute
	keepYear   = 365 * 24 * time.Hour
)

// Media types.
const (
	typeHTML  = "text/html; charset=utf-8"
	typeText  = "text/plain; charset=utf-8"
	typeJSON  = "application/json"
	typeBytes = "application/octet-stream"
)

// maker makes the answer at an address.
type maker func(p *Page, ctx context.Context, a Address, l Links) (Answer, error)

// makers has what makes each kind of page.
var makers map[Kind]maker

func init() {
	makers = map[Kind]maker{
		Home:     (*Page).home,
		Meetings: (*Page).meetings, Year: (*Page).year, Meeting: (*Page).meeting,
		Documents: (*Page).documents, DocumentsMonth: (*Page).documentsMonth, Document: (*Page).document,
		Attestation: (*Page).attestation, AttestationFile: (*Page).attestationFile,
		Check: (*Page).check, Search: (*Page).search,
		Method: (*Page).text, Accessibility: (*Page).text, Legal: (*Page).text, Privacy: (*Page).text,
		Map: (*Page).siteMap, NoPage: (*Page).missingPage,

		Root: (*Page).root, Permalink: (*Page).permalink,
		OTS: (*Page).ots, Receipt: (*Page).receipt, File: (*Page).file,
		Digests: (*Page).digests, Headers: (*Page).headers,
		DataJSON: (*Page).dataJSON, DataCSV: (*Page).dataCSV, Feed: (*Page).feed,
		Sitemap: (*Page).sitemap, SitemapYear: (*Page).sitemapYear, Robots: (*Page).robots,
		Style: (*Page).styleSheet, Icon: (*Page).icon, Logo: (*Page).logo,
		Script: (*Page).script, Integrity: (*Page).integrity, Verifier: (*Page).offline, Embed: (*Page).embed,
	}
}

// Render makes the answer at an address. It depends on the address, the links, the Source and, for
// what is due when, the date: nothing else.
//
// If there is nothing at the address the error wraps [store.ErrNotFound].
func (p *Page) Render(ctx context.Context, a Address, l Links) (Answer, error) {
	make := makers[a.Kind]
	if make == nil || !l.Has(a.Kind) {
		return Answer{}, fmt.Errorf("the address %s: %w", a.path(), store.ErrNotFound)
	}
	answer, err := make(p, ctx, a, l)
	if err != nil {
		return Answer{}, err
	}
	if answer.Status == 0 {
		answer.Status = http.StatusOK
	}
	if answer.ETag == "" && answer.Stream == nil && answer.Content == nil && answer.Status == http.StatusOK {
		answer.ETag = etagOf(answer.Body)
	}
	return answer, nil
}

// etagOf returns a strong validator of a body.
func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

//go:embed templates
var templateFiles embed.FS

// parseTemplates reads the templates, once for each language: their words are looked up in it.
func parseTemplates() (map[Lang]*template.Template, error) {
	of := map[Lang]*template.Template{}
	for _, lang := range Langs {
		words := func(key string, args ...any) (string, error) { return wordsOf(lang, key, args...) }
		t, err := template.New("").Funcs(template.FuncMap{"t": words}).ParseFS(templateFiles, "templates/*.html")
		if err != nil {
			return nil, err
		}
		of[lang] = t
	}
	return of, nil
}

// html makes a page from a template.
func (p *Page) html(ctx context.Context, v *view, name string) (Answer, error) {
	return p.htmlIn(ctx, v.Address.Lang, v, name)
}

// htmlIn is html for addresses that have no language of their own.
func (p *Page) htmlIn(ctx context.Context, l Lang, v *view, name string) (answer Answer, err error) {
	if v.Network, err = p.source.Network(ctx); err != nil {
		return Answer{}, err
	}
	t := p.templates[l].Lookup(name)
	if t == nil {
		return Answer{}, errors.New("there is no template " + name)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return Answer{}, fmt.Errorf("write a page of the kind %s: %w", v.Address.Kind, err)
	}
	return Answer{Type: typeHTML, Body: b.Bytes(), MaxAge: keepPage}, nil
}
