package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ancre/config"
	"ancre/internal/version"
)

// asProgram makes the test binary the daemon itself.
const asProgram = "ANCRED_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	config.ServiceFile, config.ServiceRunDir = "", "" // this machine may have a service
	os.Exit(inEmptyHome(m.Run))
}

// inEmptyHome runs the tests with an empty home directory, so that none of them reads the
// configuration of this machine, or makes a data directory in it by mistake.
func inEmptyHome(run func() int) int {
	home, err := os.MkdirTemp("", "ancred-home")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	os.Setenv("HOME", home)
	status := run()
	if _, err := os.Stat(filepath.Join(home, ".ancre")); err == nil {
		fmt.Fprintln(os.Stderr, "a test made a data directory in the home directory")
		return 1
	}
	return status
}

// program is the program with these arguments, as a process of its own.
func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// answer is what a call of the program left.
type answer struct {
	status   int
	out, err string
}

// call runs the program without a terminal.
func call(args ...string) answer { return callIn(context.Background(), strings.NewReader(""), args...) }

// callIn is call with something on standard input, until ctx ends.
func callIn(ctx context.Context, in io.Reader, args ...string) answer {
	var out, errs bytes.Buffer
	status := run(args, world{in: in, out: &out, err: &errs, begin: func() context.Context { return ctx }})
	return answer{status, out.String(), errs.String()}
}

// is checks the exit status, and that the texts stand in what was written to out and err together.
func (a answer) is(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("exit status %d, want %d\nout: %s\nerr: %s", a.status, status, a.out, a.err)
	}
	for _, text := range texts {
		if !strings.Contains(a.out+a.err, text) {
			t.Errorf("nothing is said of %q\nout: %s\nerr: %s", text, a.out, a.err)
		}
	}
	return a
}

// device is a stream that takes room bytes, and fails then or when it is closed.
type device struct {
	room         int
	full, closed error
}

func (d *device) Write(p []byte) (int, error) {
	n := min(d.room, len(p))
	d.room -= n
	if n < len(p) {
		return n, d.full
	}
	return n, nil
}

func (d *device) Close() error { return d.closed }

// losesNothing checks that a call ends with 1 and says why when any of its output is lost. next
// returns the arguments of a call that succeeds.
func losesNothing(t *testing.T, next func() []string) {
	t.Helper()
	to := func(out, errs io.Writer) int {
		return run(next(), world{in: strings.NewReader(""), out: out, err: errs, begin: t.Context})
	}
	var out, errs, said bytes.Buffer
	if status := to(&out, &errs); status != exitDone || out.Len() == 0 {
		t.Fatalf("%q: exit status %d, %q, %q", next(), status, out.String(), errs.String())
	}
	const much = 1 << 20
	full := errors.New("the device is full")
	for what, d := range map[string]*device{"all": {full: full}, "the half": {room: out.Len() / 2, full: full}, "the last byte": {room: out.Len() - 1, full: full},
		"all, as closing shows,": {room: much, closed: syscall.EDQUOT}} {
		said.Reset()
		if status := to(d, &said); status != exitFailed || !strings.Contains(said.String(), "standard output could not be written") {
			t.Errorf("%q, %s of the output is lost: exit status %d, %q", next(), what, status, said.String())
		}
	}
	if status := to(io.Discard, &device{full: full}); errs.Len() > 0 && status != exitFailed {
		t.Errorf("%q, standard error is lost: exit status %d", next(), status)
	}
}

func TestWhatIsPrintedIsWritten(t *testing.T) {
	for _, args := range [][]string{{"--version"}, {"--help"}, {"restore", "--help"}} {
		call(args...).is(t, exitDone)
		losesNothing(t, func() []string { return args })
	}
}

func TestWrongUsageIsStatus2(t *testing.T) {
	for _, args := range [][]string{{"--bogus"}, {"bogus"}, {"--version", "bogus"}, {"restore"}, {"restore", "a", "b"}, {"restore", "--bogus", "a"},
		{"restore", "--rpc", "127.0.0.1:1", "a"}, {"--network", "bogus"}, {"restore", "--network", "bogus", "a"}, {"--check", "a"}} {
		if a := call(args...).is(t, exitUsage, "ancred: "); a.out != "" {
			t.Errorf("%q: standard output: %q", args, a.out)
		}
	}
}

func TestVersion(t *testing.T) {
	want := "ancred " + version.Text() + "\n"
	for _, arg := range []string{"version", "--version"} {
		if a := call(arg).is(t, exitDone); a.out != want {
			t.Errorf("%s: %q, want %q", arg, a.out, want)
		}
	}
}
