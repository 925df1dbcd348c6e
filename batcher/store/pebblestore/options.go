package pebblestore

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// majorVersion pins Pebble's own format, so that a newer Pebble does not rewrite a store that an older ancred may
// have to open again. This one has checksums in table footers and tells a torn log from a damaged one.
const majorVersion = pebble.FormatTableFormatV6

const (
	// memTableSize bounds what a start has to replay, and with stopWrites what waits in memory to become tables. Both
	// must leave most of the cache to blocks: with 32 MiB a submit of 1,000 took four times as long.
	memTableSize = 8 << 20
	stopWrites   = 4

	// compactSublevels is how many levels of tables that overlap begin a compaction. Four times Pebble's usual: hashes spread
	// over all keys, so each compaction rewrites much, and the filter spares new digests the look-ups that more levels would
	// make dearer. Submits of 1,000 came to 316,000 digests a second with 16 and to 225,000 with 8, on one machine in turns.
	compactSublevels = 8

	// stopSublevels is how many levels of tables that overlap may wait to be compacted: each costs every look-up that is made.
	stopSublevels = 32

	// never is for Pebble's own limits of the two above. A write that waits inside Pebble cannot be called back when
	// the disk fails, and keeps the locks that closing needs; so the committer waits before it, see drain.
	never = 1 << 20

	// cacheSize is for memtables and cached blocks together: Pebble takes the former out of it. It has to hold the
	// tables' indexes and filters: with 16 MiB, all of them taken by memtables, a look-up that finds nothing among a
	// million took 25 to 50 µs, with 64 MiB 2 to 15 µs. An idle store uses what it read, not all of it.
	cacheSize = 64 << 20
)

func (s *Store) pebbleOptions(memTableSize uint64) *pebble.Options {
	opts := &pebble.Options{
		FS:                          s.guard,
		Lock:                        s.lock,
		FormatMajorVersion:          majorVersion,
		CacheSize:                   cacheSize,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: never,
		L0CompactionThreshold:       compactSublevels,
		L0StopWritesThreshold:       never,
		LBaseMaxBytes:               1 << 50,
		TargetFileSizes:             [7]int64{4 << 20, 8 << 20},
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MaxOpenFiles:                500,
		Logger:                      pebbleLog{s.log, s.guard},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.log.Error("store: flush or compaction failed", "err", err) },
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.log.Error("store: damaged data on disk", "file", info.Path, "err", info.Details)
			},
			DiskSlow: func(info pebble.DiskSlowInfo) {
				s.log.Warn("store: the disk is slow", "file", info.Path, "op", info.OpType.String(), "duration", info.Duration)
			},
			WALCreated:    func(pebble.WALCreateInfo) { s.rotated.Store(true) },
			FlushEnd:      func(pebble.FlushInfo) { wake(s.drained) },
			CompactionEnd: func(pebble.CompactionInfo) { wake(s.drained) },
		},
	}
	// Hashes do not compress.
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return opts
}

// pebbleLog passes on what Pebble tells. What Pebble would end the process for ends the writing.
type pebbleLog struct {
	log   *slog.Logger
	guard *guard
}

func (l pebbleLog) Infof(format string, args ...any) { l.emit(slog.LevelDebug, format, args) }

func (l pebbleLog) Errorf(format string, args ...any) { l.emit(slog.LevelError, format, args) }

func (l pebbleLog) Fatalf(format string, args ...any) { l.guard.fail(fmt.Errorf(format, args...)) }

func (l pebbleLog) emit(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "store: "+fmt.Sprintf(format, args...))
	}
}
