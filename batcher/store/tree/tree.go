// Package tree computes the Merkle tree of a batch that need not fit into memory, and helps an
// engine to keep of it what makes paths cheap.
//
// The tree is that of [proof.Root]. Its height 0 are the leaves, and node i of height h is the root
// over leaves [i·2^h, (i+1)·2^h), or over those of them that there are. Only every fourth height is
// worth keeping: a node of one of these is the root over a group of [Fanout] nodes of the one
// below, because an odd last node is carried up the same way within its group as within the whole.
//
// A path needs one group of each height that is kept: with 16 nodes a group it costs 55 hashes in a
// batch of a million, and what is kept above the leaves takes 2.1 bytes a leaf. With 256 it would
// cost 750 hashes, which is most of the time of a proof, and take 0.13 bytes.
package tree

import (
	"slices"

	"ancre/batcher/store"
	"ancre/proof"
)

const (
	// HeightStep is how far the heights that are worth keeping are apart.
	HeightStep = 4

	// Fanout is how many nodes of one of these heights are below a node of the next.
	Fanout = 1 << HeightStep

	// RunSize is how many nodes a [Builder] gives away at once, but for the last of a height.
	RunSize = 256
)

// Builder computes the heights above the leaves of one batch, in memory of one run a height.
type Builder struct {
	batch uint64
	keep  func(store.Nodes) error
	group [][32]byte // leaves behind the last whole group
	rows  []growing  // of height HeightStep, 2·HeightStep and so on
}

// growing is the end of a height.
type growing struct {
	count uint64     // nodes in the whole height
	run   [][32]byte // its last run, not full
}

// New begins the tree of a batch. keep takes each run of [RunSize] nodes as soon as it is complete,
// and owns it; an error of it ends the building. If keep is nil, only the root is computed.
func New(batch uint64, keep func(store.Nodes) error) *Builder {
	return &Builder{batch: batch, keep: keep, group: make([][32]byte, 0, Fanout)}
}

// Add takes the next leaves.
func (t *Builder) Add(leaves [][32]byte) error {
	for len(leaves) > 0 {
		group := leaves[:min(len(leaves), Fanout-len(t.group))]
		leaves = leaves[len(group):]
		if len(group) < Fanout { // the rest of it came before, or is to come
			t.group = append(t.group, group...)
			if group = t.group; len(group) < Fanout {
				return nil
			}
			t.group = t.group[:0]
		}
		if err := t.put(1, proof.Root(group)); err != nil {
			return err
		}
	}
	return nil
}

// put appends a node to height level·HeightStep, and to those above what it completes there.
func (t *Builder) put(level int, node [32]byte) error {
	if level > len(t.rows) {
		t.rows = append(t.rows, growing{})
	}
	l := &t.rows[level-1]
	if l.run == nil {
		l.run = make([][32]byte, 0, RunSize)
	}
	l.run = append(l.run, node)
	l.count++
	if l.count%Fanout != 0 {
		return nil
	}
	full := l.run
	parent := proof.Root(full[len(full)-Fanout:])
	if len(full) == RunSize {
		l.run = nil
		if err := t.give(level, l.count-RunSize, full); err != nil {
			return err
		}
	}
	return t.put(level+1, parent) // may move t.rows: l must not be used any more
}

func (t *Builder) give(level int, start uint64, nodes [][32]byte) error {
	if t.keep == nil {
		return nil
	}
	return t.keep(store.Nodes{Batch: t.batch, Height: level * HeightStep, Start: start, Hashes: nodes})
}

// Root gives the last runs away and returns the root, which it does not give away. There must be at
// least one leaf.
func (t *Builder) Root() (root [32]byte, err error) {
	if len(t.group) > 0 {
		if err := t.put(1, proof.Root(t.group)); err != nil {
			return root, err
		}
	}
	for level := 1; ; level++ {
		l := t.rows[level-1]
		if l.count == 1 {
			return l.run[0], nil
		}
		if rest := l.count % Fanout; rest > 0 {
			if err := t.put(level+1, proof.Root(l.run[uint64(len(l.run))-rest:])); err != nil {
				return root, err
			}
		}
		if len(l.run) > 0 {
			if err := t.give(level, l.count-uint64(len(l.run)), l.run); err != nil {
				return root, err
			}
		}
	}
}

// Rows are consecutive nodes of a height that is kept, from the first of a group on, and the rows
// above them below the next such height. The rows take as much memory again, and spare all hashing
// when a path is read.
type Rows [HeightStep][][32]byte

// NewRows computes the rows above nodes, which it keeps.
func NewRows(nodes [][32]byte) *Rows {
	r := &Rows{nodes}
	for i := 1; i < HeightStep; i++ {
		r[i] = rowAbove(r[i-1])
	}
	return r
}

func rowAbove(below [][32]byte) [][32]byte {
	row := make([][32]byte, 0, (len(below)+1)/2)
	for pair := range slices.Chunk(below, 2) { // an odd last one is carried up
		row = append(row, proof.Root(pair))
	}
	return row
}

// Above computes the nodes HeightStep above, one for each group.
func (r *Rows) Above() [][32]byte { return rowAbove(r[HeightStep-1]) }

// AppendPath appends to steps the siblings from node at, one of the rows' nodes, up to the node
// that is HeightStep above it.
func (r *Rows) AppendPath(steps []proof.Step, at uint64) []proof.Step {
	_ = r[0][at]
	for _, row := range r {
		if sibling := at ^ 1; sibling < uint64(len(row)) {
			steps = append(steps, proof.Step{Left: sibling < at, Hash: row[sibling]})
		}
		at /= 2
	}
	return steps
}
