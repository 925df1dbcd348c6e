package spv

import (
	"fmt"
	"strings"
	"time"

	"github.com/lightninglabs/neutrino/banman"
)

const (
	// banPause is how long a configured peer stays banned. neutrino itself would ban it for a day,
	// and bans for timeouts too. A peer that serves no filters does not start to within seconds.
	banPause          = 5 * time.Second
	banPauseNoFilters = time.Minute
)

// liftBan waits for a while when a configured peer is banned, and then lifts the ban: the operator
// has chosen this peer, and neutrino bans for timeouts too. A ban is by address without port, so
// another peer at the same address may have caused it.
func (d *dialer) liftBan(p *configuredPeer) error {
	ipNet, err := banman.ParseIPNet(p.known, nil)
	if err != nil {
		return err
	}
	status, err := d.bans.Status(ipNet)
	if err != nil || !status.Banned {
		return nil // that the ban list cannot be read is no reason to have no peer
	}
	did := strings.TrimPrefix(status.Reason.String(), "peer ")
	pause, why := banPause, fmt.Sprintf("peer %s was dropped because it %s", p.addr, did)
	if status.Reason == banman.NoCompactFilters {
		pause = banPauseNoFilters
		why = fmt.Sprintf("peer %s serves no compact filters: run bitcoind with blockfilterindex=1 and peerblockfilters=1", p.addr)
	} else {
		p.dropped(d.now(), did)
	}
	if p.setFailure(why, true) {
		d.log.Warn("a configured peer was banned; trying again after a pause", "peer", p.addr, "reason", status.Reason, "pause", pause)
	}
	if !sleep(d.ctx, pause) {
		return ErrClosed
	}
	if err := d.bans.UnbanIPNet(ipNet); err != nil {
		return fmt.Errorf("cannot lift the ban of peer %s: %w", p.addr, err)
	}
	d.lifted.Add(1)
	return nil
}
