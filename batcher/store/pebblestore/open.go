package pebblestore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// openDB opens the database. What is wrong with it is seen, as far as possible, before anything is
// changed.
func (s *Store) openDB(ctx context.Context, opts Options) (err error) {
	fs := opts.FS
	if err := fs.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = pebble.LockDirectory(s.dir, fs); err != nil {
		return fmt.Errorf("cannot lock it: is another ancred using it? (%w)", err)
	}
	if p, ok := fs.(privateFS); ok {
		p.restrict(s.dir, s.log)
	}
	exists, err := s.peek(fs)
	if err != nil {
		return err
	}
	var found survey
	if exists {
		if found, err = s.survey(ctx, fs); err != nil {
			return err
		}
		warning, err := found.compare(fs, s.dir)
		if err != nil {
			return err
		}
		if warning != "" {
			s.log.Warn("store: " + warning)
		}
		if err := s.checkReplay(&found); err != nil {
			return err
		}
	}
	s.db, err = openPebble(s.dir, s.pebbleOptions(opts.memTableSize))
	if failure := s.fs.Failure(); failure != nil { // of which Pebble was not told
		return failure
	}
	if err != nil && found.why != nil {
		return fmt.Errorf("%w: %w (%w): move %s away, and start again: all that was acknowledged is elsewhere", store.ErrDamaged, found.why, err, found.broken)
	}
	if err != nil {
		return err
	}
	s.fs.Arm()
	if err := s.readMeta(opts.Key); err != nil {
		return err
	}
	if s.witness.writes != found.writes {
		return fmt.Errorf("%w: its tables and logs hold %d writes, and %d after they were read: %s", store.ErrDamaged, found.writes, s.witness.writes, remedyBackup)
	}
	return nil
}

// peek says whether there is a database. It refuses a directory with tables, a witness or segments
// of an index that Pebble would take for empty, and write a new database over.
func (s *Store) peek(fs vfs.FS) (exists bool, err error) {
	desc, err := pebble.Peek(s.dir, fs)
	if err != nil {
		return false, s.damage(err)
	}
	if desc.Exists {
		s.manifest, s.options = fs.PathBase(desc.ManifestFilename), desc.OptionsFilename
		return true, nil
	}
	for _, of := range []string{"", indexDir} {
		names, err := fs.List(fs.PathJoin(s.dir, of))
		if err != nil && !(of == indexDir && errors.Is(err, os.ErrNotExist)) {
			return false, err
		}
		for _, name := range names {
			if s.fs.IsTable(name) || name == witnessName {
				return false, fmt.Errorf("%w: %s is there, but no manifest that tells of it: the file marker.manifest.*, which names it, is missing; %s", store.ErrDamaged, fs.PathJoin(of, name), remedyBackup)
			}
		}
	}
	return false, nil
}

// openPebble opens the database, which panics when some of its files cannot be synced, after
// cleaning up.
func openPebble(dir string, opts *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("open: %v", p)
			if cause, ok := p.(error); ok {
				err = fmt.Errorf("open: %w", cause)
			}
		}
	}()
	return pebble.Open(dir, opts)
}

// readMeta checks the format and takes the key, which must be want if that is given; in a store
// that is new it makes them.
func (s *Store) readMeta(want *[32]byte) error {
	format, err := s.get(s.db, metaKey(metaFormat))
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotFound):
		return s.create(want)
	default:
		return err
	}
	d := codec.NewDecoder(format)
	version := d.Uvarint("format version")
	if err := d.End(); err != nil {
		return damaged(metaKey(metaFormat), err)
	}
	switch {
	case version > formatVersion:
		return fmt.Errorf("it has format %d, this program knows %d: it was written by a newer version; use that one", version, formatVersion)
	case version < formatVersion:
		return fmt.Errorf("it has format %d, this program knows %d: with the version that wrote it make a backup (ancre backup), move %s away, and restore the backup with this one (ancred restore)", version, formatVersion, s.dir)
	}
	key, err := s.get(s.db, metaKey(metaKeyName))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: its key is missing", store.ErrDamaged)
	}
	if err != nil {
		return err
	}
	if len(key) != len(s.key) {
		return damaged(metaKey(metaKeyName), fmt.Errorf("%d bytes, expected %d", len(key), len(s.key)))
	}
	copy(s.key[:], key)
	if want != nil && *want != s.key {
		return errors.New("it is there already, with another key than the one given: make it elsewhere")
	}
	return s.readID()
}

// readID reads which store this is and how many writes it holds. One of a version that had no
// witness gets an ID.
func (s *Store) readID() error {
	id, err := s.get(s.db, metaKey(metaID))
	if errors.Is(err, store.ErrNotFound) {
		b := s.db.NewBatch()
		defer b.Close()
		if err := s.setID(b); err != nil {
			return err
		}
		return s.applyAndFlush(b)
	}
	if err == nil {
		s.witness.id, err = decodeID(id)
	}
	if err != nil {
		return err
	}
	writes, err := s.get(s.db, metaKey(metaWrites))
	if err == nil {
		s.witness.writes, err = decodeWrites(writes)
	}
	return err
}

// setID gives a store an ID, and begins to count its writes.
func (s *Store) setID(b *pebble.Batch) error {
	if _, err := rand.Read(s.witness.id[:]); err != nil {
		return fmt.Errorf("make its ID: %w", err)
	}
	_ = b.Set(metaKey(metaID), s.witness.id[:], nil)
	setWrites(b, 0)
	return nil
}

// applyAndFlush writes a change while the store is being opened, and waits until a table has it.
func (s *Store) applyAndFlush(b *pebble.Batch) error {
	if err := s.db.Apply(b, pebble.Sync); err != nil {
		return err
	}
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
		return s.fs.Failure()
	case <-s.fs.Failed(): // then the flush never ends by itself
		return s.fs.Failure()
	}
}

// create makes format and key, unless there are signs that they were there once: since create
// brings them into a table, only a creation that was interrupted leaves a database without any.
func (s *Store) create(given *[32]byte) error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	found := it.First()
	if err := it.Close(); err != nil {
		return err
	}
	tables := int64(0)
	for _, level := range s.db.Metrics().Levels {
		tables += level.TablesCount
	}
	if found || tables > 0 {
		return fmt.Errorf("%w: it holds data, but its format and key are missing", store.ErrDamaged)
	}
	if given != nil {
		s.key = *given
	} else if _, err := rand.Read(s.key[:]); err != nil {
		return fmt.Errorf("make its key: %w", err)
	}
	b := s.db.NewBatch()
	defer b.Close()
	_ = b.Set(metaKey(metaFormat), binary.AppendUvarint(nil, formatVersion), nil)
	_ = b.Set(metaKey(metaKeyName), s.key[:], nil)
	if err := s.setID(b); err != nil {
		return err
	}
	setFeed(b, 0)
	return s.applyAndFlush(b)
}
