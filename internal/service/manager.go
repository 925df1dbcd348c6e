// Package service has what a daemon of ours does for whoever runs it: it tells systemd how it is,
// writes a log for people, machines and systemd's journal, and outlives its terminal.
package service

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// Tell tells systemd that the daemon is ready, and what status says of it, if systemd asked for it
// (Type=notify). It feeds systemd's watchdog while alive returns nil: systemd restarts a daemon
// whose work makes no progress. It returns when ctx ends.
func Tell(ctx context.Context, log *slog.Logger, alive func(context.Context) error, status func() string) {
	m := newManager()
	if m == nil {
		<-ctx.Done()
		return
	}
	if err := m.tell(systemd.SdNotifyReady); err != nil {
		log.Warn("cannot tell systemd that the daemon is ready", "err", err)
	}
	defer func() { _ = m.tell(systemd.SdNotifyStopping) }()
	every := 30 * time.Second
	limit, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot read systemd's watchdog time", "err", err)
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
			log.Error("the watchdog is not fed", "err", err)
			_ = m.tell("STATUS=stalled: " + err.Error())
		default:
			_ = m.tell("STATUS=" + status())
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

// manager takes messages as sd_notify(3) describes them.
type manager struct{ addr net.UnixAddr }

// newManager returns nil unless a service manager started this process and wants messages.
func newManager() *manager {
	socket := os.Getenv("NOTIFY_SOCKET")
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") { // a path, or an abstract name
		return nil
	}
	return &manager{net.UnixAddr{Name: socket, Net: "unixgram"}}
}

// tell sends one message and waits at most tellLimit.
func (m *manager) tell(message string) error {
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
