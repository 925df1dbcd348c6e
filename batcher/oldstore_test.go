package batcher

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/proof"
)

// testdata/format2.tar.gz was made by the program as it was before the index got a package of its
// own, at commit 4d21086, with tables of 100 leaves, and tree files from 512 leaves on. It holds:
//
//	store/        a store that was closed: batches of 700, 3 and 300 digests whose anchors are
//	              final, one of 40 whose anchor is broadcast, and an open one of 25
//	killed/       the same as a killed process leaves it: nearly all is in the log
//	store.backup  a backup of it
//	proofs.txt    of each digest: n, batch, index, state, whether the proof is complete, and the
//	              first 8 bytes of the SHA-256 of the proof. The digest is number(n)

// unpackOld unpacks the archive and returns where it is.
func unpackOld(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	f, err := os.Open(filepath.Join("testdata", "format2.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// storedBlocks are the headers of the blocks that a store's anchors are in.
type storedBlocks map[uint64]proof.Header

func (b storedBlocks) Header(_ context.Context, height uint64) (proof.Header, error) {
	h, ok := b[height]
	if !ok {
		return h, proof.ErrNoHeader
	}
	return h, nil
}

// wantOldProofs serves the proof of each digest from a store, and compares it with the one that was
// served when the archive was made.
func wantOldProofs(t *testing.T, engine store.Store, expected string) {
	t.Helper()
	ctx := context.Background()
	anchors, err := engine.Anchors(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	blocks := make(storedBlocks)
	for _, a := range anchors {
		if b := a.Block; b != nil {
			blocks[uint64(b.Height)] = proof.Header{Height: uint64(b.Height), Hash: b.Hash, MerkleRoot: b.Header.MerkleRoot, Time: b.Header.Timestamp}
		}
	}
	chain := newSimChain()
	b, err := New(Config{
		Store: engine, Chain: chain, Wallet: newSimWallet(chain), Policy: decide.DefaultPolicy(),
		URI: "http://127.0.0.1:14788", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	wantWholeFeed(t, engine)
	f, err := os.Open(expected)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, valid := 0, 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		var n uint64
		if _, err := fmt.Sscan(s.Text(), &n); err != nil {
			t.Fatal(err)
		}
		d := number(n)
		data, st, complete, err := b.Proof(ctx, nil, d)
		if err != nil {
			t.Fatalf("digest %d: %v", n, err)
		}
		sum := sha256.Sum256(data)
		got := fmt.Sprintf("%d %d %d %s %t %x", n, st.Position.Batch, st.Position.Index, st.Progress.State, complete, sum[:8])
		if got != s.Text() {
			t.Fatalf("the old program said\n%s, this one says\n%s", s.Text(), got)
		}
		if !complete {
			continue
		}
		p, err := proof.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := proof.Verify(ctx, p, d[:], blocks); err != nil || r.Outcome != proof.OutcomeValid {
			t.Fatalf("digest %d: %+v, %v", n, r, err)
		}
		valid++
	}
	if lines != 1068 || valid != 1003 {
		t.Errorf("%d proofs were compared, %d of them complete, want 1068 and 1003", lines, valid)
	}
}

// wantWholeFeed checks that the feed of changes ends with how far each batch is.
func wantWholeFeed(t *testing.T, engine store.Store) {
	t.Helper()
	ctx := context.Background()
	told := make(map[uint64]store.Progress)
	changes, _, err := engine.Changes(ctx, store.Mark{}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		told[c.Batch] = c.Progress
	}
	batches, err := engine.Batches(ctx, 0, 1<<30)
	if err != nil || len(batches) != len(told) {
		t.Fatalf("%d batches, %v, and %d of them in the feed", len(batches), err, len(told))
	}
	for _, b := range batches {
		var anchor *store.Anchor
		if b.Anchor != 0 {
			a, err := engine.Anchor(ctx, b.Anchor)
			if err != nil {
				t.Fatal(err)
			}
			anchor = &a
		}
		if want := store.ProgressOf(&b, anchor); told[b.ID] != want {
			t.Errorf("the feed says of batch %d %+v, want %+v", b.ID, told[b.ID], want)
		}
	}
}

// TestStoreOfTheVersionBeforeOpens would catch a change of a format that its version does not tell
// of, whether in the database, in the files of the index or in the log.
func TestStoreOfTheVersionBeforeOpens(t *testing.T) {
	dir := unpackOld(t)
	for _, name := range []string{"store", "killed"} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			engine, err := pebblestore.Open(filepath.Join(dir, name), pebblestore.Options{
				Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
			})
			if err != nil {
				t.Fatal(err)
			}
			wantOldProofs(t, engine, filepath.Join(dir, "proofs.txt"))
			// And it goes on.
			open, err := engine.Batch(t.Context(), 5)
			if err != nil {
				t.Fatal(err)
			}
			open.Count++
			a := &store.Append{Leaves: []store.Leaf{{1}}, At: []store.Position{{Batch: 5, Index: open.Count - 1}}, Batches: []store.Batch{open}}
			if err := engine.Append(t.Context(), a); err != nil {
				t.Error(err)
			}
			if err := engine.Close(); err != nil {
				t.Fatal(err)
			}
			if log.Len() > 0 {
				t.Errorf("it opens with warnings:\n%s", &log)
			}
		})
	}
}

// TestBackupOfTheVersionBeforeIsRestored is the same for a backup.
func TestBackupOfTheVersionBeforeIsRestored(t *testing.T) {
	dir := unpackOld(t)
	f, err := os.Open(filepath.Join(dir, "store.backup"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := backup.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	key := r.Header().Key
	engine, err := pebblestore.Open(filepath.Join(dir, "restored"), pebblestore.Options{Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	sum, err := r.Restore(t.Context(), engine)
	if err != nil || sum.Digests != 1068 || sum.Batches != 5 {
		t.Fatalf("restored %+v, %v, want 1068 digests in 5 batches", sum, err)
	}
	wantOldProofs(t, engine, filepath.Join(dir, "proofs.txt"))
}
