package daemon

import (
	"context"
	"io"

	"ancre/config"
	"ancre/register/backup"
	"ancre/register/store"
	"ancre/register/store/sqlitestore"
)

// engineName stands in backups.
const engineName = "sqlite"

// Engine is what stores the rows, as a backup knows it.
var Engine = backup.Engine{
	Name:    engineName,
	Exists:  sqlitestore.Exists,
	Restore: sqlitestore.Restore,
	Open:    func(dir string) (store.Store, error) { return sqlitestore.Open(dir, sqlitestore.Options{}) },
	Moves:   []string{sqlitestore.File},
}

// Restore makes the data directory of a register from a backup. A directory that holds a register
// is never changed. progress may be nil.
func Restore(ctx context.Context, cfg config.Register, in io.Reader, progress func(done, total int64)) (backup.Summary, error) {
	dir, err := cfg.Dir()
	if err != nil {
		return backup.Summary{}, err
	}
	r, err := backup.Open(in)
	if err != nil {
		return backup.Summary{}, err
	}
	r.Progress = progress
	return r.Restore(ctx, dir, Engine)
}

// CheckBackup checks a backup as Restore does, in a temporary directory below temp. Nothing stays.
// progress may be nil.
func CheckBackup(ctx context.Context, temp string, in io.Reader, progress func(done, total int64)) (backup.Summary, error) {
	r, err := backup.Open(in)
	if err != nil {
		return backup.Summary{}, err
	}
	r.Progress = progress
	return r.Check(ctx, temp, Engine)
}
