package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// copyName is the name of the copy that a backup makes beside the database, and removes again.
const copyName = "register.copy"

// Backup implements [store.Store]. What it writes is a SQLite database. It needs as much space on
// the disk as that has, for as long as it runs.
func (s *Store) Backup(ctx context.Context, take func(size int64, r io.Reader) error) error {
	f, err := os.CreateTemp(s.dir, copyName+"-*") // 0600
	if err != nil {
		return fmt.Errorf("make a copy of the database: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	db, err := connect(filepath.Join(s.dir, File), toCopy)
	if err != nil {
		return s.explain(err)
	}
	// SQLite fills an empty file that exists. It reads one moment of the database.
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", f.Name())
	if err = errors.Join(err, db.Close()); err != nil {
		return s.explain(fmt.Errorf("copy the database: %w", err))
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return take(info.Size(), io.LimitReader(readerOf(ctx, f), info.Size()))
}

// Restore makes a database in a directory of what Backup handed over. It refuses to replace one.
// The database is synced; the caller checks it when it is open.
func Restore(ctx context.Context, dir string, r io.Reader) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, File), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, readerOf(ctx, r))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Exists reports whether there is a database in a directory.
func Exists(dir string) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// sweep removes copies that a killed process left behind.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(escapeGlob(dir), copyName+"-*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// readerOf reads from r until the context ends.
func readerOf(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
