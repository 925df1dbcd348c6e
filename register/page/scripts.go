package page

import (
	"context"

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
