package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"

	"github.com/cockroachdb/pebble/v2"
)

// filled makes a store of two sealed batches and one that is open.
func filled(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2*stepsPerBatch + 1 {
		if err := step(s, n); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestDamagedRecordsAreNamed writes wrong values behind the store's back.
func TestDamagedRecordsAreNamed(t *testing.T) {
	s := filled(t, t.TempDir())
	defer s.Close()
	ctx := t.Context()
	leaf := storetest.Leaf(1, 5)
	batch := func() error { _, err := s.Batch(ctx, 1); return err }
	anchor := func() error { _, err := s.Anchor(ctx, 1); return err }
	find := func() error { _, err := s.Find(ctx, []store.Leaf{leaf}); return err }
	nodes := func() error { _, err := s.Leaves(ctx, 1, 0, 300); return err }
	cursor := func() error { _, err := s.Cursor(ctx); return err }
	waiting := func() error { _, err := s.Waiting(ctx); return err }
	run := nodesKey(1, 0, 0)
	for _, c := range []struct {
		name   string
		key    []byte
		change func(old []byte) []byte // nil: deleted
		read   func() error
		says   string
	}{
		{"an empty batch", idKey(prefixBatch, 1), func([]byte) []byte { return []byte{} }, batch, "version"},
		{"a batch of another version", idKey(prefixBatch, 1), setByte(0, 2), batch, "record version 2, expected 1"},
		{"a batch in no state", idKey(prefixBatch, 1), setByte(1, 4), batch, "state 4, expected 1 to 3"},
		{"a batch cut short", idKey(prefixBatch, 1), cut, batch, "root"},
		{"a batch with more behind", idKey(prefixBatch, 1), more, batch, "1 bytes behind its end"},
		{"an anchor cut short", idKey(prefixAnchor, 1), cut, anchor, "varint"},
		{"an anchor with more behind", idKey(prefixAnchor, 1), more, anchor, "1 bytes behind its end"},
		{"an anchor half settled", idKey(prefixAnchor, 1), setByte(2, 2), anchor, "settled is 2, expected 0 or 1"},
		{"leaves missing that the index points to", run, nil, find, "missing"},
		{"half a leaf where the index points to", run, cut, find, "8191 bytes, expected 32"},
		{"another leaf where the index points to", run, setByte(5*32, leaf[0]^1), find, "the index says that it begins with"},
		{"no batch where the index points to", firstKey(0, 1), nil, find, "no batch has leaf 5"},
		{"half a node", run, cut, nodes, "8191 bytes, expected 32"},
		{"a node less", run, func(old []byte) []byte { return old[32:] }, nodes, "begin at 256, expected 255"},
		{"a run too long", run, func(old []byte) []byte { return append(old, old[:32]...) }, nodes, "run of 256"},
		{"a run missing", run, nil, nodes, "begin at 256, expected 0"},
		{"a cursor too long", cursorKey, func([]byte) []byte { return []byte{1, 200, 1} }, cursor, "200, expected at most 128"},
		{"a mark of nothing", idKey(prefixWaiting, 77), func([]byte) []byte { return []byte{} }, waiting, "batch 77"},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, err := s.get(s.db, c.key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			existed := err == nil
			set := func(value []byte, there bool) {
				if there {
					err = s.db.Set(c.key, value, pebble.Sync)
				} else {
					err = s.db.Delete(c.key, pebble.Sync)
				}
				if err != nil {
					t.Fatal(err)
				}
				s.spans.forget()
				s.publish(false)
			}
			if c.change == nil {
				set(nil, false)
			} else {
				set(c.change(bytes.Clone(old)), true)
			}
			err = c.read()
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want damage that says %q", err, c.says)
			}
			if key := c.key[:1]; err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q (%x", key, key)) {
				t.Errorf("%v does not name a key of the kind %q", err, key)
			}
			if c.key[0] != prefixNodes && c.key[0] != prefixFirst && !strings.Contains(err.Error(), fmt.Sprintf("%x", c.key)) {
				t.Errorf("%v does not name the key %x", err, c.key)
			}
			set(old, existed)
			if err := c.read(); err != nil {
				t.Errorf("mended: %v", err)
			}
		})
	}
}

func cut(old []byte) []byte  { return old[:len(old)-1] }
func more(old []byte) []byte { return append(old, 0) }

func setByte(i int, v byte) func([]byte) []byte {
	return func(old []byte) []byte { old[i] = v; return old }
}

// TestOpenRefuses starts on stores that must not be used.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		says   string
	}{
		{"no key", write(func(b *pebble.Batch) { _ = b.Delete(metaKey(metaKeyName), nil) }), "its key is missing"},
		{"neither key nor format", write(func(b *pebble.Batch) {
			_ = b.Delete(metaKey(metaKeyName), nil)
			_ = b.Delete(metaKey(metaFormat), nil)
		}), "its format and key are missing"},
		{"a short key", write(func(b *pebble.Batch) { _ = b.Set(metaKey(metaKeyName), make([]byte, 31), nil) }), "31 bytes, expected 32"},
		{"a newer format", write(func(b *pebble.Batch) {
			_ = b.Set(metaKey(metaFormat), binary.AppendUvarint(nil, formatVersion+1), nil)
		}), "format 3, this program knows 2"},
		{"an older format", write(func(b *pebble.Batch) {
			_ = b.Set(metaKey(metaFormat), binary.AppendUvarint(nil, 1), nil)
		}), "make a backup (ancre backup)"},
		{"a newer Pebble", func(t *testing.T, dir string) { rename(t, dir, "marker.format-version.*", ".999") }, "newer version"},
		{"no manifest", func(t *testing.T, dir string) {
			remove(t, dir, "marker.*")
			remove(t, dir, "MANIFEST-*")
		}, "restore the last backup"},
		{"a table missing", func(t *testing.T, dir string) { remove(t, dir, "*.sst") }, "file does not exist"},
		{"the beginning of the last batch lost", write(func(b *pebble.Batch) {
			_ = b.Delete(firstKey(2*groupsPerBatch*leavesPerGroup, 3), nil)
		}), "not found"},
		{"the last chunk lost", write(func(b *pebble.Batch) { _ = b.Delete(nodesKey(3, 0, 0), nil) }), "90 leaves, but 0 are stored"},
		{"a tree file of no page", write(treeFileRecord(&treeFile{})), "0 pages, expected 1 to"},
		{"a tree file of too many", write(treeFileRecord(&treeFile{pages: maxTreeFilePages + 1})), "134217729 pages, expected 1 to"},
		{"a tree file, cut short", write(func(b *pebble.Batch) { _ = b.Set(idKey(prefixTreeFile, 1), []byte{treeFileVersion, 3, 0}, nil) }), "checksum"},
		{"a tree file of a later version", write(func(b *pebble.Batch) { _ = b.Set(idKey(prefixTreeFile, 1), []byte{9}, nil) }), "record version 9, expected 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := filled(t, dir)
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.change(t, dir)
			s, err := Open(dir, Options{})
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want an error that says %q and names the directory", err, c.says)
			}
		})
	}
}

// write changes a store behind its back.
func write(change func(*pebble.Batch)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := s.db.NewBatch()
		change(b)
		if err := b.Commit(pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func treeFileRecord(f *treeFile) func(*pebble.Batch) {
	return func(b *pebble.Batch) { _ = b.Set(idKey(prefixTreeFile, 1), appendTreeFileRecord(nil, f), nil) }
}

func match(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return names
}

func remove(t *testing.T, dir, pattern string) {
	t.Helper()
	for _, name := range match(t, dir, pattern) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// rename gives a file another ending.
func rename(t *testing.T, dir, pattern, ext string) {
	t.Helper()
	for _, name := range match(t, dir, pattern) {
		if err := os.Rename(name, strings.TrimSuffix(name, filepath.Ext(name))+ext); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFlippedBitsAreSeen flips a bit in each kilobyte of the tables: an answer is right, or an
// error, never wrong.
func TestFlippedBitsAreSeen(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	want := 2*stepsPerBatch + 1
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	seen, flips := 0, 0
	for _, name := range match(t, dir, "*.sst") {
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 100; at < len(good); at += 4096 {
			bad := bytes.Clone(good)
			bad[at] ^= 0x10
			if err := os.WriteFile(name, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			flips++
			s, err := Open(dir, Options{})
			if err == nil {
				var n int
				if n, err = stepsIn(s); err == nil && n != want {
					t.Errorf("bit flipped at %d of %s: as after %d steps, want %d or an error", at, filepath.Base(name), n, want)
				}
				_ = s.Close()
			}
			if err != nil {
				seen++
			}
		}
		if err := os.WriteFile(name, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d flipped bits were seen", seen, flips)
	if seen == 0 {
		t.Error("no flipped bit was seen")
	}
}

// TestSecondOpenIsRefused holds one store to one process.
func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "another ancred") {
		_ = second.Close()
		t.Errorf("second: %v", err)
	}
	if err := step(s, 0); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
