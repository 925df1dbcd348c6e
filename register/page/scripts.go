package page

import (
	"context"
	"html"
	"regexp"
	"strings"

	"ancre/register/page/verifier"
)

const typeScript = "text/javascript; charset=utf-8"

// The check tool, and what the browser compares it with before it runs it.
var (
	toolScript    = verifier.Script(verifier.Tool)
	toolIntegrity = verifier.Integrity(toolScript)
)

// script makes the check tool. The authority's own site may load it.
func (p *Page) script(context.Context, Address, Links) (Answer, error) {
	return Answer{Type: typeScript, Body: toolScript, MaxAge: keepAssets, AnyOrigin: true}, nil
}

// integrity makes the integrity value of the script, for whoever writes the line that loads it.
func (p *Page) integrity(context.Context, Address, Links) (Answer, error) {
	return Answer{Type: typeText, Body: []byte(toolIntegrity + "\n"), MaxAge: keepAssets, AnyOrigin: true}, nil
}

// Integrity is the attribute by which browsers run the check tool only as it was built. A browser
// refuses it for scripts of pages that are opened from a directory, so an export lacks it.
func (v *view) Integrity() string {
	if v.Links.Static {
		return ""
	}
	return toolIntegrity
}

// offline makes verifier.html: the check tool as one file, to be saved. Its policy is in it, too:
// it may contact nobody.
func (p *Page) offline(context.Context, Address, Links) (Answer, error) {
	body := verifier.Offline()
	return Answer{Type: typeHTML, Body: body, MaxAge: keepAssets, Policy: offlinePolicy(body)}, nil
}

// policyOf finds the policy that stands in verifier.html.
var policyOf = regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`)

// offlinePolicy returns the policy that stands in verifier.html, as a header: it names the script
// and the style that stand in the page.
func offlinePolicy(body []byte) string {
	m := policyOf.FindSubmatch(body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(string(m[1])) + "; frame-ancestors 'none'"
}

// embed makes the check tool for a frame.
func (p *Page) embed(ctx context.Context, a Address, l Links) (Answer, error) {
	network, err := p.source.Network(ctx)
	if err != nil {
		return Answer{}, err
	}
	f := verifier.Frame{Lang: string(a.Lang), Base: "./", Network: network, DocumentsLang: string(p.lang)}
	if f.Lang == "" {
		f.Lang = string(p.lang)
	}
	return Answer{Type: typeHTML, Body: f.HTML(), MaxAge: keepPage, Policy: policy + strings.Join(p.frameAncestors(), " ")}, nil
}

// frameAncestors are the sites that may show the check tool in a frame.
func (p *Page) frameAncestors() []string { return append([]string{"'self'"}, p.frames...) }
