// Package datadir is what the daemon and the command-line client have to agree on about a network's
// data directory: what lies where in it, whose it is, and that one process at a time changes it.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ancre/internal/atomicfile"

	"github.com/gofrs/flock"
)

// What lies in a network's data directory.
const (
	Marker = "ancre.json" // which network it is of, and which format the directory has
	Lock   = "ancred.lock"
	Cookie = ".cookie"
	Store  = "store"  // leaves, batches, anchors: the truth
	SPV    = "spv"    // headers: can be fetched again
	Wallet = "wallet" // keys and coins: can be restored from the words

	// Backups is what clients last reported of backups. Without it, the daemon warns that there is
	// none.
	Backups = "backups.json"

	// Verifier is what "ancre verify --spv" keeps: headers of its own, so that it works beside a
	// daemon and without one. They can be fetched again.
	Verifier = "verify"

	// Notify is which warnings the operator was told of. Without it, some are told again.
	Notify = "notify.json"
)

// GroupCookie returns the name of the cookie for a service's group. It is in the directory that
// systemd makes for the service's run.
func GroupCookie(network string) string { return network + ".cookie" }

// ErrInUse is returned when another process holds the directory.
var ErrInUse = errors.New("the data directory is in use")

// format is the version of the data directory's layout. A directory of a newer one is refused.
const format = 1

// maxMarker is far more than a marker has.
const maxMarker = 64 << 10

// marker says what a data directory is, so that it is never opened as something else.
type marker struct {
	Format  int    `json:"format"`
	Network string `json:"network"`
	MovedTo string `json:"moved_to,omitempty"` // where the data are now, see [MarkMoved]
}

// remedyDir is what helps when the directory itself cannot be used.
const remedyDir = "it must be a directory that the user of this program can read and write"

// Open makes the directory if there is none, takes its lock and checks that it is of the network.
// release gives the lock back.
func Open(dir, network string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w; %s", err, remedyDir)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, Marker)
	absent, err := checkMarker(path, dir, network)
	if absent {
		err = writeMarker(path, marker{Format: format, Network: network})
	}
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock.Unlock, nil
}

// takeLock returns [ErrInUse] if another process holds the lock.
func takeLock(dir string) (*flock.Flock, error) {
	path := filepath.Join(dir, Lock)
	if err := checkLock(path); err != nil {
		return nil, err
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory %s: %w; %s, and %s in it must be a file (you may remove it)", dir, err, remedyDir, Lock)
	}
	if !ok {
		return nil, ErrInUse
	}
	return lock, nil
}

// checkLock refuses a lock file that is a symbolic link, or a named pipe, which opening it would
// wait for.
func checkLock(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
		return nil
	}
	if err == nil {
		err = &atomicfile.KindError{Mode: info.Mode()}
	}
	return fmt.Errorf("the lock file %s %w: remove it", path, err)
}

// checkMarker checks that the directory is of the network. A new one has no marker yet.
func checkMarker(path, dir, network string) (absent bool, err error) {
	m, err := readMarker(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, Store)); err == nil {
			return false, fmt.Errorf("%s is missing from a used data directory: restore it from a backup or, if you are sure of the network, write {\"format\":%d,\"network\":%q} into it", path, format, network)
		}
		return true, nil
	}
	if errors.Is(err, errDamagedMarker) {
		return false, fmt.Errorf("%s %w: it must read like {\"format\":%d,\"network\":%q}", path, err, format, network)
	}
	if err != nil {
		return false, fmt.Errorf("read the marker of the data directory: %w; it must be a file that the user of this program can read, "+
			"with the content {\"format\":%d,\"network\":%q}", atomicfile.Denied(err), format, network)
	}
	if m.MovedTo != "" {
		return false, &MovedError{dir, m.MovedTo}
	}
	if m.Format > format {
		return false, fmt.Errorf("the data directory %s has format %d, and this program knows formats up to %d: use the newer ancred that created it", dir, m.Format, format)
	}
	if m.Network != network {
		return false, fmt.Errorf("the data directory %s is for %s, not for %s: give each network its own directory (%s says so)", dir, m.Network, network, path)
	}
	return false, nil
}

var errDamagedMarker = errors.New("is damaged")

func readMarker(path string) (m marker, err error) {
	data, err := atomicfile.ReadInput(path, maxMarker)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Format < 1 {
		return m, errDamagedMarker
	}
	return m, nil
}

// writeMarker writes whole or not at all.
func writeMarker(path string, m marker) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := atomicfile.Put(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the marker of the data directory: %w", err)
	}
	return nil
}
