//go:build unix

package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fill writes a text.
func fill(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestFillMakesAFileWholeOrNotAtAll(t *testing.T) {
	both(t, func(t *testing.T, dir string, _ *Dir) {
		path := filepath.Join(dir, "a")
		broken := errors.New("the line is dead")
		err := Fill(path, false, 0o644, func(w io.Writer) error {
			must(t, fill("half")(w))
			return broken
		})
		if !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		wantNames(t, dir, "")
		must(t, Fill(path, false, 0o644, fill("whole")))
		want(t, path, "whole")
		if err := Fill(path, false, 0o644, fill("another")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a name that is taken: %v", err)
		}
		want(t, path, "whole")
		onStep(t, "create", func() { write(t, filepath.Join(dir, "b"), "of somebody else") })
		if err := Fill(filepath.Join(dir, "b"), false, 0o644, fill("ours")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a name that was taken meanwhile: %v", err)
		}
		want(t, filepath.Join(dir, "b"), "of somebody else")
		wantNames(t, dir, "a b")
	})
}

func TestFillReplaces(t *testing.T) {
	both(t, func(t *testing.T, dir string, _ *Dir) {
		path := filepath.Join(dir, "a")
		write(t, path, "old")
		must(t, os.Chmod(path, 0o664))
		must(t, os.Symlink("a", filepath.Join(dir, "link")))
		must(t, Fill(filepath.Join(dir, "link"), true, 0o644, fill("new")))
		want(t, path, "new")
		if info, err := os.Lstat(filepath.Join(dir, "link")); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("the link is %v, %v", info, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o664 {
			t.Errorf("%v, %v: want the mode of the file that was there", info.Mode(), err)
		}
		must(t, Fill(path, true, 0o600, fill("private")))
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v: want it private, whatever was there", info.Mode(), err)
		}
		wantNames(t, dir, "a link")
	})
}

func TestFillSaysWhyThereCanBeNoFile(t *testing.T) {
	dir := t.TempDir()
	err := Fill(filepath.Join(dir, "no", "a"), true, 0o644, fill(""))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "no file can be made in the directory: ") || strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
}
