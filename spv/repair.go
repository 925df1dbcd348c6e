package spv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // the driver that neutrino's data is made with
)

// neutrino keeps headers in two flat files, one record for each height, and an index in a database. It writes the
// files first, then the index. After a crash or on a full disk a file may have too many records, or part of one; both are cut
// off here. When records are missing, both files are removed, and all is downloaded again. The index may stay: it is rewritten.
const (
	databaseFile      = "neutrino.db"
	headersFile       = "block_headers.bin"
	filterHeadersFile = "reg_filter_headers.bin"

	headerSize       = wire.MaxBlockHeaderPayload // 80 bytes
	filterHeaderSize = chainhash.HashSize

	// lockTimeout is how long opening waits for another process to let go of the database.
	lockTimeout = 3 * time.Second

	// checkedTail is how many of the newest headers are checked to follow one another. Crashes damage the end of a file; the
	// rest is not read at each start.
	checkedTail = 2016
)

// openDatabase opens or makes the database of the index and of the banned peers.
func openDatabase(dir string) (_ walletdb.DB, err error) {
	path := filepath.Join(dir, databaseFile)
	damaged := func(err error) error {
		return fmt.Errorf("%w: %s: %w; remove it, together with %s and %s beside it: all they hold will be downloaded again",
			ErrDamaged, path, err, headersFile, filterHeadersFile)
	}
	if err := checkBolt(path); err != nil {
		return nil, damaged(err)
	}
	// bbolt trusts its pages: a damaged one makes it panic, or read beyond the mapped file.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(fmt.Errorf("%v", r))
		}
	}()
	// The list of free pages is kept in the file. Finding it at each opening instead reads all of the file, which then counts as
	// memory of ours: 100 MB for mainnet.
	const noFreelistSync, readOnly = false, false
	db, err := walletdb.Create("bdb", path, noFreelistSync, lockTimeout, readOnly)
	switch {
	case err == nil:
		return db, nil
	case err.Error() == "timeout": // bbolt's ErrTimeout, which walletdb passes on as it is
		return nil, fmt.Errorf("%s is %w: is another ancred running on this data directory?", path, ErrInUse)
	case errors.Is(err, walletdb.ErrInvalid), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, damaged(err)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return nil, fmt.Errorf("light client's database: %w", err)
	}
	return nil, damaged(err)
}

// checkBolt finds a bbolt file that is shorter than it says, which bbolt itself finds only by crashing. A missing or empty file is
// no fault: it will be made.
func checkBolt(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return nil // opening it properly says more
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil
	}

	// The first two pages hold a description each; the one with the later transaction is valid. Layout: a page header of 16
	// bytes, then magic, version, page size and flags (4 bytes each), root (16), freelist (8), number of pages (8),
	// transaction (8), FNV-1a of all before (8). bbolt writes in the machine's order; all we build for are little endian.
	const (
		magic      = 0xED0CDAED
		pageHeader = 16
		metaSize   = 64
	)
	read := func(at int64) (pageSize, pages, tx uint64, ok bool) {
		b := make([]byte, pageHeader+metaSize)
		if _, err := f.ReadAt(b, at); err != nil {
			return 0, 0, 0, false
		}
		m := b[pageHeader:]
		sum := fnv.New64a()
		sum.Write(m[:metaSize-8])
		if binary.LittleEndian.Uint32(m) != magic || binary.LittleEndian.Uint64(m[metaSize-8:]) != sum.Sum64() {
			return 0, 0, 0, false
		}
		return uint64(binary.LittleEndian.Uint32(m[8:])), binary.LittleEndian.Uint64(m[40:]), binary.LittleEndian.Uint64(m[48:]), true
	}
	pageSize, pages, tx, ok := read(0)
	if !ok {
		pageSize = uint64(os.Getpagesize())
	}
	if pageSize2, pages2, tx2, ok2 := read(int64(pageSize)); ok2 && (!ok || tx2 > tx) {
		pageSize, pages, ok = pageSize2, pages2, true
	}
	if !ok {
		return errors.New("it is not a database, or its beginning is damaged")
	}
	if want := pages * pageSize; uint64(info.Size()) < want {
		return fmt.Errorf("it has %d bytes and should have %d", info.Size(), want)
	}
	return nil
}

// tip is the newest entry of an index.
type tip struct {
	hash   chainhash.Hash
	height int64
}

// indexTips reads the newest entries of neutrino's index: of headers, and of filter headers. An index that was never
// written has none. The layout is that of neutrino's headerfs.
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

// suspectFile is in the data directory while the filter headers there are suspected to be false (see alarms). Only a start without them
// cures that: neutrino has no way back from them.
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

// removeHeaders removes both header files. With them gone, neutrino begins anew with the first block.
func removeHeaders(dir string) error {
	for _, name := range []string{headersFile, filterHeadersFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a damaged header file: %w", err)
		}
	}
	return nil
}

func missing(path string) bool {
	info, err := os.Stat(path)
	return err != nil && errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// checkNetwork refuses a header file that begins with the first block of another network: it is whole, only in the wrong place.
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

// fitToIndex cuts off what a crash left behind the last record that the index knows, and fails when records are missing.
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

// checkTail checks that the newest headers follow one another and end in the one that the index names.
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

// checkFilterTail checks that the newest filter header is not the zeros that a file system leaves after a power cut. Whether
// it is true, only peers can tell: neutrino compares it with theirs.
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
