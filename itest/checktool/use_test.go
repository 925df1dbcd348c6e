package checktool

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/itest/harness/browser"
)

// Everything can be done with the keyboard alone: choose files, open what is folded, type a digest,
// begin again. axe-core finds nothing in any state of the tool.
func TestTheKeyboardAloneUsesTheTool(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	tab := b.Open(t, browser.Wide)
	tab.Go(s.URL + "/en/")
	tab.WantAccessible()
	for _, f := range tab.TabThrough() {
		if !f.Visible {
			t.Errorf("the focus on %v cannot be seen", f)
		}
	}

	tab.Go(s.URL + "/en/")
	tab.TabTo("button", "Choose the file to check")
	tab.Choose(func() { tab.Press("Enter") }, w.minutes.path)
	one(tab).want(t, "anchored", "listed-anchored", "Authentic")
	tab.WantAccessible()
	for _, name := range []string{"Every step of the proof", "Do the same by hand"} {
		tab.TabTo("DisclosureTriangle", name)
		tab.Press("Enter")
	}
	tab.AwaitText("article", "must be the Merkle root of block 120")
	tab.AwaitText("article", "ancre verify --network regtest --headers 0.headers 'procès-verbal du 15 décembre.pdf.ots'")
	tab.WantAccessible()
	tab.TabTo("button", "Start again")
	tab.Press("Enter")
	if f := tab.Focused(); !strings.Contains(f.HTML, `type="file"`) {
		t.Errorf("after the beginning the focus is on %v", f)
	}

	tab.TabTo("DisclosureTriangle", "I only have the fingerprint")
	tab.Press("Enter")
	tab.TabTo("textbox", "Fingerprint")
	tab.Type("abc")
	tab.Press("Enter")
	tab.AwaitText("#error", "3 characters were typed")
	if f := tab.Focused(); f.Role != "textbox" {
		t.Errorf("after a wrong digest the focus is on %v", f)
	}
	tab.WantAccessible()
	browser.Eval[any](tab, `(document.querySelector('ancre-verify').shadowRoot.querySelector('#digest').value = '', 0)`)
	tab.Type(strings.ToUpper(w.budget.hex()))
	tab.Press("Enter")
	one(tab).want(t, "anchored", "listed-anchored", "Authentic")
	if text := tab.Text("#error"); text != "" {
		t.Errorf("a right digest leaves the error %q", text)
	}
	tab.WantNoErrors()
}

// axe-core finds nothing in either language, in any result, and nothing is too wide on a small
// screen or at 200 %.
func TestResultsAreAccessibleAndFit(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	changed := w.file(t, strings.Repeat("a-very-long-name-", 12)+".pdf", []byte("changed"))
	minutesProof := w.file(t, "proof.ots", w.minutes.proof)
	for name, view := range map[string]browser.Viewport{"wide": browser.Wide, "320 px": browser.Narrow, "200 %": browser.Zoomed} {
		tab := b.Open(t, view)
		for _, lang := range []string{"fr", "en"} {
			for _, files := range [][]string{{w.minutes.path}, {w.draft.path}, {changed}, {changed, minutesProof}} {
				tab.Go(s.URL + "/" + lang + "/")
				tab.Upload(input, files...)
				results(tab)
				openAll(tab)
				tab.WantAccessible()
				if wide := tab.TooWide(); len(wide) > 0 {
					t.Errorf("%s, %s, %v: too wide: %q", name, lang, files, wide)
				}
			}
		}
	}
}

// The server cannot tell which of the digests with a first byte was looked for: what is asked is
// the same for a document, for another one with its first byte, and for a file that is not there.
func TestTheServerLearnsTheFirstByteOnly(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	first := w.minutes.hex()[:2]
	s := serve(t, w)
	// Another document's entry stands in the same list, under another digest.
	s.behave(behaviour{list: func(f string, l map[string]any) {
		if f == first {
			l["digests"].(map[string]any)[first+strings.Repeat("0", 62)] = entry{"state": "complete", "ots": base64Of(w.news.proof)}
		}
	}})
	var runs [][]string
	for _, digest := range []string{w.minutes.hex(), first + strings.Repeat("0", 62), first + strings.Repeat("e", 62)} {
		tab := b.Open(t, browser.Wide)
		tab.Go(s.URL + "/en/")
		tab.Click("summary")
		s.take()
		tab.Click("#digest")
		tab.Type(digest)
		tab.Press("Enter")
		one(tab)
		asked := s.take()
		slices.Sort(asked)
		runs = append(runs, asked)
	}
	want := []string{"/empreintes/" + first + ".json", "/entetes/0.headers"}
	for i, asked := range runs {
		if !slices.Equal(asked, want) {
			t.Errorf("run %d asked for %q, want %q", i, asked, want)
		}
	}
}

// Names from outside are shown as text, whatever they are made of.
func TestNamesAreOnlyText(t *testing.T) {
	const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	s.behave(behaviour{list: func(_ string, l map[string]any) {
		for _, d := range w.documents() {
			if e := entryOf(l, d); e != nil {
				for _, member := range []string{"title", "file_name", "kind", "meeting", "online_since", "withdrawn", "replaced_by"} {
					e[member] = evil
				}
				e["page"] = "javascript:document.title='owned'"
			}
		}
	}})
	path := w.file(t, `<img src=x onerror=alert(1)>'; rm -rf ~; '.pdf`, w.minutes.bytes)
	turned := w.file(t, "invoice\u202efdp.exe", w.minutes.bytes)
	tab := b.Open(t, browser.Wide)
	tab.Go(s.URL + "/en/")
	tab.Upload(input, path, turned)
	all := results(tab)
	if len(all) != 2 || all[0].Result != "anchored" {
		t.Fatalf("the tool says %+v", all)
	}
	if !strings.Contains(all[0].Text, "<img src=x onerror=") {
		t.Errorf("the names are not shown as they are:\n%s", all[0].Text)
	}
	if strings.Contains(all[1].Text, "\u202e") {
		t.Error("a sign that turns the direction of the text is shown")
	}
	if n := browser.Eval[int](tab, `document.querySelector('ancre-verify').shadowRoot.querySelectorAll('img, script, a[href^=javascript]').length`); n != 0 {
		t.Errorf("%d elements were made from names", n)
	}
	openAll(tab)
	tab.AwaitText("pre", `'<img src=x onerror=alert(1)>'\''; rm -rf ~; '\''.pdf'`)
	if title := browser.Eval[string](tab, "document.title"); title == "owned" {
		t.Error("a script from a name ran")
	}
	tab.WantNoErrors()
}

// A proof alone asks for its file, and takes it afterwards, or a digest.
func TestAProofAloneAsksForItsFile(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	alone := w.file(t, "alone.ots", w.minutes.proof)
	noise := w.file(t, "noise.ots", []byte(strings.Repeat("noise", 1000)))
	tab := b.Open(t, browser.Wide)
	tab.Go(s.URL + "/en/")
	tab.Upload(input, alone)
	tab.AwaitText("[role=status]", "alone.ots is a proof, of the file with the fingerprint "+w.minutes.hex())
	tab.Upload(input, w.budget.path)
	one(tab).want(t, "invalid", "other-file", "Changed or invalid")
	tab.Upload(input, alone)
	tab.AwaitText("[role=status]", "alone.ots is a proof")
	tab.Upload(input, w.minutes.path)
	one(tab).want(t, "anchored", "listed-anchored", "Authentic")
	tab.Upload(input, noise)
	tab.AwaitText("[role=status]", "noise.ots is not a proof that can be read: it is damaged or not a proof")
	tab.Drop(".drop", w.minutes.path)
	one(tab).want(t, "anchored", "listed-anchored", "Authentic")
	tab.Upload(input, w.dir)
	tab.AwaitText("[role=status]", "cannot be read")
}

// A document that was withdrawn or replaced says so, and stays authentic.
func TestWithdrawnAndReplacedDocumentsSaySo(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	s.behave(behaviour{list: func(_ string, l map[string]any) {
		if e := entryOf(l, w.minutes); e != nil {
			e["withdrawn"], e["replaced_by"] = "2027-01-02T10:00:00Z", w.budget.hex()
			delete(e, "title")
			delete(e, "file_name")
		}
	}})
	tab := b.Open(t, browser.Wide)
	tab.Go(s.URL + "/en/")
	tab.Upload(input, w.minutes.path)
	f := one(tab)
	f.want(t, "anchored", "listed-anchored", "Authentic")
	for _, want := range []string{"withdrew this document from its page (2 January 2027)", "A later version replaces this document. Its fingerprint is " + w.budget.hex()} {
		if !strings.Contains(f.Text, want) {
			t.Errorf("the report does not say %q:\n%s", want, f.Text)
		}
	}
}

// Without scripts the page shows what stands inside the element.
func TestWithoutScriptsTheCommandsAreThere(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	tab := b.Open(t, browser.Wide)
	tab.DisableScripts()
	tab.Go(s.URL + "/en/")
	// The harness needs scripts to read the page; the picture of the tree does not.
	if !tab.Has("ancre-verify p") {
		t.Error("the commands are not shown")
	}
}

// A large file is hashed in pieces by the worker, shows how far it is, and can be cancelled.
func TestALargeFileShowsProgressAndCanBeCancelled(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	large := filepath.Join(w.dir, "large.bin")
	must(t, os.WriteFile(large, nil, 0o644))
	must(t, os.Truncate(large, 2<<30))
	tab := b.Open(t, browser.Wide)
	tab.Go(s.URL + "/en/")
	tab.Upload(input, large)
	tab.AwaitText("#doing", "Computing the fingerprint of large.bin: ")
	tab.AwaitTrue("progress", `document.querySelector('ancre-verify').shadowRoot.querySelector('progress').value > 0.01`)
	tab.WantAccessible()
	tab.TabTo("button", "Cancel")
	tab.Press("Enter")
	tab.AwaitText("[role=status]", "The check was cancelled")
	if f := tab.Focused(); !strings.Contains(f.HTML, `type="file"`) {
		t.Errorf("after cancelling the focus is on %v", f)
	}
	tab.Upload(input, w.minutes.path)
	one(tab).want(t, "anchored", "listed-anchored", "Authentic")
	tab.WantNoErrors()
}

// A page about one document compares files with it: another one is called changed, unless it is
// published too.
func TestAFileIsComparedWithTheDocumentOfThePage(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	s.behave(behaviour{attributes: `digest="` + w.minutes.hex() + `"`})
	changed := w.file(t, "changed.pdf", append([]byte("x"), w.minutes.bytes...))
	minutesProof := w.file(t, "proof.ots", w.minutes.proof)
	tab := b.Open(t, browser.Wide)
	for _, c := range []struct {
		files           []string
		result, because string
		says            string
	}{
		{[]string{w.minutes.path}, "anchored", "listed-anchored", "byte for byte"},
		{[]string{w.budget.path}, "anchored", "listed-anchored", "The document of this page\n" + w.minutes.hex()},
		{[]string{changed}, "invalid", "other-document", "The document of this page\n" + w.minutes.hex()},
		{[]string{changed, minutesProof}, "invalid", "other-file", "The proof is that of\nTitle of " + w.minutes.name},
	} {
		tab.Go(s.URL + "/en/")
		tab.Upload(input, c.files...)
		f := one(tab)
		f.want(t, c.result, c.because, "")
		if !strings.Contains(f.Text, c.says) {
			t.Errorf("the report does not say %q:\n%s", c.says, f.Text)
		}
	}
}
