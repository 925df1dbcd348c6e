package pebblestore

import (
	"context"
	"fmt"
	"log/slog"

	"ancre/batcher/store/pebblestore/failfs"
	"ancre/internal/wake"

	"github.com/cockroachdb/pebble/v2"
)

// majorVersion pins Pebble's own format, so that a newer Pebble does not rewrite a store that an
// older ancred may have to open again. This one has checksums in table footers and tells a torn log
// from a damaged one.
const majorVersion = pebble.FormatTableFormatV6

const (
	// memTableSize bounds what a start has to replay, and with stopWrites what waits in memory to
	// become tables.
	memTableSize = 8 << 20
	stopWrites   = 4

	// compactSublevels is how many tables that overlap begin a compaction: here they do in the few
	// keys that change all the time. A look-up of such a key asks each of them; the leaves between
	// them are in one.
	compactSublevels = 8

	// stopSublevels is how many may wait to be compacted before no more is written.
	stopSublevels = 32

	// oneLevel keeps Pebble from making levels between the first and the last. New tables overlap
	// with the end of the last level only (see "Keys" in docs/store-format.md), so there is nothing
	// that levels would spare: with them, each byte was written once more. Now it is written 2.8
	// times, the log included: log, new table, compaction.
	oneLevel = 1 << 50

	// A compaction writes the last table of the level again, because it holds the keys that change
	// all the time: so tables are small. At a hundred million leaves there are 400.
	firstTableSize = 4 << 20
	lastTableSize  = 8 << 20

	// indexBlockSize makes the index of a table one block, as a rule: 1,000 runs, each a block of
	// its own, need 20 kB of it. With Pebble's 4 KiB it has two levels, and each look-up goes
	// through one block more.
	indexBlockSize = 64 << 10

	// never is for Pebble's own limits of what may wait. A write that waits inside Pebble cannot be
	// called back when the disk fails, and keeps the locks that closing needs; so the committer
	// waits before it, see drain.
	never = 1 << 20

	// cacheSize is for memtables and cached blocks together: Pebble takes the former out of it.
	// What is left has to hold the indexes of the tables, 12 MB for a hundred million leaves.
	// Leaves themselves are read at random, and the system's cache, which gives way when memory is
	// needed, is the better place for them: reading took as long with 64 MiB here, and with 20.
	cacheSize = 24 << 20
)

func (s *Store) pebbleOptions(memTableSize uint64) *pebble.Options {
	opts := &pebble.Options{
		FS:                          s.fs,
		Lock:                        s.lock,
		FormatMajorVersion:          majorVersion,
		CacheSize:                   cacheSize,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: never,
		L0CompactionThreshold:       compactSublevels,
		L0StopWritesThreshold:       never,
		LBaseMaxBytes:               oneLevel,
		TargetFileSizes:             [7]int64{firstTableSize, lastTableSize},
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MaxOpenFiles:                500,
		Logger:                      pebbleLog{s.log, s.fs},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.log.Error("store: flush or compaction failed", "err", err) },
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.log.Error("store: damaged data on disk", "file", info.Path, "err", info.Details)
			},
			WALCreated:    func(pebble.WALCreateInfo) { s.rotated.Store(true) },
			FlushEnd:      func(pebble.FlushInfo) { wake.Up(s.drained) },
			CompactionEnd: func(pebble.CompactionInfo) { wake.Up(s.drained) },
		},
	}
	opts.Levels[0].IndexBlockSize = indexBlockSize // of all levels
	// Hashes do not compress, and hardly any key is looked for that is not there: no filters.
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return opts
}

// pebbleLog passes on what Pebble tells. What Pebble would end the process for ends the writing.
type pebbleLog struct {
	log *slog.Logger
	fs  *failfs.FS
}

func (l pebbleLog) Infof(format string, args ...any) { l.emit(slog.LevelDebug, format, args) }

func (l pebbleLog) Errorf(format string, args ...any) { l.emit(slog.LevelError, format, args) }

func (l pebbleLog) Fatalf(format string, args ...any) { l.fs.Fail(fmt.Errorf(format, args...)) }

func (l pebbleLog) emit(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "store: "+fmt.Sprintf(format, args...))
	}
}
