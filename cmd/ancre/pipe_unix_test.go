//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ancre/internal/atomicfile"
)

// unblocked calls the program, and lets it go on after a while when it waits for the other end of a
// pipe.
func (r *rig) unblocked(pipe string, args ...string) answer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			r.t.Errorf("%v waits for %s", args, pipe)
			if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				w.Close()
			}
		}
	})
	return r.ancre(args...)
}

// notFiles are what may have a file's name.
func notFiles(t *testing.T) map[string]func(path string) error {
	return map[string]func(path string) error{
		"named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"device":     func(path string) error { return os.Symlink("/dev/zero", path) },
		"socket": func(path string) error {
			// Their names are short.
			dir, err := os.MkdirTemp("", "s")
			if err != nil {
				return err
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			l, err := net.Listen("unix", filepath.Join(dir, "s"))
			if err != nil {
				return err
			}
			t.Cleanup(func() { l.Close() })
			return os.Symlink(filepath.Join(dir, "s"), path)
		},
	}
}

// The bug that it catches: whoever may write beside a file has every verb wait for ever.
func TestWhatIsNoFileIsRefusedAndNotWaitedFor(t *testing.T) {
	for kind, make := range notFiles(t) {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t)
			file := r.write("dir/a", "content")
			ots := file + proofSuffix
			r.must(make(ots))
			for _, args := range [][]string{{"stamp", file}, {"stamp", "-r", r.path("dir")}, {"upgrade", file}, {"upgrade", ots}, {"verify", "--offline", file},
				{"verify", "--offline", "-f", file, ots}, {"info", file}, {"info", ots}, {"receipt", file}, {"status", ots}} {
				r.unblocked(ots, args...).is(t, exitFailed, "not a regular file")
			}
			r.unblocked(ots, "stamp", ots).is(t, exitFailed, "is not a regular file")
			r.unblocked(ots, "stamp", "-o", r.path("new"), ots).is(t, exitFailed, "is not a regular file")
			r.must(os.Remove(ots))

			// The proof as it was cannot be kept: what has that name is older.
			r.ancre("stamp", file).is(t, exitDone)
			r.daemon.mine()
			r.must(make(ots + backupSuffix))
			r.unblocked(ots+backupSuffix, "upgrade", file).is(t, exitDone)

			for _, suffix := range []string{v2Suffix, ".chp.json"} {
				chp := file + suffix
				r.must(make(chp))
				r.unblocked(chp, "verify", "--offline", "-f", file, chp).is(t, exitFailed, "not a regular file")
				r.unblocked(chp, "stamp", chp).is(t, exitFailed, "is not a regular file")
				r.must(os.Remove(chp))
			}

			odd := r.path("odd")
			r.must(make(odd))
			for _, args := range [][]string{{"--config", odd, "status"}, {"wallet", "create", "--passphrase-file", odd}, {"--rpc-cookie", odd, "status"},
				{"verify", "--headers", odd, file}, {"backup", "--force", odd}, {"headers", "export", "--force", odd}, {"headers", "export", odd}} {
				if a := r.unblocked(odd, args...); a.exit == exitDone || !strings.Contains(a.err, "odd") && !strings.Contains(a.err, "passphrase") {
					t.Errorf("%v: exit status %d\n%s", args, a.exit, a.err)
				}
			}
			if info, err := os.Lstat(odd); err != nil || info.Mode().IsRegular() {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
}

// What a shell gives for <(command) is a pipe whose other end is there.
func TestPipesOfTheShellAreRead(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	pipeOf := func(data []byte) string {
		read, write, err := os.Pipe()
		r.must(err)
		t.Cleanup(func() { read.Close() })
		_, err = write.Write(data) // less than a pipe holds
		r.must(errors.Join(err, write.Close()))
		return fmt.Sprintf("/dev/fd/%d", read.Fd())
	}
	ots := r.read(file + proofSuffix)
	r.ancre("info", pipeOf(ots)).is(t, exitDone, "file with sha256")
	r.ancre("verify", "--offline", "-f", file, pipeOf(ots)).is(t, exitPending)
	conf := pipeOf(r.read(filepath.Join(r.data, "ancre.conf")))
	r.ancre("--config", conf, "status").is(t, exitDone, "ancred")
	r.ancre("wallet", "create", "--passphrase-file", pipeOf([]byte("long enough\n")), "--yes")
}

// The bug that it catches: an interrupt does nothing as long as nothing comes through a pipe.
func TestAnInterruptEndsWaitingForStandardInput(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	for _, args := range [][]string{{"stamp", "-o", r.path("b.ots"), "-"}, {"info", "-"}, {"upgrade", "-"}, {"verify", "-f", "-", file + proofSuffix},
		{"verify", "-f", file, "-"}, {"receipt", "-"}} {
		read, write := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan answer)
		go func() {
			var out, errs bytes.Buffer
			in := readerFunc(func(p []byte) (int, error) {
				cancel() // it waits now
				return read.Read(p)
			})
			exit := run(ctx, append([]string{"--datadir", r.data}, args...), &terminal{in: in, out: &out, err: &errs, width: func() int { return 80 }})
			done <- answer{exit, out.String(), errs.String()}
		}()
		select {
		case a := <-done:
			if a.exit != exitFailed {
				t.Errorf("%v: exit status %d\n%s", args, a.exit, a.err)
			}
		case <-time.After(time.Minute):
			t.Errorf("%v waits", args)
		}
		write.Close()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// program starts the program as another process.
func (r *rig) program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{"--datadir", r.data}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// The bug that it catches: "ancre stamp -r DIR | head -1" leaves temporary files in the folder, and
// digests without proofs.
func TestACutPipeLeavesNothingHalfDone(t *testing.T) {
	r := newRig(t)
	const n = 200
	for i := range n {
		r.write(fmt.Sprintf("%04d", i), fmt.Sprint(i))
	}
	read, write, err := os.Pipe()
	r.must(err)
	r.must(read.Close()) // as head does
	cmd := r.program("stamp", "-r", r.dir)
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = write, &errs
	err = cmd.Run()
	r.must(write.Close())
	if cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("%v\n%s", err, errs.String())
	}
	if strings.Contains(errs.String(), "broken pipe") {
		t.Errorf("whoever closed the pipe is told of it: %s", errs.String())
	}
	proofs := 0
	for _, name := range r.names() {
		switch {
		case strings.HasSuffix(name, proofSuffix):
			r.proof(r.path(name))
			proofs++
		case len(name) != len("0000"):
			t.Errorf("left behind: %s", name)
		}
	}
	if handed := len(r.daemon.digests); proofs != handed {
		t.Errorf("%d digests were handed in, and %d proofs written", handed, proofs)
	}
}

// Every signal that asks for an end is heard, and a second one ends the program at once.
func TestSignalsEndTheProgram(t *testing.T) {
	r := newRig(t)
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if signal.Ignored(s) {
			continue // as whoever started the tests wants it
		}
		cmd := r.program("headers", "export", r.path("headers"))
		waits, release := make(chan struct{}), make(chan struct{})
		r.daemon.mu.Lock()
		r.daemon.onHeaders = func() {
			close(waits)
			<-release
		}
		r.daemon.mu.Unlock()
		var errs bytes.Buffer
		cmd.Stderr = &errs
		r.must(cmd.Start())
		<-waits
		r.must(cmd.Process.Signal(s))
		err := cmd.Wait()
		close(release)
		if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("%v: %v\n%s", s, err, errs.String())
		}
		if got := r.names(); len(got) != 0 {
			t.Errorf("%v: left behind: %v", s, got)
		}
	}
}

// Whoever starts it with nohup wants it to go on.
func TestAHangUpThatIsIgnoredStaysIgnored(t *testing.T) {
	r := newRig(t)
	cmd := exec.Command("sh", "-c", `trap "" HUP; exec "$0" "$@"`, os.Args[0], "--datadir", r.data, "stamp", "-o", r.path("x.ots"), "-")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	in, err := cmd.StdinPipe()
	r.must(err)
	handed := make(chan struct{})
	r.daemon.onSubmit = func(context.Context) {
		r.must(cmd.Process.Signal(syscall.SIGHUP))
		close(handed)
	}
	r.must(cmd.Start())
	_, err = io.WriteString(in, "content")
	r.must(errors.Join(err, in.Close()))
	<-handed
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	r.proof(r.path("x.ots"))
}

func TestTemporaryNamesAreRecognised(t *testing.T) {
	if !atomicfile.IsTemp(".ancre-X.tmp") || isOthers(".ancre-X.tmp") || !isOthers("a.tmp") {
		t.Error("a temporary file is taken for content")
	}
}
