package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// maxSocketPath is the longest path of a Unix socket that all systems take: sun_path of BSD.
	maxSocketPath = 103

	// socketMode lets the owner and the group call.
	socketMode = 0o660
)

// Listen makes the socket. One that a register has left, and that does not answer any more, makes
// room. The caller has set the umask to 077, so that the socket is never open to more than it
// should be.
func Listen(path string) (net.Listener, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	if err := clear(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control.socket %s: %w: its directory must exist, and belong to the user of the register", path, reason(err))
	}
	if err := os.Chmod(path, socketMode); err != nil {
		ln.Close()
		return nil, fmt.Errorf("control.socket %s: %w", path, err)
	}
	return ln, nil
}

// clear removes the socket of a register that is gone.
func clear(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control.socket %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control.socket %s: there is something else (%s): remove it, or name another path", path, info.Mode())
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("control.socket %s: another register answers there: stop that one, or give this one its own socket", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("control.socket %s: %w", path, reason(err))
	}
	return os.Remove(path)
}

// CheckPath refuses a path that is too long for a socket.
func CheckPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("control.socket %s has %d bytes, and a socket's path may have %d: set control.socket to a shorter one, such as /run/user/%d/ancre-register.sock",
			path, len(path), maxSocketPath, os.Getuid())
	}
	return nil
}

// reason leaves out of an error of the network what the message names anyway.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
