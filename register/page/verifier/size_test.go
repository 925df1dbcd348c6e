package verifier_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"

	"ancre/register/page/verifier"
)

// The core with its hashes is small enough to be read and to be loaded on any line. The tool has a
// page's worth of interface, a style sheet, the networks' known blocks and all its words in two
// languages besides.
func TestTheScriptsAreSmall(t *testing.T) {
	for name, most := range map[string]int{
		verifier.Core: 15_000, // the limit of the design is 20,000
		verifier.Tool: 36_000,
	} {
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(verifier.Script(name)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes, %d with gzip", name, len(verifier.Script(name)), out.Len())
		if out.Len() > most {
			t.Errorf("%s has %d bytes with gzip, at most %d are allowed", name, out.Len(), most)
		}
	}
}

// Both licences ask that their notices go along with every copy.
func TestTheScriptsNameTheirAuthors(t *testing.T) {
	for _, name := range []string{verifier.Core, verifier.Tool} {
		head := string(verifier.Script(name)[:200])
		for _, want := range []string{"The Ancre authors", "@noble/hashes", "Paul Miller", "MIT License"} {
			if !strings.Contains(head, want) {
				t.Errorf("%s begins with %q: want %q in it", name, head, want)
			}
		}
	}
	if text := string(verifier.Licenses()); strings.Count(text, "Permission is hereby granted") != 2 {
		t.Errorf("the licences are not whole: %s", text)
	}
}

func TestIntegrityIsWhatBrowsersCompare(t *testing.T) {
	// printf 'alert(1)' | openssl dgst -sha384 -binary | base64
	const want = "sha384-HT2E9NfWiuQ/w1PRai+hTyqW16NIoCGA/m8VQDUopfAtcz6YQjtsMmQd5uRbVDpW"
	if got := verifier.Integrity([]byte("alert(1)")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(verifier.Integrity(verifier.Script(verifier.Tool)), "sha384-")); err != nil {
		t.Error(err)
	}
}

// A script that was renamed or forgotten would only be missed in a visitor's browser.
func TestEveryScriptIsThere(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a script that does not exist was returned")
		}
	}()
	for _, name := range []string{verifier.Core, verifier.Tool} {
		if len(verifier.Script(name)) < 1000 {
			t.Errorf("%s is empty", name)
		}
	}
	verifier.Script("nothing.js")
}
