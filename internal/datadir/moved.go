package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ancre/internal/atomicfile"
)

// MovedError says that the data of a directory are elsewhere now. Whoever opened it would have a
// second daemon with the same coins.
type MovedError struct{ Dir, To string }

func (e *MovedError) Error() string {
	return fmt.Sprintf("the data of %s were moved to %s, where ancred goes on with them: this copy must not be used any more", e.Dir, e.To)
}

// movedFormat is the format of a directory that was moved. Programs that know nothing of moving
// refuse it as too new.
const movedFormat = 1_000_000

// MarkMoved has every program refuse the directory, durably and at once, because its data are at
// to.
func MarkMoved(dir, network, to string) error {
	if err := writeMarker(filepath.Join(dir, Marker), marker{Format: movedFormat, Network: network, MovedTo: to}); err != nil {
		return err
	}
	return atomicfile.SyncDir(dir)
}

// NetworkOf returns the network that a directory is of. The error is a [*MovedError] if its data
// were moved, and wraps [fs.ErrNotExist] if it is no network's data directory.
func NetworkOf(dir string) (network string, err error) {
	m, err := readMarker(filepath.Join(dir, Marker))
	if err != nil {
		return "", err
	}
	if m.MovedTo != "" {
		return m.Network, &MovedError{dir, m.MovedTo}
	}
	return m.Network, nil
}

// LockDir takes the lock of a directory, whatever its marker says.
func LockDir(dir string) (release func() error, err error) {
	info, err := os.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: errors.New("is not a directory")}
	}
	if err != nil {
		return nil, err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	return lock.Unlock, nil
}
