package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Machine is a Debian system with systemd, booted in a container: one computer of a test. It has a
// network of its own, in which only loopback exists. What it writes is kept in memory and is gone
// when it ends. It ends with this process.
type Machine struct {
	Name string

	leader int // its process 1, as this system counts
	proc   *process
	lines  []*Proxy
}

// basePackages are what a council's server has before Ancre comes to it, and what the operator's
// guide has people install from Debian. Change the list, and the base system is made again.
var basePackages = []string{
	"adduser", "ca-certificates", "cron", "curl", "dbus", "msmtp-mta", "nginx-light", "openssl", "sudo", "systemd-sysv",
}

// MissingForMachines says why this system cannot boot machines, or returns nil.
func MissingForMachines() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can boot a container")
	}
	for program, pkg := range map[string]string{"systemd-nspawn": "systemd-container", "debootstrap": "debootstrap", "nsenter": "util-linux"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not on PATH: install Debian's package %s", program, pkg)
		}
	}
	// Root of a container itself may not be allowed to.
	if out, err := exec.Command("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "true").CombinedOutput(); err != nil {
		return fmt.Errorf("this system does not let root make a container: unshare: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// MachineBase returns the directory of the system from which machines boot. The first call makes it
// in dir, which takes a minute and downloads some 100 MB from Debian. Later calls find it there.
func MachineBase(ctx context.Context, dir string) (string, error) {
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	base, list := filepath.Join(dir, "debian"), filepath.Join(dir, "debian.packages")
	want := strings.Join(basePackages, ",")
	if have, err := os.ReadFile(list); err == nil && string(have) == want {
		return base, nil
	}
	for _, old := range []string{list, base} { // the list says that the base is whole: it goes first
		if err := os.RemoveAll(old); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include="+want, "bookworm", base)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap: %w\n%s", err, out[max(0, len(out)-2000):])
	}
	// A machine has the name that it is booted with.
	if err := os.Remove(filepath.Join(base, "etc/hostname")); err != nil {
		return "", err
	}
	return base, os.WriteFile(list, []byte(want), 0o644)
}

// lockDir makes dir and holds it until the file is closed.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	err = Await(ctx, "the lock of "+dir, func(context.Context) (bool, string, error) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, "another process has it", nil
		}
		return err == nil, "", err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// BootMachine boots a machine from a base that MachineBase returned. Files of this system can be
// seen in it: binds has their paths here, and the path of each in the machine. The log of the boot
// is in dir.
func BootMachine(ctx context.Context, base, dir, name string, binds map[string]string) (*Machine, error) {
	args := []string{
		"--directory=" + base, "--volatile=overlay", "--machine=" + name, "--hostname=" + name,
		"--register=no", "--keep-unit", "--private-network", "--boot", "--console=pipe", "--quiet",
	}
	for here, there := range binds {
		args = append(args, "--bind-ro="+here+":"+there)
	}
	proc, err := start(name, filepath.Join(dir, name+".log"), false, os.Environ(), "systemd-nspawn", args...)
	if err != nil {
		return nil, err
	}
	m := &Machine{Name: name, proc: proc}
	err = proc.awaitUp(ctx, func(ctx context.Context) (err error) {
		if m.leader, err = childOf(proc.cmd.Process.Pid); err != nil {
			return err
		}
		state, err := m.enter(ctx, "systemctl", "is-system-running").Output()
		if text := strings.TrimSpace(string(state)); text != "running" && text != "degraded" {
			return fmt.Errorf("systemd is %q, %v", text, err)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, m.PowerOff(), errors.New(m.Log(40)))
	}
	return m, nil
}

// childOf returns the only child of a process.
func childOf(pid int) (child int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err == nil {
		_, err = fmt.Sscan(string(text), &child)
	}
	if err != nil {
		return 0, fmt.Errorf("systemd-nspawn has no child yet: %w", err)
	}
	return child, nil
}

// Log returns the last lines that the machine wrote to its console.
func (m *Machine) Log(lines int) string { return tail(m.proc.log, lines) }

// PowerOff shuts the machine down, and waits until it is gone. One that does not shut down is
// killed.
func (m *Machine) PowerOff() error {
	for _, line := range m.lines {
		line.Close()
	}
	m.lines = nil
	if !m.proc.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if m.leader == 0 || m.enter(ctx, "systemctl", "poweroff").Run() != nil {
		return m.proc.kill()
	}
	select {
	case <-m.proc.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s did not shut down within %s", m.Name, stopWithin), m.proc.kill())
	}
}

// Path returns where this system sees a file of the machine.
func (m *Machine) Path(file string) string { return fmt.Sprintf("/proc/%d/root%s", m.leader, file) }

// enter prepares a program that runs in the machine as root.
func (m *Machine) enter(ctx context.Context, command ...string) *exec.Cmd {
	args := []string{"-t", fmt.Sprint(m.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(args, command...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb"}
	return cmd
}

// Root runs a line of shell as root, and wants it to succeed. It returns what the line printed.
func (m *Machine) Root(ctx context.Context, line string) (string, error) {
	out, err := m.enter(ctx, "/bin/sh", "-c", line).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w\n%s", m.Name, line, err, out)
	}
	return string(out), err
}

// Listen listens at an address of the machine.
func (m *Machine) Listen(address string) (net.Listener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	made := make(chan result)
	go func() {
		// The thread is never unlocked: it ends with this goroutine, and its network with it.
		runtime.LockOSThread()
		l, err := m.listenHere(address)
		made <- result{l, err}
	}()
	r := <-made
	return r.l, r.err
}

// setns is the number of the system call, which Go's library does not have.
var setns = map[string]uintptr{"amd64": 308, "arm64": 268}

// listenHere moves this thread into the machine's network. A socket stays in the network in which
// it was made.
func (m *Machine) listenHere(address string) (net.Listener, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.leader))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if _, _, errno := syscall.RawSyscall(setns[runtime.GOARCH], ns.Fd(), syscall.CLONE_NEWNET, 0); errno != 0 {
		return nil, fmt.Errorf("enter the network of %s: %w", m.Name, errno)
	}
	return net.Listen("tcp", address)
}

// Reach lets the machine reach a server of this system, at an address of its own.
func (m *Machine) Reach(server, address string) error {
	l, err := m.Listen(address)
	if err != nil {
		return err
	}
	m.lines = append(m.lines, proxyAt(l, server))
	return nil
}

// Type types a line into a terminal, as a user who has just logged in, and answers questions in
// order. Standard output and standard error are one, as on a terminal.
func (m *Machine) Type(ctx context.Context, user, line string, answers ...Typed) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := m.enter(ctx, "script", "--quiet", "--return", "--echo", "never", "--command", "su --login "+user+" --command "+quote(line), "/dev/null")
	in, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, err
	}
	screen := &screen{answers: answers, keyboard: in}
	cmd.Stdout, cmd.Stderr = screen, screen
	err = cmd.Run()
	in.Close()
	res := Result{Stdout: screen.text()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return res, fmt.Errorf("%s: %s: %w; it printed\n%s", m.Name, line, ctx.Err(), res.Stdout)
	case errors.As(err, &exit):
		res.Code = exit.ExitCode()
	case err != nil:
		return res, err
	}
	if left := screen.unanswered(); left != "" {
		return res, fmt.Errorf("%s: %s: did not ask %q; it printed\n%s", m.Name, line, left, res.Stdout)
	}
	return res, nil
}

// quote makes a line one word of a shell.
func quote(line string) string { return "'" + strings.ReplaceAll(line, "'", `'\''`) + "'" }
