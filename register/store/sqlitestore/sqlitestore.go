// Package sqlitestore is the embedded engine of the register's store: one SQLite database.
//
// One connection writes, and each write is a transaction that is synced before it returns. Other
// connections read meanwhile (write-ahead log). A file beside the database is locked, so that one
// process at a time has it open.
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ancre/register/store"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // the driver
)

// What lies in the directory. SQLite keeps its log in files beside the database.
const (
	File = "register.db"
	Lock = "register.lock"
)

// Options are what may be left out.
type Options struct {
	Now func() time.Time // the clock; time.Now if nil
}

// Store is an open database. See [store.Store].
type Store struct {
	dir  string
	now  func() time.Time
	lock *flock.Flock
	read *sql.DB // several connections that cannot write

	mu     sync.Mutex // held while writing; guards what is below
	write  *sql.DB    // one connection
	failed error      // why it takes no more writes; nil: it does

	revision atomic.Uint64 // as it is on disk
	counted  counts
}

var _ store.Store = (*Store)(nil)

// Open opens the database in a directory, and makes both if there is none. It brings a database of
// an earlier version to the present one.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	lock, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, now: opts.Now, lock: lock}
	if err := s.open(context.Background()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	path := filepath.Join(s.dir, File)
	if s.write, err = connect(path, toWrite); err != nil {
		return s.explain(err)
	}
	if err := migrate(ctx, s.write, path); err != nil {
		return s.explain(err)
	}
	var revision int64
	if err := s.write.QueryRowContext(ctx, "SELECT revision FROM register").Scan(&revision); err != nil {
		return s.explain(fmt.Errorf("read the revision of %s: %w", path, err))
	}
	s.revision.Store(uint64(revision))
	s.read, err = connect(path, toRead)
	return s.explain(err)
}

// Close closes the store. Writes that returned are on disk already.
func (s *Store) Close() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	return errors.Join(append(errs, s.lock.Unlock())...)
}

// Revision implements [store.Store].
func (s *Store) Revision() uint64 { return s.revision.Load() }

// update runs one write: do, and what it did is synced when update returns nil. do reports whether
// it changed something that a reader could notice. The caller's context can prevent a write, and
// does not interrupt one.
func (s *Store) update(ctx context.Context, do func(t tx) (changed bool, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.failed != nil {
		return s.failed
	}
	ctx = context.WithoutCancel(ctx)
	begun, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(err)
	}
	changed, err := do(tx{ctx, begun})
	revision := s.revision.Load()
	if err == nil && changed {
		revision++
		_, err = begun.ExecContext(ctx, "UPDATE register SET revision = ?", int64(revision))
	}
	if err != nil {
		_ = begun.Rollback() // whatever it says: nothing was committed
		return s.writeFailed(err)
	}
	if err := begun.Commit(); err != nil {
		return s.writeFailed(err)
	}
	s.revision.Store(revision)
	return nil
}

// writeFailed explains the error of a write, and ends all writing if the disk could not sync.
func (s *Store) writeFailed(err error) error {
	err = s.explain(err)
	if errors.Is(err, store.ErrFailed) {
		s.failed = err
	}
	return err
}

// queryer is what reads: the pool, or a write that is going on.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tx is a write that is going on.
type tx struct {
	ctx context.Context
	*sql.Tx
}

// exec runs a statement, and returns how many rows it changed.
func (t tx) exec(query string, args ...any) (rows int64, err error) {
	result, err := t.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Claim implements [store.Store].
func (s *Store) Claim(ctx context.Context, network string) error {
	if err := store.CheckNetwork(network); err != nil {
		return err
	}
	return s.update(ctx, func(t tx) (bool, error) {
		var claimed string
		if err := t.QueryRowContext(t.ctx, "SELECT network FROM register").Scan(&claimed); err != nil {
			return false, err
		}
		switch claimed {
		case network:
			return false, nil
		case "":
			_, err := t.exec("UPDATE register SET network = ?", network)
			return true, err
		}
		return false, fmt.Errorf("%w: the register in %s is of %s, and its node is of %s: each network needs a register of its own",
			store.ErrOtherNetwork, s.dir, claimed, network)
	})
}

// Network implements [store.Store].
func (s *Store) Network(ctx context.Context) (network string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT network FROM register").Scan(&network)
	return network, s.explain(err)
}

// Cursor implements [store.Store].
func (s *Store) Cursor(ctx context.Context) (cursor string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT cursor FROM register").Scan(&cursor)
	return cursor, s.explain(err)
}
