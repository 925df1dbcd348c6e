package pebblestore

import (
	"errors"
	"fmt"
	"time"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Disk is how the store stands with the disk that it is on.
type Disk struct {
	FreeBytes    uint64 // that this process may still use; 0 where the system does not tell
	ReserveBytes uint64 // that are kept free: with less, no digests are taken
	ReadOnly     bool   // nothing would be written now: the disk is full, or a write failed

	Waits time.Duration // how long a change of a file has gone without the disk's answer; 0: none is under way
	File  string        // which file
}

// Disk tells how the store stands with its disk. It waits for no write.
func (s *Store) Disk() (Disk, error) {
	d := Disk{ReserveBytes: s.reserve, ReadOnly: s.fs.Failure() != nil || s.fs.Full()}
	if name, since, ok := s.fs.Oldest(); ok {
		d.Waits, d.File = max(time.Since(since), 1), name
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return d, nil
	case err != nil:
		d.ReadOnly = true // see checkSpace
		return d, fmt.Errorf("see how much space is left in %s: %w", s.dir, err)
	}
	d.FreeBytes = usage.AvailBytes
	d.ReadOnly = d.ReadOnly || usage.AvailBytes < s.reserve
	return d, nil
}

// fits returns an error that wraps ErrFull when the disk has no room for a file that no write waits
// for.
func (s *Store) fits(size uint64) error {
	usage, err := s.fs.GetDiskUsage(s.dir)
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return nil
	case err != nil:
		return err
	case usage.AvailBytes < size+s.reserve:
		return fmt.Errorf("%w: %d MiB left in %s, of which %d MiB are kept in reserve, and %d MiB are needed", store.ErrFull, usage.AvailBytes>>20, s.dir, s.reserve>>20, size>>20)
	}
	return nil
}
