package service

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A service manager that reads nothing must not hold up the daemon, least of all its end.
func TestAServiceManagerThatDoesNotReadHoldsUpNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no datagram sockets with a path")
	}
	dir, err := os.MkdirTemp("", "ancre") // the path of a socket has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "notify")
	silent, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	t.Setenv("NOTIFY_SOCKET", socket)
	m := newManager()
	if m == nil {
		t.Fatalf("NOTIFY_SOCKET=%s names no service manager", socket)
	}
	for range 10_000 { // the kernel queues ten, or as many as net.unix.max_dgram_qlen says
		if err := m.tell("STATUS=here"); err != nil {
			if !os.IsTimeout(err) {
				t.Fatalf("a message that nobody reads: %v, want a timeout", err)
			}
			return
		}
	}
	t.Skip("the kernel queues 10,000 messages")
}

func TestWithoutAServiceManagerNothingIsTold(t *testing.T) {
	for _, socket := range []string{"", "notify", "vsock:2:1234"} {
		t.Setenv("NOTIFY_SOCKET", socket)
		if newManager() != nil {
			t.Errorf("NOTIFY_SOCKET=%q is taken for a socket of this machine", socket)
		}
	}
}
