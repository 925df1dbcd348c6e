package spv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"ancre/internal/boltfile"

	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // the driver that neutrino's data is made with
)

// lockTimeout is how long opening waits until another process has released the database.
const lockTimeout = 3 * time.Second

// openDatabase opens or creates the database that holds the index of the headers and the banned
// peers.
func openDatabase(dir string, log *slog.Logger) (db walletdb.DB, err error) {
	path := filepath.Join(dir, databaseFile)
	if err := checkDatabase(path, log); err != nil {
		return nil, err
	}
	// The list of free pages is kept in the file. Without it, each opening would read the whole
	// file to find them, which then counts as memory of this process: 100 MB on mainnet.
	const noFreelistSync, readOnly = false, false
	err = boltfile.Protect(func() error {
		db, err = walletdb.Create("bdb", path, noFreelistSync, lockTimeout, readOnly)
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case err.Error() == "timeout": // bbolt's ErrTimeout, which walletdb returns unchanged
		return nil, fmt.Errorf("%s is %w: is another ancred running on this data directory?", path, ErrInUse)
	case errors.Is(err, walletdb.ErrInvalid), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, damagedDatabase(path, err)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return nil, fmt.Errorf("light client's database: %w", err)
	}
	return nil, damagedDatabase(path, err)
}

// checkDatabase checks the database before it is opened: see package boltfile. A missing or empty
// file is no error: it will be created.
func checkDatabase(path string, log *slog.Logger) error {
	info, err := boltfile.Check(path, boltfile.Options{})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, boltfile.ErrEmpty), errors.Is(err, boltfile.ErrInUse):
		return nil
	case errors.Is(err, boltfile.ErrDamaged):
		return damagedDatabase(path, err)
	case err != nil:
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) { // it would name the file a second time
			err = pathErr.Err
		}
		return fmt.Errorf("light client's database: cannot read %s: %w; the user that ancred runs as must be able to read and write it. "+
			"Its contents can be downloaded again: if in doubt, move it away", path, err)
	}
	if info.FellBack {
		log.Warn("one of the two headers of the database file is damaged, as after a crash: its last change may be missing", "file", path)
	}
	return nil
}

func damagedDatabase(path string, err error) error {
	return fmt.Errorf("%w: %s: %w; remove it, together with %s and %s beside it: their contents will be downloaded again",
		ErrDamaged, path, err, headersFile, filterHeadersFile)
}
