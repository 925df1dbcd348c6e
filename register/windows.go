package register

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ancre/headers"
	"ancre/internal/atomicfile"
	"ancre/register/page"
	"ancre/register/store"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
)

const (
	period = 2016       // blocks between retargets
	whole  = period + 1 // headers of a window that is whole: both ends of its period

	// recheck is how long a window is served before the register looks whether its last block is
	// still in the node's chain.
	recheck = 10 * time.Minute

	fetchTimeout = 15 * time.Second // the page waits
	maxSlots     = 64               // windows in memory, 160 kB each
)

// windows has the windows of block headers of the page: one of each retarget period. It keeps them
// on disk, so that they are served when the node is away.
type windows struct {
	node   Node
	status func() NodeStatus
	dir    string
	log    *slog.Logger

	mu    sync.Mutex // guards slots
	slots map[int32]*slot
}

// slot is the place of one period's window.
type slot struct {
	fetching sync.Mutex // held by whoever asks the node
	kept     atomic.Pointer[keptWindow]
}

// keptWindow is a window, and when it was compared with the node's chain.
type keptWindow struct {
	data    []byte
	last    int64          // height of its last header
	hash    chainhash.Hash // of its last header
	whole   bool
	checked time.Time // zero: it was read from disk, and not yet compared
	tip     string    // hash of the node's newest block then
}

func newWindows(node Node, status func() NodeStatus, dir string, log *slog.Logger) *windows {
	return &windows{node: node, status: status, dir: dir, log: log, slots: make(map[int32]*slot)}
}

// paramsOf returns the parameters of a network.
func paramsOf(network string) (*chaincfg.Params, error) {
	for _, p := range []*chaincfg.Params{
		&chaincfg.MainNetParams, &chaincfg.TestNet4Params, &chaincfg.SigNetParams, &chaincfg.RegressionNetParams, &chaincfg.SimNetParams,
	} {
		if p.Name == network {
			return p, nil
		}
	}
	return nil, fmt.Errorf("the network %q is not known: %w", network, page.ErrBusy)
}

// get returns the window of a period: fresh if the node is there, and the newest one that is kept
// if it is not, or if it is being asked.
func (w *windows) get(ctx context.Context, network string, n int32) ([]byte, error) {
	if n < 0 || int64(n)*period > math.MaxInt32 {
		return nil, fmt.Errorf("window %d: %w", n, store.ErrNotFound)
	}
	params, err := paramsOf(network)
	if err != nil {
		return nil, err
	}
	s := w.slot(n, params)
	k := s.kept.Load()
	if k != nil && (k.isFresh(w.status(), time.Now()) || !s.fetching.TryLock()) {
		return k.data, nil
	}
	if k == nil {
		s.fetching.Lock()
	}
	defer s.fetching.Unlock()
	if k = s.kept.Load(); k != nil && k.isFresh(w.status(), time.Now()) {
		return k.data, nil // another visitor's request fetched it
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	fresh, err := w.fetch(ctx, n, params, k)
	switch {
	case err == nil:
		s.kept.Store(fresh)
		return fresh.data, nil
	case rpc.HasCode(err, rpc.CodeInvalidParameter) && (k == nil || w.status().Synced): // the chain does not reach as far
		s.kept.Store(nil)
		return nil, fmt.Errorf("no block of period %d is known: %w", n, store.ErrNotFound)
	case k != nil:
		return k.data, nil
	}
	return nil, fmt.Errorf("the block headers cannot be fetched now: %w: %w", err, page.ErrBusy)
}

// slot returns the place of a period's window, with what is on disk.
func (w *windows) slot(n int32, params *chaincfg.Params) *slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.slots[n]
	if s != nil {
		return s
	}
	if len(w.slots) >= maxSlots {
		clear(w.slots) // they are on disk
	}
	s = new(slot)
	w.slots[n] = s
	k, err := w.read(n, params)
	if err != nil {
		w.log.Warn("a file of block headers is damaged: it is fetched again", "period", n, "err", err)
	}
	s.kept.Store(k)
	return s
}

// isFresh reports whether a window can be served without asking the node.
func (k *keptWindow) isFresh(node NodeStatus, now time.Time) bool {
	if !node.Reachable || k.tip != "" && k.tip == node.BestBlock {
		return true
	}
	return k.whole && !k.checked.IsZero() && now.Sub(k.checked) < recheck
}

// fetch gets a window from the node, unless the one that is kept is whole and still in its chain.
func (w *windows) fetch(ctx context.Context, n int32, params *chaincfg.Params, k *keptWindow) (*keptWindow, error) {
	tip := w.status().BestBlock
	if k != nil && k.whole {
		hash, err := w.node.BlockHash(ctx, int32(k.last))
		if err != nil {
			return nil, err
		}
		if hash == k.hash.String() {
			same := *k
			same.checked, same.tip = time.Now(), tip
			return &same, nil
		}
	}
	raw, err := w.node.HeaderRange(ctx, int64(n)*period, whole)
	if err != nil {
		return nil, err
	}
	window := &headers.Window{Genesis: *params.GenesisHash, First: int64(n) * period, Raw: raw}
	fresh, err := checkWindow(window.Encode(), n, params)
	if err != nil {
		return nil, fmt.Errorf("the node's headers are false: %w", err)
	}
	fresh.checked, fresh.tip = time.Now(), tip
	if err := w.write(n, fresh.data); err != nil {
		w.log.Warn("a file of block headers cannot be kept: the page needs the node for it", "period", n, "err", err)
	}
	return fresh, nil
}

// checkWindow checks a window of a period by the rules of the network.
func checkWindow(data []byte, n int32, params *chaincfg.Params) (*keptWindow, error) {
	window, err := headers.ParseWindow(data)
	if err != nil {
		return nil, err
	}
	if window.First != int64(n)*period || window.Len() > whole {
		return nil, fmt.Errorf("%d headers from block %d on are not those of period %d", window.Len(), window.First, n)
	}
	checked, err := window.Check(headers.NetworkOf(params), time.Now())
	if err != nil {
		return nil, err
	}
	last, err := checked.Header(uint64(window.Last()))
	if err != nil {
		return nil, err
	}
	return &keptWindow{data: data, last: window.Last(), hash: last.BlockHash(), whole: window.Len() == whole}, nil
}

func (w *windows) path(n int32) string { return filepath.Join(w.dir, fmt.Sprintf("%d.headers", n)) }

// read returns the window that is kept on disk, or nil if there is none.
func (w *windows) read(n int32, params *chaincfg.Params) (*keptWindow, error) {
	data, err := os.ReadFile(w.path(n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return checkWindow(data, n, params)
}

func (w *windows) write(n int32, data []byte) error {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.PutMode(w.path(n), data, 0o600)
}
