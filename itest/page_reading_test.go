package itest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"ancre/itest/harness/browser"
)

// opened are the pages that a browser opens: each kind of page in both languages, and each state of
// a document and a meeting.
func (p publicPage) opened() (all []*answer) {
	for _, a := range p.site.pages() {
		if a.status == http.StatusOK {
			all = append(all, a)
		}
	}
	return all
}

// ids are the parts of an address that make one page of a kind differ from another.
var ids = regexp.MustCompile(`[0-9a-f]{64}|[0-9]{4}(-[0-9]{2})*(-[a-z0-9-]+)?|\?.*`)

// perKind leaves the first n pages of each kind, for what depends on the template alone.
func perKind(n int, all []*answer) (some []*answer) {
	seen := make(map[string]int)
	for _, a := range all {
		kind := ids.ReplaceAllString(a.path, "*")
		if seen[kind]++; seen[kind] <= n {
			some = append(some, a)
		}
	}
	return some
}

func (p publicPage) axeFindsNothing() {
	tab := browser.Start(p).Open(p, browser.Wide)
	for _, a := range p.opened() {
		tab.Go(p.site.base + a.path)
		tab.WantAccessible()
	}
	tab.Resize(browser.Narrow) // its menu may be another one
	for _, a := range perKind(2, p.opened()) {
		tab.Go(p.site.base + a.path)
		tab.WantAccessible()
	}
	tab.WantNoErrors()
}

// pagesFit wants no page to be scrolled sideways: at 320 pixels, at a zoom of 200 %, with text
// twice as large.
func (p publicPage) pagesFit() {
	chromium := browser.Start(p)
	large := chromium.Open(p, browser.Wide)
	large.Enlarge()
	few := perKind(2, p.opened())
	tabs := map[string]*browser.Tab{
		"at 320 pixels": chromium.Open(p, browser.Narrow), "at a zoom of 200 %": chromium.Open(p, browser.Zoomed), "with text twice as large": large,
	}
	for _, a := range p.opened() {
		everywhere := slices.Contains(few, a)
		for name, tab := range tabs {
			if tab != tabs["at 320 pixels"] && !everywhere {
				continue // what is widest is seen in the narrow window
			}
			tab.Go(p.site.base + a.path)
			if wide := tab.TooWide(); len(wide) > 0 {
				p.Errorf("%s %s is too wide:\n%s", a, name, strings.Join(wide[:min(3, len(wide))], "\n"))
			}
		}
	}
}

// reachable is an expression of JavaScript for the number of elements that a person can use with a
// mouse, those in shadow trees included. Of radio buttons with one name, Tab reaches one.
const reachable = `(() => {
	const all = [];
	const look = (root) => {
		for (const e of root.querySelectorAll('*')) {
			if (e.shadowRoot) look(e.shadowRoot);
			if (e.matches('a[href], button:not([disabled]), input:not([disabled]):not([type=hidden]), select, textarea, summary, iframe') && e.checkVisibility({visibilityProperty: true})) all.push(e);
		}
	};
	look(document);
	return all.map((e) => e.outerHTML.slice(0, 160));
})()`

// keyboardReachesEverything wants Tab to reach each link, button and field, wants each to have a
// name and a focus that is seen, and the first to lead past the navigation.
func (p publicPage) keyboardReachesEverything() {
	tab := browser.Start(p).Open(p, browser.Wide)
	for _, a := range perKind(2, p.opened()) {
		tab.Go(p.site.base + a.path)
		want := browser.Eval[[]string](tab, reachable)
		got := make(map[string]bool)
		for i, f := range tab.TabThrough() {
			got[f.HTML] = true
			if strings.TrimSpace(f.Name) == "" {
				p.Errorf("%s: an element without a name: %s", a, f.HTML)
			}
			if !f.Visible {
				p.Errorf("%s: nobody sees that %s has the focus: %s", a, f, f.HTML)
			}
			if _, spoken := languageOf(a.path); i == 0 && spoken && (f.Role != "link" || !strings.Contains(f.HTML, `href="#`)) {
				p.Errorf("%s: Tab first goes to %s, want a link past the navigation", a, f)
			}
		}
		for _, e := range want {
			if !got[e] {
				p.Errorf("%s: Tab does not reach %s", a, e)
			}
		}
	}
	tab.Go(p.site.base + "/en/meetings")
	tab.Press("Tab", "Enter")
	tab.Press("Tab")
	if inside := browser.Eval[bool](tab, "document.querySelector('main').contains(document.activeElement)"); !inside {
		p.Errorf("the first link of the page does not lead past the navigation, but to %s", tab.Focused())
	}
}

// pagesNeedNoScripts reads all pages without scripts. They show what they show with them, but for
// the check tool, which then says how to check without it.
func (p publicPage) pagesNeedNoScripts() {
	chromium := browser.Start(p)
	with, without := chromium.Open(p, browser.Wide), chromium.Open(p, browser.Wide)
	without.DisableScripts()
	for _, a := range perKind(2, p.opened()) {
		if _, spoken := languageOf(a.path); !spoken {
			continue // the tool in one file, and for a frame
		}
		address := p.site.base + a.path
		without.Go(address)
		bare := without.Text("main")
		if without.Has("ancre-verify") || strings.HasSuffix(a.path, "/check") || strings.HasSuffix(a.path, "/verifier") {
			for _, want := range []string{"sha256sum", "ancre verify"} {
				if !strings.Contains(bare, want) {
					p.Errorf("%s without scripts does not name %s", a, want)
				}
			}
			continue
		}
		with.Go(address)
		if full := with.Text("main"); full != bare {
			p.Errorf("%s without scripts shows\n%s\nwith them\n%s", a, bare, full)
		}
	}
	p.searchAndFollow(without)
	without.WantNoErrors()
}

// searchAndFollow does what a citizen does, without scripts: searches, opens the document, and
// changes the language.
func (p publicPage) searchAndFollow(tab *browser.Tab) {
	d := p.named("2026-041-tarifs-cantine.pdf")
	tab.Go(p.site.base + "/fr/recherche")
	tab.Click("main input[name=q]")
	tab.Type("TARIFS cantine")
	tab.Press("Enter")
	link := fmt.Sprintf(`main a[href$="%s"]`, d.digest)
	tab.AwaitTrue("the document to be found", "!!document.querySelector('"+link+"')")
	tab.Follow(link)
	if shown := tab.Text("main"); !strings.Contains(shown, d.digest) || !strings.Contains(shown, d.title) {
		p.Errorf("the page of the document shows\n%s", shown)
	}
	tab.Follow(`a[hreflang=en]`)
	if at := tab.Address(); at != p.site.base+"/en/documents/"+d.digest {
		p.Errorf("the other language of the document is at %s", at)
	}
	tab.Go(p.site.base + "/en/search?q=" + d.digest)
	if at := tab.Address(); at != p.site.base+"/en/documents/"+d.digest {
		p.Errorf("a search for a digest leads to %s", at)
	}
}
