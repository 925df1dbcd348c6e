package store

import (
	"slices"

	"ancre/proof"
)

// How the Merkle tree of a batch is stored: as levels, of which 0 are the leaves, and each node of
// another is the root over Fanout nodes of the one below. Levels are kept in runs of RunSize nodes.
// Both are powers of two, so this is the very tree of
// [proof.Root]: an odd last node is carried up the same way within its group as within the whole.
//
// A path needs one group of each level: with 16 it costs 55 hashes in a batch of a million, and the
// levels cost 2.1 bytes a leaf. With 256 it were 750 hashes, most of the time of a proof, and 0.13
// bytes.
const Fanout = 1 << groupHeight

// groupHeight is how many rows of a tree are above each other in a group, the one above which is in
// the next level not counted.
const groupHeight = 4

// LevelSize returns the number of nodes in a level of the tree over so many leaves.
func LevelSize(leaves uint64, level int) uint64 {
	for ; level > 0 && leaves > 1; level-- {
		leaves = (leaves-1)/Fanout + 1
	}
	return leaves
}

// Tree computes the levels above the leaves, which come in order, in memory of one run a level.
type Tree struct {
	keep   func(Run) error
	group  [][32]byte // leaves behind the last whole group
	levels []growing  // level 1 and above
}

// growing is the end of a level.
type growing struct {
	count uint64     // nodes in the whole level
	run   [][32]byte // its last run, not full
}

// NewTree begins a tree. keep is given each run of the levels above the leaves as soon as it is
// complete, and owns its nodes; an error of it ends the building. nil: only the root is wanted.
func NewTree(keep func(Run) error) *Tree {
	return &Tree{keep: keep, group: make([][32]byte, 0, Fanout)}
}

// Add takes the next leaves.
func (t *Tree) Add(leaves [][32]byte) error {
	for len(leaves) > 0 {
		group := leaves[:min(len(leaves), Fanout-len(t.group))]
		leaves = leaves[len(group):]
		if len(group) < Fanout { // part of one: the rest came before or is to come
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

// put appends a node to a level, and to those above what it completes there.
func (t *Tree) put(level int, node [32]byte) error {
	if level > len(t.levels) {
		t.levels = append(t.levels, growing{})
	}
	l := &t.levels[level-1]
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
		if err := t.done(level, l.count-RunSize, full); err != nil {
			return err
		}
	}
	return t.put(level+1, parent) // moves the levels: l is not to be used any more
}

func (t *Tree) done(level int, start uint64, nodes [][32]byte) error {
	if t.keep == nil {
		return nil
	}
	return t.keep(Run{Level: level, Start: start, Nodes: nodes})
}

// Root ends the building: it gives the last runs away and returns the root. There must be a leaf.
func (t *Tree) Root() (root [32]byte, err error) {
	if len(t.group) > 0 {
		if err := t.put(1, proof.Root(t.group)); err != nil {
			return root, err
		}
	}
	for level := 1; ; level++ {
		l := t.levels[level-1]
		if l.count == 1 { // the root itself is kept with the batch
			return l.run[0], nil
		}
		if rest := l.count % Fanout; rest > 0 {
			if err := t.put(level+1, proof.Root(l.run[uint64(len(l.run))-rest:])); err != nil {
				return root, err
			}
		}
		if len(l.run) > 0 {
			if err := t.done(level, l.count-uint64(len(l.run)), l.run); err != nil {
				return root, err
			}
		}
	}
}

// Rows are consecutive nodes of a level, from the first of a group on, and the rows that stand
// above them, up to the next level: as much again, and nothing of it has to be hashed for a path.
type Rows [groupHeight][][32]byte

// NewRows computes the rows above nodes, and keeps these.
func NewRows(nodes [][32]byte) *Rows {
	r := &Rows{nodes}
	for i := 1; i < groupHeight; i++ {
		r[i] = rowAbove(r[i-1])
	}
	return r
}

func rowAbove(below [][32]byte) [][32]byte {
	row := make([][32]byte, 0, (len(below)+1)/2)
	for pair := range slices.Chunk(below, 2) { // or an odd last one, which is carried up
		row = append(row, proof.Root(pair))
	}
	return row
}

// Above computes the nodes of the next level, one for each group.
func (r *Rows) Above() [][32]byte { return rowAbove(r[groupHeight-1]) }

// AppendPath appends to steps the siblings from node at, one of the rows' nodes, up to the one of
// the next level.
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
