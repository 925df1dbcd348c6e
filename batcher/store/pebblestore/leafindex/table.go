package leafindex

import (
	"encoding/binary"
	"sync/atomic"

	"ancre/batcher/store"
)

const (
	// tableLeaves is how many leaves a table takes. A start reads at most the leaves of [maxFull]+1
	// tables; a table that is full has 12 MiB.
	tableLeaves = 512 << 10

	// maxFull is how many full tables may wait to become segments: Append waits when there are more
	// to come.
	maxFull = 2

	// firstSlots is how many slots a table begins with: a store of a few leaves needs little
	// memory. They grow fourfold, because each time all leaves find their slot again while a write
	// waits: 3 ms at most.
	firstSlots = 4 << 10
	slotGrowth = 4
)

// leafKey is the first eight bytes of a leaf as a number: what the index goes by. Leaves are
// SHA-256 of what only this store's key can tell, so these bytes are spread evenly without further
// hashing, and a submitter cannot choose them to collide. They are a hint: two leaves may share
// them, and what the index says is compared with the leaf itself.
func leafKey(leaf *store.Leaf) uint64 { return binary.BigEndian.Uint64(leaf[:8]) }

// Table holds in memory where those leaves are that came last, and are in no segment yet. One
// goroutine at a time inserts, any number find meanwhile. It only grows.
type Table struct {
	first uint64 // ordinal of its first leaf
	limit int    // how many leaves it takes
	size  int    // owned by who inserts
	slots atomic.Pointer[tableSlots]
}

// tableSlots is a hash table with linear probing, at most half full.
type tableSlots struct {
	keys  []uint64 // of each leaf in order; those that no slot tells of are not there yet
	slots []uint64 // atomic: upper half of the key, then 1 + the index into keys (32 bits each); 0: free
}

func newTable(first uint64, limit int) *Table {
	t := &Table{first: first, limit: limit}
	t.slots.Store(newSlots(firstSlots))
	return t
}

func newSlots(n int) *tableSlots {
	return &tableSlots{keys: make([]uint64, n/2), slots: make([]uint64, n)}
}

// fits says whether n more leaves have room.
func (t *Table) fits(n int) bool { return t.size+n <= t.limit }

// Insert adds the leaves that come next. They can be found from then on; what may not be seen yet
// is the caller's to hide.
func (t *Table) Insert(leaves []store.Leaf) {
	d := t.slots.Load()
	if need := t.size + len(leaves); need > len(d.keys) {
		slots := len(d.slots)
		for slots/2 < need {
			slots *= slotGrowth
		}
		// Those who read the old slots go on to do so: they look for leaves that were there before.
		larger := newSlots(slots)
		for i, key := range d.keys[:t.size] {
			larger.put(i, key)
		}
		t.slots.Store(larger)
		d = larger
	}
	for i := range leaves {
		d.put(t.size, leafKey(&leaves[i]))
		t.size++
	}
}

func (d *tableSlots) put(i int, key uint64) {
	d.keys[i] = key
	mask := uint64(len(d.slots) - 1)
	at := key & mask
	for atomic.LoadUint64(&d.slots[at]) != 0 {
		at = (at + 1) & mask
	}
	atomic.StoreUint64(&d.slots[at], key>>32<<32|uint64(i+1))
}

// find calls by.Check for each leaf that has the key of one in the table, with the ordinal of that
// one.
func (t *Table) find(leaves []store.Leaf, by Seeker) error {
	d := t.slots.Load()
	slots, mask := d.slots, uint64(len(d.slots)-1)
	for i := range leaves {
		key := leafKey(&leaves[i])
		for at := key & mask; ; at = (at + 1) & mask {
			slot := atomic.LoadUint64(&slots[at])
			if slot == 0 {
				break
			}
			if slot>>32 != key>>32 {
				continue
			}
			index := slot&(1<<32-1) - 1
			if d.keys[index] != key {
				continue
			}
			if err := by.Check(i, t.first+index); err != nil {
				return err
			}
		}
	}
	return nil
}

// keys returns the keys of a table that takes no more leaves, in order.
func (t *Table) keys() []uint64 { return t.slots.Load().keys[:t.size] }
