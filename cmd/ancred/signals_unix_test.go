//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ancre/internal/datadir"
	"ancre/rpc"
)

// patience is for a machine that is busy with other things.
const patience = time.Minute

// process is a running daemon.
type process struct {
	*testing.T
	cmd     *exec.Cmd
	netdir  string
	log     *bufio.Reader
	logFile *os.File // the reader's end of its standard error
	said    strings.Builder
}

// startDaemon starts a daemon on regtest without peers.
func startDaemon(t *testing.T, dir string) *process {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	conf := fmt.Sprintf("network = \"regtest\"\n[rpc]\nlisten = %q\n[calendar]\nlisten = \"off\"\n[metrics]\nlisten = \"off\"\n", free.Addr())
	if err := os.WriteFile(filepath.Join(dir, "ancre.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	p := &process{T: t, cmd: program("--datadir", dir), netdir: filepath.Join(dir, "regtest"), log: bufio.NewReader(reader), logFile: reader}
	p.cmd.Stderr = writer
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill() // its own process, and only if the test left it
		reader.Close()
	})
	return p
}

// awaitLog reads the log up to a line with that text.
func (p *process) awaitLog(text string) (line string) {
	p.Helper()
	if err := p.logFile.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.Fatal(err)
	}
	for {
		line, err := p.log.ReadString('\n')
		p.said.WriteString(line)
		if err != nil {
			p.Fatalf("no %q in the log: %v\n%s", text, err, p.said.String())
		}
		if strings.Contains(line, text) {
			return line
		}
	}
}

// client waits until the daemon answers.
func (p *process) client() *rpc.Client {
	p.Helper()
	_, addr, _ := strings.Cut(strings.TrimSpace(p.awaitLog(" rpc=")), " rpc=")
	addr, _, _ = strings.Cut(addr, " ")
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := rpc.NewCookieClient("http://"+addr, filepath.Join(p.netdir, datadir.Cookie))
		if err == nil {
			if _, err = c.Info(context.Background()); err == nil {
				p.Cleanup(c.Close)
				return c
			}
			c.Close()
		}
		if time.Now().After(deadline) {
			p.Fatalf("no answer: %v", err)
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// stopsWell sends SIGTERM, and wants an orderly end.
func (p *process) stopsWell() {
	p.Helper()
	p.signal(syscall.SIGTERM)
	go io.Copy(io.Discard, p.log) // ends with the process
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			p.Errorf("ended with %v, want exit status 0", err)
		}
	case <-time.After(patience):
		p.Fatal("does not end after SIGTERM")
	}
	if _, err := os.Stat(filepath.Join(p.netdir, datadir.Cookie)); !errors.Is(err, os.ErrNotExist) {
		p.Errorf("the stop was not orderly, the cookie is still there: %v", err)
	}
}

func (p *process) accepts(c *rpc.Client, n int) {
	p.Helper()
	if err := c.Call(context.Background(), "submit", nil, fmt.Sprintf("%064x", n)); err != nil {
		p.Fatalf("submit: %v", err)
	}
}

// The terminal is closed that the daemon was started from.
func TestSIGHUPEndsNothing(t *testing.T) {
	t.Parallel()
	p := startDaemon(t, t.TempDir())
	c := p.client()
	for i := range 3 {
		p.signal(syscall.SIGHUP)
		p.awaitLog("SIGHUP: ancred continues")
		p.accepts(c, i)
	}
	p.stopsWell()
}

// And with the terminal, or with the program that kept the log, its standard error is gone.
func TestALogThatNobodyReadsEndsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startDaemon(t, dir)
	c := p.client()
	if err := p.logFile.Close(); err != nil {
		t.Fatal(err)
	}
	p.log = bufio.NewReader(strings.NewReader(""))
	for i := range 20 { // each logs a line
		p.signal(syscall.SIGHUP)
		p.accepts(c, i)
	}
	p.stopsWell()
	p = startDaemon(t, dir)
	if info, err := p.client().Info(context.Background()); err != nil || info.Digests != 20 {
		t.Errorf("%d digests after the next start, %v; want 20", info.Digests, err)
	}
	p.stopsWell()
}

// Signals while it starts: an orderly end, or none.
func TestSignalsDuringTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		p := startDaemon(t, dir)
		p.awaitLog("ancred starts") // from here on signals are told, before that nothing is open
		p.signal(syscall.SIGHUP)
		p.stopsWell()
	}
	p := startDaemon(t, dir)
	p.accepts(p.client(), 1)
	p.stopsWell()
}
