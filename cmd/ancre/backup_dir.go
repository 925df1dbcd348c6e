package main

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ancre/batcher/store/backup"
	"ancre/internal/atomicfile"

	"github.com/gofrs/flock"
)

// The directory of rotated backups. Each has a name that says the network and when it was taken:
// ancre-mainnet-2026-11-30T021700Z.backup. The time is the daemon's.

const (
	backupExt  = ".backup"
	backupTime = "2006-01-02T150405Z"
	backupLock = ".ancre-backup.lock"
)

var backupNames = regexp.MustCompile(`^ancre-([a-z0-9]+)-(\d{4}-\d{2}-\d{2}T\d{6}Z)\.backup$`)

func backupName(network string, taken time.Time) string {
	return "ancre-" + network + "-" + taken.UTC().Format(backupTime) + backupExt
}

// errBackupRuns is returned while another process rotates the same directory.
var errBackupRuns = errors.New("another \"ancre backup --rotate\" is at work there: wait until it ends")

// lockBackups makes this process the only one that rotates the directory. The file of the lock
// stays.
func lockBackups(dir string) (release func() error, err error) {
	lock := flock.New(filepath.Join(dir, backupLock), flock.SetPermissions(backupMode))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, atomicfile.Denied(err)
	}
	if !ok {
		return nil, errBackupRuns
	}
	return lock.Unlock, nil
}

// storedBackup is a backup in the directory.
type storedBackup struct {
	name   string
	header backup.Header
	info   fs.FileInfo
}

// storedBackups returns the backups of a network in a directory that have the names of rotated
// ones. Links, other files and files that do not begin as a backup are left out, whatever their
// names are.
func storedBackups(dir *atomicfile.Dir, network string) ([]storedBackup, error) {
	entries, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	var found []storedBackup
	for _, e := range entries {
		if m := backupNames.FindStringSubmatch(e.Name()); m == nil || m[1] != network || !e.Type().IsRegular() {
			continue
		}
		if b, ok := readStored(dir, e.Name()); ok {
			found = append(found, b)
		}
	}
	return found, nil
}

func readStored(dir *atomicfile.Dir, name string) (storedBackup, bool) {
	f, info, err := dir.Open(name)
	if err != nil {
		return storedBackup{}, false
	}
	defer f.Close()
	r, err := backup.Open(f)
	if err != nil {
		return storedBackup{}, false
	}
	return storedBackup{name, r.Header(), info}, true
}

// sorting says which backups stay and which go. A backup goes only if the new one holds everything
// that it holds: it is of the same store, which its key shows, and has no more digests. Backups are
// ordered by what they hold and then by time, so a clock that jumped removes nothing that is
// needed.
type sorting struct {
	expired []storedBackup // to be removed
	kept    []storedBackup // the new one first
	foreign []storedBackup // of another store: not touched
	richer  []storedBackup // with more digests than the new one: not touched
}

// sortBackups sorts the backups of a directory, of which made is the new one. keep is at least 1.
func sortBackups(all []storedBackup, made storedBackup, keep int) (s sorting) {
	older := []storedBackup{}
	for _, b := range all {
		switch {
		case b.name == made.name:
		case b.header.Key != made.header.Key:
			s.foreign = append(s.foreign, b)
		case b.header.Digests > made.header.Digests:
			s.richer = append(s.richer, b)
		default:
			older = append(older, b)
		}
	}
	slices.SortFunc(older, func(a, b storedBackup) int {
		return cmp.Or(cmp.Compare(b.header.Digests, a.header.Digests), b.header.Taken.Compare(a.header.Taken), strings.Compare(b.name, a.name))
	})
	n := min(keep-1, len(older))
	s.kept = slices.Concat([]storedBackup{made}, older[:n])
	s.expired = older[n:]
	return s
}

// staleAfter is how long ago a process that was killed must have written what is removed after it.
const staleAfter = time.Hour

// removeStale removes what a process that was killed left in the directory: unfinished files of
// this program, and the stores of rehearsals.
func removeStale(dir *atomicfile.Dir, now time.Time) (names []string, err error) {
	entries, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		unfinished := atomicfile.IsTemp(e.Name()) && e.Type().IsRegular()
		rehearsal := strings.HasPrefix(e.Name(), backup.RehearsalPrefix) && e.IsDir()
		if !unfinished && !rehearsal {
			continue
		}
		info, err := dir.Lstat(e.Name())
		if err != nil || now.Sub(info.ModTime()) < staleAfter {
			continue // gone, or still being written
		}
		if rehearsal {
			err = dir.RemoveAll(e.Name())
		} else {
			err = dir.Remove(e.Name(), info)
		}
		errs = append(errs, err)
		names = append(names, e.Name())
	}
	return names, errors.Join(errs...)
}

// freeName returns the name for a new backup: the time when it was taken, and some seconds more if
// the clock stood at that time before.
func freeName(dir *atomicfile.Dir, network string, taken time.Time) (string, error) {
	for {
		name := backupName(network, taken)
		_, err := dir.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		taken = taken.Add(time.Second)
	}
}
