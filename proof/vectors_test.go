package proof

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the expected texts of the vectors")

// vectors returns the proofs of a directory of testdata, by name. testdata/vectors.py says what
// they are.
func vectors(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.ots"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors in testdata/%s: %v", dir, err)
	}
	found := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimSuffix(filepath.Base(path), ".ots")] = b
	}
	return found
}

// vector returns one of the valid proofs.
func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, ok := vectors(t, "valid")[name]
	if !ok {
		t.Fatalf("no vector testdata/valid/%s.ots", name)
	}
	return b
}

// golden compares with the expected text beside a vector, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	got += "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s expects\n%s\ngot\n%s", path, want, got)
	}
}

func TestVectorsThatAreProofsAreReadAndWrittenAsTheyAre(t *testing.T) {
	for name, b := range vectors(t, "valid") {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			written, err := f.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(written, b) {
				t.Errorf("written differently\nwant %x\n got %x", b, written)
			}
			e, err := Explain(f)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata/valid", name+".txt"), strings.TrimSuffix(e.Text(false), "\n"))
		})
	}
}

func TestVectorsThatAreLooselyWrittenMeanTheirCanonicalForm(t *testing.T) {
	for name, b := range vectors(t, "loose") {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			written, err := f.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if want := vector(t, name); !bytes.Equal(written, want) {
				t.Errorf("want %x\n got %x", want, written)
			}
		})
	}
}

func TestVectorsThatAreNoProofsAreRefusedWithTheReason(t *testing.T) {
	for name, b := range vectors(t, "invalid") {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(b)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got error %v, want a SyntaxError", err)
			}
			if syntax.Offset < 0 || syntax.Offset > len(b) {
				t.Errorf("offset %d is not within the %d bytes", syntax.Offset, len(b))
			}
			golden(t, filepath.Join("testdata/invalid", name+".txt"), err.Error())
		})
	}
}

func TestNoPrefixOfAProofIsAProof(t *testing.T) {
	for name, b := range vectors(t, "valid") {
		for n := range len(b) {
			if _, err := Parse(b[:n]); err == nil {
				t.Errorf("the first %d of %d bytes of %s are taken for a proof", n, len(b), name)
			}
		}
	}
}

func TestAProofIsReadWithoutKeepingTheCallersBytes(t *testing.T) {
	b := vector(t, "several-attestations")
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	msg := bytes.Clone(f.Digest)
	ts, err := ParseTimestamp(b[65:], msg)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(b)
	clear(b)
	clear(msg)
	if got, err := f.Marshal(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the proof changed with the bytes it was read from (error %v)", err)
	}
	if got, err := ts.Marshal(); err != nil || !bytes.Equal(got, want[65:]) {
		t.Errorf("the timestamp changed with the bytes it was read from (error %v)", err)
	}
}
