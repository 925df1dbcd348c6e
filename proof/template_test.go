package proof

import (
	"bytes"
	"encoding/base64"
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
		if got, want := string(w.AppendBase64([]byte("before"), &digest, &nonce)), "before"+base64.StdEncoding.EncodeToString(want); got != want {
			t.Errorf("wrote the text %s, want %s", got, want)
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

// What is written for each of a hundred thousand digests a second must not be allocated for each.
// (Of nonces a benchmark tells: under the race detector, pools forget.)
func TestPendingWriterAllocatesNothing(t *testing.T) {
	w, err := NewPendingWriter("https://calendar.example")
	if err != nil {
		t.Fatal(err)
	}
	var digest, nonce [32]byte
	dst := make([]byte, 0, 1000)
	allocs := testing.AllocsPerRun(1000, func() {
		digest = Leaf(digest[:], nonce)
		dst = w.Append(w.AppendBase64(dst[:0], &digest, &nonce), digest, nonce)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for each digest", allocs)
	}
}

// BenchmarkNonce is the greatest part of what a digest costs before it is stored: two compressions
// of SHA-256, as its leaf.
func BenchmarkNonce(b *testing.B) {
	n := NewNoncer([32]byte{})
	var message [32]byte
	b.ReportAllocs()
	for b.Loop() {
		n.Nonce(message[:])
	}
}
