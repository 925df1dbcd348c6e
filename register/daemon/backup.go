package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ancre/internal/atomicfile"
	"ancre/register/backup"
	"ancre/register/control"
)

// backup writes everything to w, while the register runs.
func (d *daemon) backup(ctx context.Context, w io.Writer) error {
	_, err := d.writeBackup(ctx, w)
	return err
}

func (d *daemon) writeBackup(ctx context.Context, w io.Writer) (backup.Summary, error) {
	return backup.Write(ctx, w, backup.Source{Store: d.register.Store(), Engine: engineName, Files: d.files, Taken: time.Now()})
}

const (
	// backupEvery is how old the newest backup in backup.dir may be before the next one is made.
	backupEvery = 24 * time.Hour

	// backupLook is how often the register looks whether it is time.
	backupLook = 10 * time.Minute

	// backupHour is the hour, local time, from which on the daily backup is made.
	backupHour = 2

	backupPrefix = "ancre-register-"
	backupSuffix = ".tar"
	backupStamp  = "20060102T150405Z"
)

// keepBackups writes a backup into backup.dir each night, and removes old ones, until ctx ends.
func (d *daemon) keepBackups(ctx context.Context) {
	dir := d.cfg.Backup.Dir
	if dir == "" {
		return
	}
	ticker := time.NewTicker(backupLook)
	defer ticker.Stop()
	for {
		if names, err := backupsIn(dir); err != nil || backupDue(names, time.Now()) {
			if err := d.backupInto(ctx, dir); err != nil && ctx.Err() == nil {
				d.backups.failed(err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// backupDue reports whether it is time for a backup: there is none, or the newest one is older than
// a day, or is of a day before and the hour of the backup has come.
func backupDue(names []string, now time.Time) bool {
	if len(names) == 0 {
		return true
	}
	newest, err := time.Parse(backupStamp, strings.TrimSuffix(strings.TrimPrefix(names[len(names)-1], backupPrefix), backupSuffix))
	if err != nil || now.Sub(newest) >= backupEvery {
		return true
	}
	y, m, day := now.Local().Date()
	return now.Local().Hour() >= backupHour && newest.Before(time.Date(y, m, day, 0, 0, 0, 0, time.Local))
}

// backupsIn returns the names of the backups in a directory, the oldest first.
func backupsIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, backupPrefix) && strings.HasSuffix(name, backupSuffix) && e.Type().IsRegular() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// backupInto writes a backup, reads it again, and removes old ones.
func (d *daemon) backupInto(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("backup.dir: %w", atomicfile.Denied(err))
	}
	path := filepath.Join(dir, backupPrefix+time.Now().UTC().Format(backupStamp)+backupSuffix)
	var s backup.Summary
	err := atomicfile.Fill(path, false, 0o600, func(w io.Writer) (err error) {
		s, err = d.writeBackup(ctx, w)
		return err
	})
	if err != nil {
		return fmt.Errorf("no backup was written to %s: %w", path, err)
	}
	if err := checkFile(ctx, path); err != nil {
		_ = os.Remove(path) // a bad file must not pass for the backup of the day
		return fmt.Errorf("the new backup %s was no good: %w: check the disk", path, err)
	}
	if err := d.backups.done(control.BackupReport{Taken: s.Taken, File: path, Documents: s.Entries, Bytes: s.Bytes}); err != nil {
		return err
	}
	names, err := backupsIn(dir)
	if err != nil {
		return err
	}
	for len(names) > d.cfg.Backup.Keep {
		if err := os.Remove(filepath.Join(dir, names[0])); err != nil {
			return fmt.Errorf("remove an old backup: %w", err)
		}
		names = names[1:]
	}
	return nil
}

// checkFile reads a backup again, and checks it.
func checkFile(ctx context.Context, path string) error {
	f, _, err := atomicfile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = CheckBackup(ctx, os.TempDir(), f, nil)
	return err
}
