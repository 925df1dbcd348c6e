package register

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ancre/register/store"
)

func (w *world) meeting(date string) store.Meeting {
	w.Helper()
	m, _, err := w.AddMeeting(w.ctx, NewMeeting{Date: date, Clock: "18:30"})
	w.must(err)
	return m
}

func act(content string) AddRequest {
	return AddRequest{Reader: strings.NewReader(content), FileName: "a.txt", Kind: store.Act}
}

func TestAddingAgainChangesNothing(t *testing.T) {
	w := newWorld(t)
	m := w.meeting("2026-12-15")
	a := act("content")
	a.Meeting, a.Title = m.ID, "  L'e\u0301cole  "
	first, err := w.Add(w.ctx, a)
	w.must(err)
	if !first.New || first.Entry.Title != "L'école" || first.Entry.Size != 7 || first.Proof.State != store.Waiting || first.Entry.Published {
		t.Errorf("%+v", first)
	}
	a.Reader, a.Title, a.FileName = strings.NewReader("content"), "Another title", "b.txt"
	again, err := w.Add(w.ctx, a)
	w.must(err)
	if again.New || again.Entry != first.Entry {
		t.Errorf("%+v, want %+v", again.Entry, first.Entry)
	}
	// The same bytes in no meeting are another entry of the same proof.
	other, err := w.Add(w.ctx, act("content"))
	w.must(err)
	if !other.New || other.Entry.Digest != first.Entry.Digest {
		t.Errorf("%+v", other)
	}
	if c, err := w.store.Counts(w.ctx); err != nil || c.Proofs[store.Waiting] != 1 || c.Entries != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWhatCannotBeAddedIsRefusedWithAReason(t *testing.T) {
	w := newWorld(t)
	w.meeting("2026-12-15")
	absent := store.Digest{1}
	for name, c := range map[string]struct {
		change func(*AddRequest)
		is     error
		says   string
	}{
		"empty":             {func(a *AddRequest) { a.Reader = strings.NewReader("") }, ErrInvalid, "a.txt is empty"},
		"no name":           {func(a *AddRequest) { a.FileName = "" }, ErrInvalid, "is not the name of a file"},
		"a path":            {func(a *AddRequest) { a.FileName = "../a.txt" }, ErrInvalid, "U+002F"},
		"a Windows path":    {func(a *AddRequest) { a.FileName = `C:\a.txt` }, ErrInvalid, "U+005C"},
		"a line break":      {func(a *AddRequest) { a.FileName = "a\nb.txt" }, ErrInvalid, "rename the file"},
		"not UTF-8":         {func(a *AddRequest) { a.FileName = "a\xff.txt" }, ErrInvalid, "UTF-8"},
		"256 bytes":         {func(a *AddRequest) { a.FileName = strings.Repeat("a", 256) }, ErrInvalid, "256 bytes"},
		"no kind":           {func(a *AddRequest) { a.Kind = "" }, ErrInvalid, "a document needs a kind: one of convocation"},
		"an unknown kind":   {func(a *AddRequest) { a.Kind = "letter" }, ErrInvalid, `"letter" is not a kind`},
		"a title of lines":  {func(a *AddRequest) { a.Title = "a\nb" }, ErrInvalid, "title"},
		"a long number":     {func(a *AddRequest) { a.Number = strings.Repeat("1", 1000) }, ErrInvalid, "number"},
		"no such meeting":   {func(a *AddRequest) { a.Meeting = "2026-12-16" }, store.ErrNotFound, "near that day there is 2026-12-15"},
		"replaces nothing":  {func(a *AddRequest) { a.Replaces = &absent }, store.ErrNotFound, absent.String()},
		"cannot be read":    {func(a *AddRequest) { a.Reader = io.MultiReader(strings.NewReader("x"), broken{}) }, io.ErrClosedPipe, "a.txt"},
		"refused by caller": {func(a *AddRequest) { a.Confirm = func(store.Digest) error { return io.ErrNoProgress } }, io.ErrNoProgress, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := act("content")
			c.change(&a)
			_, err := w.Add(w.ctx, a)
			if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v, want %v that says %q", err, c.is, c.says)
			}
		})
	}
	if c, err := w.store.Counts(w.ctx); err != nil || c.Entries != 0 || len(c.Proofs) > 0 && c.Proofs[store.Waiting] != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	for i, name := range []string{strings.Repeat("é", 127) + "a", "a\u202egpj.exe", "<img onerror=alert(1)>.html", "…", " a "} {
		a := act(fmt.Sprint("content ", i))
		a.FileName = name
		if added, err := w.Add(w.ctx, a); err != nil || added.Entry.FileName != name {
			t.Errorf("the name %q: %+v, %v", name, added.Entry, err)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestANewVersionReplacesAndSaysSo(t *testing.T) {
	w := newWorld(t)
	m := w.meeting("2026-12-15")
	add := func(content, name string, change func(*AddRequest)) Added {
		t.Helper()
		a := act(content)
		a.Meeting, a.FileName = m.ID, name
		if change != nil {
			change(&a)
		}
		added, err := w.Add(w.ctx, a)
		w.must(err)
		return added
	}
	first := add("one", "a.txt", func(a *AddRequest) { a.Publish, a.Download = true, true })
	if !first.Entry.Published || !first.Entry.Download || len(first.Notes) != 1 || !strings.Contains(first.Notes[0], "meeting 2026-12-15 is on line now") {
		t.Errorf("%+v", first)
	}
	second := add("two", "a.txt", nil)
	if second.Replaced == nil || second.Replaced.ID != first.Entry.ID || len(second.Notes) != 1 || !strings.Contains(second.Notes[0], "publish it with") {
		t.Errorf("%+v", second)
	}
	third := add("three", "b.txt", func(a *AddRequest) { a.Replaces = &second.Entry.Digest })
	if third.Replaced == nil || third.Replaced.ID != second.Entry.ID {
		t.Errorf("%+v", third)
	}
	back := add("one", "a.txt", nil)
	if back.New || len(back.Notes) != 1 || !strings.Contains(back.Notes[0], "were in the register before") {
		t.Errorf("%+v", back)
	}
}

func TestMediaTypes(t *testing.T) {
	for _, c := range []struct{ name, begins, want string }{
		{"a.pdf", "%PDF-1.7", "application/pdf"},
		{"A.PDF", "%PDF-1.7", "application/pdf"},
		{"a.pdf", "<html><script>", "text/html"},
		{"a", "%PDF-1.7", "application/pdf"},
		{"a.odt", "PK\x03\x04mimetype", "application/vnd.oasis.opendocument.text"},
		{"a.docx", "plain", "text/plain"},
		{"a.csv", "a;b\n", "text/csv"},
		{"a.csv", "a\x00b", "application/octet-stream"},
		{"a.html", "<p>", "text/html"},
		{"a.eml", "From: a", "message/rfc822"},
		{"a.xyz", "\x01\x02", "application/octet-stream"},
		{"a.png", "\x89PNG\r\n\x1a\n", "image/png"},
		{"a.png", "GIF89a", "image/gif"},
	} {
		if got := mediaType(c.name, []byte(c.begins)); got != c.want {
			t.Errorf("%s that begins with %q is %s, want %s", c.name, c.begins, got, c.want)
		}
	}
}

func TestKindsInBothLanguages(t *testing.T) {
	for text, want := range map[string]store.Kind{
		"convocation": store.Convocation, "Convocations": store.Convocation, "ordre-du-jour": store.Agenda, "Ordre du jour": store.Agenda, "ODJ": store.Agenda,
		"Délibérations": store.Deliberation, "de\u0301libe\u0301ration": store.Deliberation, "PROCÈS-VERBAL": store.Minutes, "proces_verbaux": store.Minutes,
		"note de synthèse": store.Note, "projets": store.Draft, "annexes": store.Annex, "arrêté": store.Act, "minutes": store.Minutes,
	} {
		if got, err := ParseKind(text); got != want || err != nil {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "photos", "convocation2"} {
		if got, err := ParseKind(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}
