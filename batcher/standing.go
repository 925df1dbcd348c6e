package batcher

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/proof"
)

// What the answers about all digests of a batch have in common is read once and remembered. Only
// the leaf and its path are looked up for each.

// maxStandings is how many batches are remembered, of some 2 kB each: those of sixteen months,
// with the interval of six hours.
const maxStandings = 2048

// standing is how far a sealed batch came. It is never changed, and what it refers to is not
// either.
type standing struct {
	batch    store.Batch
	progress Progress // Confirmations as when it was read

	// Of a batch that is final.
	anchored *proof.Inclusion // its Path is empty
	complete *proof.CompleteWriter
	err      error // why they are missing
}

// stand returns how far a batch came.
func (b *Batcher) stand(ctx context.Context, id uint64) (*standing, error) {
	s, ok := b.standings.get(id)
	if !ok {
		as := b.standings.now() // before anything is read
		var err error
		if s, err = b.readStanding(ctx, id); err != nil {
			return nil, err
		}
		if s.batch.State == store.Sealed && s.err == nil { // a batch in another state changes without us
			b.standings.put(id, s, as)
		}
	}
	return s, nil
}

func (b *Batcher) readStanding(ctx context.Context, id uint64) (*standing, error) {
	batch, err := b.store.Batch(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read batch %d: %w", id, err)
	}
	s := &standing{batch: batch}
	if batch.State == store.Open || batch.Anchor == 0 {
		s.progress, err = b.where(ctx, batch)
		return s, err
	}
	anchor, err := b.store.Anchor(ctx, batch.Anchor)
	if err != nil {
		return nil, fmt.Errorf("read anchor %d: %w", batch.Anchor, err)
	}
	s.progress = b.whereAnchor(anchor)
	if s.progress.State == Final {
		s.err = b.findWay(ctx, s, &anchor)
	}
	return s, nil
}

// whereNow returns where the batch stands, with the confirmations of this moment.
func (b *Batcher) whereNow(s *standing) Progress {
	w := s.progress
	if w.Height != 0 {
		w.Confirmations = max(b.tip.Load()-w.Height+1, 1)
	}
	return w
}

// findWay gathers the way from a batch's root to the header of the block that its anchor is in.
func (b *Batcher) findWay(ctx context.Context, s *standing, anchor *store.Anchor) error {
	version := decide.Current(*anchor)
	which := slices.Index(version.Batches, s.batch.ID)
	if which < 0 {
		return fmt.Errorf("the mined version of anchor %d does not commit to batch %d", anchor.ID, s.batch.ID)
	}
	roots := make([][32]byte, len(version.Batches))
	for i, id := range version.Batches {
		sibling, err := b.store.Batch(ctx, id)
		if err != nil {
			return fmt.Errorf("read batch %d: %w", id, err)
		}
		roots[i] = sibling.Root
	}
	s.anchored = &proof.Inclusion{
		RootPath:   proof.Path(roots, which),
		Tx:         stripped(version.Tx),
		TxIndex:    anchor.Block.TxIndex,
		Height:     uint64(anchor.Block.Height),
		MerkleRoot: anchor.Block.Header.MerkleRoot,
	}
	for _, h := range anchor.Block.Branch {
		s.anchored.Branch = append(s.anchored.Branch, h)
	}
	var err error
	if s.complete, err = proof.NewCompleteWriter(s.batch.Root, *s.anchored); err != nil {
		return fmt.Errorf("proofs of batch %d: %w", s.batch.ID, err)
	}
	return nil
}

// memory is a bounded map from what was read. It is safe for concurrent use.
type memory[K comparable, V any] struct {
	most int

	mu     sync.Mutex
	known  map[K]V
	change uint64 // how often forget was called
}

func newMemory[K comparable, V any](most int) *memory[K, V] {
	return &memory[K, V]{most: most, known: make(map[K]V)}
}

func (m *memory[K, V]) get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.known[k]
	return v, ok
}

// now is to be called before what put gets is read.
func (m *memory[K, V]) now() (change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change
}

// put remembers what was read since now returned change, unless something has changed since. One
// that is full forgets any other first.
func (m *memory[K, V]) put(k K, v V, change uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.change != change {
		return
	}
	if len(m.known) >= m.most {
		for other := range m.known {
			delete(m.known, other)
			break
		}
	}
	m.known[k] = v
}

// forget is to be called after what was read may have changed.
func (m *memory[K, V]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change++
	clear(m.known)
}
