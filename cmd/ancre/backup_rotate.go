package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ancre/batcher/store/backup"
	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/diskspace"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/rpc"
)

// rotation is one run of "ancre backup --rotate": the unattended backup. Its steps are in run.
type rotation struct {
	*app
	dir    *atomicfile.Dir
	path   string // of dir, absolute
	cfg    config.Backup
	ancred string // the program that rehearses; empty: there is none here

	made      storedBackup // the new backup
	sum       backup.Summary
	rehearsed bool
	copied    bool
	removed   []string
	kept      []storedBackup
}

// rotateBackups takes a backup into a directory and removes old ones. The daemon hears of a
// failure, so that it can warn.
func (a *app) rotateBackups(ctx context.Context, path string, keep int) error {
	cfg, err := a.configuration()
	if err != nil {
		return err
	}
	if keep > 0 {
		cfg.Backup.Keep = keep
	}
	if _, err := a.daemon(ctx); err != nil {
		return err
	}
	r := &rotation{app: a, cfg: cfg.Backup, ancred: a.ancred()}
	if err = r.open(path); err == nil {
		err = r.locked(ctx)
	}
	if err != nil && !errors.Is(err, errBackupRuns) && (ctx.Err() == nil || !a.errTerm) { // a person who interrupts it knows
		r.reportFailure(ctx, err)
	}
	if err != nil {
		return err
	}
	return r.print()
}

func (r *rotation) open(path string) (err error) {
	if r.path, err = filepath.Abs(path); err != nil {
		return err
	}
	r.dir, err = atomicfile.OpenDir(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the directory %s does not exist: make it, readable by its owner only (mkdir -m 700), or mount its disk", r.path)
	}
	return atomicfile.Denied(err)
}

// locked runs all steps while no other process rotates the directory.
func (r *rotation) locked(ctx context.Context) error {
	defer r.dir.Close()
	release, err := lockBackups(r.path)
	if err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	return errors.Join(r.run(ctx), release())
}

// run takes the steps. Old backups go only once the new one is complete, synced and rehearsed. A
// copy that fails does not hold that up: the disk would fill.
func (r *rotation) run(ctx context.Context) error {
	stale, err := removeStale(r.dir, time.Now())
	if len(stale) > 0 {
		r.note("Removed what an interrupted backup left behind: %s.", strings.Join(stale, ", "))
	}
	if err != nil {
		return err
	}
	if err := r.write(ctx); err != nil {
		return fmt.Errorf("no backup was added to %s: %w", r.path, err)
	}
	if err := r.rehearse(ctx); err != nil {
		return fmt.Errorf("the rehearsal of the restore failed, so no old backup was removed: %w; the new backup is %s", err, r.file())
	}
	removeErr := r.removeExpired()
	copyErr := r.copyElsewhere(ctx)
	return errors.Join(r.reportDone(ctx), removeErr, copyErr)
}

// file is the path of the new backup.
func (r *rotation) file() string { return filepath.Join(r.path, r.made.name) }

// write adds the backup to the directory, under its name once it is complete and synced.
func (r *rotation) write(ctx context.Context) error {
	file, err := r.dir.New(backupMode)
	if err != nil {
		return atomicfile.Denied(err)
	}
	defer file.Discard()
	r.sum, err = r.fetchBackup(ctx, file, func(h backup.Header) error {
		r.made.header = h
		return r.fits(h.Digests)
	})
	if err != nil {
		return err
	}
	if r.made.name, err = freeName(r.dir, r.sum.Network, r.sum.Taken); err != nil {
		return err
	}
	if err := file.Create(r.made.name); err != nil {
		return err
	}
	return r.dir.Sync()
}

// spareBytes stay free beside backups: a full disk would stop the daemon if its store is on the
// same one.
const spareBytes = datadir.Reserve

// fits returns an error if a backup of so many digests, and then its rehearsal, would not fit.
func (r *rotation) fits(digests uint64) error {
	need := backup.FileBytes(digests) + spareBytes
	if r.ancred != "" {
		need += backup.RehearsalBytes(digests)
	}
	free, ok := diskspace.Free(r.path)
	if !ok || free >= need {
		return nil
	}
	return fmt.Errorf("the backup and the rehearsal of its restore need %s free, %s of them to spare, and %s has %s: free some space, or lower backup.keep",
		humanize.Bytes(int64(need)), humanize.Bytes(spareBytes), r.path, humanize.Bytes(int64(free)))
}

// rehearse has ancred restore the backup for trial. Where there is no ancred, the file is read
// back.
func (r *rotation) rehearse(ctx context.Context) error {
	if r.ancred == "" {
		r.note("There is no ancred on this machine, so the restore is not rehearsed: the file is only read.")
		return r.readBack(ctx)
	}
	if r.errTerm {
		r.note("Rehearsing the restore.")
	}
	// The store that the rehearsal makes lies where there is room, and where a later run finds it
	// if this one is killed.
	err := runProgram(ctx, io.Discard, []string{"TMPDIR=" + r.path, "TMP=" + r.path}, r.ancred, "restore", "--check", r.file())
	r.rehearsed = err == nil
	return err
}

func (r *rotation) readBack(ctx context.Context) error {
	f, _, err := r.dir.Open(r.made.name)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := backup.Open(f)
	if err == nil {
		_, err = in.Verify(ctx)
	}
	return err
}

// removeExpired removes the backups that are no longer kept.
func (r *rotation) removeExpired() error {
	all, err := storedBackups(r.dir, r.sum.Network)
	if err != nil {
		return err
	}
	s := sortBackups(all, r.made, r.cfg.Keep)
	r.kept = s.kept
	if n := len(s.foreign); n > 0 {
		r.note("%s in %s of another daemon, or of an earlier store of this one. Remove what you do not need.", humanize.Plural(n, "backup is", "backups are"), r.path)
	}
	for _, b := range s.richer {
		r.complain("%s holds more digests (%s) than the daemon has now (%s), so it stays: was an older backup restored?",
			b.name, humanize.Count(b.header.Digests), humanize.Count(r.made.header.Digests))
	}
	var errs []error
	for _, b := range s.expired {
		if err := r.dir.Remove(b.name, b.info); err != nil {
			errs = append(errs, fmt.Errorf("an old backup could not be removed: %w", err))
			continue
		}
		r.removed = append(r.removed, b.name)
	}
	return errors.Join(errs...)
}

// copyElsewhere runs the operator's command.
func (r *rotation) copyElsewhere(ctx context.Context) error {
	if len(r.cfg.Copy) == 0 {
		return nil
	}
	var command []string
	for _, arg := range r.cfg.Copy {
		command = append(command, strings.ReplaceAll(arg, config.BackupFile, r.file()))
	}
	out := io.Discard
	if !r.json && !r.quiet {
		out = r.err
	}
	if err := runProgram(ctx, out, nil, command...); err != nil {
		return fmt.Errorf("backup.copy failed: %w; the backup itself is good: %s", err, r.file())
	}
	r.copied = true
	return nil
}

// reportDone tells the daemon of the backup.
func (r *rotation) reportDone(ctx context.Context) error {
	err := r.client.BackupDone(ctx, rpc.LastBackup{Taken: r.sum.Taken, Digests: r.sum.Digests, File: printable.Name(r.file()), Rehearsed: r.rehearsed, Copied: r.copied})
	if err != nil && !rpc.HasCode(err, rpc.CodeUnknownMethod) { // an older daemon keeps no record
		return fmt.Errorf("%s was written, but the daemon could not record it: %w", r.file(), err)
	}
	return nil
}

// reportWait is how long the daemon may take to hear of a failure, after this program was told to
// end.
const reportWait = 10 * time.Second

// reportFailure tells the daemon why there is no good backup. If the daemon is the cause, it cannot
// be told: it warns of the age of the last one.
func (r *rotation) reportFailure(ctx context.Context, failure error) {
	reason := failure.Error()
	if ctx.Err() != nil {
		reason = "it was interrupted"
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportWait)
	defer cancel()
	_ = r.client.BackupFailed(ctx, printable.Name(reason))
}

// rotationReport is what --json prints.
type rotationReport struct {
	backup.Report
	Rehearsed bool     `json:"rehearsed"` // the restore was rehearsed
	Copied    bool     `json:"copied"`    // backup.copy copied it
	Kept      int      `json:"kept"`      // how many backups of this daemon there are now, the new one included
	Removed   []string `json:"removed"`   // names of old backups
}

func (r *rotation) print() error {
	if r.json {
		removed := append([]string{}, r.removed...)
		return r.printJSON(rotationReport{backup.NewReport(r.file(), r.sum), r.rehearsed, r.copied, len(r.kept), removed}, false)
	}
	r.say("Backed up to %s (%s): %s.\n", r.file(), humanize.Bytes(r.sum.Bytes), r.sum.Contents())
	if r.rehearsed {
		r.say("The restore was rehearsed: a store was made from it, and removed again.\n")
	}
	if r.copied {
		r.say("%s copied it.\n", r.cfg.Copy[0])
	}
	oldest := r.kept[len(r.kept)-1]
	r.say("%s now, the oldest of %s; %d removed.\n", humanize.Plural(len(r.kept), "backup is there", "backups are there"), humanize.Time(oldest.header.Taken), len(r.removed))
	return nil
}
