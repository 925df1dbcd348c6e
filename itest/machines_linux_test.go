package itest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/itest/harness"
)

// The officer is the person who follows the guide: a user of the machine who may use sudo.
const officer = "officer"

// machineOf boots a Debian machine as the guides assume it, with a user who may use sudo. The
// machine can reach a Bitcoin node at the address where regtest's nodes listen.
func machineOf(ctx context.Context, t *testing.T, name string, node *harness.Node) *harness.Machine {
	t.Helper()
	base, err := harness.MachineBase(ctx, "../bin/machine")
	if err != nil {
		t.Fatal(err)
	}
	m, err := harness.BootMachine(ctx, base, t.TempDir(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := m.Root(context.Background(), "journalctl --no-pager --lines=60 --unit=ancred --unit='ancre-*'")
			t.Logf("the end of the journal of %s:\n%s", name, journal)
		}
		if err := m.PowerOff(); err != nil {
			t.Error(err)
		}
	})
	for _, line := range []string{
		"printf '127.0.0.1 localhost\\n127.0.1.1 " + name + "\\n' >/etc/hosts", // as Debian's installer writes it
		"useradd --create-home --shell /bin/bash " + officer,
		"echo '" + officer + " ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/" + officer,
	} {
		if _, err := m.Root(ctx, line); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Reach(node.P2P(), "127.0.0.1:18444"); err != nil {
		t.Fatal(err)
	}
	return m
}

// deb builds the package of this source for this system, once. ANCRE_DEB names another one, such as
// one that was published.
var deb = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ANCRE_DEB"); path != "" {
		return path, nil
	}
	dir, err := filepath.Abs("../bin/machine/packages")
	if err != nil {
		return "", err
	}
	if text, err := exec.Command("go", "run", "-C", "../tools/packages", ".", "-out", dir, "-arch", runtime.GOARCH, "deb").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the packages: %w\n%s", err, text)
	}
	list, err := filepath.Glob(filepath.Join(dir, "ancre_*_"+runtime.GOARCH+".deb"))
	if err != nil || len(list) != 1 {
		return "", fmt.Errorf("the package for %s: %q, %v", runtime.GOARCH, list, err)
	}
	return list[0], nil
})

// copyTo copies a file of this system to the officer's home directory.
func copyTo(m *harness.Machine, from, name string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(m.Path("/home/"+officer+"/"+name), raw, 0o644)
}

// mailServer is an SMTP server that keeps what it is sent.
type mailServer struct {
	mu    sync.Mutex
	mails []string
}

// serve answers until the listener is closed.
func (s *mailServer) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.talk(c)
	}
}

// talk speaks as much SMTP as a mail program needs.
func (s *mailServer) talk(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	text := bufio.NewScanner(c)
	fmt.Fprint(c, "220 a test\r\n")
	for text.Scan() {
		switch verb, _, _ := strings.Cut(strings.ToUpper(text.Text()), " "); verb {
		case "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			var mail strings.Builder
			for text.Scan() && text.Text() != "." {
				mail.WriteString(text.Text() + "\n")
			}
			s.mu.Lock()
			s.mails = append(s.mails, mail.String())
			s.mu.Unlock()
			fmt.Fprint(c, "250 kept\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
}

// await waits for a mail with a text in it.
func (s *mailServer) await(ctx context.Context, text string) error {
	return harness.Await(ctx, fmt.Sprintf("a mail with %q", text), func(context.Context) (bool, string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		all := strings.Join(s.mails, "\n--\n")
		return strings.Contains(all, text), all, nil
	})
}
