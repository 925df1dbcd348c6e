package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// both runs a test with files that have no name until they are whole, and with files that have a
// temporary one.
func both(t *testing.T, test func(t *testing.T, dir string, d *Dir)) {
	for name, allowed := range map[string]bool{"unnamed": true, "named": false} {
		t.Run(name, func(t *testing.T) {
			unnamedAllowed = allowed
			defer func() { unnamedAllowed = true }()
			dir := t.TempDir()
			test(t, dir, opened(t, dir))
		})
	}
}

func opened(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// onStep has do run once, when a step begins.
func onStep(t *testing.T, name string, do func()) {
	done := false
	atStep = func(step string) {
		if step == name && !done {
			done = true
			do()
		}
	}
	t.Cleanup(func() {
		atStep = nil
		if !done {
			t.Errorf("the step %q never came", name)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) fs.FileInfo {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
	info, err := os.Lstat(path)
	must(t, err)
	return info
}

func want(t *testing.T, path, content string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("%s holds %q, want %q (%v)", filepath.Base(path), got, content, err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func wantNames(t *testing.T, dir, all string) {
	t.Helper()
	if got := names(t, dir); got != all {
		t.Errorf("in the directory are %q, want %q", got, all)
	}
}

func TestWriteNeverReplaces(t *testing.T) {
	both(t, func(t *testing.T, dir string, d *Dir) {
		name := strings.Repeat("x", 255) // as long as names can be
		must(t, d.Write(name, []byte("first"), 0o644))
		if err := d.Write(name, []byte("second"), 0o644); !errors.Is(err, fs.ErrExist) {
			t.Errorf("the second time: %v", err)
		}
		must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o700))
		if err := d.Write("dir", nil, 0o644); !errors.Is(err, fs.ErrExist) {
			t.Errorf("over a directory: %v", err)
		}
		want(t, filepath.Join(dir, name), "first")
		wantNames(t, dir, "dir "+name)
	})
}

func TestPutReplacesALinkAndNotWhatItPointsTo(t *testing.T) {
	both(t, func(t *testing.T, dir string, d *Dir) {
		victim := filepath.Join(t.TempDir(), "victim")
		write(t, victim, "victim")
		must(t, os.Symlink(victim, filepath.Join(dir, "name")))
		must(t, d.Put("name", []byte("new"), 0o600))
		want(t, victim, "victim")
		want(t, filepath.Join(dir, "name"), "new")
		if err := d.Put(".", nil, 0o600); err == nil {
			t.Error("a directory was replaced")
		}
		wantNames(t, dir, "name")
	})
}

func TestReplaceRefusesWhatIsNotTheFileThatWasRead(t *testing.T) {
	swaps := map[string]func(t *testing.T, path, victim string){
		"another file": func(t *testing.T, path, _ string) {
			must(t, os.Rename(path, path+".old"))
			write(t, path, "was")
		},
		"a symbolic link": func(t *testing.T, path, victim string) {
			must(t, os.Remove(path))
			must(t, os.Symlink(victim, path))
		},
		"a directory": func(t *testing.T, path, _ string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		},
		"nothing": func(t *testing.T, path, _ string) { must(t, os.Remove(path)) },
		"the same file with more in it": func(t *testing.T, path, _ string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString("more")
			must(t, errors.Join(err, f.Close()))
		},
	}
	for name, swap := range swaps {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, dir string, d *Dir) {
				victim := filepath.Join(t.TempDir(), "victim")
				write(t, victim, "victim")
				path := filepath.Join(dir, "name")
				was := write(t, path, "was")
				var after string
				onStep(t, "rename", func() {
					swap(t, path, victim)
					after = strings.Join(strings.Fields(names(t, dir)), " ")
				})
				if err := d.Replace("name", was, []byte("new")); !errors.Is(err, ErrChanged) && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%v", err)
				}
				want(t, victim, "victim")
				for _, left := range strings.Fields(names(t, dir)) {
					if IsTemp(left) || !strings.Contains(after, left) {
						t.Errorf("%s was left behind", left)
					}
				}
			})
		})
	}
}

func TestAnOpenedDirectoryStaysTheSame(t *testing.T) {
	both(t, func(t *testing.T, dir string, _ *Dir) {
		inside, elsewhere := filepath.Join(dir, "inside"), t.TempDir()
		must(t, os.Mkdir(inside, 0o700))
		d := opened(t, inside)
		onStep(t, "create", func() {
			must(t, os.Rename(inside, inside+".moved"))
			must(t, os.Symlink(elsewhere, inside))
		})
		must(t, d.Write("name", []byte("content"), 0o600))
		wantNames(t, elsewhere, "")
		want(t, filepath.Join(inside+".moved", "name"), "content")
	})
}

func TestDirectoriesInADirectoryAreNotReachedByLinks(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	d := opened(t, dir)
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "mine"), 0o700))
	for link, target := range map[string]string{"in": "sub", "out": other} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
		if _, err := d.OpenDir(link); err == nil {
			t.Errorf("the link %s was followed", link)
		}
	}
	for _, target := range []string{"mine", other} { // the first one stays inside
		onStep(t, "open directory", func() {
			must(t, os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "sub.moved")))
			must(t, os.Symlink(target, filepath.Join(dir, "sub")))
		})
		if sub, err := d.OpenDir("sub"); err == nil {
			t.Errorf("a link to %s was followed, to %s", target, sub.Path())
		}
		must(t, os.Remove(filepath.Join(dir, "sub")))
		must(t, os.Rename(filepath.Join(dir, "sub.moved"), filepath.Join(dir, "sub")))
	}
	sub, err := d.OpenDir("sub")
	must(t, err)
	must(t, sub.Close())
}

func TestOpenRefusesALinkThatAppears(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	path := filepath.Join(dir, "name")
	write(t, path, "content")
	write(t, filepath.Join(dir, "secret"), "secret")
	onStep(t, "open file", func() {
		must(t, os.Rename(path, path+".moved"))
		must(t, os.Symlink("secret", path))
	})
	if f, _, err := d.Open("name"); err == nil {
		f.Close()
		t.Error("the link was followed")
	}
	var kind *KindError
	if _, _, err := d.Open("name"); !errors.As(err, &kind) || kind.Mode.Type() != fs.ModeSymlink {
		t.Errorf("a link: %v", err)
	}
	if f, _, err := Open(path); err != nil { // the path was named
		t.Error(err)
	} else {
		f.Close()
	}
}

func TestFollowGoesWhereOwnLinksLead(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	write(t, filepath.Join(other, "real"), "content")
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	rel, err := filepath.Rel(dir, filepath.Join(other, "real"))
	must(t, err)
	for link, target := range map[string]string{
		"absolute": filepath.Join(other, "real"), "relative": rel, "chain": "absolute", "dotted": filepath.Join("sub", "..", "chain"),
		"loop": "loop", "directory": "sub" + string(os.PathSeparator), "dangling": filepath.Join(other, "none"),
	} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	d := opened(t, dir)
	for name, wantName := range map[string]string{"absolute": "real", "relative": "real", "chain": "real", "dotted": "real", "none": "none", "dangling": "none"} {
		at, got, err := d.Follow(name)
		if err != nil || got != wantName {
			t.Errorf("%s leads to %q: %v", name, got, err)
			continue
		}
		if f, _, err := at.Open(got); name == "dangling" || name == "none" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			f.Close()
		}
		must(t, at.Close())
	}
	for _, name := range []string{"loop", "directory", "..", "a/b", ""} {
		if at, got, err := d.Follow(name); err == nil {
			t.Errorf("%q leads to %s in %s", name, got, at.Path())
		}
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, dir string, d *Dir) {
		n, err := d.New(0o600)
		must(t, err)
		_, err = n.Write([]byte("half"))
		must(t, err)
		n.Discard()
		n.Discard()
		for _, name := range []string{"", "a/b", ".."} {
			if err := d.Write(name, nil, 0o600); err == nil {
				t.Errorf("a file was named %q", name)
			}
		}
		wantNames(t, dir, "")
	})
}

// What a signal ends does not run Discard.
func TestRemoveUnfinishedLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, dir string, d *Dir) {
		n, err := d.New(0o600)
		must(t, err)
		for _, name := range strings.Fields(names(t, dir)) {
			if !IsTemp(name) {
				t.Errorf("%q is not recognised", name)
			}
		}
		RemoveUnfinished()
		wantNames(t, dir, "")
		n.Discard()
		was := write(t, filepath.Join(dir, "name"), "was")
		onStep(t, "rename", func() {
			RemoveUnfinished()
			wantNames(t, dir, "name")
		})
		if err := d.Replace("name", was, []byte("new")); err == nil {
			t.Error("it was replaced by nothing")
		}
		want(t, filepath.Join(dir, "name"), "was")
	})
}

func TestUnchangedSeesWhatTimesHide(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name")
	before := write(t, path, "content")
	same, err := os.Lstat(path)
	must(t, err)
	if !Unchanged(before, same) {
		t.Error("a file that nobody touched")
	}
	must(t, os.WriteFile(path, []byte("CONTENT"), 0o644))
	must(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
	after, err := os.Lstat(path)
	must(t, err)
	if runtime.GOOS == "linux" && Unchanged(before, after) {
		t.Error("a change whose time was set back")
	}
}

func TestReadInputHasALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name")
	write(t, path, "12345")
	if got, err := ReadInput(path, 5); err != nil || string(got) != "12345" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ReadInput(path, 4); err == nil || !strings.Contains(err.Error(), "larger than 4 bytes") {
		t.Errorf("%v", err)
	}
}

func TestMoveNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	write(t, filepath.Join(dir, "a"), "a")
	write(t, filepath.Join(dir, "b"), "b")
	if err := d.Move("a", "b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another file: %v", err)
	}
	if err := d.Move("none", "c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	if err := d.Move("a", "../c"); err == nil {
		t.Error("out of the directory")
	}
	must(t, d.Move("a", "c"))
	want(t, filepath.Join(dir, "b"), "b")
	want(t, filepath.Join(dir, "c"), "a")
	wantNames(t, dir, "b c")
}
