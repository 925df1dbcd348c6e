package spv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
)

// neutrino keeps headers in two flat files, one record for each height, and an index in a database.
// It writes the files first, then the index. After a crash or on a full disk, a file may have
// records that the index does not know, or part of a record. Both are cut off here. When records
// are missing, both files are removed, and all headers are downloaded again. The index may stay,
// since neutrino rewrites it.
const (
	databaseFile      = "neutrino.db"
	headersFile       = "block_headers.bin"
	filterHeadersFile = "reg_filter_headers.bin"

	headerSize       = wire.MaxBlockHeaderPayload // 80 bytes
	filterHeaderSize = chainhash.HashSize

	// checkedTail is how many of the newest headers must follow one another. Crashes damage the end
	// of a file, so a start does not read the rest.
	checkedTail = 2016
)

// tip is the newest entry of an index.
type tip struct {
	hash   chainhash.Hash
	height int64
}

// indexTips reads the newest header and the newest filter header in neutrino's index. They are nil
// if the index was never written. The layout is that of neutrino's package headerfs.
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
				return nil, fmt.Errorf("the index names %s as newest but does not have its height", hash)
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

// repairHeaders compares the header files with their index, and repairs or removes them.
func repairHeaders(dir string, db walletdb.DB, params *chaincfg.Params, log *slog.Logger) error {
	blocks, filters := filepath.Join(dir, headersFile), filepath.Join(dir, filterHeadersFile)
	if missing(blocks) && missing(filters) {
		return nil // a new directory, or one whose header files were removed
	}
	if err := checkNetwork(blocks, params); err != nil {
		return err
	}
	damage := checkHeaders(blocks, filters, db, log)
	if damage == nil {
		return nil
	}
	log.Error("the header files are damaged: removing them, all headers will be downloaded again", "dir", dir, "damage", damage)
	return removeHeaders(dir)
}

// checkHeaders cuts off what a crash left at the end of the header files. It returns the damage
// that this cannot repair.
func checkHeaders(blocks, filters string, db walletdb.DB, log *slog.Logger) error {
	headerTip, filterTip, err := indexTips(db)
	if err != nil {
		return err
	}
	if headerTip == nil || filterTip == nil {
		return errors.New("the index is empty, the header files are not")
	}
	if filterTip.height > headerTip.height {
		return fmt.Errorf("the index has filter headers up to height %d, and headers up to height %d", filterTip.height, headerTip.height)
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
}

// removeHeaders removes both header files. Without them, neutrino begins again with the first
// block.
func removeHeaders(dir string) error {
	for _, name := range []string{headersFile, filterHeadersFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove a damaged header file: %w; move it away, it will be downloaded again", err)
		}
	}
	return nil
}

func missing(path string) bool {
	info, err := os.Stat(path)
	return err != nil && errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// checkNetwork refuses a header file that begins with the first block of another network. Such a
// file is not damaged, only in the wrong directory.
func checkNetwork(path string, params *chaincfg.Params) error {
	first, err := readHeaders(path, 0, 1)
	if err != nil {
		return nil // shorter than one header, so it is damaged: checkHeaders sees it
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

// fitToIndex cuts off what a crash left after the last record that the index knows. It fails when
// records are missing.
func fitToIndex(path string, size, tip int64, log *slog.Logger) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch want := (tip + 1) * size; {
	case info.Size() < want:
		return fmt.Errorf("%s has %d bytes, but its index has %d records of %d bytes", path, info.Size(), tip+1, size)
	case info.Size() > want:
		log.Warn("cutting off what an interrupted write left at the end of a header file", "file", path, "bytes", info.Size()-want)
		return os.Truncate(path, want)
	}
	return nil
}

// checkTail checks that the newest headers follow one another, and that the last one is the newest
// of the index.
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
		return fmt.Errorf("%s: the header at height %d is of block %s, its index says %s", path, end.height, got, end.hash)
	}
	return nil
}

// checkFilterTail checks that the newest filter header is not zeros, as a file system may leave
// after a power cut. Only peers can tell whether it is true: neutrino compares it with theirs.
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
		return fmt.Errorf("%s: the filter header at height %d is all zeros", path, height)
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
