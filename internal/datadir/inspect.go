package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ancre/internal/atomicfile"

	"github.com/gofrs/flock"
)

// State is what a network's data directory is before it is opened.
type State int

// The states of a data directory.
const (
	Absent State = iota // there is none yet: Open makes it
	Unused              // it is of the network, and no process uses it
	Used                // a process uses it
)

// Inspect looks at a network's data directory and changes nothing. Its errors are those that Open
// would return, except ErrInUse.
func Inspect(dir, network string) (State, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Absent, nil
	}
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: errors.New("is not a directory")}
	}
	if err != nil {
		return Absent, fmt.Errorf("%w; %s", atomicfile.Denied(err), remedyDir)
	}
	used, err := isLocked(filepath.Join(dir, Lock))
	if err != nil {
		return Unused, err
	}
	if _, err := checkMarker(filepath.Join(dir, Marker), dir, network); err != nil {
		return Unused, err
	}
	if used {
		return Used, nil
	}
	return Unused, nil
}

// isLocked reports whether a process holds the lock. It makes no lock file.
func isLocked(path string) (bool, error) {
	if err := checkLock(path); err != nil {
		return false, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	ok, err := lock.TryRLock()
	if err != nil {
		return false, fmt.Errorf("look at the lock of the data directory: %w; %s", atomicfile.Denied(err), remedyDir)
	}
	return !ok, lock.Unlock()
}
