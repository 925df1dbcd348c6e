package proof

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPendingWriterWritesWhatPendingMarshals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uri := rapid.StringMatching(`[A-Za-z0-9._/:-]{1,300}`).Draw(t, "uri")
		digest := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		nonce := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "nonce"))
		f, err := Pending(digest, nonce, uri)
		if err != nil {
			t.Fatal(err)
		}
		want, err := f.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		w, err := NewPendingWriter(uri)
		if err != nil {
			t.Fatal(err)
		}
		got := w.Append([]byte("before"), digest, nonce)
		if !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("wrote %x, want %x behind what was there", got, want)
		}
		if w.Size() != len(want) {
			t.Errorf("said %d bytes, wrote %d", w.Size(), len(want))
		}
	})
}

func TestPendingWriterRefusesTheURIsThatAttestationsRefuse(t *testing.T) {
	for _, uri := range []string{"https://example.org/?a", strings.Repeat("a", 1001)} {
		if _, err := NewPendingWriter(uri); err == nil {
			t.Errorf("took the URI %.40q", uri)
		}
	}
}

func TestNoncerMakesTheSameNonces(t *testing.T) {
	key := [32]byte{1, 2, 3}
	n := NewNoncer(key)
	for _, message := range []string{"", "a", strings.Repeat("long", 100), "a"} {
		if got, want := n.Nonce([]byte(message)), Nonce(key, []byte(message)); got != want {
			t.Errorf("nonce of %.10q is %x, want %x", message, got, want)
		}
	}
}
