package backup

import (
	"bytes"
	"fmt"
	"slices"

	"ancre/batcher/store"
	"ancre/batcher/store/tree"
	"ancre/proof"
)

// checker sees all parts of a backup in their order, when it is written and when it is read, and
// holds them against each other. It builds the trees of sealed batches, in memory of a fifteenth of
// the leaves of one batch.
type checker struct {
	header Header

	// The batch whose leaves are coming.
	newest  uint64 // its ID
	current store.Batch
	missing uint64        // leaves of it that did not come yet
	tree    *tree.Builder // of those that came, if it is sealed
	upper   []store.Nodes // what is above the leaves, once all have come

	digests  uint64              // leaves that came
	roots    map[uint64][32]byte // of sealed batches
	anchorOf []uint64            // of each batch, by ID less one; 0: waits for one
	anchors  uint64
	last     uint64 // ID of the last anchor
	known    map[uint64]bool
	followed store.Point
	cursors  int
}

func newChecker(h Header) *checker {
	return &checker{header: h, roots: make(map[uint64][32]byte), known: make(map[uint64]bool)}
}

func contradiction(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrContradiction, fmt.Errorf(format, args...))
}

// batch begins a batch.
func (c *checker) batch(b *store.Batch) error {
	if err := c.endBatch(); err != nil {
		return err
	}
	switch {
	case b.ID != c.newest+1:
		return contradiction("batch %d follows on batch %d", b.ID, c.newest)
	case c.newest > 0 && c.current.State == store.Open:
		return contradiction("batch %d is open, and batch %d follows on it", c.newest, b.ID)
	case c.last > 0 || c.cursors > 0:
		return contradiction("batch %d comes behind the anchors", b.ID)
	case b.Anchor != 0 && b.State == store.Open:
		return contradiction("batch %d is open and has anchor %d", b.ID, b.Anchor)
	case b.Count == 0 && b.State == store.Sealed:
		return contradiction("batch %d is sealed and has no leaf", b.ID)
	case b.Count > c.header.Digests-c.digests:
		return contradiction("batch %d has %d leaves, of which %d can be", b.ID, b.Count, c.header.Digests-c.digests)
	}
	c.newest, c.current, c.missing = b.ID, *b, b.Count
	c.upper = nil
	c.tree = tree.New(b.ID, func(n store.Nodes) error {
		c.upper = append(c.upper, n)
		return nil
	})
	c.anchorOf = append(c.anchorOf, b.Anchor)
	return nil
}

// leaves takes leaves of the batch.
func (c *checker) leaves(some []store.Leaf) error {
	if uint64(len(some)) > c.missing {
		return contradiction("batch %d has %d leaves, and more come", c.current.ID, c.current.Count)
	}
	c.missing -= uint64(len(some))
	c.digests += uint64(len(some))
	if c.current.State != store.Sealed {
		return nil
	}
	if err := c.tree.Add(some); err != nil || c.missing > 0 {
		return err
	}
	root, err := c.tree.Root()
	if err != nil {
		return err
	}
	if root != c.current.Root {
		return contradiction("batch %d: its leaves have the root %x, it was sealed with %x", c.current.ID, root, c.current.Root)
	}
	return nil
}

// endBatch ends the batch whose leaves were coming, if there is one.
func (c *checker) endBatch() error {
	if c.newest == 0 {
		return nil
	}
	if c.missing > 0 {
		return contradiction("batch %d has %d leaves, and %d of them are missing", c.current.ID, c.current.Count, c.missing)
	}
	if c.current.State == store.Sealed {
		c.roots[c.newest] = c.current.Root
	}
	return nil
}

func (c *checker) anchor(a *store.Anchor) error {
	if err := c.endBatch(); err != nil {
		return err
	}
	switch {
	case a.ID <= c.last:
		return contradiction("anchor %d follows on anchor %d", a.ID, c.last)
	case c.cursors > 0:
		return contradiction("anchor %d comes behind the cursor", a.ID)
	case len(a.Versions) == 0:
		return contradiction("anchor %d has no version", a.ID)
	}
	c.last, c.known[a.ID] = a.ID, true
	c.anchors++
	for i := range a.Versions {
		if err := c.version(&a.Versions[i]); err != nil {
			return contradiction("version %d of anchor %d: %w", i+1, a.ID, err)
		}
	}
	return nil
}

// version checks that a transaction commits to the batches that it says.
func (c *checker) version(v *store.Version) error {
	roots := make([][32]byte, 0, len(v.Batches))
	for _, id := range v.Batches {
		root, ok := c.roots[id]
		if !ok {
			return fmt.Errorf("it commits to batch %d, which is not sealed", id)
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return fmt.Errorf("it commits to no batch")
	}
	if root := proof.Root(roots); root != v.Root {
		return fmt.Errorf("its batches %v have the root %x, it says %x", v.Batches, root, v.Root)
	}
	var tx bytes.Buffer
	if err := v.Tx.SerializeNoWitness(&tx); err != nil {
		return err
	}
	if root, err := proof.Commitment(tx.Bytes()); err != nil || root != v.Root {
		return fmt.Errorf("its transaction commits to %x (%v), expected %x", root, err, v.Root)
	}
	return nil
}

func (c *checker) cursor(p *store.Cursor) error {
	if err := c.endBatch(); err != nil {
		return err
	}
	if c.cursors++; c.cursors > 1 {
		return contradiction("a second cursor")
	}
	if n := len(p.Points); n > 0 {
		c.followed = p.Points[n-1]
	}
	return nil
}

// end compares what came with what was said at the beginning and at the end.
func (c *checker) end(e end) error {
	if err := c.endBatch(); err != nil {
		return err
	}
	if c.cursors == 0 {
		return contradiction("there is no cursor")
	}
	if c.digests != c.header.Digests || c.newest != c.header.Batches {
		return contradiction("%d leaves in %d batches were announced, and %d in %d came", c.header.Digests, c.header.Batches, c.digests, c.newest)
	}
	if e.digests != c.digests || e.batches != c.newest || e.anchors != c.anchors {
		return contradiction("the end counts %d leaves, %d batches and %d anchors, and %d, %d and %d came", e.digests, e.batches, e.anchors, c.digests, c.newest, c.anchors)
	}
	missing := func(id uint64) bool { return id != 0 && !c.known[id] }
	if i := slices.IndexFunc(c.anchorOf, missing); i >= 0 {
		return contradiction("batch %d has anchor %d, which is not stored", i+1, c.anchorOf[i])
	}
	return nil
}

func (c *checker) summary() Summary {
	return Summary{
		Network: c.header.Network, Taken: c.header.Taken, Digests: c.digests, Batches: c.newest, Anchors: c.anchors, Followed: c.followed,
	}
}
