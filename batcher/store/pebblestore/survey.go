package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/pebblestore/failfs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	logrecord "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// survey is what a store holds before it is opened. It is made without changing anything on the
// disk, so that what is damaged stays as it is: Pebble drops what it cannot read of a log, and
// deletes the log.
//
// It reads the tables, then the logs behind them. Each write has a number ([metaWrites]), so a
// write that is missing shows wherever it was, and however its log was damaged: cut, emptied, gone,
// or flipped.
type survey struct {
	contents
	id      storeID
	counted bool   // the tables or the logs count writes: the store has had a witness
	replay  uint64 // bytes of the writes that are in logs alone

	manifest string // the name of the file that says which tables there are

	// The first log that cannot be read to its end, and why. A crash leaves one like that, too.
	broken string
	why    error
}

// contents is what the words of an error need to know.
type contents struct {
	writes uint64 // the number of the last write
	leaves uint64
	batch  uint64 // the newest, 0 before the first
	count  uint64 // leaves in it
}

// tablesOnly hides the logs from Pebble.
type tablesOnly struct{ vfs.FS }

func (t tablesOnly) List(dir string) ([]string, error) {
	names, err := t.FS.List(dir)
	shown := names[:0]
	for _, name := range names {
		if _, _, isLog := wal.ParseLogFilename(name); !isLog {
			shown = append(shown, name)
		}
	}
	return shown, err
}

func (t tablesOnly) Unwrap() vfs.FS { return t.FS }

// survey reads what is there. Nothing is there unless Pebble finds a manifest.
func (s *Store) survey(ctx context.Context, fs vfs.FS) (v survey, err error) {
	v.manifest = s.manifest
	if err := s.surveyTables(fs, &v); err != nil {
		return v, s.damage(err)
	}
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: s.dir})
	if err != nil {
		return v, err
	}
	for i := range logs {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		if err := v.surveyLog(logs[i]); err != nil {
			return v, err
		}
	}
	return v, nil
}

// surveyTables reads what is in tables, by a look at the database in which nothing is written.
func (s *Store) surveyTables(fs vfs.FS, v *survey) (err error) {
	opts := s.pebbleOptions(memTableSize)
	if err := s.checkOptions(fs, s.options, opts); err != nil {
		return err
	}
	opts.FS, opts.ReadOnly = tablesOnly{fs}, true
	opts.CacheSize = 1 << 20
	opts.EventListener = nil
	opts.Logger = pebbleLog{s.log, failfs.New(fs, s.log, fileKinds)}
	db, err := openPebble(s.dir, opts)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err = s.get(db, metaKey(metaKeyName)); errors.Is(err, store.ErrNotFound) {
		if _, err := fs.Stat(witnessPath(fs, s.dir)); err == nil { // which is made when a table has the key
			return fmt.Errorf("%w: %s does not tell of the table that has the key of the store; nothing was changed", store.ErrDamaged, s.manifest)
		}
	} else if err != nil {
		return err
	}
	value, err := s.get(db, metaKey(metaWrites))
	if err == nil {
		v.counted = true
		v.writes, err = decodeWrites(value)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if value, err = s.get(db, metaKey(metaID)); err == nil {
		v.id, err = decodeID(value)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	it, err := db.NewIter(prefixed(prefixBatch))
	if err != nil {
		return err
	}
	if it.Last() {
		if rec, err := decodeAt(it, prefixBatch, codec.DecodeBatch); err == nil { // else the store says so when it is open
			v.see(&rec)
		}
	}
	return closeIter(it, prefixBatch)
}

// see takes note of a batch.
func (c *contents) see(rec *codec.BatchRecord) {
	if rec.ID >= c.batch {
		c.batch, c.count, c.leaves = rec.ID, rec.Count, rec.Before+rec.Count
	}
}

// surveyLog reads the writes of a log that come after those that are known.
func (v *survey) surveyLog(log wal.LogicalLog) (err error) {
	_, path := log.SegmentLocation(0)
	name := filepath.Base(path)
	r := log.OpenForRead()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: %v", store.ErrDamaged, name, p)
		}
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	for {
		rec, at, err := r.NextRecord()
		var repr []byte
		if err == nil {
			repr, err = io.ReadAll(rec)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if torn(err) {
				err = fmt.Errorf("%s cannot be read from byte %d on: %w", name, at.Physical, err)
			} else { // the disk does not give it
				err = fmt.Errorf("%s cannot be read: %w", name, err)
			}
			if v.why == nil {
				v.broken, v.why = name, err
			}
			return nil
		}
		if err := v.surveyWrite(name, repr); err != nil {
			return err
		}
	}
}

// surveyWrite takes note of a write, unless the tables or an earlier log have it.
func (v *survey) surveyWrite(name string, repr []byte) error {
	number, counted, err := numberOf(repr)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", store.ErrDamaged, name, err)
	}
	switch {
	case !counted: // of a version of this program that had no witness
		v.replay += uint64(len(repr))
		return nil
	case v.counted && number <= v.writes:
		return nil
	case v.counted && number != v.writes+1:
		return v.gap(name, number)
	}
	v.counted, v.writes = true, number
	v.replay += uint64(len(repr))
	for r := batchrepr.Read(repr); ; {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil {
			return err
		}
		if kind != pebble.InternalKeyKindSet || key[0] != prefixBatch {
			continue
		}
		id, err := parseIDKey(prefixBatch, key)
		if err != nil {
			return err
		}
		if rec, err := codec.DecodeBatch(id, value); err == nil {
			v.see(&rec)
		}
	}
}

// gap says that writes are missing before one that is there.
func (v *survey) gap(name string, number uint64) error {
	cause := fmt.Errorf("a log before it is missing or empty, or %s is damaged", v.manifest)
	if v.why != nil {
		if unread(v.why) {
			return v.why
		}
		cause = v.why
	}
	return fmt.Errorf("%w: %d writes are missing before the first that %s adds (%w); nothing was changed; %s",
		store.ErrDamaged, number-v.writes-1, name, cause, remedyBackup)
}

// torn says whether a record is not as it was written: it is damaged, or its writing was
// interrupted.
func torn(err error) bool {
	for _, known := range []error{logrecord.ErrInvalidChunk, logrecord.ErrZeroedChunk, logrecord.ErrUnexpectedEOF, pebble.ErrCorruption} {
		if errors.Is(err, known) {
			return true
		}
	}
	return pebble.IsCorruptionError(err)
}

// unread says whether a log is not damaged, as far as is known, but cannot be read.
func unread(err error) bool { return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EIO) }

// numberOf returns the number of a write in a log.
func numberOf(repr []byte) (number uint64, counted bool, err error) {
	for r := batchrepr.Read(repr); ; {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil {
			return 0, false, err
		}
		if kind == pebble.InternalKeyKindSet && string(key) == string(prefixMeta)+metaWrites {
			number, err = decodeWrites(value)
			return number, err == nil, err
		}
	}
}

func decodeWrites(value []byte) (uint64, error) {
	d := codec.NewDecoder(value)
	n := d.Uvarint("number of writes")
	if err := d.End(); err != nil {
		return 0, damaged(metaKey(metaWrites), err)
	}
	return n, nil
}

func decodeID(value []byte) (id storeID, err error) {
	if len(value) != len(id) {
		return id, damaged(metaKey(metaID), fmt.Errorf("%d bytes, expected %d", len(value), len(id)))
	}
	copy(id[:], value)
	return id, nil
}

// setWrites counts a write in itself.
func setWrites(b *pebble.Batch, number uint64) {
	_ = b.Set(metaKey(metaWrites), binary.AppendUvarint(nil, number), nil)
}

// compare holds what is there against what was acknowledged. A witness that says nothing is no
// reason not to start: then warn is what the operator should know.
func (v *survey) compare(fs vfs.FS, dir string) (warn string, err error) {
	t, err := readWitness(fs, dir)
	path := witnessPath(fs, dir)
	switch {
	case errors.Is(err, errNoWitness) && !v.counted: // the store is new, or of a version that had none
		return "", nil
	case errors.Is(err, errNoWitness), errors.Is(err, errWitnessDamaged):
		return fmt.Sprintf("%s says what was acknowledged, and %v: it is made again from what the store holds, and this start could not compare the two", path, err), nil
	case errors.Is(err, errSlotDamaged):
		warn = fmt.Sprintf("%s says what was acknowledged, and %v: it is made again", path, err)
	case unread(err):
		return "", fmt.Errorf("read %s, which says what was acknowledged: %w", path, err)
	case err != nil:
		return "", fmt.Errorf("%w: read %s, which says what was acknowledged: %w: move it away, and start again: it is made again from what the store holds", store.ErrDamaged, path, err)
	}
	if !v.counted || t.id != v.id && v.id != (storeID{}) {
		return fmt.Sprintf("%s is of another store: it is made again from what this store holds, and this start could not compare the two", path), nil
	}
	if v.writes >= t.writes {
		return warn, nil
	}
	if unread(v.why) {
		return "", v.why
	}
	return "", v.missing(&t, path)
}

// missing says what was acknowledged and is not there.
func (v *survey) missing(t *testimony, path string) error {
	var lost []string
	if t.leaves > v.leaves {
		lost = append(lost, fmt.Sprintf("%s missing, %s", digestsAre(t.leaves-v.leaves), v.where(t)))
	}
	for _, c := range t.anchors {
		if c.write > v.writes {
			lost = append(lost, fmt.Sprintf("anchor %d as it was stored last (versions: %d) is missing", c.anchor, c.versions))
		}
	}
	if len(lost) == 0 {
		lost = append(lost, fmt.Sprintf("the last of its changes are missing, %d in number", t.writes-v.writes))
	}
	cause := fmt.Sprintf("a log is missing or empty, or %s is damaged", v.manifest)
	if v.why != nil {
		cause = v.why.Error()
	}
	return fmt.Errorf("%w: it holds less than it acknowledged: %s (%s); nothing was changed; %s; without a backup, move %s away and start again: "+
		"what is missing is then lost for good, and a batch may be paid a second time",
		store.ErrDamaged, strings.Join(lost, "; "), cause, remedyBackup, path)
}

// where names the place of the digests that are missing.
func (v *survey) where(t *testimony) string {
	from := fmt.Sprintf("from number %d of batch %d on", v.count+1, max(v.batch, 1))
	if t.batch > v.batch+1 || t.batch > v.batch && v.batch > 0 {
		from += fmt.Sprintf(", up to number %d of batch %d", t.count, t.batch)
	}
	return from
}

func digestsAre(n uint64) string {
	if n == 1 {
		return "1 digest is"
	}
	return fmt.Sprintf("%d digests are", n)
}
