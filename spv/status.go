package spv

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ancre/internal/warning"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/lightninglabs/neutrino"
)

const (
	// blockSpacing is the average time between blocks by the rules of all public networks.
	blockSpacing = 10 * time.Minute

	// freshTip is how old the newest known block may be and still be taken for the network's
	// newest. Three hours pass without a block once in a thousand years.
	freshTip = 3 * time.Hour

	// nearTip is how many blocks a client that was synced may be behind its peers and still be
	// synced, because it is fetching them.
	nearTip = 3

	// syncedAlone is how long a client that was synced may have no peer and still be synced.
	syncedAlone = 10 * time.Minute
)

// Status is the state of the light client.
type Status struct {
	Height    int32 // of the newest block whose header and filter header are stored
	Hash      chainhash.Hash
	BlockTime time.Time

	HeadersHeight int32
	FiltersHeight int32
	TargetHeight  int32 // of the newest block by the word of the peers, or without peers by the clock

	Synced          bool
	Progress        float64       // 0 to 1, headers and filter headers together; 1 only when synced
	BlocksPerSecond float64       // the present speed
	Remaining       time.Duration // estimate; 0 when synced, -1 when unknown

	Peers    []Peer
	Warnings []warning.Warning
}

// Peer is one connected Bitcoin node.
type Peer struct {
	Address string // as configured, else as connected to
	Agent   string // what it calls itself
	Height  int32  // the newest block that it announced
	Filters bool   // it serves compact filters
}

// Synced reports whether Best is near enough to the network's newest block to act on it.
//
// A client becomes synced when its headers and filters are where the peers are. On a public network
// the newest block must also be fresh. On regtest and simnet a chain may stand still for days, so
// its age means nothing there. Once synced, the client stays synced while it fetches the next few
// blocks, and for ten minutes without any peer.
func (c *Client) Synced() bool {
	p, err := c.position()
	return err == nil && p.synced
}

// Status returns the present state. It does not wait for peers or for the network.
func (c *Client) Status() Status {
	p, err := c.position()
	if err != nil {
		return Status{Remaining: -1, Warnings: []warning.Warning{warning.New(warning.HeadersUnreadable, "the light client cannot read its stored headers: %v", err)}}
	}
	s := Status{
		Height: p.height, Hash: p.hash, BlockTime: p.blockTime.UTC(),
		HeadersHeight: p.headers, FiltersHeight: p.filters, TargetHeight: p.target,
		Synced: p.synced, Progress: p.progress(), Remaining: -1,
	}
	s.BlocksPerSecond, s.Remaining = c.state.speed(p)
	for _, sp := range c.connected() {
		s.Peers = append(s.Peers, Peer{Address: c.peers.display(sp.Addr()), Agent: sp.UserAgent(), Height: sp.LastBlock(),
			Filters: sp.Services()&wire.SFNodeCF != 0})
	}
	slices.SortFunc(s.Peers, func(a, b Peer) int { return cmp.Compare(a.Address, b.Address) })
	s.Warnings = c.warnings(p)
	return s
}

// position is where the client is on the chain, at one moment.
type position struct {
	height           int32 // the lower of the next two
	headers, filters int32
	hash             chainhash.Hash
	blockTime        time.Time // of the block at height
	headerTime       time.Time // of the newest header
	target           int32
	synced           bool
}

// done counts the headers and filter headers that are stored, and todo those that exist.
func (p position) done() int64 { return int64(p.headers) + int64(p.filters) }
func (p position) todo() int64 { return 2 * int64(max(p.target, p.headers)) }

func (p position) progress() float64 {
	const nearly = 0.9999 // exactly 1 is for a client that is synced
	if p.synced {
		return 1
	}
	if p.todo() == 0 {
		return 0
	}
	return min(float64(p.done())/float64(p.todo()), nearly)
}

func (c *Client) position() (position, error) {
	if !c.begin() {
		return position{}, ErrClosed
	}
	defer c.wg.Done()

	var p position
	tip, headers, err := c.service().BlockHeaders.ChainTip()
	if err != nil {
		return p, fmt.Errorf("newest header: %w", err)
	}
	_, filters, err := c.service().RegFilterHeaders.ChainTip()
	if err != nil {
		return p, fmt.Errorf("newest filter header: %w", err)
	}
	best, err := c.service().BestBlock()
	if err != nil {
		return p, fmt.Errorf("newest block: %w", err)
	}
	p.headers, p.filters, p.headerTime = int32(headers), int32(filters), tip.Timestamp
	p.height, p.hash, p.blockTime = best.Height, best.Hash, best.Timestamp
	peers := c.connected()
	now := c.now()
	p.target = p.estimate(slices.DeleteFunc(slices.Clone(peers), func(sp *neutrino.ServerPeer) bool {
		return sp.LastBlock() > p.headers && c.state.distrusts(sp.Addr(), now)
	}), c.public, now)

	age := now.Sub(p.headerTime)
	lag := p.target - p.height
	switch {
	case c.public && age > freshTip:
	case len(peers) > 0 && lag <= 0 && p.headers == p.filters && (!c.public || c.service().IsCurrent()):
		p.synced = true
		c.state.wasSynced.Store(true)
	case c.state.wasSynced.Load() && lag <= nearTip && c.state.sinceLastPeer(now) < syncedAlone:
		p.synced = true
	}
	return p, nil
}

// estimate returns the height of the network's newest block by the word of the peers. Without
// peers, on a public network, it guesses from the age of the newest header. Where there are three
// peers, one that lies cannot move the estimate.
func (p position) estimate(peers []*neutrino.ServerPeer, public bool, now time.Time) int32 {
	if len(peers) == 0 {
		if !public {
			return p.headers
		}
		return p.headers + int32(max(now.Sub(p.headerTime)/blockSpacing, 0))
	}
	var heights []int32
	for _, sp := range peers {
		heights = append(heights, sp.LastBlock())
	}
	slices.Sort(heights)
	if len(heights) <= 2 {
		return heights[len(heights)-1]
	}
	return heights[len(heights)/2]
}
