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
	// ErrStale is wrapped when the newest block that the peers announce is old: they may be cut off
	// from the network.
	ErrStale = errors.New("the newest block is old")

	// ErrStalled is wrapped when the peers announce blocks and do not send their headers.
	ErrStalled = errors.New("the peers send no headers")
)

const (
	// headersPoll is how often SyncHeaders checks whether it is done. The last headers come within
	// milliseconds.
	headersPoll = 20 * time.Millisecond

	// secondPeer is how long SyncHeaders waits for more peers after the first one, which may be
	// behind, or lie.
	secondPeer = 3 * time.Second

	// findPeers is how long it may take to find the first peer. Through a proxy such as Tor, one
	// attempt may take most of a minute.
	findPeers      = 30 * time.Second
	findPeersProxy = 2 * time.Minute

	// headersStall is how long no header may come while a peer announces more. It is longer than it
	// takes to drop that peer and ask another.
	headersStall = stalled + time.Minute
)

// headersLimits are the constants above. Tests make them short.
type headersLimits struct{ secondPeer, findPeers, stall time.Duration }

// HeadersFile returns the file in which a closed client keeps its headers: all headers of the
// active chain from the first block on, 80 bytes each.
func HeadersFile(dir string) string { return filepath.Join(dir, headersFile) }

// SyncHeaders connects to peers and returns once the headers are as new as those of the peers. It
// is for a client with [Config.HeadersOnly], and may be called once.
//
// If progress is not nil, it is called with the height of the newest header and with the height
// that the peers announce. An error that wraps [ErrNoPeers], [ErrStale] or [ErrStalled] says why
// the headers are not up to date. The headers that came are kept.
func (c *Client) SyncHeaders(ctx context.Context, progress func(have, want int32)) error {
	if len(c.peers.configured) == 0 && !c.public {
		return fmt.Errorf("%w: none are configured, and on %s none can be discovered: set spv.connect to the HOST:PORT of a node", ErrNoPeers, c.params.Name)
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

// startHeaders starts neutrino. Unless it fails, Close waits until the caller has called
// watching.Done.
func (c *Client) startHeaders(ctx context.Context) error {
	c.starting.Lock() // Close waits for it, since neutrino must not be stopped while it starts
	defer c.starting.Unlock()
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if c.running.Load() != nil || !c.cfg.HeadersOnly {
		return errors.New("the light client has been started before, or is not for headers only")
	}
	if err := c.startNeutrino(ctx); err != nil {
		return err
	}
	c.watching.Add(1)
	return nil
}

// headersSync is what SyncHeaders remembers from one look to the next.
type headersSync struct {
	began     time.Time
	firstPeer time.Time // when the first peer was connected; zero: none was
	current   time.Time // since when the headers are where the peers are; zero: they are not
	last      int32     // height at the last look
	moved     time.Time // when it last changed
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
	if connected == 0 {
		return false, c.awaitPeer(s, now)
	}
	if s.firstPeer.IsZero() {
		s.firstPeer, s.moved = now, now
	}
	if p.headers < p.target {
		return false, c.awaitHeaders(s, p, now)
	}
	return c.judgeTip(s, p, connected, now)
}

// awaitPeer is for a look at which no peer is connected. It fails when that lasts too long.
func (c *Client) awaitPeer(s *headersSync, now time.Time) error {
	s.current = time.Time{}
	since := s.began
	if !s.firstPeer.IsZero() {
		since = s.moved
	}
	if now.Sub(since) >= c.limits.findPeers {
		return fmt.Errorf("%w: none could be reached within %v%s", ErrNoPeers, c.limits.findPeers, c.peerFailures())
	}
	return nil
}

// awaitHeaders is for a look at which the peers announce more blocks than there are headers. It
// fails when no header has come for too long.
func (c *Client) awaitHeaders(s *headersSync, p position, now time.Time) error {
	s.current = time.Time{}
	if now.Sub(s.moved) >= c.limits.stall {
		return fmt.Errorf("%w: they announce block %d, and no header above block %d has come for %v: name other nodes in spv.add_peers", ErrStalled, p.target, p.headers, c.limits.stall)
	}
	return nil
}

// judgeTip reports whether the headers are up to date, now that they are where the peers are.
func (c *Client) judgeTip(s *headersSync, p position, connected int, now time.Time) (bool, error) {
	if s.current.IsZero() {
		s.current = now
	}
	enough := connected >= c.enoughPeers() || now.Sub(s.firstPeer) >= c.limits.secondPeer
	if enough && (!c.public || now.Sub(p.headerTime) <= freshTip) {
		return true, nil
	}
	if now.Sub(s.current) >= c.limits.findPeers {
		return false, fmt.Errorf("%w: its time is %s, and none of the %d peers announces a newer one; is the clock of this machine right?", ErrStale, p.headerTime.UTC().Format(time.RFC3339), connected)
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

// WriteHeaders writes the headers of the active chain, from the first block to that of Best, 80
// bytes each. It fails if the chain is reorganised meanwhile; the caller may try again. It does not
// check that each header follows the one before: the reader does.
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
		return fmt.Errorf("the chain was reorganised while its headers were written, try again: %w", err)
	}
	return nil
}
