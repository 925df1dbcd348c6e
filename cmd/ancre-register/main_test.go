package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/config"
	"ancre/register/control"
	"ancre/register/daemon"
)

func TestMain(m *testing.M) {
	// This machine may have services.
	config.ServiceFile, config.ServiceRunDir, config.RegisterServiceFile, config.RegisterServiceRunDir = "", "", "", ""
	home, err := os.MkdirTemp("", "r") // the path of a socket is short
	if err != nil {
		panic(err)
	}
	os.Setenv("HOME", home)
	status := m.Run()
	os.RemoveAll(home)
	os.Exit(status)
}

// rig is a running register without a node, and a folder of a clerk.
type rig struct {
	t    *testing.T
	dir  string
	conf string
	log  lockedBuffer
	stop func() // waits for the end
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newRig starts a register. more is added to its configuration.
func newRig(t *testing.T, more string) *rig {
	t.Helper()
	r := prepareRig(t, more)
	r.start()
	return r
}

// prepareRig configures a register, and does not start it.
func prepareRig(t *testing.T, more string) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "r")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir, conf: filepath.Join(dir, "register.conf"), stop: func() {}}
	r.write("register.conf", "datadir = \"data\"\nnetwork = \"regtest\"\n[page]\nlisten = \""+freeAddress(t)+"\"\nname = \"Commune de Sainte-Foy\"\n"+more)
	return r
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// start runs the register until the test ends, or stop is called.
func (r *rig) start() {
	r.t.Helper()
	cfg, err := config.RegisterFlags{File: r.conf}.Load()
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- daemon.Run(ctx, cfg, "1.2.3", &r.log) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("the register ended with: %v\n%s", err, r.log.String())
		}
	})
	r.t.Cleanup(func() { r.stop() })
	socket, err := cfg.Socket()
	if err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		c := control.NewClient(socket)
		_, err := c.Status(r.t.Context())
		c.Close()
		if err == nil {
			return
		}
		select {
		case err := <-done:
			done <- err
			r.t.Fatalf("the register did not start: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the register does not answer: %v", err)
		}
	}
}

// path returns the path of a file of the clerk's.
func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// write makes a file, with its directory.
func (r *rig) write(name, content string) string {
	r.t.Helper()
	path := r.path(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// answer is what a call of the program left.
type answer struct {
	t        *testing.T
	status   int
	out, err string
}

// call runs the program without a terminal.
func (r *rig) call(args ...string) answer { return r.callIn(strings.NewReader(""), args...) }

// callIn is call with something on standard input.
func (r *rig) callIn(in io.Reader, args ...string) answer {
	r.t.Helper()
	var out, errs bytes.Buffer
	status := run(r.t.Context(), append([]string{"--config", r.conf}, args...), &terminal{in: in, out: &out, err: &errs, width: func() int { return 80 }})
	return answer{r.t, status, out.String(), errs.String()}
}

// is checks the exit status, and that the texts stand in what was written to out and err together.
func (a answer) is(status int, texts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("exit status %d, want %d\nout: %s\nerr: %s", a.status, status, a.out, a.err)
	}
	for _, text := range texts {
		if !strings.Contains(a.out+a.err, text) {
			a.t.Errorf("nothing is said of %q\nout: %s\nerr: %s", text, a.out, a.err)
		}
	}
	return a
}

// lacks checks that texts do not stand there.
func (a answer) lacks(texts ...string) answer {
	a.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.out+a.err, text) {
			a.t.Errorf("it says %q\nout: %s\nerr: %s", text, a.out, a.err)
		}
	}
	return a
}

// fullDevice is a stream that takes nothing.
type fullDevice struct{}

func (fullDevice) Write([]byte) (int, error) { return 0, errors.New("the device is full") }

func TestEveryVerbFailsWhenItsOutputIsLost(t *testing.T) {
	r := newRig(t, "")
	r.call("meeting", "add", "2026-12-15").is(0)
	file := r.write("a.pdf", "%PDF-1.4 a")
	r.call("add", "--meeting", "2026-12-15", "--kind", "annex", file).is(0)
	for n, args := range [][]string{
		{"--help"}, {"version"}, {"status"}, {"list"}, {"check"}, {"meeting", "list"}, {"meeting", "show", "2026-12-15"}, {"show", file},
		{"meeting", "add", "2026-12-16"}, {"meeting", "set", "2026-12-15", "--state", "held"}, {"add", "--kind", "act", file}, {"publish", file}, {"withdraw", file},
		{"backup", r.path("lost.tar")}, {"export", r.path("lost")},
	} {
		var said bytes.Buffer
		status := run(t.Context(), append([]string{"--config", r.conf}, args...), &terminal{in: strings.NewReader(""), out: fullDevice{}, err: &said, width: func() int { return 80 }})
		if status != exitFailed || !strings.Contains(said.String(), "standard output could not be written") {
			t.Errorf("%d %q: exit status %d, %q", n, args, status, said.String())
		}
	}
}

func TestWrongUsageIsStatus2(t *testing.T) {
	r := prepareRig(t, "")
	file := r.write("a.pdf", "a")
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "what to do? ancre-register takes one of: "},
		{[]string{"bogus"}, `unknown verb "bogus"`},
		{[]string{"meeting"}, "takes one of: add, list, set, show, status"},
		{[]string{"add", file}, "--kind: convocation, agenda"},
		{[]string{"add", "--kind", "poem", file}, `"poem" is not a kind of document`},
		{[]string{"add", "--kind", "act", "-"}, "give the document one with --name"},
		{[]string{"add", "--kind", "act", "--name", "x", file, file}, "--name names one document"},
		{[]string{"add", "--kind", "act", "--title", "x", file, file}, "--title, --number and --replaces are for one document"},
		{[]string{"add", "--kind", "act", "--list-only", file}, "add --publish"},
		{[]string{"add", "--kind", "act", r.dir}, "-r adds all files below it"},
		{[]string{"add", "--kind", "act", "-q", "--json", file}, "exclude each other"},
		{[]string{"publish"}, "which documents?"},
		{[]string{"withdraw", "--kind", "draft"}, "which documents?"},
		{[]string{"meeting", "set", "2026-12-15"}, "what to change?"},
		{[]string{"meeting", "add"}, "accepts 1 arg(s)"},
		{[]string{"list", "--limit", "-1"}, "--limit -1"},
		{[]string{"--bogus"}, "unknown flag: --bogus"},
	} {
		if a := r.call(c.args...).is(exitUsage, c.says); a.out != "" {
			t.Errorf("%q: standard output: %q", c.args, a.out)
		}
	}
	r.call("--json", "add", file).is(exitUsage, `{"error":"what kind of document is it?`, `"exit":2}`)
	r.write("register.conf", "bogus = 1\n")
	for _, verb := range []string{"status", "check", "serve", "list"} {
		r.call(verb).is(exitUsage, `register.conf:1: unknown key "bogus"`)
	}
}

// A verb without a running register says exactly what to type.
func TestWithoutARegister(t *testing.T) {
	r := prepareRig(t, "")
	for _, args := range [][]string{{"status"}, {"list"}, {"meeting", "add", "2026-12-15"}, {"add", "--kind", "act", r.write("a", "a")}, {"backup", r.path("b")}, {"export", r.path("e")}} {
		r.call(args...).is(exitFailed, "no register runs", fmt.Sprintf("Start it with \"ancre-register --config %s serve\"", r.conf))
	}
	if _, err := os.Stat(r.path("e")); err == nil {
		t.Error("export made a folder for nothing")
	}
	if _, err := os.Stat(r.path("b")); err == nil {
		t.Error("backup made a file for nothing")
	}
	// A register that was killed leaves its socket.
	left, err := net.Listen("unix", filepath.Join(r.dir, "data.sock"))
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	r.write("register.conf", "datadir = \"data\"\nnetwork = \"regtest\"\n[page]\nlisten = \"off\"\n[control]\nsocket = \"data.sock\"\n")
	r.call("status").is(exitFailed, "no register runs", "connection refused", "serve")
	r.start() // and the next one takes its place
	r.call("status").is(exitDone, "page       off")
	r.call("export", r.path("e")).is(exitFailed, "no page to export")
}
