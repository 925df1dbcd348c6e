//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ancre/internal/datadir"
)

// mallory is a user who may write in a directory in which root works.
const mallory = 65534

func mallorys(t *testing.T, paths ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files for somebody else")
	}
	for _, path := range paths {
		must(t, os.Lchown(path, mallory, mallory))
	}
}

// Root restores for a service that runs under a user of its own: the daemon could not open what is
// root's.
func TestRestoreByRootIsOfTheDirectorysOwner(t *testing.T) {
	data := t.TempDir()
	mallorys(t, data)
	must(t, os.Chmod(filepath.Dir(data), 0o711)) // as any directory above one that a daemon uses
	restoreTo(data, backedUp(t, example(t))).is(t, exitDone)
	must(t, filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil {
			if info, err := d.Info(); err != nil || info.Sys().(*syscall.Stat_t).Uid != mallory {
				t.Errorf("%s is root's (%v)", path, err)
			}
		}
		return err
	}))
}

// The data directory belongs to the daemon's user, who puts links there before root restores.
func TestRestoreByRootFollowsNoLinksOfTheOwner(t *testing.T) {
	file := backedUp(t, example(t))
	for _, name := range []string{datadir.Marker, datadir.Marker + ".new", datadir.Lock, datadir.Store, restoring} {
		data := t.TempDir()
		network := filepath.Join(data, "regtest")
		must(t, os.Mkdir(network, 0o700))
		must(t, os.Chmod(filepath.Dir(data), 0o711))
		mallorys(t, data, network)
		victim := t.TempDir() // as /root is: closed to others
		must(t, os.Chmod(victim, 0o700))
		target := victim
		if strings.HasPrefix(name, "ancre") {
			target = filepath.Join(victim, "file")
			if name != datadir.Lock { // that one would be made
				must(t, os.WriteFile(target, []byte("root's"), 0o600))
			}
		}
		must(t, os.Symlink(target, filepath.Join(network, name)))
		mallorys(t, filepath.Join(network, name))
		restoreTo(data, file)
		entries, err := os.ReadDir(victim)
		must(t, err)
		for _, e := range entries {
			if got := string(read(t, filepath.Join(victim, e.Name()))); e.Name() != "file" || got != "root's" {
				t.Errorf("%s: in root's directory is %s with %q", name, e.Name(), got)
			}
		}
		if info, err := os.Stat(victim); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s: root's directory was given away", name)
		}
	}
}

// What is no file is refused, and not waited for. What a shell gives for <(command) is a pipe whose
// other end is there: it is read.
func TestRestoreFromWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe, device := filepath.Join(dir, "pipe"), filepath.Join(dir, "device")
	must(t, syscall.Mkfifo(pipe, 0o600))
	must(t, os.Symlink("/dev/zero", device))
	for _, odd := range []string{pipe, device} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		context.AfterFunc(ctx, func() {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("restore waits for %s", odd)
				if w, err := os.OpenFile(odd, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
					w.Close()
				}
			}
		})
		call("restore", "--check", odd).is(t, exitUsage, "not a regular file", "ancre backup")
		cancel()
	}

	whole := read(t, backedUp(t, example(t)))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	go func() {
		w.Write(whole)
		w.Close()
	}()
	call("restore", "--check", fmt.Sprintf("/dev/fd/%d", r.Fd())).is(t, exitDone, "is a whole backup")
}

// A first signal ends a restore in order: it says so, and nothing is left.
func TestASignalEndsARestore(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(s) {
			continue // by what runs the tests, as nohup does: then the program ignores it too
		}
		data := t.TempDir()
		r, w, err := os.Pipe()
		must(t, err)
		var said strings.Builder
		cmd := program("--datadir", data, "--network", "regtest", "restore", "-")
		cmd.Stdin, cmd.Stderr = r, &said
		must(t, cmd.Start())
		must(t, r.Close())
		whole := read(t, backedUp(t, example(t)))
		_, err = w.Write(whole[:len(whole)-1])
		must(t, err)
		growing := filepath.Join(data, "regtest", restoring)
		for deadline := time.Now().Add(patience); !exists(growing); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no restore began")
			}
		}
		must(t, cmd.Process.Signal(s))
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		w.Close()
		if status := cmd.ProcessState.ExitCode(); status != exitFailed || said.String() != "ancred: interrupted\n" || exists(growing) {
			t.Errorf("%v: exit status %d, %q, left behind: %t", s, status, said.String(), exists(growing))
		}
	}
}
