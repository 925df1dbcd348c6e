package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ancre/batcher/store"
	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/humanize"
	"ancre/rpc"
)

// restoringSuffix marks the directory in which a new store grows. Restore gives it its name when
// the store is whole. The next Restore removes what an interrupted one left. The daemon never looks
// at it.
const restoringSuffix = ".restoring"

// Backup is a file that "ancre backup" wrote.
type Backup struct {
	Name     string                   // of the file, for errors
	Content  io.Reader                // is read once, to its end
	Progress func(done, total uint64) // is called as digests are read; nil: it is not
}

// open reads the backup up to its header.
func (b Backup) open() (*backup.Reader, error) {
	r, err := backup.Open(b.Content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name, err)
	}
	if b.Progress != nil {
		total := r.Header().Digests
		r.Progress = func(done uint64) { b.Progress(done, total) }
	}
	return r, nil
}

// Restore makes a new store from a backup, in the data directory of the configured network. It
// verifies the whole backup meanwhile: the new store is there whole or not at all. Restore refuses
// while a daemon runs in the directory, and never replaces a store that holds anything.
//
// If root calls it, the files belong to the owner of the directory. Nothing else may go on in the
// process, see [datadir.AsOwner].
func Restore(ctx context.Context, cfg config.Config, b Backup) (s backup.Summary, err error) {
	dir, err := cfg.NetworkDir()
	if err != nil {
		return s, err
	}
	r, err := b.open()
	if err != nil {
		return s, err
	}
	if have := r.Header().Network; have != cfg.Network {
		return s, fmt.Errorf("%s is a backup of %s, but the configured network is %s: use --network %s", b.Name, have, cfg.Network, have)
	}
	err = datadir.AsOwner(dir, func() error {
		s, err = restoreIn(ctx, dir, cfg.Network, b.Name, r)
		return err
	})
	return s, err
}

// restoreIn restores the backup of that name into a network's data directory.
func restoreIn(ctx context.Context, dir, network, name string, r *backup.Reader) (s backup.Summary, err error) {
	release, err := datadir.Open(dir, network)
	if errors.Is(err, datadir.ErrInUse) {
		return s, fmt.Errorf("an ancred is running in %s: stop it first, with \"ancre rpc stop\" or as a service", dir)
	}
	if err != nil {
		return s, err
	}
	defer func() { _ = release() }()
	target := filepath.Join(dir, datadir.Store)
	if err := refuseToReplace(ctx, target); err != nil {
		return s, err
	}
	if s, err = restoreStore(ctx, target, r); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%s was not restored, and nothing is left of it: %w", name, err)
		}
		return s, err
	}
	// The daemon then knows how old its last backup is.
	last := rpc.LastBackup{Taken: s.Taken.UTC(), Digests: s.Digests, File: name, Rehearsed: true}
	return s, writeBackupRecord(dir, keptBackups{Last: &last})
}

// refuseToReplace returns an error if there is a store that holds anything. A store that a daemon
// made and that nothing came to may be replaced: it has only a key, which no proof depends on yet.
func refuseToReplace(ctx context.Context, target string) error {
	const remedy = "to put the backup in its place, move that directory away first; to keep both, restore into another --datadir"
	leaves, used, err := storeContents(ctx, target)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", err, remedy)
	case used:
		return fmt.Errorf("there already is a store with %s in %s, which a restore would replace: %s",
			humanize.Plural(leaves, "digest", "digests"), target, remedy)
	}
	return nil
}

// storeContents says how many digests a store has, and whether a proof or a payment depends on it.
func storeContents(ctx context.Context, target string) (leaves uint64, used bool, err error) {
	entries, err := os.ReadDir(target)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	old, err := pebblestore.Open(target, pebblestore.Options{})
	if err != nil {
		return 0, false, fmt.Errorf("the store in %s cannot be opened (%w)", target, err)
	}
	leaves, err = old.NumLeaves(ctx)
	anchors, err2 := old.Anchors(ctx, 0, 1)
	if err := errors.Join(err, err2, old.Close()); err != nil {
		return 0, false, fmt.Errorf("the store in %s cannot be read (%w)", target, err)
	}
	return leaves, leaves > 0 || len(anchors) > 0, nil
}

// restoreStore makes the store beside its place, and moves it there when it is whole.
func restoreStore(ctx context.Context, target string, r *backup.Reader) (s backup.Summary, err error) {
	temp := target + restoringSuffix
	if err := os.RemoveAll(temp); err != nil {
		return s, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	if s, err = fillStore(ctx, temp, r); err != nil {
		if errors.Is(err, store.ErrFull) {
			err = fmt.Errorf("%w: free some space, or use a --datadir on another disk", err)
		}
		return s, err
	}
	if err := os.RemoveAll(target); err != nil { // empty, as refuseToReplace saw
		return s, err
	}
	if err := os.Rename(temp, target); err != nil {
		return s, err
	}
	return s, atomicfile.SyncDir(filepath.Dir(target))
}

// fillStore makes a store in a directory from a backup, and closes it.
func fillStore(ctx context.Context, dir string, r *backup.Reader) (backup.Summary, error) {
	key := r.Header().Key
	dst, err := pebblestore.Open(dir, pebblestore.Options{Key: &key})
	if err != nil {
		return backup.Summary{}, err
	}
	s, err := r.Restore(ctx, dst)
	return s, errors.Join(err, dst.Close())
}
