package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2"
)

// The feed of changes has a value for each write that changed the progress of a batch, under the
// number of the write. So its order is that of the writes, and a place in it is a number that the
// store counts anyway.
//
// Each write also says that the feed is complete up to it (metaFeed). A version of Ancre that knows
// no feed does not, and so the next one that does notices what is missing, and makes up for it.

// catchUpChanges is how many changes are written at once when the feed is made up.
const catchUpChanges = 4096

// feed is where the feed of changes ends. The committer owns it.
type feed struct {
	last   store.Mark
	behind bool // a write before the last is missing in it
}

// add adds what a write changes to it, and returns the feed after it.
func (f feed) add(b *pebble.Batch, write uint64, changes []store.Change) feed {
	if len(changes) > 0 {
		var value []byte
		value, f.last = codec.AppendChanges(nil, f.last, write, changes)
		_ = b.Set(idKey(prefixChange, write), value, nil)
	}
	if !f.behind {
		setFeed(b, write)
	}
	return f
}

// setFeed says up to which write the feed is complete.
func setFeed(b *pebble.Batch, write uint64) {
	_ = b.Set(metaKey(metaFeed), binary.AppendUvarint(nil, write), nil)
}

// changesOf returns what an update changes, of what v shows. stored has batches as they are in v.
func (s *Store) changesOf(u *store.Update, v *view, stored map[uint64]store.Batch) ([]store.Change, error) {
	return u.Changes(func(id uint64) (store.Batch, error) {
		if b, ok := stored[id]; ok {
			return b, nil
		}
		rec, err := s.batch(v.snap, id)
		return rec.Batch, err
	}, func(id uint64) (store.Anchor, error) { return s.anchor(v, id) })
}

// Changes implements [store.Store].
func (s *Store) Changes(ctx context.Context, after store.Mark, limit int) (changes []store.Change, end store.Mark, err error) {
	v, err := s.acquire(ctx)
	if err != nil {
		return nil, after, err
	}
	defer v.release()
	if after != (store.Mark{}) {
		known, err := record(s, v.snap, prefixChange, "change", after.Write, decodeEntry)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && known.mark != after:
			return nil, after, store.ErrUnknownMark
		case err != nil:
			return nil, after, err
		}
	}
	end = after
	err = s.eachChange(ctx, v.snap, after.Write+1, func(some []store.Change, m store.Mark) bool {
		changes, end = append(changes, some...), m
		return len(changes) < limit
	})
	return changes, end, err
}

// eachChange hands on the changes of each write from a number on, until next says no more.
func (s *Store) eachChange(ctx context.Context, r pebble.Reader, from uint64, next func([]store.Change, store.Mark) bool) (err error) {
	lower := idKey(prefixChange, from)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: []byte{prefixChange + 1}})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = readError(lower, cerr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		entry, err := decodeAt(it, prefixChange, decodeEntry)
		if err != nil {
			return err
		}
		if !next(entry.changes, entry.mark) {
			return nil
		}
	}
	return nil
}

// Changed implements [store.Store].
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// entry is what the feed has of one write.
type entry struct {
	changes []store.Change
	mark    store.Mark
}

func decodeEntry(write uint64, value []byte) (e entry, err error) {
	e.changes, e.mark, err = codec.DecodeChanges(write, value)
	return e, err
}

// openFeed finds where the feed ends.
func (s *Store) openFeed() error {
	copy(s.feed.last.Tag[:], s.witness.id[:]) // the tags of another store are others
	it, err := s.db.NewIter(prefixed(prefixChange))
	if err != nil {
		return err
	}
	if it.Last() {
		last, err := decodeAt(it, prefixChange, decodeEntry)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		s.feed.last = last.mark
	}
	if err := closeIter(it, prefixChange); err != nil {
		return err
	}
	upTo, err := s.get(s.db, metaKey(metaFeed))
	if errors.Is(err, store.ErrNotFound) {
		s.feed.behind = true
		return nil
	}
	if err != nil {
		return err
	}
	d := codec.NewDecoder(upTo)
	s.feed.behind = d.Uvarint("number of a write") != s.witness.writes
	if err := d.End(); err != nil {
		return damaged(metaKey(metaFeed), err)
	}
	return nil
}

// catchUp adds to the feed what is missing in it. Where the disk is full, the next start does it.
func (s *Store) catchUp(ctx context.Context) error {
	v, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer v.release()
	told := make(map[uint64]store.Progress)
	err = s.eachChange(ctx, v.snap, 0, func(some []store.Change, _ store.Mark) bool {
		for _, c := range some {
			told[c.Batch] = c.Progress
		}
		return true
	})
	if err != nil {
		return err
	}
	var missing []store.Change
	err = s.eachProgress(ctx, v, func(c store.Change) error {
		if told[c.Batch] == c.Progress {
			return nil
		}
		missing = append(missing, c)
		if len(missing) < catchUpChanges {
			return nil
		}
		err := s.commit(ctx, &commit{batch: s.db.NewBatch(), reserve: s.reserve / 2, changes: missing})
		missing = nil
		return err
	})
	if err == nil {
		err = s.commit(ctx, &commit{batch: s.db.NewBatch(), reserve: s.reserve / 2, changes: missing, caughtUp: true})
	}
	if errors.Is(err, store.ErrFull) {
		s.log.Warn("store: the feed of changes lacks some; the next start adds them", "err", err)
		return nil
	}
	return err
}

// eachProgress hands on how far each batch is, by rising ID.
func (s *Store) eachProgress(ctx context.Context, v *view, do func(store.Change) error) error {
	shown := &snapshot{s: s, view: v}
	var anchor store.Anchor // of the batch before: most have the same, or the next
	for b, err := range shown.Batches(ctx) {
		if err != nil {
			return err
		}
		if b.Anchor != 0 && b.Anchor != anchor.ID {
			if anchor, err = s.anchor(v, b.Anchor); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		progress := store.ProgressOf(&b, nil)
		if anchor.ID == b.Anchor && b.Anchor != 0 {
			progress = store.ProgressOf(&b, &anchor)
		}
		if err := do(store.Change{Batch: b.ID, Progress: progress}); err != nil {
			return fmt.Errorf("add what the feed of changes lacks: %w", err)
		}
	}
	return nil
}
