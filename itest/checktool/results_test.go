package checktool

import (
	"strings"
	"testing"

	"ancre/itest/harness/browser"
	"ancre/proof"
)

// input is the field for files.
const input = "input[type=file]"

func TestTheFourResults(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	changed := w.file(t, "changed.pdf", append([]byte("x"), w.minutes.bytes...))
	minutesProof := w.file(t, w.minutes.name+".ots", w.minutes.proof)
	minutesReceipt := w.file(t, "minutes.receipt.json", w.minutes.receipt(t))
	promise, err := proof.Pending(w.minutes.digest, [32]byte{}, "https://calendar.example.org")
	must(t, err)
	promised, err := promise.Marshal()
	must(t, err)
	minutesPromise := w.file(t, "promise.ots", promised)
	for _, c := range []struct {
		name            string
		files           []string
		result, because string
		en, fr          string // of the heading
	}{
		{"a document under many blocks", []string{w.minutes.path}, "anchored", "listed-anchored", "Authentic and anchored (", "Authentique et ancré ("},
		{"a document with its proof", []string{w.minutes.path, minutesProof}, "anchored", "listed-anchored", "Authentic and anchored (", "Authentique et ancré ("},
		{"a document with its receipt", []string{w.minutes.path, minutesReceipt}, "anchored", "listed-anchored", "Authentic and anchored (", "Authentique et ancré ("},
		{"a document with a promise of its own", []string{w.minutes.path, minutesPromise}, "anchored", "listed-anchored", "Authentic and anchored (", "Authentique et ancré ("},
		{"another document with the receipt", []string{w.budget.path, minutesReceipt}, "invalid", "other-file", "Changed or invalid (", "Modifié ou invalide ("},
		{"a document in a new block", []string{w.news.path}, "pending", "few-blocks", "Authentic, proof pending (", "Authentique, preuve en attente ("},
		{"a document with a promise", []string{w.draft.path}, "pending", "promised", "Authentic, proof pending (", "Authentique, preuve en attente ("},
		{"a document that waits", []string{w.waiting.path}, "pending", "waiting", "Authentic, proof pending (", "Authentique, preuve en attente ("},
		{"a changed file", []string{changed}, "unknown", "not-listed", "Not in this register (", "Absent de ce registre ("},
		{"a changed file with the document's proof", []string{changed, minutesProof}, "invalid", "other-file", "Changed or invalid (", "Modifié ou invalide ("},
		{"another document with the proof", []string{w.budget.path, minutesProof}, "invalid", "other-file", "Changed or invalid (", "Modifié ou invalide ("},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, w)
			tab := b.Open(t, browser.Wide)
			for lang, heading := range map[string]string{"en": c.en, "fr": c.fr} {
				tab.Go(s.URL + "/" + lang + "/")
				tab.Upload(input, c.files...)
				f := one(tab)
				f.want(t, c.result, c.because, heading)
				if status := tab.Text("[role=status]"); !strings.Contains(status, strings.ToLower(f.Heading[:1])+f.Heading[1:]) {
					t.Errorf("the status says %q, and not %q", status, f.Heading)
				}
				if c.name == "a document with a promise of its own" && lang == "en" && !strings.Contains(f.Text, "it holds only the promise of a calendar") {
					t.Errorf("the report does not say what became of the given proof:\n%s", f.Text)
				}
				if test := strings.Contains(f.Heading, "regtest"); !test {
					t.Errorf("the heading %q does not name the test network", f.Heading)
				}
			}
			tab.WantNoErrors()
		})
	}
}
