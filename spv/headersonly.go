package spv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var (
	// ErrStale is wrapped when peers answer and the newest block that they tell of is old: they may
	// be cut off from the network.
	ErrStale = errors.New("the newest block is old")

	// ErrStalled is wrapped when peers tell of blocks and do not send their headers.
	ErrStalled = errors.New("the peers send nothing")
)

const (
	// headersPoll is how often SyncHeaders looks whether it is done: the last headers come in
	// milliseconds.
	headersPoll = 20 * time.Millisecond

	// settle is how long SyncHeaders waits for more peers than one, so that one that is behind or
	// lies does not have the only word.
	settle = 3 * time.Second

	// findPeers is how long it may take to find a peer at all. Through a proxy that may be Tor, one
	// attempt may take most of a minute.
	findPeers      = 30 * time.Second
	findPeersProxy = 2 * time.Minute

	// headersStall is how long no header may come while a peer tells of more: longer than it takes
	// to drop that peer and ask another.
	headersStall = stalled + time.Minute
)

// headersLimits are the constants above; tests make them short.
type headersLimits struct{ settle, findPeers, stall time.Duration }

// HeadersFile returns where a client that is closed keeps its headers: all of the active chain, 80
// bytes each from the first block on.
func HeadersFile(dir string) string { return filepath.Join(dir, headersFile) }

// SyncHeaders connects to peers and returns once the headers are as new as those of the peers. It
// is for a client with [Config.HeadersOnly], which afterwards can only be closed.
//
// Progress, if it is not nil, is told of the newest header's height, and of the height that the
// peers tell of. An error that wraps [ErrNoPeers], [ErrStale] or [ErrStalled] says why the headers
// are not up to date; those that came are kept.
func (c *Client) SyncHeaders(ctx context.Context, progress func(have, want int32)) error {
	if len(c.peers.configured) == 0 && !c.public {
		return fmt.Errorf("%w: none are configured, and on %s none can be discovered: set spv.connect to a node's HOST:PORT", ErrNoPeers, c.params.Name)
	}
	if err := c.startHeaders(ctx); err != nil {
		return err
	}
	defer c.watching.Done()
	tick := time.NewTicker(headersPoll)
	defer tick.Stop()
	var s headersSync
	for {
		done, err := c.lookAtHeaders(&s, progress)
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		}
	}
}

// startHeaders starts neutrino. Close waits for the caller, who ends with watching.Done unless
// there is an error.
func (c *Client) startHeaders(ctx context.Context) error {
	c.starting.Lock() // Close waits for it, since neutrino must not be stopped while it starts
	defer c.starting.Unlock()
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if c.running.Load() != nil || !c.cfg.HeadersOnly {
		return errors.New("the light client was started already, or is not for headers only")
	}
	if err := c.startNeutrino(ctx); err != nil {
		return err
	}
	c.watching.Add(1)
	return nil
}

// headersSync is what SyncHeaders remembers from one look to the next.
type headersSync struct {
	began, met time.Time // met: when the first peer was; zero: none was
	current    time.Time // since when the headers are where the peers are; zero: they are not
	last       int32     // height at the last look
	moved      time.Time // when it last changed
}

// lookAtHeaders reports whether the headers are as new as they can be.
func (c *Client) lookAtHeaders(s *headersSync, progress func(have, want int32)) (bool, error) {
	now := c.now()
	peers := c.service().Peers()
	c.notePeers(peers, now)
	p, err := c.position()
	if err != nil {
		return false, err
	}
	c.state.noteProgress(p, now)
	c.dropStaller(p, peers, now)
	if progress != nil {
		progress(p.headers, max(p.target, p.headers))
	}

	if s.began.IsZero() {
		s.began, s.moved, s.last = now, now, p.headers
	}
	if p.headers != s.last {
		s.last, s.moved = p.headers, now
	}
	connected := len(c.connected())
	switch {
	case connected == 0:
		s.current = time.Time{}
		since := s.began
		if !s.met.IsZero() {
			since = s.moved
		}
		if now.Sub(since) >= c.limits.findPeers {
			return false, fmt.Errorf("%w: none could be reached within %v%s", ErrNoPeers, c.limits.findPeers, c.peerFailures())
		}
		return false, nil
	case s.met.IsZero():
		s.met, s.moved = now, now
	}
	if p.headers < p.target {
		s.current = time.Time{}
		if now.Sub(s.moved) >= c.limits.stall {
			return false, fmt.Errorf("%w: they tell of block %d, and nothing came beyond %d for %v: name other nodes in spv.add_peers", ErrStalled, p.target, p.headers, c.limits.stall)
		}
		return false, nil
	}
	if s.current.IsZero() {
		s.current = now
	}
	settled := connected >= c.enoughPeers() || now.Sub(s.met) >= c.limits.settle
	age := now.Sub(p.headerTime)
	switch {
	case settled && (!c.public || age <= freshTip):
		return true, nil
	case now.Sub(s.current) >= c.limits.findPeers:
		return false, fmt.Errorf("%w: it is of %s, and the peers (%d) tell of no newer one; is the clock of this machine right?", ErrStale, p.headerTime.UTC().Format(time.RFC3339), connected)
	}
	return false, nil
}

// peerFailures says why configured peers are not connected.
func (c *Client) peerFailures() string {
	var b strings.Builder
	for _, cp := range c.peers.configured {
		if why := cp.warning(c.now(), false, c.params.Name); why != "" {
			b.WriteString("; " + why)
		}
	}
	if b.Len() == 0 {
		return ": check the network connection, spv.connect and spv.proxy"
	}
	return b.String()
}

// WriteHeaders writes the headers of the active chain up to that of Best, 80 bytes each from the
// first block on. A reorganisation meanwhile is an error, and another try helps; whoever reads
// checks that each header follows the one before.
func (c *Client) WriteHeaders(ctx context.Context, w io.Writer) error {
	if !c.begin() {
		return ErrClosed
	}
	defer c.wg.Done()
	best, err := c.service().BestBlock()
	if err != nil {
		return fmt.Errorf("newest block: %w", err)
	}
	file, err := os.Open(HeadersFile(c.cfg.Dir))
	if err != nil {
		return err
	}
	defer file.Close()
	const most = 1024 // headers at once
	for height := int64(0); height <= int64(best.Height); height += most {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(most, int64(best.Height)+1-height)
		if _, err := io.CopyN(w, file, n*headerSize); err != nil {
			return fmt.Errorf("headers from height %d: %w", height, err)
		}
	}
	if _, _, err := c.header(best.Hash); err != nil {
		return fmt.Errorf("the chain was reorganised meanwhile, try again: %w", err)
	}
	return nil
}
