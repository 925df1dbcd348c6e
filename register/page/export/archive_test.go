package export

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
)

func archived(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	a := NewArchive(&b)
	for i := 0; i < len(files); i += 2 {
		if err := a.Put(files[i], iotest.OneByteReader(strings.NewReader(files[i+1]))); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnArchiveArrivesWhole(t *testing.T) {
	files := map[string]string{
		"empty": "", "small": "x", "exact": strings.Repeat("e", member), "large": strings.Repeat("l", 2*member+1), "a/b": "c",
	}
	stream := archived(t, "empty", files["empty"], "exact", files["exact"], "small", files["small"], "large", files["large"], "a/b", files["a/b"])
	dir := t.TempDir()
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	told := 0
	if err := f.Read(bytes.NewReader(stream), func(n int) { told = n }); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	got := tree(t, dir)
	delete(got, Sums)
	if !maps.Equal(got, files) {
		t.Errorf("what arrived differs from what was sent: %d files", len(got))
	}
	if told != len(files) {
		t.Errorf("progress ends at %d files of %d", told, len(files))
	}
}

// Wherever the connection breaks, the folder is told, and the export is not taken for finished.
func TestAnArchiveThatBreaksOff(t *testing.T) {
	stream := archived(t, "a", "1", "b", strings.Repeat("2", 1000))
	whole := len(stream)
	for trimmed := bytes.TrimRight(stream, "\x00"); whole > len(trimmed)+511; { // the last header, and no end
		whole -= 512
	}
	for cut := 0; cut < whole-512; cut += 97 {
		f, err := OpenFolder(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Read(bytes.NewReader(stream[:cut]), nil); err == nil {
			t.Errorf("%d of %d bytes were taken for an export", cut, len(stream))
		}
		f.Close()
	}
}

func TestAnArchiveOfSomethingElse(t *testing.T) {
	var links bytes.Buffer
	w := tar.NewWriter(&links)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, stream := range map[string]io.Reader{
		"a link": &links, "text": strings.NewReader(strings.Repeat("text ", 300)), "a name that leaves": bytes.NewReader(archived(t, "../x", "y")),
	} {
		f, err := OpenFolder(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Read(stream, nil); err == nil {
			t.Errorf("%s was taken for an export", name)
		}
		f.Close()
	}
}
