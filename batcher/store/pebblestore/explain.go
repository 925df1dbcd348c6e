package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore/failfs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a start that is refused tells people to do.
const (
	remedyBackup = "restore the last backup (move the store away, then \"ancred restore FILE\"), and submit again the digests that came after it"
	remedyRights = "the user whom ancred runs as must be able to read and write each file there (chown, chmod 600)"
	remedyRoom   = "make room on that disk, and start again"
	remedyDisk   = "look at the disk and the system's log, and start again"
)

// explain adds to an error of a start what it means and what to do, unless the error says so
// already.
func (s *Store) explain(err error) error {
	switch {
	case strings.Contains(err.Error(), "start again"), strings.Contains(err.Error(), remedyBackup):
		return err
	case strings.Contains(err.Error(), "unknown format major version"):
		return fmt.Errorf("written by a newer version of this program; use that one: %w", err)
	case failfs.IsNoSpace(err):
		return fmt.Errorf("%w: %w: %s", store.ErrFull, err, remedyRoom)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: %s", err, remedyRights)
	case errors.Is(err, store.ErrFailed), errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: %s", err, remedyDisk)
	case errors.Is(err, store.ErrDamaged):
		return fmt.Errorf("%w%s: %s", err, named(err), remedyBackup)
	}
	return err
}

// damage says that an error of Pebble's, met where nothing was written yet, is one of what is on
// the disk.
func (s *Store) damage(err error) error {
	if err == nil || errors.Is(err, store.ErrDamaged) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EIO) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, context.Canceled) || failfs.IsNoSpace(err) ||
		strings.Contains(err.Error(), "unknown format major version") {
		return err
	}
	if strings.Contains(err.Error(), pebble.ErrDBNotPristine.Error()) {
		return fmt.Errorf("%w: the empty file marker.format-version.* is missing in %s: make one with the name marker.format-version.000001.%s, and start again (%w)",
			store.ErrDamaged, s.dir, majorVersion, err)
	}
	return fmt.Errorf("%w: %w", store.ErrDamaged, err)
}

// tableNumber is how Pebble names a table in errors, as a rule without its extension.
var tableNumber = regexp.MustCompile(`(?:file|table) ([0-9]{6,})\b`)

// named names the tables that an error gives the numbers of.
func named(err error) (names string) {
	for _, m := range tableNumber.FindAllStringSubmatch(err.Error(), -1) {
		if name := m[1] + ".sst"; !strings.Contains(err.Error()+names, name) {
			names += " (" + name + ")"
		}
	}
	return names
}

// checkOptions reads the file in which Pebble writes down its options. Pebble compares it with
// those it is opened with, and names neither the file nor what to do when it cannot.
func (s *Store) checkOptions(fs vfs.FS, path string, opts *pebble.Options) error {
	if path == "" {
		return nil
	}
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err == nil {
		opts.EnsureDefaults()
		err = opts.CheckCompatibility(s.dir, string(text))
	}
	if err != nil {
		if cause := err.Error(); len(cause) > 100 {
			err = errors.New(strings.ToValidUTF8(cause[:100], "") + "…")
		}
		return fmt.Errorf("%w: %s cannot be read (%w): remove it, and start again; it only notes how the store was opened last", store.ErrDamaged, path, err)
	}
	return nil
}

// openSlack is what opening a store takes of the disk besides the tables for what its logs hold: a
// manifest, options, marks.
const openSlack = 256 << 10

// checkReplay sees a full disk before Pebble does, which would try without end to bring into tables
// what the logs hold.
func (s *Store) checkReplay(v *survey) error {
	if v.replay == 0 {
		return nil
	}
	need := v.replay + v.replay/8 + openSlack
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < need {
		return fmt.Errorf("%w: %d KiB are left on the disk of %s, and to open a store that was not closed takes %d KiB: %s",
			store.ErrFull, usage.AvailBytes>>10, s.dir, need>>10, remedyRoom)
	}
	return nil
}
