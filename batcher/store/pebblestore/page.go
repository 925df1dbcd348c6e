package pebblestore

import (
	"encoding/binary"
	"fmt"
	"sync"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/tree"
	"ancre/proof"
)

// A page of a tree file has what paths need of one complete run of leaves: its groups, and in the
// middle the upper nodes, which are the group above them and the rows above that group. Each group
// and the upper nodes are followed by a checksum. Of the upper nodes, nothing has to be hashed for
// a path. To do the same for the leaves would take 28 bytes for each.
//
// So a path goes through one group of the page, and the upper nodes. These are next to each other
// in the file, or nearly: one short read has both.
const (
	pageGroups = runSize / tree.Fanout // of leaves
	groupSize  = tree.Fanout*32 + codec.SumSize
	upperNodes = 2*tree.Fanout - 2 // 16 + 8 + 4 + 2
	upperSize  = upperNodes*32 + codec.SumSize
	upperAt    = pageGroups / 2 * groupSize
	pageSize   = pageGroups*groupSize + upperSize
)

// page is the part of a page that one path needs. Its memory is used again, because it escapes to
// the heap when a file is read into it.
type page struct {
	buf    [upperAt + upperSize]byte // from the group to the upper nodes, or the other way round
	leaves []byte                    // the group of leaves
	upper  []byte                    // the nodes above it and its neighbours, row after row
}

var pagePool = sync.Pool{New: func() any { return new(page) }}

// readPage reads from a file that is open what the path of a leaf needs.
func (f *treeFile) readPage(index uint64, to *page) error {
	number, group := index/runSize, index%runSize/tree.Fanout
	at, upper := int(group)*groupSize, upperAt
	if group >= pageGroups/2 {
		at += upperSize
	}
	begin, end := min(at, upper), max(at+groupSize, upper+upperSize)
	buf := to.buf[:end-begin]
	if n, err := f.file.ReadAt(buf, int64(number*pageSize)+int64(begin)); n < len(buf) {
		return err
	}
	var err error
	if to.leaves, err = f.checked(number, uint32(group), buf[at-begin:][:groupSize]); err == nil {
		to.upper, err = f.checked(number, pageGroups, buf[upper-begin:][:upperSize])
	}
	return err
}

// checked returns the nodes of a group, after comparing them with the checksum behind them. The
// upper nodes count as the last group of a page.
func (f *treeFile) checked(number uint64, group uint32, raw []byte) ([]byte, error) {
	nodes, sum := raw[:len(raw)-codec.SumSize], raw[len(raw)-codec.SumSize:]
	if f.sum(number, group, nodes) != binary.BigEndian.Uint32(sum) {
		return nil, fmt.Errorf("the checksum of group %d of page %d is wrong", group, number)
	}
	return nodes, nil
}

func (f *treeFile) sum(number uint64, group uint32, nodes []byte) uint32 {
	return codec.PlacedSum(f.batch, uint32(number)*(pageGroups+1)+group, nodes)
}

// appendPath appends the steps from a leaf up to the node of level lowLevels.
func (p *page) appendPath(steps []proof.Step, index uint64) []proof.Step {
	var group [tree.Fanout]store.Leaf
	for i := range group {
		group[i] = store.Leaf(p.leaves[i*32:])
	}
	steps = proof.AppendPath(steps, group[:], int(index%tree.Fanout))
	at, row := int(index%runSize/tree.Fanout), p.upper
	for width := tree.Fanout; width > 1; width /= 2 {
		steps = append(steps, proof.Step{Left: at%2 == 1, Hash: [32]byte(row[(at^1)*32:])})
		at, row = at/2, row[width*32:]
	}
	return steps
}

// appendPage appends a page to b: a run of leaves, and the rows from the nodes above its groups on.
func (f *treeFile) appendPage(b []byte, number uint64, run []store.Leaf, upper *tree.Rows) []byte {
	add := func(group uint32, nodes ...[][32]byte) {
		at := len(b)
		for _, row := range nodes {
			for i := range row {
				b = append(b, row[i][:]...)
			}
		}
		b = binary.BigEndian.AppendUint32(b, f.sum(number, group, b[at:]))
	}
	for group := range uint32(pageGroups) {
		if group == pageGroups/2 {
			add(pageGroups, upper[:]...)
		}
		add(group, run[group*tree.Fanout:][:tree.Fanout])
	}
	return b
}
