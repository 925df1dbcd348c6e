package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// stallLimit is how long one step of a loop may take before the watchdog is no longer fed: longer
// than the longest that a step waits for slow peers and the wallet together.
const stallLimit = 10 * time.Minute

// tellServiceManager tells systemd the state of the daemon, if systemd asked for it (Type=notify),
// and feeds its watchdog while alive returns nil. systemd restarts a daemon whose work makes no
// progress. It returns when ctx ends.
func (d *node) tellServiceManager(ctx context.Context, alive func(context.Context) error) {
	m := newServiceManager()
	if m == nil {
		<-ctx.Done()
		return
	}
	if err := m.tell(systemd.SdNotifyReady); err != nil {
		d.log.Warn("cannot tell systemd that the daemon is ready", "err", err)
	}
	defer func() { _ = m.tell(systemd.SdNotifyStopping) }()
	every := 30 * time.Second
	limit, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("cannot read systemd's watchdog time", "err", err)
	}
	if limit > 0 {
		every = min(every, limit/3)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, every)
		err := alive(check)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.log.Error("the watchdog is not fed", "err", err)
			_ = m.tell("STATUS=stalled: " + err.Error())
		default:
			_ = m.tell("STATUS=" + d.statusLine())
			if limit > 0 {
				_ = m.tell(systemd.SdNotifyWatchdog)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tellLimit is how long a message to the service manager may wait. systemd reads at once. Where
// nothing reads the socket, it is full after some ten messages, and each further one waits.
const tellLimit = time.Second

// serviceManager takes messages as sd_notify(3) describes them.
type serviceManager struct{ addr net.UnixAddr }

// newServiceManager returns nil unless a service manager started this process and wants messages.
func newServiceManager() *serviceManager {
	socket := os.Getenv("NOTIFY_SOCKET")
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") { // a path, or an abstract name
		return nil
	}
	return &serviceManager{net.UnixAddr{Name: socket, Net: "unixgram"}}
}

// tell sends one message and waits at most tellLimit.
func (m *serviceManager) tell(message string) error {
	conn, err := net.DialUnix("unixgram", nil, &m.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(tellLimit)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// alive checks that the daemon does its work, not only that it runs.
func (d *node) alive(ctx context.Context) error {
	if err := d.batcher.Stalled(stallLimit); err != nil {
		return err
	}
	_, err := d.batcher.Overview(ctx)
	return err
}

// statusLine is what "systemctl status" shows of the daemon.
func (d *node) statusLine() string {
	s := d.chain.Status()
	if !s.Synced {
		return fmt.Sprintf("syncing, %.1f %%, block %d of %d", 100*s.Progress, s.Height, s.TargetHeight)
	}
	return fmt.Sprintf("synced to block %d, wallet %s", s.Height, d.wallet.State())
}
