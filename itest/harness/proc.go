package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// stopWithin is how long a program may take to stop. After that it is killed, and that is an error.
const stopWithin = 60 * time.Second

// process is one started program. Its output goes to a file, so that nothing is lost if it or we
// are killed.
type process struct {
	name string
	log  string // path; a program started again appends to it
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; owned by the waiting goroutine until done is closed
}

// start runs a program in a process group of its own. Unless outlive is set, it dies with this
// process, on systems that can do that.
func start(name, logPath string, outlive bool, env []string, path string, args ...string) (*process, error) {
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = env
	detach(cmd, outlive)

	p := &process{name: name, log: logPath, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ties a child's life to the thread that made it, not to the process: keep that
		// thread until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop asks the program to end and waits. A program that has to be killed, or ends with a status
// other than 0, is an error.
func (p *process) stop() error {
	if !p.running() {
		return nil
	}
	if err := interrupt(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		return errors.Join(fmt.Errorf("%s did not stop within %s", p.name, stopWithin), p.abort())
	}
	if p.err != nil && interruptible {
		return fmt.Errorf("%s ended badly when asked to stop: %w\n%s", p.name, p.err, tail(p.log, 30))
	}
	return nil
}

// abort ends a program that is stuck. The error contains the end of its log, even if the program
// had already ended.
func (p *process) abort() error {
	if !p.running() {
		return p.ended()
	}
	_ = abort(p.cmd.Process) // kill tells what is wrong, if need be
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		if err := p.kill(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s was aborted, and %s ends with\n%s", p.name, p.log, tail(p.log, 150))
}

// kill ends the program at once, as a power cut would, and waits until it is gone.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// ended returns the error of a program that ended though it should run.
func (p *process) ended() error {
	return &EndedError{Name: p.name, Err: p.err, Log: tail(p.log, 30)}
}

// EndedError is the error of a program that ended though it should run.
type EndedError struct {
	Name string
	Err  error  // nil: with status 0
	Log  string // the last lines it wrote
}

func (e *EndedError) Error() string {
	how := "with status 0"
	if e.Err != nil {
		how = e.Err.Error()
	}
	return fmt.Sprintf("%s ended: %s\n%s", e.Name, how, e.Log)
}

func (e *EndedError) Unwrap() error { return e.Err }

// portTaken reports whether a program ended because another program had its port.
func portTaken(err error) bool {
	var ended *EndedError
	if !errors.As(err, &ended) {
		return false
	}
	log := strings.ToLower(ended.Log)
	for _, sign := range []string{"in use", "unable to bind", "no valid listen", "can't listen"} {
		if strings.Contains(log, sign) {
			return true
		}
	}
	return false
}

// awaitUp waits until ready returns nil. It fails at once if the program ends.
func (p *process) awaitUp(ctx context.Context, ready func(context.Context) error) error {
	return Await(ctx, p.name+" to answer", func(ctx context.Context) (bool, string, error) {
		if !p.running() {
			return false, "", p.ended()
		}
		if err := ready(ctx); err != nil {
			return false, err.Error(), nil
		}
		return true, "", nil
	})
}

// tail returns the last n lines of a file, reading at most its last 64 KiB.
func tail(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 64 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart)
	}
	text, _ := io.ReadAll(f)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
