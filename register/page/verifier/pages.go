package verifier

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/url"
	"strings"
	"sync"

	"ancre/internal/version"
)

//go:embed offline.html
var offlineHTML string

//go:embed offline.css
var offlineCSS string

//go:embed embed.html
var embedHTML string

var (
	offlineTemplate = template.Must(template.New("verifier.html").Parse(offlineHTML))
	embedTemplate   = template.Must(template.New("embed").Parse(embedHTML))
)

// Offline returns verifier.html: the check tool, its style and its worker in one file, to be saved
// and used forever. It works from a disk and without a network, and its content security policy
// lets it contact nobody: all that it needs is picked by hand. The result must not be changed.
var Offline = sync.OnceValue(func() []byte {
	// A script in a page ends at the first "</script", wherever it stands.
	script := strings.ReplaceAll(string(Script(Tool)), "</script", `<\/script`)
	return execute(offlineTemplate, map[string]any{
		"Policy": "default-src 'none'; script-src '" + sourceHash(script) + "'; style-src '" + sourceHash(offlineCSS) +
			"'; worker-src blob:; base-uri 'none'; form-action 'none'",
		"Version": version.Number,
		"Style":   template.CSS(offlineCSS),
		"Element": template.HTML("<script>" + script + "</script>"),
	})
})

// sourceHash is how a content security policy names an inline script or style.
func sourceHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Frame is the page that the authority's own site shows in a frame: the check tool alone.
type Frame struct {
	Lang          string // "fr" or "en"
	Base          string // where the register's page is, as seen from this page: "./"
	Network       string // of the register
	DocumentsLang string // the language of the documents' titles
}

// HTML returns the page. Its style sheet is the register's, page.css.
func (f Frame) HTML() []byte {
	return execute(embedTemplate, map[string]any{
		"Frame": f, "French": f.Lang == "fr", "Script": f.Base + Tool, "Style": f.Base + "page.css", "Icon": f.Base + "icone.svg", "Integrity": Integrity(Script(Tool)),
	})
}

// Snippet returns the lines of HTML with which a page of the authority's own site shows the check
// tool. The browser runs exactly the script of this program there, or none. The page's content
// security policy must allow base in script-src and connect-src.
func Snippet(base *url.URL, lang, network string) string {
	b := strings.TrimSuffix(base.String(), "/") + "/"
	esc := template.HTMLEscapeString
	return `<script src="` + esc(b+Tool) + `" integrity="` + Integrity(Script(Tool)) + `" crossorigin="anonymous" defer></script>` + "\n" +
		`<ancre-verify base="` + esc(b) + `" lang="` + esc(lang) + `" network="` + esc(network) + `"></ancre-verify>` + "\n"
}

// FrameSnippet is Snippet for a site on which no script may run: the tool in a frame.
func FrameSnippet(base *url.URL, lang string) string {
	title := "Check a document"
	if lang == "fr" {
		title = "Vérifier un document"
	}
	src := strings.TrimSuffix(base.String(), "/") + "/embed?lang=" + url.QueryEscape(lang)
	return `<iframe src="` + template.HTMLEscapeString(src) + `" title="` + title + `" width="100%" height="900"></iframe>` + "\n"
}

func execute(t *template.Template, data any) []byte {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		panic(err) // a test makes each page
	}
	return b.Bytes()
}
