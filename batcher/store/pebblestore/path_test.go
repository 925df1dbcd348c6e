package pebblestore

import (
	"errors"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2"
)

// TestDamagedUpperLevelsGiveNoPath would catch a run that is remembered before it was seen that it
// leads to the root: nobody climbs a path behind its waypoint.
func TestDamagedUpperLevelsGiveNoPath(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	const n = 256*16*2 + 17 // level 1 has 514 nodes, level 2 has 33, level 3 has 3
	if err := sealBatch(s, 1, n); err != nil {
		t.Fatal(err)
	}
	batch, err := s.Batch(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	// path says whether the path of a leaf was given, and was right.
	path := func(index uint64) error {
		t.Helper()
		leaf := storetest.Leaf(1, index)
		p, err := s.Locate(ctx, leaf)
		if err != nil {
			t.Fatal(err)
		}
		steps, way, err := s.Path(ctx, nil, &batch, p)
		if err != nil {
			return err
		}
		if proof.RootFromPath(leaf, steps[:way.Steps]) != way.Node {
			return errors.New("it does not lead to the waypoint") // which the caller sees
		}
		if proof.RootFromPath(leaf, steps) != batch.Root {
			t.Errorf("the path of leaf %d leads to its waypoint, but not to the root", index)
		}
		return nil
	}
	for level := 1; level <= 3; level++ {
		key := nodesKey(1, level, 0)
		good, err := s.get(s.db, key)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), good...)
		bad[0] ^= 0x80
		put := func(value []byte) {
			t.Helper()
			if err := s.db.Set(key, value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			s.publish(false) // as the committer, which is idle
		}
		put(bad)
		s.rows.forget()
		for _, index := range []uint64{1, 16, 256, 4096, n - 1} { // beside the wrong node, or under it, or far away
			err := path(index)
			if level > 1 && !errors.Is(err, store.ErrDamaged) {
				t.Errorf("level %d is damaged, leaf %d: %v", level, index, err)
			}
			if index == 16 && err == nil {
				t.Errorf("level %d is damaged, and a path beside the wrong node is right", level)
			}
		}
		put(good)
		for _, index := range []uint64{0, 1, 16, 256, 4096, n - 1} {
			if err := path(index); err != nil {
				t.Errorf("level %d is as it was, leaf %d: %v", level, index, err)
			}
		}
	}
}

// TestRememberedRowsAreBounded would catch a memory that grows with the store.
func TestRememberedRowsAreBounded(t *testing.T) {
	var c rowsCache
	for i := range uint64(3 * maxRows) {
		place := rowsPlace{batch: i}
		c.put(place, nil)
		if len(c.known) > maxRows {
			t.Fatalf("%d runs are remembered, at most %d should be", len(c.known), maxRows)
		}
	}
}
