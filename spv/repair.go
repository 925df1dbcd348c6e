package spv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"ancre/internal/boltfile"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // the driver that neutrino's data is made with
)

// neutrino keeps headers in two flat files, one record for each height, and an index in a database.
// It writes the files first, then the index. After a crash or on a full disk a file may have too
// many records, or part of one; both are cut off here. When records are missing, both files are
// removed, and all is downloaded again. The index may stay: it is rewritten.
const (
	databaseFile      = "neutrino.db"
	headersFile       = "block_headers.bin"
	filterHeadersFile = "reg_filter_headers.bin"

	headerSize       = wire.MaxBlockHeaderPayload // 80 bytes
	filterHeaderSize = chainhash.HashSize

	// lockTimeout is how long opening waits for another process to let go of the database.
	lockTimeout = 3 * time.Second

	// checkedTail is how many of the newest headers are checked to follow one another. Crashes
	// damage the end of a file; the rest is not read at each start.
	checkedTail = 2016
)

// openDatabase opens or makes the database of the index and of the banned peers.
func openDatabase(dir string, log *slog.Logger) (db walletdb.DB, err error) {
	path := filepath.Join(dir, databaseFile)
	if err := checkDatabase(path, log); err != nil {
		return nil, err
	}
	// The list of free pages is kept in the file. Finding it at each opening instead reads all of
	// the file, which then counts as memory of ours: 100 MB for mainnet.
	const noFreelistSync, readOnly = false, false
	err = boltfile.Protect(func() error {
		db, err = walletdb.Create("bdb", path, noFreelistSync, lockTimeout, readOnly)
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case err.Error() == "timeout": // bbolt's ErrTimeout, which walletdb passes on as it is
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

// checkDatabase looks at the database before it is opened: see package boltfile. A missing or empty
// file is no fault: it will be made.
func checkDatabase(path string, log *slog.Logger) error {
	info, err := boltfile.Check(path, boltfile.Options{})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, boltfile.ErrEmpty), errors.Is(err, boltfile.ErrInUse):
		return nil
	case errors.Is(err, boltfile.ErrDamaged):
		return damagedDatabase(path, err)
	case err != nil:
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) { // it names the file too
			err = pathErr.Err
		}
		return fmt.Errorf("light client's database: %s cannot be read: %w; it must be a file that the user may read and write whom ancred runs as. "+
			"What it holds can be downloaded again: if in doubt, move it away", path, err)
	}
	if info.FellBack {
		log.Warn("one of the two descriptions at the beginning of the database is damaged, and the last change may be missing, as after a crash", "file", path)
	}
	return nil
}

func damagedDatabase(path string, err error) error {
	return fmt.Errorf("%w: %s: %w; remove it, together with %s and %s beside it: all they hold will be downloaded again",
		ErrDamaged, path, err, headersFile, filterHeadersFile)
}

// tip is the newest entry of an index.
type tip struct {
	hash   chainhash.Hash
	height int64
}

// indexTips reads the newest entries of neutrino's index: of headers, and of filter headers. An
// index that was never written has none. The layout is that of neutrino's headerfs.
func indexTips(db walletdb.DB) (headers, filters *tip, err error) {
	err = walletdb.View(db, func(tx walletdb.ReadTx) error {
		index := tx.ReadBucket([]byte("header-index"))
		if index == nil {
			return nil
		}
		read := func(key string) (*tip, error) {
			raw := index.Get([]byte(key))
			if raw == nil {
				return nil, nil
			}
			hash, err := chainhash.NewHash(raw)
			if err != nil {
				return nil, err
			}
			var height []byte
			if sub := index.NestedReadBucket(raw[:2]); sub != nil {
				height = sub.Get(raw)
			}
			if len(height) != 4 {
				return nil, fmt.Errorf("the index names %s as newest, and does not know its height", hash)
			}
			return &tip{*hash, int64(binary.BigEndian.Uint32(height))}, nil
		}
		var err error
		if headers, err = read("bitcoin"); err != nil {
			return err
		}
		filters, err = read("regular")
		return err
	})
	return headers, filters, err
}

// repairHeaders compares the header files with their index and repairs them.
func repairHeaders(dir string, db walletdb.DB, params *chaincfg.Params, log *slog.Logger) error {
	blocks, filters := filepath.Join(dir, headersFile), filepath.Join(dir, filterHeadersFile)
	if missing(blocks) && missing(filters) {
		return nil // a new directory, or one that was cured
	}
	if err := checkNetwork(blocks, params); err != nil {
		return err
	}
	damage := func() error {
		headerTip, filterTip, err := indexTips(db)
		if err != nil {
			return err
		}
		if headerTip == nil || filterTip == nil {
			return errors.New("the index is empty, the header files are not")
		}
		if filterTip.height > headerTip.height {
			return fmt.Errorf("the index has filter headers up to height %d, and headers up to %d", filterTip.height, headerTip.height)
		}
		if err := fitToIndex(blocks, headerSize, headerTip.height, log); err != nil {
			return err
		}
		if err := fitToIndex(filters, filterHeaderSize, filterTip.height, log); err != nil {
			return err
		}
		if err := checkTail(blocks, *headerTip); err != nil {
			return err
		}
		return checkFilterTail(filters, filterTip.height)
	}()
	if damage == nil {
		return nil
	}
	log.Error("the header files are damaged; removing them, all headers will be downloaded again", "dir", dir, "damage", damage)
	return removeHeaders(dir)
}

// suspectFile is in the data directory while the filter headers there are suspected to be false
// (see alarms). Only a start without them cures that: neutrino has no way back from them.
const suspectFile = "filter_headers.suspect"

// suspectHeaders notes, for the next Open, whether the filter headers are suspected to be false.
func suspectHeaders(dir string, suspected bool) error {
	path := filepath.Join(dir, suspectFile)
	if suspected {
		return os.WriteFile(path, []byte("No peer agrees with the newest filter headers here. At the next start all headers are downloaded again.\n"), 0o600)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeSuspects removes the header files if they were suspected when the client was last closed.
func removeSuspects(dir string, log *slog.Logger) error {
	if _, err := os.Stat(filepath.Join(dir, suspectFile)); err != nil {
		return nil
	}
	log.Warn("no peer agreed with the filter headers here; removing them, all headers will be downloaded again", "dir", dir)
	if err := removeHeaders(dir); err != nil {
		return err
	}
	return suspectHeaders(dir, false)
}

// removeHeaders removes both header files. With them gone, neutrino begins anew with the first
// block.
func removeHeaders(dir string) error {
	for _, name := range []string{headersFile, filterHeadersFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a damaged header file: %w; move it away, it will be downloaded again", err)
		}
	}
	return nil
}

func missing(path string) bool {
	info, err := os.Stat(path)
	return err != nil && errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// checkNetwork refuses a header file that begins with the first block of another network: it is
// whole, only in the wrong place.
func checkNetwork(path string, params *chaincfg.Params) error {
	first, err := readHeaders(path, 0, 1)
	if err != nil {
		return nil // shorter than one header: damaged
	}
	if got := first[0].BlockHash(); got != *params.GenesisHash {
		for _, name := range Networks() {
			if p, err := Params(name); err == nil && *p.GenesisHash == got {
				return fmt.Errorf("%s holds headers of %s, not of %s: use another data directory for each network", path, name, params.Name)
			}
		}
	}
	return nil
}

// fitToIndex cuts off what a crash left behind the last record that the index knows, and fails when
// records are missing.
func fitToIndex(path string, size, tip int64, log *slog.Logger) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch want := (tip + 1) * size; {
	case info.Size() < want:
		return fmt.Errorf("%s has %d bytes, its index speaks of %d records of %d bytes", path, info.Size(), tip+1, size)
	case info.Size() > want:
		log.Warn("cutting off what an interrupted write left in a header file", "file", path, "bytes", info.Size()-want)
		return os.Truncate(path, want)
	}
	return nil
}

// checkTail checks that the newest headers follow one another and end in the one that the index
// names.
func checkTail(path string, end tip) error {
	from := max(end.height-checkedTail+1, 0)
	headers, err := readHeaders(path, from, end.height-from+1)
	if err != nil {
		return err
	}
	for i := 1; i < len(headers); i++ {
		if headers[i].PrevBlock != headers[i-1].BlockHash() {
			return fmt.Errorf("%s: the header at height %d does not follow the one before", path, from+int64(i))
		}
	}
	if got := headers[len(headers)-1].BlockHash(); got != end.hash {
		return fmt.Errorf("%s: the header at height %d is %s, its index says %s", path, end.height, got, end.hash)
	}
	return nil
}

// checkFilterTail checks that the newest filter header is not the zeros that a file system leaves
// after a power cut. Whether it is true, only peers can tell: neutrino compares it with theirs.
func checkFilterTail(path string, height int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var last, zero [filterHeaderSize]byte
	if _, err := f.ReadAt(last[:], height*filterHeaderSize); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if last == zero {
		return fmt.Errorf("%s: the filter header at height %d is empty", path, height)
	}
	return nil
}

// readHeaders reads n headers from a file of them.
func readHeaders(path string, from, n int64) ([]wire.BlockHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw := make([]byte, n*headerSize)
	if _, err := f.ReadAt(raw, from*headerSize); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	headers := make([]wire.BlockHeader, n)
	r := bytes.NewReader(raw)
	for i := range headers {
		if err := headers[i].Deserialize(r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return headers, nil
}
