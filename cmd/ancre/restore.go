package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ancre/batcher/store"
	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/humanize"

	"github.com/spf13/cobra"
)

// restoringSuffix is of the directory in which a new store grows. It gets its name when it is
// whole; what an interrupted restore left is removed by the next one, and never looked at by the
// daemon.
const restoringSuffix = ".restoring"

func (a *app) restoreCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a new store from a backup, while no daemon runs",
		Long: `Make a new store from a file that "ancre backup" wrote, in the data directory of the configured network, on this machine and while
no daemon runs there. The whole file is verified: nothing is left of it unless all of it is right. "-" is standard input.

A store that holds anything is never overwritten. Afterwards start ancred, and restore the wallet from its 24 words with
"ancre wallet create --restore". The daemon that was backed up must not run any more: both would spend the same coins.`,
		Example: "  ancre --datadir /var/lib/ancre restore ancre-2026-01-31.backup",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0], check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "only verify FILE, and change nothing")
	return cmd
}

func (a *app) restore(ctx context.Context, path string, check bool) error {
	if a.rpcURL != "" || a.rpcUser != "" || a.rpcCookie != "" {
		return usagef("restore works on a data directory of this machine, without a daemon: leave out --rpc, --rpc-user and --rpc-cookie")
	}
	cfg, err := a.configuration()
	if err != nil {
		return err
	}
	dir, err := cfg.NetworkDir()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	var in io.Reader = a.in
	name := "standard input"
	if path != "-" {
		file, _, err := atomicfile.OpenInput(path)
		var kind *atomicfile.KindError
		if errors.As(err, &kind) {
			return usagef("%s %v: name a file that \"ancre backup\" wrote", shown(path), kind)
		}
		if err != nil {
			return err
		}
		defer file.Close()
		in, name = file, path
	}
	r, err := backup.Open(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if check {
		return a.checkBackup(ctx, r, path, name)
	}
	if have := r.Header().Network; have != cfg.Network {
		return fmt.Errorf("%s is a backup of %s, and the configured network is %s: say --network %s", name, have, cfg.Network, have)
	}

	var s backup.Summary
	err = datadir.AsOwner(dir, func() error {
		s, err = a.restoreIn(ctx, r, dir, cfg.Network, name)
		return err
	})
	if err != nil {
		return err
	}

	if a.json {
		result := newBackupResult(path, s)
		result.DataDir = dir
		return a.printJSON(&result, false)
	}
	a.say("Restored %s to %s.\nThe backup was taken %s. What was stamped after that is not in it: stamp it again.\n", contents(s), dir, humanize.Time(s.Taken))
	a.note("\nNow start the daemon with `%s`, and give it the wallet with\n`%s`, which asks for the 24 words.\n"+
		"The daemon that was backed up must not run any more: both would spend the same coins.", a.flags.Command("ancred"), a.restoreWalletCommand())
	return nil
}

// restoreIn restores a backup, which the name is of, in a data directory.
func (a *app) restoreIn(ctx context.Context, r *backup.Reader, dir, network, name string) (s backup.Summary, err error) {
	release, err := datadir.Open(dir, network)
	if errors.Is(err, datadir.ErrInUse) {
		return s, fmt.Errorf("an ancred runs in %s: stop it first, with \"ancre rpc stop\" or as the service that it is", dir)
	}
	if err != nil {
		return s, err
	}
	defer func() { _ = release() }()
	target := filepath.Join(dir, datadir.Store)
	if err := mayReplace(ctx, target); err != nil {
		return s, err
	}
	if s, err = a.restoreTo(ctx, r, target); err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s was not restored, and nothing is left of it: %w", name, err)
	}
	return s, err
}

// checkBackup verifies a backup of whatever network.
func (a *app) checkBackup(ctx context.Context, r *backup.Reader, path, name string) error {
	progress := a.startProgress("Verifying digests", int64(r.Header().Digests), false)
	r.Progress = progress.SetDone
	s, err := r.Verify(ctx)
	progress.Finish()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if a.json {
		result := newBackupResult(path, s)
		return a.printJSON(&result, false)
	}
	a.say("%s is a whole backup of %s, taken %s: %s.\n", name, s.Network, humanize.Time(s.Taken), strings.TrimSuffix(contents(s), ","))
	return nil
}

// restoreWalletCommand is how the wallet comes back, with the flags that were given here.
func (a *app) restoreWalletCommand() string {
	return "ancre" + strings.TrimPrefix(a.flags.Command("ancred"), "ancred") + " wallet create --restore"
}

// mayReplace refuses when there is a store that holds anything. One that a daemon made and that
// nothing came to has only a key, which nobody knows.
func mayReplace(ctx context.Context, target string) error {
	entries, err := os.ReadDir(target)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	const remedy = "to have the backup take its place, move that directory away first; to have both, restore with another --datadir"
	old, err := pebblestore.Open(target, pebblestore.Options{})
	if err != nil {
		return fmt.Errorf("there is a store in %s that cannot be opened (%w): %s", target, err, remedy)
	}
	leaves, err := old.NumLeaves(ctx)
	anchors, err2 := old.Anchors(ctx, 0, 1)
	switch err := errors.Join(err, err2, old.Close()); {
	case err != nil:
		return fmt.Errorf("there is a store in %s that cannot be read (%w): %s", target, err, remedy)
	case leaves > 0 || len(anchors) > 0:
		return fmt.Errorf("there is a store with %s in %s already, which a restore would replace: %s", humanize.Plural(leaves, "digest", "digests"), target, remedy)
	}
	return nil
}

// restoreTo makes the store beside its place, and moves it there when it is whole.
func (a *app) restoreTo(ctx context.Context, r *backup.Reader, target string) (s backup.Summary, err error) {
	temp := target + restoringSuffix
	if err := os.RemoveAll(temp); err != nil {
		return s, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	progress := a.startProgress("Restoring digests", int64(r.Header().Digests), false)
	defer progress.Finish()
	r.Progress = progress.SetDone
	key := r.Header().Key
	dst, err := pebblestore.Open(temp, pebblestore.Options{Key: &key})
	if err != nil {
		return s, err
	}
	s, err = r.Restore(ctx, dst)
	if err = errors.Join(err, dst.Close()); err != nil {
		if errors.Is(err, store.ErrFull) {
			err = fmt.Errorf("%w: make room, or name a --datadir on another disk", err)
		}
		return s, err
	}
	if err := os.RemoveAll(target); err != nil { // empty, as mayReplace saw
		return s, err
	}
	if err := os.Rename(temp, target); err != nil {
		return s, err
	}
	return s, atomicfile.SyncDir(filepath.Dir(target))
}
