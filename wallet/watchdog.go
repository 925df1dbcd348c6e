package wallet

import "time"

// watchdog notices when the wallet is behind the light client and does not move.
type watchdog struct {
	height int32
	since  time.Time // when it last moved, or was at the tip
	tries  int       // restarts since then

	leftBranch time.Time // when the wallet was last made to leave a branch
}

// stalled reports whether the synchronisation must be restarted. If a restart did not help, the
// next one waits twice as long, and later ones four times as long: whatever keeps blocks away may
// last, and each restart costs time.
func (d *watchdog) stalled(f following, limit time.Duration, now time.Time) bool {
	switch {
	case f.atTip || f.height != d.height:
		d.tries = 0
		fallthrough
	case !f.synced:
		// The wallet waits for the light client, as it should.
		d.height, d.since = f.height, now
		return false
	case now.Sub(d.since) < limit<<min(d.tries, 2):
		return false
	}
	d.tries++
	d.since = now
	return true
}
