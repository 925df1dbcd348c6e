package daemon

import (
	"context"
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// stallLimit is how long one step of a loop may take before the watchdog is no longer fed: longer
// than the longest that a step waits for slow peers and the wallet together.
const stallLimit = 10 * time.Minute

// notify tells systemd, where it asked for it (Type=notify), how the daemon stands, and feeds its
// watchdog as long as alive returns nil: a daemon that answers nobody, or whose work stands still,
// is restarted. It returns when ctx ends.
func (d *node) notify(ctx context.Context, alive func(context.Context) error) {
	sent, err := systemd.SdNotify(false, systemd.SdNotifyReady)
	if err != nil {
		d.log.Warn("cannot tell systemd that the daemon is ready", "err", err)
	}
	if !sent {
		<-ctx.Done()
		return
	}
	defer func() { _, _ = systemd.SdNotify(false, systemd.SdNotifyStopping) }()
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
			_, _ = systemd.SdNotify(false, "STATUS=stalled: "+err.Error())
		default:
			_, _ = systemd.SdNotify(false, "STATUS="+d.statusLine())
			if limit > 0 {
				_, _ = systemd.SdNotify(false, systemd.SdNotifyWatchdog)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
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
