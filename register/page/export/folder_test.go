package export

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// exported writes files to a directory as one export.
func exported(t *testing.T, dir string, files map[string]string) Report {
	t.Helper()
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, body := range files {
		if err := f.Put(name, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := f.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tree returns all files below a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func listed(files map[string]string, names ...string) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256([]byte(files[n])), n)
	}
	return b.String()
}

func TestAnExportIsBroughtUpToDateInPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	day1 := map[string]string{"fr/index.html": "one", "fr/old/x.html": "x", "page.css": "style", "grows": "ab", "shrinks": "abcdef"}
	if r := exported(t, dir, day1); r != (Report{Files: 5, Written: 5, Bytes: 3 + 1 + 5 + 2 + 6}) {
		t.Errorf("the first export: %+v", r)
	}
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	for name := range tree(t, dir) {
		if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
			t.Fatal(err)
		}
	}
	day2 := map[string]string{"fr/index.html": "two", "page.css": "style", "grows": "abcd", "shrinks": "abc", "new/y": "y"}
	if r := exported(t, dir, day2); r != (Report{Files: 5, Written: 4, Removed: 1, Bytes: 3 + 5 + 4 + 3 + 1}) {
		t.Errorf("the second export: %+v", r)
	}
	want := maps.Clone(day2)
	want[Sums] = listed(day2, "fr/index.html", "grows", "new/y", "page.css", "shrinks")
	if got := tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("the directory has %q\nnot %q", got, want)
	}
	if info, err := os.Stat(filepath.Join(dir, "page.css")); err != nil || !info.ModTime().Equal(past) {
		t.Errorf("a file that did not change was written: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "fr/old")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory of the earlier export stays: %v", err)
	}
	if r := exported(t, dir, day2); r.Written != 0 || r.Removed != 0 {
		t.Errorf("an export of the same data: %+v", r)
	}
}

// What an export wrote before it was ended is known to the next one, and what was on the way is
// replaced whole.
func TestAnExportThatWasEnded(t *testing.T) {
	dir := t.TempDir()
	exported(t, dir, map[string]string{"a": "1", "b": "1"})
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Put("only-in-between", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := f.Put("b", iotest.TimeoutReader(io.MultiReader(strings.NewReader("2"), strings.NewReader("3")))); err == nil {
		t.Error("a body that broke off was taken")
	}
	f.Close()
	if got := tree(t, dir); got["b"] != "1" || got[Sums] != listed(map[string]string{"a": "1", "b": "1"}, "a", "b") {
		t.Errorf("after the ended export the directory has %q", got)
	}
	want := map[string]string{"a": "1", "b": "4"}
	exported(t, dir, want)
	want[Sums] = listed(want, "a", "b")
	if got := tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("the directory has %q", got)
	}
}

func TestADirectoryOfOtherFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.odt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "thesis.odt") {
		t.Errorf("a directory with other files: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, Sums), []byte("not a list\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "not a list") {
		t.Errorf("a list of something else: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, Sums), []byte(strings.Repeat("0", 64)+"  ../../etc/passwd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "passwd") {
		t.Errorf("a list that leaves the directory: %v", err)
	}
}

func TestNoFileLeavesTheDirectory(t *testing.T) {
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	exported(t, dir, map[string]string{"a": "1"})
	for link, to := range map[string]string{"out": outside, "file": victim, "x" + tempSuffix: victim} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip("this system makes no symbolic links:", err)
		}
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{
		"../victim", "/etc/x", "a/../../x", "", ".", "a//b", "a\\b", "c:x", "a\nb", Sums, unfinished, "out/victim", "a",
	} {
		err := f.Put(name, strings.NewReader("changed"))
		if name == "a" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if err := f.Put("a", strings.NewReader("again")); err == nil {
		t.Error("a name was taken twice")
	}
	for _, name := range []string{"file", "x"} { // the link itself is replaced
		if err := f.Put(name, strings.NewReader("changed")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "whole" {
		t.Errorf("the file outside is now %q: %v", b, err)
	}
}
