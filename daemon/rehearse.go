package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ancre/batcher/store"
	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/internal/diskspace"
	"ancre/internal/humanize"
	"ancre/proof"
)

// Rehearse verifies a backup of any network by restoring it. It makes a store from the backup in a
// new directory below dir, opens that store as the daemon does at its start, and follows the first
// and the last proof of each batch to the root. Nothing is left of the store afterwards.
//
// What a rehearsal cannot try is the wallet, which is restored from its words.
func Rehearse(ctx context.Context, dir string, b Backup) (s backup.Summary, err error) {
	r, err := b.open()
	if err != nil {
		return s, err
	}
	if err := fitsRehearsal(dir, r.Header().Digests); err != nil {
		return s, err
	}
	temp, err := os.MkdirTemp(dir, backup.RehearsalPrefix+"*")
	if err != nil {
		return s, fmt.Errorf("the rehearsal needs a directory: %w; name one in the environment variable TMPDIR", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if s, err = fillStore(ctx, temp, r); err != nil {
		return s, fmt.Errorf("%s: %w", b.Name, err)
	}
	if err := tryStore(ctx, temp, r.Header(), s); err != nil {
		return s, fmt.Errorf("%s was restored for trial, and the new store is not right: %w", b.Name, err)
	}
	return s, nil
}

// fitsRehearsal returns an error if the store would not fit into a directory.
func fitsRehearsal(dir string, digests uint64) error {
	need := backup.RehearsalBytes(digests)
	free, ok := diskspace.Free(dir)
	if !ok || free >= need+pebblestore.DefaultReserve {
		return nil
	}
	return fmt.Errorf("the rehearsal takes up to %s in %s, and %s must stay free, but only %s are free: "+
		"name a directory on another disk in the environment variable TMPDIR", humanize.Bytes(int64(need)), dir,
		humanize.Bytes(pebblestore.DefaultReserve), humanize.Bytes(int64(free)))
}

// tryStore opens a restored store and compares it with what the backup says.
func tryStore(ctx context.Context, dir string, h backup.Header, s backup.Summary) (err error) {
	st, err := pebblestore.OpenContext(ctx, dir, pebblestore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if st.Key() != h.Key {
		return errors.New("it has another key than the backup")
	}
	if n, err := st.NumLeaves(ctx); err != nil || n != s.Digests {
		return fmt.Errorf("it holds %d digests (%v), the backup %d", n, err, s.Digests)
	}
	cursor, err := st.Cursor(ctx)
	if err != nil {
		return err
	}
	if n := len(cursor.Points); s.Followed.Height > 0 && (n == 0 || cursor.Points[n-1] != s.Followed) {
		return fmt.Errorf("it does not end at block %d", s.Followed.Height)
	}
	if err := tryAnchors(ctx, st, s.Anchors); err != nil {
		return err
	}
	for id := uint64(1); id <= s.Batches; id++ {
		if err := tryBatch(ctx, st, id); err != nil {
			return fmt.Errorf("batch %d: %w", id, err)
		}
	}
	return nil
}

// tryAnchors reads all anchors.
func tryAnchors(ctx context.Context, st store.Store, want uint64) error {
	const some = 100
	for n, before := uint64(0), uint64(0); ; {
		anchors, err := st.Anchors(ctx, before, some)
		if err != nil {
			return err
		}
		n += uint64(len(anchors))
		if len(anchors) < some {
			if n != want {
				return fmt.Errorf("it holds %d anchors, the backup %d", n, want)
			}
			return nil
		}
		before = anchors[len(anchors)-1].ID
	}
}

// tryBatch finds the first and the last leaf of a batch, as the daemon does for a proof.
func tryBatch(ctx context.Context, st store.Store, id uint64) error {
	b, err := st.Batch(ctx, id)
	if err != nil {
		return err
	}
	for _, index := range []uint64{0, b.Count - 1} {
		if b.Count == 0 {
			break
		}
		leaves, err := st.Leaves(ctx, id, index, 1)
		if err != nil {
			return err
		}
		if len(leaves) != 1 {
			return fmt.Errorf("leaf %d is missing", index)
		}
		place, err := st.Locate(ctx, leaves[0])
		if err != nil {
			return err
		}
		if want := (store.Position{Batch: id, Index: index}); place.Position != want {
			return fmt.Errorf("leaf %d is found at %+v", index, place.Position)
		}
		if b.State != store.Sealed {
			continue
		}
		path, _, err := st.Path(ctx, nil, &b, place)
		if err != nil {
			return err
		}
		if root := proof.RootFromPath(leaves[0], path); root != b.Root {
			return fmt.Errorf("the proof of leaf %d leads to %x, and the root is %x", index, root, b.Root)
		}
	}
	return nil
}
