package itest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/rpc"
)

// contrib/ancred.service relies on this. The daemon tells systemd that it is ready, feeds the
// watchdog, says that it stops, and takes the wallet's passphrase from systemd's credentials.
func TestRunsAsASystemdService(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	w.createWallet()
	w.must(w.daemon.Stop())

	// The path of a socket has at most 108 bytes, and a test's directory may be longer.
	dir, err := os.MkdirTemp("", "ancre")
	w.must(err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	w.must(err)
	defer manager.Close()
	deadline, _ := w.ctx.Deadline()
	w.must(manager.SetReadDeadline(deadline))
	// The manager always reads, as systemd does: the kernel queues 10 messages, then the daemon
	// waits.
	told := make(chan string, 10_000)
	go func() {
		defer close(told)
		for message := make([]byte, 4096); ; {
			n, err := manager.Read(message)
			if err != nil {
				return
			}
			told <- string(message[:n])
		}
	}()
	awaitTold := func(what string) {
		t.Helper()
		for message := range told {
			if strings.Contains(message, what) {
				return
			}
		}
		t.Fatalf("the service manager was not told %s", what)
	}
	w.must(os.WriteFile(filepath.Join(dir, "passphrase"), []byte(passphrase+"\n"), 0o600))
	w.daemon.Unset("wallet", "passphrase_file")
	w.daemon.Env = []string{
		"NOTIFY_SOCKET=" + socket, "CREDENTIALS_DIRECTORY=" + dir,
		fmt.Sprintf("WATCHDOG_USEC=%d", (2 * time.Second).Microseconds()),
	}
	w.start()
	awaitTold("READY=1")
	for range 3 {
		awaitTold("WATCHDOG=1")
	}
	_, err = w.daemon.AwaitInfo(w.ctx, "the wallet to be opened by the credential", func(i rpc.Info) bool {
		return i.Wallet.State == "syncing" || i.Wallet.State == "ready"
	})
	w.must(err)
	w.must(w.daemon.Stop())
	awaitTold("STOPPING=1")
}
