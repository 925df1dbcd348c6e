//go:build unix

package atomicfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

// unblocked runs something that must not wait for the other end of a pipe, and lets it go on if it
// does.
func unblocked(t *testing.T, pipe string, do func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("%s was waited for", filepath.Base(pipe))
			if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				w.Close()
			}
		}
	})
	do()
	cancel()
}

func TestNothingButRegularFilesIsOpened(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chdir(dir)) // names of sockets are short
	defer os.Chdir("/")
	d := opened(t, dir)
	must(t, syscall.Mkfifo("pipe", 0o600))
	l, err := net.Listen("unix", "socket")
	must(t, err)
	defer l.Close()
	must(t, os.Mkdir("dir", 0o700))
	must(t, os.Symlink("/dev/zero", "device"))
	for name, mode := range map[string]fs.FileMode{"pipe": fs.ModeNamedPipe, "socket": fs.ModeSocket, "dir": fs.ModeDir, "device": fs.ModeDevice | fs.ModeCharDevice} {
		unblocked(t, "pipe", func() {
			var kind *KindError
			if _, _, err := Open(name); !errors.As(err, &kind) || kind.Mode.Type() != mode {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := ReadInput(name, 10); !errors.As(err, &kind) {
				t.Errorf("%s: %v", name, err)
			}
			if _, _, err := d.Open(name); !errors.As(err, &kind) {
				t.Errorf("%s: %v", name, err)
			}
			if name != "dir" {
				if _, err := OpenDir(name); err == nil {
					t.Errorf("%s was opened as a directory", name)
				}
				if _, err := d.OpenDir(name); err == nil {
					t.Errorf("%s was opened as a directory", name)
				}
			}
		})
	}
}

// Somebody puts a named pipe there after it was looked at.
func TestAPipeThatAppearsIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	path := filepath.Join(dir, "name")
	toPipe := func() {
		must(t, os.RemoveAll(path))
		must(t, syscall.Mkfifo(path, 0o600))
	}
	opens := map[string]func() error{
		"open file":      func() error { _, _, err := Open(path); return err },
		"open file in":   func() error { _, _, err := d.Open("name"); return err },
		"open directory": func() error { _, err := d.OpenDir("name"); return err },
	}
	for what, open := range opens {
		t.Run(what, func(t *testing.T) {
			must(t, os.RemoveAll(path))
			step := "open file"
			if what == "open directory" {
				step = what
				must(t, os.Mkdir(path, 0o700))
			} else {
				write(t, path, "content")
			}
			onStep(t, step, toPipe)
			unblocked(t, path, func() {
				if open() == nil {
					t.Error("it was opened")
				}
			})
		})
	}
}

// A pipe that the shell made for this process has its other end.
func TestInputsFromThisProcessesPipes(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	go func() {
		fmt.Fprint(w, "content")
		w.Close()
	}()
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if got, err := ReadInput(path, 10); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	if _, _, err := Open(path); err == nil {
		t.Error("a pipe was taken for a file")
	}
	for _, other := range []string{"/dev/fd", "/dev/fd/x", "/dev/fd/", "/tmp/dev/fd/3", "/dev/fd/3/../../null", "/dev/null"} {
		if isDescriptor(other) {
			t.Errorf("%s is taken for a file that this process has open", other)
		}
	}
}

func TestReplaceKeepsOwnerGroupAndMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	both(t, func(t *testing.T, dir string, d *Dir) {
		path := filepath.Join(dir, "name")
		write(t, path, "was")
		must(t, os.Chmod(path, 0o664))
		uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
		if os.Geteuid() == 0 {
			uid, gid = nobody, 12345
			must(t, os.Chown(path, int(uid), int(gid)))
		}
		was, err := os.Lstat(path)
		must(t, err)
		must(t, d.Replace("name", was, []byte("new")))
		info, err := os.Lstat(path)
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid != uid || st.Gid != gid || info.Mode() != 0o664 {
			t.Errorf("user %d, group %d, mode %v; want %d, %d, 0664", st.Uid, st.Gid, info.Mode(), uid, gid)
		}
		want(t, path, "new")
	})
}

// The bug that it catches: a file that its group may write is given to another group, which may
// then write it too.
func TestWhoCannotKeepTheGroupGivesNoRightsAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody who may not give files away")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	path := filepath.Join(dir, "name")
	write(t, path, "was")
	must(t, os.Chown(path, 12345, 12345))
	must(t, os.Chmod(path, 0o664))
	was, err := os.Lstat(path)
	must(t, err)
	d := opened(t, dir)
	asNobody(t, func() { must(t, d.Replace("name", was, []byte("new"))) })
	info, err := os.Lstat(path)
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != nobody || info.Mode() != 0o644 {
		t.Errorf("user %d, mode %v; want %d and 0644", st.Uid, info.Mode(), nobody)
	}
}

// asNobody runs something as another user.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	groups, err := syscall.Getgroups()
	must(t, err)
	must(t, errors.Join(syscall.Setgroups(nil), syscall.Setegid(nobody), syscall.Seteuid(nobody)))
	defer func() { must(t, errors.Join(syscall.Seteuid(0), syscall.Setegid(0), syscall.Setgroups(groups))) }()
	do()
}

func TestLinksOfOthersAreNotFollowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a link for somebody else")
	}
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o711))
	d := opened(t, dir)
	write(t, filepath.Join(dir, "real"), "content")
	must(t, os.Symlink("real", filepath.Join(dir, "foreign")))
	must(t, os.Lchown(filepath.Join(dir, "foreign"), nobody, nobody))
	must(t, os.Symlink("foreign", filepath.Join(dir, "own")))
	for _, name := range []string{"foreign", "own"} {
		if _, _, err := d.Follow(name); !errors.Is(err, ErrForeignLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Its owner may follow it, and anybody one of root.
	asNobody(t, func() {
		at, name, err := d.Follow("own")
		if err != nil || name != "real" {
			t.Errorf("%s, %v", name, err)
			return
		}
		at.Close()
	})
}

func TestALinkThatIsSwappedIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	write(t, filepath.Join(dir, "real"), "content")
	link := filepath.Join(dir, "link")
	must(t, os.Symlink("real", link))
	onStep(t, "read link", func() {
		must(t, os.Rename(link, link+".moved"))
		must(t, os.Symlink("/etc/passwd", link))
	})
	if at, name, err := d.Follow("link"); !errors.Is(err, ErrChanged) {
		t.Errorf("it leads to %s in %s: %v", name, at.Path(), err)
	}
}
