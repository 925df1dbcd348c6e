package spv

import (
	"fmt"
	"sync"
	"time"
)

const (
	// handshakeWarning is how long a configured peer may accept connections without becoming a peer
	// before the operator is warned.
	handshakeWarning = 15 * time.Second

	// A configured peer that was dropped dropsWarning times is warned of even while it is
	// connected, if no more than dropMemory lies between the drops.
	dropsWarning = 3
	dropMemory   = time.Hour
)

// configuredPeer is a peer that the configuration names.
type configuredPeer struct {
	addr  string // as configured, with a port
	host  string
	known string // the IP:port that neutrino knows it by
	alias string // its placeholder address, when host is a name

	mu            sync.Mutex
	failure       string    // why it is not connected, for the operator; empty while it is, or before the first attempt failed
	banned        bool      // failure is a ban, which stays until it is a peer again
	acceptedSince time.Time // since when it accepts connections without becoming a peer; zero: it does not

	drops    int // in a row, at most dropMemory apart
	lastDrop time.Time
	lastDid  string // what the peer did before the last drop
}

func (p *configuredPeer) setFailure(s string, banned bool) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = p.failure != s
	p.failure, p.banned = s, banned
	if !banned {
		p.acceptedSince = time.Time{}
	}
	return changed
}

// accepted notes that the peer accepted a connection. It has not shaken hands yet.
func (p *configuredPeer) accepted(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.banned {
		p.failure = ""
	}
	if p.acceptedSince.IsZero() {
		p.acceptedSince = now
	}
}

// becamePeer notes that the peer has shaken hands.
func (p *configuredPeer) becamePeer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure, p.banned, p.acceptedSince = "", false, time.Time{}
}

// dropped notes that the connection to the peer was ended because of what it did.
func (p *configuredPeer) dropped(now time.Time, did string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.lastDrop) > dropMemory {
		p.drops = 0
	}
	p.drops, p.lastDrop, p.lastDid = p.drops+1, now, did
}

// warning returns what the operator should know of the peer, or nothing.
func (p *configuredPeer) warning(now time.Time, isPeer bool, network string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.drops >= dropsWarning && now.Sub(p.lastDrop) <= dropMemory:
		return fmt.Sprintf("peer %s was dropped %d times, the last time because it %s: if other peers work, remove it from spv.connect or spv.add_peers", p.addr, p.drops, p.lastDid)
	case isPeer:
		return ""
	case p.failure != "":
		return p.failure
	case !p.acceptedSince.IsZero() && now.Sub(p.acceptedSince) >= handshakeWarning:
		return fmt.Sprintf("peer %s accepts connections but does not answer as a Bitcoin node of %s: check its host and port, and its network", p.addr, network)
	}
	return ""
}
