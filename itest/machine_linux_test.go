package itest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"ancre/itest/harness"
)

// Users of a machine. Their numbers mean nothing outside of it.
const (
	rootUID   = 0
	ancreUID  = 60_001 // the service, and its group
	greffeUID = 60_002
	bobUID    = 60_003
)

// machine is a small system of its own below a directory: its users, an installed service, and the
// programs at the paths that people use. Only root can enter it.
type machine struct {
	*testing.T
	ctx  context.Context
	root string
}

// newMachine installs the service. Nothing runs yet.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can run programs as several users")
	}
	t.Parallel()
	m := &machine{T: t, root: filepath.Join(t.TempDir(), "root")}
	var cancel context.CancelFunc
	m.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	port, err := harness.FreePort()
	m.must(err)

	m.dir("/", rootUID, 0o755)
	for _, dir := range []string{"/usr", "/usr/bin", "/etc", "/etc/ancre", "/var", "/var/lib", "/run", "/home", "/tmp"} {
		m.dir(dir, rootUID, 0o755)
	}
	m.dir("/var/lib/ancre", ancreUID, 0o700)
	m.dir("/run/ancre", ancreUID, 0o750)
	m.dir("/root", rootUID, 0o700)
	m.dir("/home/greffe", greffeUID, 0o755)
	m.dir("/home/bob", bobUID, 0o755)
	m.file("/etc/passwd", rootUID, 0o644, fmt.Sprintf("root:x:0:0::/root:/bin/sh\nancre:x:%d:%[1]d::/var/lib/ancre:/bin/false\ngreffe:x:%d:%[2]d::/home/greffe:/bin/sh\nbob:x:%d:%[3]d::/home/bob:/bin/sh\n",
		ancreUID, greffeUID, bobUID))
	m.file("/etc/group", rootUID, 0o644, fmt.Sprintf("root:x:0:\nancre:x:%d:greffe\ngreffe:x:%d:\nbob:x:%d:\n", ancreUID, greffeUID, bobUID))
	m.file("/etc/ancre/ancre.conf", rootUID, 0o640, fmt.Sprintf("network = \"regtest\"\n\n[rpc]\nlisten = \"127.0.0.1:%d\"\n\n[calendar]\nlisten = \"off\"\n\n[spv]\nconnect = [\"127.0.0.1:9\"]\n", port))
	m.must(os.Chown(m.path("/etc/ancre/ancre.conf"), 0, ancreUID))
	for name, from := range map[string]string{"ancred": bin.Ancred, "ancre": bin.Ancre} {
		if err := os.Link(from, m.path("/usr/bin/"+name)); err != nil {
			data, err := os.ReadFile(from)
			m.must(err)
			m.must(os.WriteFile(m.path("/usr/bin/"+name), data, 0o755))
		}
	}
	return m
}

func (m *machine) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// path returns where a path of the machine is outside of it.
func (m *machine) path(path string) string { return filepath.Join(m.root, path) }

func (m *machine) dir(path string, uid int, mode fs.FileMode) {
	m.Helper()
	m.must(os.MkdirAll(m.path(path), 0o755))
	m.must(os.Chown(m.path(path), uid, uid))
	m.must(os.Chmod(m.path(path), mode))
}

func (m *machine) file(path string, uid int, mode fs.FileMode, content string) {
	m.Helper()
	m.must(os.WriteFile(m.path(path), []byte(content), 0o600))
	m.must(os.Chown(m.path(path), uid, uid))
	m.must(os.Chmod(m.path(path), mode))
}

// login is a user, with the groups that his session began with.
type login struct {
	uid    int
	home   string
	groups []uint32
	env    []string
}

var (
	root    = login{uid: rootUID, home: "/root"}
	ancre   = login{uid: ancreUID, home: "/var/lib/ancre", env: []string{"RUNTIME_DIRECTORY=/run/ancre"}}
	greffe  = login{uid: greffeUID, home: "/home/greffe", groups: []uint32{ancreUID}}
	earlier = login{uid: greffeUID, home: "/home/greffe"} // before he became a member
	bob     = login{uid: bobUID, home: "/home/bob"}
)

// command prepares a program of the machine, in the home directory of its user.
func (m *machine) command(who login, program string, args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/bin/"+program, args...)
	cmd.Dir = who.home
	cmd.Env = append([]string{"HOME=" + who.home, "PATH=/usr/bin"}, who.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Pdeathsig: syscall.SIGKILL,
		Credential: &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.uid), Groups: who.groups}}
	return cmd
}

// run runs a program to its end, and wants an exit status and texts in what it says.
func (m *machine) run(who login, want int, texts []string, program string, args ...string) string {
	m.Helper()
	cmd := m.command(who, program, args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		m.Fatalf("%d: %s %s: exit status %d, want %d\n%s", who.uid, program, strings.Join(args, " "), code, want, out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			m.Errorf("%d: %s %s: nothing is said of %q\n%s", who.uid, program, strings.Join(args, " "), text, out)
		}
	}
	return string(out)
}

// start starts a daemon, and waits until the client of that user reaches it. stop ends it.
func (m *machine) start(who, client login, args ...string) (stop func()) {
	m.Helper()
	cmd := m.command(who, "ancred", args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig goes by the thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	m.must(<-started)
	running := true
	stop = func() {
		m.Helper()
		if running {
			running = false
			m.must(cmd.Process.Signal(syscall.SIGTERM))
			if err := <-ended; err != nil {
				m.Errorf("ancred: %v\n%s", err, log.String())
			}
		}
	}
	m.Cleanup(stop)
	m.must(harness.Await(m.ctx, "ancred to answer", func(context.Context) (bool, string, error) {
		out, err := m.command(client, "ancre", "rpc", "getinfo").CombinedOutput()
		return err == nil, string(out), nil
	}))
	return stop
}

// wantOwner checks that everything below a directory belongs to one user.
func (m *machine) wantOwner(dir string, uid int) {
	m.Helper()
	m.must(filepath.WalkDir(m.path(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if got := int(info.Sys().(*syscall.Stat_t).Uid); got != uid {
			m.Errorf("%s belongs to %d, want %d", path, got, uid)
		}
		return nil
	}))
}
