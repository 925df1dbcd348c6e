package store

import (
	"fmt"
	"math"
	"slices"
)

// What contradicts itself, or what is stored, is refused with [ErrInvalid]. The rules that need
// nothing but the values are here, for all engines.

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Check says whether b may follow on old, the same batch as it is stored, in [Store.Apply].
func (b *Batch) Check(old *Batch) error {
	switch {
	case old.State == Open:
		return invalid("batch %d is still open", b.ID)
	case b.State != Closed && b.State != Sealed:
		return invalid("batch %d becomes %q: expected %s or %s", b.ID, b.State, Closed, Sealed)
	case b.Count != old.Count:
		return invalid("batch %d has %d leaves, not %d", b.ID, old.Count, b.Count)
	case b.State == Closed && b.Root != [32]byte{}:
		return invalid("batch %d is %s and has a root", b.ID, b.State)
	case old.State == Sealed && (b.State != Sealed || b.Root != old.Root):
		return invalid("batch %d is sealed with root %x, which never changes; got %s with %x", b.ID, old.Root, b.State, b.Root)
	}
	return nil
}

// HasBlock says whether an anchor in this state is in a block, or lost its coin in one.
func (s AnchorState) HasBlock() bool { return s != Broadcast }

// anchorStates are all there are.
var anchorStates = []AnchorState{Broadcast, Mined, Final, Spent, Dead}

// Check says whether an anchor can be stored.
func (a *Anchor) Check() error {
	switch {
	case a.ID == 0:
		return invalid("anchor 0: IDs begin at 1")
	case !slices.Contains(anchorStates, a.State):
		return invalid("anchor %d: state %q", a.ID, a.State)
	case len(a.Versions) == 0:
		return invalid("anchor %d has no version", a.ID)
	case a.State.HasBlock() != (a.Block != nil):
		return invalid("anchor %d is %s, with a block: %t", a.ID, a.State, a.Block != nil)
	case a.Block != nil && (a.Block.Height < 0 || a.Block.Version < 0 || a.Block.Version >= len(a.Versions)):
		return invalid("anchor %d: height %d, mined version %d of %d", a.ID, a.Block.Height, a.Block.Version, len(a.Versions))
	}
	for i := range a.Versions {
		v := &a.Versions[i]
		// Without inputs, the wire format of a transaction cannot be told from one with witnesses.
		if v.Tx == nil || len(v.Tx.TxIn) == 0 || slices.Contains(v.Prevouts, nil) {
			return invalid("anchor %d: version %d has no transaction, no input or an empty output", a.ID, i)
		}
	}
	return nil
}

// Check says whether a cursor can be stored.
func (c *Cursor) Check() error {
	if len(c.Points) > CursorDepth {
		return invalid("a cursor of %d blocks: at most %d", len(c.Points), CursorDepth)
	}
	for i := range c.Points {
		height := int64(c.Points[0].Height) + int64(i)
		if int64(c.Points[i].Height) != height || height < 0 || height > math.MaxInt32-CursorDepth {
			return invalid("cursor: block %d at height %d, expected %d", i, c.Points[i].Height, height)
		}
	}
	return nil
}

// Width returns how many nodes of a height the tree over so many leaves has.
func Width(leaves uint64, height int) uint64 {
	if leaves == 0 {
		return 0
	}
	return (leaves-1)>>height + 1
}

// Check says whether the tree over so many leaves has these nodes.
func (n *Nodes) Check(leaves uint64) error {
	switch {
	case n.Height < 1:
		return invalid("nodes of height %d of batch %d: heights from 1 can be applied", n.Height, n.Batch)
	case len(n.Hashes) == 0:
		return invalid("no nodes, from %d on, of height %d of batch %d", n.Start, n.Height, n.Batch)
	case n.Start > math.MaxInt64 || n.Start+uint64(len(n.Hashes)) > Width(leaves, n.Height):
		return invalid("nodes [%d, %d) of height %d of batch %d, which has %d", n.Start, n.Start+uint64(len(n.Hashes)), n.Height, n.Batch, Width(leaves, n.Height))
	}
	return nil
}
