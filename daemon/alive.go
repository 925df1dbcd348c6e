package daemon

import (
	"context"
	"fmt"
	"time"
)

// stallLimit is how long one step of a loop may take before the watchdog is no longer fed: longer
// than the longest that a step waits for slow peers and the wallet together.
const stallLimit = 10 * time.Minute

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
