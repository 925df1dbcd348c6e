package pebblestore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/pebblestore/leafindex"
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2"
)

// recordSize is how many bytes a segment has for each leaf.
const recordSize = 10

// segmentFiles returns the segments of the index, by rising ID.
func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	return indexFiles(t, dir, leafindex.SegmentExt)
}

// indexFiles returns the files of the index with an extension, by rising ID; there may be none.
func indexFiles(t *testing.T, dir, ext string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, indexDir, "*"+ext))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestFilesThatAreNotListedAreRemoved leaves behind what a crash may.
func TestFilesThatAreNotListedAreRemoved(t *testing.T) {
	dir := t.TempDir()
	leaves := storetest.Leaves(1, 0, 3*testTableLeaves)
	s := openSmall(t, dir, nil)
	appendAll(t, s, leaves, leavesPerGroup)
	settle(t, s)
	closeStore(t, s)
	names := segmentFiles(t, dir)
	raw, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(dir, indexDir, "000077"+leafindex.SegmentExt)
	if err := os.WriteFile(stray, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, dir, nil)
	if got := segmentFiles(t, dir); !slices.Equal(got, names) {
		t.Errorf("files %v, want %v", got, names)
	}
	if id := s.index.State().LastID; id < 77 {
		t.Errorf("the next segment would be %d: an ID that was used may come back with a power cut", id+1)
	}
	wantFound(t, s, leaves)
}

// TestTheIndexIsMadeAnew takes it away whole, which is what errors tell people to do.
func TestTheIndexIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	leaves := storetest.Leaves(1, 0, 21*testTableLeaves+7)
	s := openSmall(t, dir, nil)
	appendAll(t, s, leaves, 500)
	closeStore(t, s)
	for range 2 { // the second start finds the first one's index, or part of it
		if err := os.RemoveAll(filepath.Join(dir, indexDir)); err != nil {
			t.Fatal(err)
		}
		s = openSmall(t, dir, nil)
		wantFound(t, s, leaves)
		closeStore(t, s)
		s = openSmall(t, dir, nil)
		wantFound(t, s, leaves)
		closeStore(t, s)
	}
}

// damagedStore makes a store of some segments and returns what is in it.
func damagedStore(t *testing.T) (dir string, leaves []store.Leaf) {
	t.Helper()
	dir, leaves = t.TempDir(), storetest.Leaves(1, 0, 9*testTableLeaves)
	s := openSmall(t, dir, nil)
	appendAll(t, s, leaves, leavesPerGroup)
	settle(t, s)
	closeStore(t, s)
	return dir, leaves
}

// TestAnIndexWithoutItsStoreIsRefused starts where everything was lost but the index, of which
// nothing can be made. Whoever took the directory for a new one would give it another key, remove
// the last trace of what was there, and take each digest that comes again for a new one.
func TestAnIndexWithoutItsStoreIsRefused(t *testing.T) {
	dir, _ := damagedStore(t)
	names, before := match(t, dir, "*"), segmentFiles(t, dir)
	for _, name := range names {
		if filepath.Base(name) == indexDir {
			continue
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, Options{})
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "restore the last backup") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want an error that says what to do", err)
	}
	if after := segmentFiles(t, dir); !slices.Equal(after, before) {
		t.Errorf("%v is left of %v", after, before)
	}
}

// TestADamagedIndexIsRefused starts with files of the index that are not what was written. What is
// lost there must not make a digest unknown: it would be given a second place.
func TestADamagedIndexIsRefused(t *testing.T) {
	first := func(t *testing.T, dir string, change func([]byte) []byte) {
		t.Helper()
		name := segmentFiles(t, dir)[0]
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, change(raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const remedy = "remove the whole directory"
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		says   []string
	}{
		{"a file missing", func(t *testing.T, dir string) {
			if err := os.Remove(segmentFiles(t, dir)[0]); err != nil {
				t.Fatal(err)
			}
		}, []string{"cannot be opened", remedy}},
		{"an empty file", func(t *testing.T, dir string) { first(t, dir, func([]byte) []byte { return nil }) }, []string{"0 bytes", remedy}},
		{"a file cut short", func(t *testing.T, dir string) { first(t, dir, cut) }, []string{"does not end as it was written", remedy}},
		{"a file of another segment", func(t *testing.T, dir string) {
			names := segmentFiles(t, dir)
			raw, err := os.ReadFile(names[1])
			if err != nil {
				t.Fatal(err)
			}
			first(t, dir, func([]byte) []byte { return raw })
		}, []string{"does not end as it was written", remedy}},
		{"more in the middle", func(t *testing.T, dir string) {
			first(t, dir, func(raw []byte) []byte { return slices.Insert(raw, len(raw)/2, 0) })
		}, []string{"bytes, expected", remedy}},
		{"a directory that is wrong", func(t *testing.T, dir string) {
			s := openSmall(t, dir, nil)
			at := s.index.State().Segments[0].FilterAt - 1
			closeStore(t, s)
			first(t, dir, func(raw []byte) []byte { raw[at] ^= 1; return raw })
		}, []string{"checksum of its directory", remedy}},
		{"a record cut short", segmentRecord(cut), []string{"checksum"}},
		{"a record of another version", segmentRecord(setByte(0, 2)), []string{"record version 2, expected 1"}},
		{"a gap", segmentRecord(func(old []byte) []byte { return append([]byte{1, 1}, old[2:]...) }), []string{"expected them from 0 on"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, leaves := damagedStore(t)
			c.change(t, dir)
			s, err := Open(dir, Options{})
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("got %v, want damage", err)
			}
			for _, says := range append(c.says, dir) {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v does not say %q", err, says)
				}
			}
			if !slices.Contains(c.says, remedy) {
				return
			}
			if err := os.RemoveAll(filepath.Join(dir, indexDir)); err != nil {
				t.Fatal(err)
			}
			wantFound(t, openSmall(t, dir, nil), leaves)
		})
	}
}

// segmentRecord changes the record of the first segment.
func segmentRecord(change func([]byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		s := openSmall(t, dir, nil)
		key := idKey(prefixSegment, s.index.State().Segments[0].ID)
		old, err := s.get(s.db, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.db.Set(key, change(old), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
	}
}

// TestADamagedBucketIsNoUnknownDigest flips a bit of each record in turn.
func TestADamagedBucketIsNoUnknownDigest(t *testing.T) {
	dir, leaves := damagedStore(t)
	name := segmentFiles(t, dir)[0]
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := openSmall(t, dir, nil)
	records := int(s.index.State().Segments[0].Count) * recordSize
	closeStore(t, s)
	for at := 3; at < records; at += 101 {
		bad := slices.Clone(good)
		bad[at] ^= 4
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{tableLeaves: testTableLeaves})
		if err != nil {
			t.Fatal(err)
		}
		seen := false
		for i := range leaves {
			pos, err := s.Find(t.Context(), leaves[i:i+1])
			switch {
			case errors.Is(err, store.ErrDamaged) && strings.Contains(err.Error(), name):
				seen = true
			case err != nil || pos[0] != (store.Position{Batch: 1, Index: uint64(i)}):
				t.Fatalf("bit flipped at %d: leaf %d is found at %v, %v", at, i, pos, err)
			}
		}
		if !seen {
			t.Errorf("bit flipped at %d: nobody saw it", at)
		}
		closeStore(t, s)
	}
}

// TestADamagedFilterIsMadeAnew flips a bit that says that a leaf is there.
func TestADamagedFilterIsMadeAnew(t *testing.T) {
	dir, leaves := damagedStore(t)
	name := segmentFiles(t, dir)[0]
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := openSmall(t, dir, nil)
	g := s.index.State().Segments[0]
	at, size := g.FilterAt, g.FilterBytes
	want := slices.Clone(g.Filter)
	if len(want) == 0 || int64(len(want)) != size {
		t.Fatalf("a filter of %d bytes, want %d", len(want), size)
	}
	closeStore(t, s)
	for i := at; i < at+size; i++ { // all of them: a filter that was believed would know no leaf
		raw[i] = 0
	}
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, dir, nil)
	wantFound(t, s, leaves)
	got := s.index.State().Segments[0].Filter // waits until it is there
	wantFound(t, s, leaves)
	if !slices.Equal(got, want) {
		t.Error("the filter is not what it was")
	}
}

// TestABucketInThePlaceOfAnotherIsSeen has buckets that are right in themselves, where a disk has
// confused them: both would say that they have none of their leaves.
func TestABucketInThePlaceOfAnotherIsSeen(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir, nil)
	leaves := storetest.Leaves(1, 0, testTableLeaves+1) // two buckets, and one that makes the table full
	for i := range testTableLeaves {
		leaves[i][0] = leaves[i][0]>>1 | byte(i%2)<<7 // as many in each
	}
	appendAll(t, s, leaves, testTableLeaves)
	settle(t, s)
	g := s.index.State().Segments[0]
	closeStore(t, s)
	raw, err := os.ReadFile(g.File)
	if err != nil {
		t.Fatal(err)
	}
	const half = testTableLeaves/2*recordSize + codec.SumSize // of the records and checksums
	directory := raw[g.FilterAt-8 : g.FilterAt]               // of two buckets
	if want := []byte{0, 0, 0, testTableLeaves / 2, 0, 0, 0, testTableLeaves}; !bytes.Equal(directory, want) || g.FilterAt != 2*half+8 {
		t.Fatalf("the directory is %x at %d, want two buckets of one size", directory, g.FilterAt-8)
	}
	swapped := slices.Concat(raw[half:2*half], raw[:half], raw[2*half:])
	if err := os.WriteFile(g.File, swapped, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, dir, nil)
	for i := range 4 {
		if at, err := s.Find(t.Context(), leaves[i:i+1]); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("leaf %d: %v, %v, want damage", i, at, err)
		}
	}
}
