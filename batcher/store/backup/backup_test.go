package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/pebblestore"
	"ancre/batcher/store/storetest"
	"ancre/proof"

	"github.com/btcsuite/btcd/wire/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

var (
	testKey   = [32]byte{31: 7}
	testTaken = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
)

func openStore(t testing.TB, dir string, key *[32]byte) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open(dir, pebblestore.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// must ends a test.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// putBatch stores a batch with its leaves; a sealed one with its tree, as the batcher would.
func putBatch(t testing.TB, s store.Store, b store.Batch) store.Batch {
	t.Helper()
	ctx := t.Context()
	appended := store.Batch{ID: b.ID, State: b.State, Count: b.Count, Opened: b.Opened, Closed: b.Closed}
	if b.State == store.Sealed {
		appended.State = store.Closed
	}
	must(t, s.Append(ctx, storetest.Group([]store.Batch{appended}, b.ID, 0, b.Count)))
	if b.State != store.Sealed {
		return b
	}
	sealed, nodes := storetest.Seal(b)
	must(t, s.Apply(ctx, &store.Update{Batches: []store.Batch{sealed}, Nodes: nodes}))
	return sealed
}

// anchorOf is an anchor of which each version commits to one batch more than the one before.
func anchorOf(id uint64, versions int, batches ...store.Batch) store.Anchor {
	a := storetest.Anchor(id, versions)
	for i := range a.Versions {
		v := &a.Versions[i]
		v.Batches = nil
		var roots [][32]byte
		for _, b := range batches[:len(batches)-versions+1+i] {
			v.Batches, roots = append(v.Batches, b.ID), append(roots, b.Root)
		}
		v.Root = proof.Root(roots)
		v.Tx.TxOut[0].PkScript = append([]byte{0x6a, 0x20}, v.Root[:]...)
	}
	return a
}

// fillStore stores something of everything: sealed batches of many sizes in anchors of all states,
// one that waits, one that is closed, one that is open.
func fillStore(t testing.TB, s store.Store) {
	t.Helper()
	when := func(n int64) time.Time { return storetest.Time(n) }
	var sealed []store.Batch
	for i, count := range []uint64{1, 2, 255, 256, 257, 700} {
		id := uint64(i + 1)
		sealed = append(sealed, putBatch(t, s, store.Batch{ID: id, State: store.Sealed, Count: count, Opened: when(int64(id)), Closed: when(int64(id) + 1)}))
	}
	putBatch(t, s, store.Batch{ID: 7, State: store.Closed, Count: 3, Opened: when(30), Closed: when(31)})
	putBatch(t, s, store.Batch{ID: 8, State: store.Open, Count: 300, Opened: when(40)})

	settled := storetest.Mine(anchorOf(1, 1, sealed[0]), store.Final, 0)
	settled.Settled = true
	anchors := []store.Anchor{
		settled,
		storetest.Mine(anchorOf(2, 2, sealed[1], sealed[2]), store.Mined, 0), // leaves batch 3 out
		storetest.Mine(anchorOf(3, 1, sealed[2]), store.Spent, 0),
		anchorOf(4, 3, sealed[2], sealed[3], sealed[4]),
		storetest.Mine(anchorOf(5, 1, sealed[3]), store.Dead, 0),
	}
	for i, anchor := range []uint64{1, 2, 4, 4, 4, 0} {
		sealed[i].Anchor = anchor
	}
	cursor := &store.Cursor{Points: []store.Point{{Height: 840_000, Hash: [32]byte{1}}, {Height: 840_001, Hash: [32]byte{2}}}}
	must(t, s.Apply(t.Context(), &store.Update{Batches: sealed, Anchors: anchors, Cursor: cursor}))
}

// write makes a backup of a store.
func write(t testing.TB, s store.Snapshotter) ([]byte, Summary) {
	t.Helper()
	n, err := s.Snapshot(t.Context())
	must(t, err)
	defer n.Close()
	var out bytes.Buffer
	sum, err := Write(t.Context(), &out, n, "regtest", testTaken)
	must(t, err)
	return out.Bytes(), sum
}

// filled is a backup of a store with something of everything.
func filled(t testing.TB) []byte {
	t.Helper()
	s := openStore(t, t.TempDir(), &testKey)
	defer s.Close()
	fillStore(t, s)
	file, _ := write(t, s)
	return file
}

func verify(file []byte) (Summary, error) {
	b, err := Open(bytes.NewReader(file))
	if err != nil {
		return Summary{}, err
	}
	return b.Verify(context.Background())
}

// A restored store answers as the old one did: everything that the batcher asks of it, and its
// backup is the same again.
func TestRestoredStoreIsTheSame(t *testing.T) {
	ctx := t.Context()
	old := openStore(t, t.TempDir(), nil)
	defer old.Close()
	fillStore(t, old)
	file, wrote := write(t, old)

	b, err := Open(bytes.NewReader(file))
	must(t, err)
	dir := t.TempDir()
	key := b.Header().Key
	back := openStore(t, dir, &key)
	read, err := b.Restore(ctx, back)
	must(t, err)
	if read != wrote {
		t.Errorf("restored %+v, wrote %+v", read, wrote)
	}
	want := Summary{Network: "regtest", Taken: testTaken, Digests: 1471 + 303, Batches: 8, Anchors: 5,
		Followed: store.Point{Height: 840_001, Hash: [32]byte{2}}, Bytes: int64(len(file))}
	if read != want {
		t.Errorf("restored %+v, want %+v", read, want)
	}
	must(t, back.Close())
	back = openStore(t, dir, nil) // as the daemon opens it
	defer back.Close()
	if again, _ := write(t, back); !bytes.Equal(again, file) {
		t.Error("a backup of the restored store is another than the one that it was restored from")
	}
	for name, ask := range map[string]func(store.Store) (any, error){
		"waiting":   func(s store.Store) (any, error) { return s.Waiting(ctx) },
		"unsettled": func(s store.Store) (any, error) { return s.Unsettled(ctx) },
		"leaves":    func(s store.Store) (any, error) { return s.NumLeaves(ctx) },
		"find":      func(s store.Store) (any, error) { return s.Find(ctx, storetest.Leaves(6, 600, 800)) },
		"paths":     func(s store.Store) (any, error) { return pathsOf(ctx, s, 6) },
	} {
		was, err := ask(old)
		must(t, err)
		is, err := ask(back)
		must(t, err)
		if !reflect.DeepEqual(is, was) {
			t.Errorf("%s: %+v, was %+v", name, is, was)
		}
	}
	// And it goes on: the open batch takes leaves, the closed one can be sealed.
	must(t, back.Append(ctx, storetest.Group([]store.Batch{{ID: 8, State: store.Open, Count: 301, Opened: storetest.Time(40)}}, 8, 300, 301)))
	must(t, back.Apply(ctx, &store.Update{Batches: []store.Batch{{ID: 7, State: store.Sealed, Count: 3, Root: proof.Root(storetest.Leaves(7, 0, 3))}}}))
}

// pathsOf returns the paths of all leaves of a batch.
func pathsOf(ctx context.Context, s store.Store, batch uint64) (all [][]proof.Step, err error) {
	b, err := s.Batch(ctx, batch)
	for i := uint64(0); i < b.Count && err == nil; i++ {
		var path []proof.Step
		path, _, err = s.Path(ctx, nil, &b, store.Place{Position: store.Position{Batch: batch, Index: i}})
		all = append(all, path)
	}
	return all, err
}

func TestEmptyStoreComesBackEmpty(t *testing.T) {
	old := openStore(t, t.TempDir(), nil)
	defer old.Close()
	file, wrote := write(t, old)
	b, err := Open(bytes.NewReader(file))
	must(t, err)
	back := openStore(t, t.TempDir(), &b.header.Key)
	defer back.Close()
	read, err := b.Restore(t.Context(), back)
	must(t, err)
	if read != wrote || read.Digests+read.Batches+read.Anchors != 0 || back.Key() != old.Key() {
		t.Errorf("restored %+v, wrote %+v", read, wrote)
	}
}

// Large batches are written in several groups, small ones many in one.
func TestRestoreOfLargeAndOfManyBatches(t *testing.T) {
	for name, counts := range map[string][]uint64{
		"large": {groupLeaves + 1, leavesPerRecord, 2*groupLeaves + 3*leavesPerRecord},
		"many":  slices.Repeat([]uint64{1}, groupBatches+3),
	} {
		t.Run(name, func(t *testing.T) {
			old := openStore(t, t.TempDir(), nil)
			defer old.Close()
			for i, count := range counts {
				putBatch(t, old, store.Batch{ID: uint64(i + 1), State: store.Sealed, Count: count, Opened: testTaken, Closed: testTaken})
			}
			file, wrote := write(t, old)
			b, err := Open(bytes.NewReader(file))
			must(t, err)
			var told uint64
			b.Progress = func(n uint64) { told = n }
			back := openStore(t, t.TempDir(), &b.header.Key)
			defer back.Close()
			_, err = b.Restore(t.Context(), back)
			must(t, err)
			if again, _ := write(t, back); !bytes.Equal(again, file) {
				t.Error("a backup of the restored store is another")
			}
			if told != wrote.Digests {
				t.Errorf("progress ends at %d digests, want %d", told, wrote.Digests)
			}
			if per := float64(len(file)) / float64(wrote.Digests); name == "large" && per > 32.1 {
				t.Errorf("%.2f bytes a digest, want some 32", per)
			}
		})
	}
}

var update = flag.Bool("update", false, "write the file of format 1 anew")

// The file in testdata was written when the format was new. It is read for ever, and a store with
// the same in it gives the same bytes as long as the format has that version.
func TestFormat1(t *testing.T) {
	path := filepath.Join("testdata", "format1.backup")
	file := filled(t)
	if *update {
		must(t, os.WriteFile(path, file, 0o644))
	}
	golden, err := os.ReadFile(path)
	must(t, err)
	if _, err := verify(golden); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, golden) {
		t.Error("what is written is not format 1 any more: give it another version, and go on reading this one")
	}
}

func TestFileThatWasCutOffIsSaidToBe(t *testing.T) {
	file := filled(t)
	for n := range len(file) {
		if n > 1000 && n < len(file)-500 && n%97 != 0 {
			continue
		}
		if _, err := verify(file[:n]); !errors.Is(err, ErrTruncated) {
			t.Fatalf("the first %d of %d bytes: %v, want %v", n, len(file), err, ErrTruncated)
		}
	}
	if _, err := verify(append(slices.Clone(file), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	file := filled(t)
	var places []int
	for i := range len(magic) {
		places = append(places, i)
	}
	at := len(magic)
	for _, r := range split(t, file) {
		for i := range r {
			// In the middle of leaves one byte is as good as another.
			if r[0] != typeLeaves || i < frameSize+40 || i > len(r)-codec.SumSize-40 || i%331 == 0 {
				places = append(places, at+i)
			}
		}
		at += len(r)
	}
	for _, i := range places {
		bad := slices.Clone(file)
		bad[i] ^= 0x10
		want := ErrDamaged
		if i < len(magic) {
			want = ErrNotBackup
		}
		if _, err := verify(bad); !errors.Is(err, want) {
			t.Fatalf("byte %d of %d flipped: %v, want %v", i, len(file), err, want)
		}
	}
}

// Records are framed rightly, but not those that were written.
func TestRecordsThatAreMissingOrMovedAreFound(t *testing.T) {
	file := filled(t)
	records := split(t, file)
	join := func(r [][]byte) []byte { return append([]byte(magic), bytes.Join(r, nil)...) }
	if !bytes.Equal(join(records), file) {
		t.Fatal("splitting goes wrong")
	}
	for i := range records {
		without := slices.Delete(slices.Clone(records), i, i+1)
		if _, err := verify(join(without)); err == nil {
			t.Errorf("record %d, %q, is missing, and nothing is said", i, records[i][0])
		}
		twice := slices.Insert(slices.Clone(records), i, records[i])
		if _, err := verify(join(twice)); err == nil {
			t.Errorf("record %d, %q, comes twice, and nothing is said", i, records[i][0])
		}
		if i > 0 {
			swapped := slices.Clone(records)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			if _, err := verify(join(swapped)); err == nil {
				t.Errorf("records %d and %d, %q and %q, are swapped, and nothing is said", i-1, i, records[i-1][0], records[i][0])
			}
		}
	}
}

// split returns the records of a backup.
func split(t *testing.T, file []byte) (records [][]byte) {
	t.Helper()
	for rest := file[len(magic):]; len(rest) > 0; {
		n := frameSize + int(binary.BigEndian.Uint32(rest[1:])) + codec.SumSize
		records, rest = append(records, rest[:n:n]), rest[n:]
	}
	return records
}

// header frames a header with any body.
func header(body []byte) []byte {
	b := append([]byte(magic), typeHeader)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, codec.Sum(b[len(magic):]))
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, codec.Sum(append(slices.Clone(b[len(magic):len(magic)+5]), body...)))
}

func TestWhatIsNoBackupIsNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"an empty file", nil, ErrTruncated, "0 bytes"},
		{"another file", []byte("-----BEGIN CERTIFICATE-----"), ErrNotBackup, `"-----BEGIN CERT`},
		{"a short other file", []byte("hello"), ErrNotBackup, `"hello"`},
		{"one that went through as text", []byte(strings.ReplaceAll(magic, "\r\n", "\n") + "1234567"), ErrNotBackup, "begins with"},
		{"a newer format", header(binary.AppendUvarint(nil, 2)), ErrNewer, "format 2, this program knows up to 1"},
		{"no format", header([]byte{0}), ErrDamaged, "format version 0"},
	} {
		_, err := Open(bytes.NewReader(c.file))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", c.name, err, c.want, c.says)
		}
	}
	broken := errors.New("the line broke")
	if _, err := Open(io.MultiReader(strings.NewReader(magic), iotest.ErrReader(broken))); !errors.Is(err, broken) || errors.Is(err, ErrTruncated) {
		t.Errorf("reading fails: %v, want the reason", err)
	}
}

// changed is a snapshot of which something was changed behind the store's back.
type changed struct {
	store.Snapshot
	batch  func(*store.Batch)
	leaves func([]store.Leaf)
	anchor func(*store.Anchor)
}

func (c changed) Batches(ctx context.Context) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		for b, err := range c.Snapshot.Batches(ctx) {
			if c.batch != nil {
				c.batch(&b)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func (c changed) Leaves(ctx context.Context, b store.Batch) iter.Seq2[[]store.Leaf, error] {
	return func(yield func([]store.Leaf, error) bool) {
		for l, err := range c.Snapshot.Leaves(ctx, b) {
			if c.leaves != nil {
				c.leaves(l)
			}
			if !yield(l, err) {
				return
			}
		}
	}
}

func (c changed) Anchors(ctx context.Context) iter.Seq2[store.Anchor, error] {
	return func(yield func(store.Anchor, error) bool) {
		for a, err := range c.Snapshot.Anchors(ctx) {
			if c.anchor != nil {
				c.anchor(&a)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// A backup that could not be restored is no use: it is refused when it is taken. The reader checks
// the same, with the same code.
func TestStoreThatContradictsItselfIsNotBackedUp(t *testing.T) {
	s := openStore(t, t.TempDir(), nil)
	defer s.Close()
	fillStore(t, s)
	ofBatch := func(id uint64, change func(*store.Batch)) changed {
		return changed{batch: func(b *store.Batch) {
			if b.ID == id {
				change(b)
			}
		}}
	}
	ofVersion := func(change func(*store.Version)) changed {
		return changed{anchor: func(a *store.Anchor) { change(&a.Versions[0]) }}
	}
	for name, c := range map[string]changed{
		"a leaf changed":               {leaves: func(l []store.Leaf) { l[0][0] ^= 1 }},
		"a root changed":               ofBatch(5, func(b *store.Batch) { b.Root[0] ^= 1 }),
		"a batch is missing":           ofBatch(5, func(b *store.Batch) { b.ID = 6 }),
		"an anchor is missing":         ofBatch(6, func(b *store.Batch) { b.Anchor = 9 }),
		"an open batch in the middle":  ofBatch(7, func(b *store.Batch) { b.State = store.Open }),
		"an open batch with an anchor": ofBatch(8, func(b *store.Batch) { b.Anchor = 1 }),
		"an anchor of no batch":        ofVersion(func(v *store.Version) { v.Batches = nil }),
		"an anchor of another batch":   ofVersion(func(v *store.Version) { v.Batches = []uint64{6} }),
		"an anchor of an open batch":   ofVersion(func(v *store.Version) { v.Batches = []uint64{8} }),
		"an anchor of another root":    ofVersion(func(v *store.Version) { v.Root[0] ^= 1 }),
		"a payment of another root":    ofVersion(func(v *store.Version) { v.Tx = v.Tx.Copy(); v.Tx.TxOut[0].PkScript[5] ^= 1 }),
		"a payment of no root":         ofVersion(func(v *store.Version) { v.Tx = wire.NewMsgTx(2) }),
	} {
		n, err := s.Snapshot(t.Context())
		must(t, err)
		c.Snapshot = n
		if _, err := Write(t.Context(), io.Discard, c, "regtest", testTaken); !errors.Is(err, ErrContradiction) {
			t.Errorf("%s: %v, want %v", name, err, ErrContradiction)
		}
		must(t, n.Close())
	}
}

// oneLeaf is a backup of one sealed batch of one leaf, framed rightly whatever the leaf is. The
// root is that of leaf 5.
func oneLeaf(t testing.TB, leaf byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := newWriter(&out, nil)
	h := Header{Network: "regtest", Digests: 1, Batches: 1}
	w.record(typeHeader, h.append(nil))
	b := codec.BatchRecord{Batch: store.Batch{ID: 1, State: store.Sealed, Count: 1, Root: [32]byte{5}}}
	w.record(typeBatch, codec.AppendBatch([]byte{1}, &b))
	w.record(typeLeaves, append([]byte{leaf}, make([]byte, 31)...))
	w.record(typeCursor, codec.AppendCursor(nil, &store.Cursor{}))
	e := end{digests: 1, batches: 1}
	w.sum.Sum(e.sum[:0])
	w.record(typeEnd, e.append(nil))
	must(t, errors.Join(w.err, w.w.Flush()))
	return out.Bytes()
}

// The checksums are right, and the leaves are not those of the root: whoever wrote it did not
// check.
func TestReaderRecomputesRoots(t *testing.T) {
	if _, err := verify(oneLeaf(t, 5)); err != nil {
		t.Fatalf("the right leaf: %v", err)
	}
	file := oneLeaf(t, 6)
	if _, err := verify(file); !errors.Is(err, ErrContradiction) || !strings.Contains(err.Error(), "batch 1") {
		t.Errorf("another leaf: %v, want %v that names batch 1", err, ErrContradiction)
	}
	b, err := Open(bytes.NewReader(file))
	must(t, err)
	s := openStore(t, t.TempDir(), &b.header.Key)
	defer s.Close()
	if _, err := b.Restore(t.Context(), s); !errors.Is(err, ErrContradiction) {
		t.Errorf("restored: %v", err)
	}
}

func TestRestoreGoesIntoANewStoreWithTheKey(t *testing.T) {
	file := filled(t)
	b, err := Open(bytes.NewReader(file))
	must(t, err)
	other := openStore(t, t.TempDir(), nil)
	defer other.Close()
	if _, err := b.Restore(t.Context(), other); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("into a store with another key: %v", err)
	}
	full := openStore(t, t.TempDir(), &testKey)
	defer full.Close()
	putBatch(t, full, store.Batch{ID: 1, State: store.Open, Count: 1})
	if _, err := b.Restore(t.Context(), full); err == nil || !strings.Contains(err.Error(), "holds 1 leaves") {
		t.Errorf("into a store with something in it: %v", err)
	}
}

func TestBackupEndsWithItsContext(t *testing.T) {
	file := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	b, err := Open(bytes.NewReader(file))
	must(t, err)
	b.Progress = func(uint64) { cancel() }
	if _, err := b.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("verify: %v", err)
	}
	s := openStore(t, t.TempDir(), nil)
	defer s.Close()
	n, err := s.Snapshot(t.Context())
	must(t, err)
	defer n.Close()
	if _, err := Write(ctx, io.Discard, n, "regtest", testTaken); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
}

// A length of 64 MiB in a file of some bytes takes no memory.
func FuzzRead(f *testing.F) {
	f.Add(oneLeaf(f, 5))
	f.Add(oneLeaf(f, 6))
	f.Add(header((&Header{Network: "regtest"}).append(nil)))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := verify(file)
		if err == nil && s.Bytes != int64(len(file)) {
			t.Errorf("%d bytes are a backup of %d", len(file), s.Bytes)
		}
	})
}
