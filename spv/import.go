package spv

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"ancre/internal/atomicfile"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/lightninglabs/neutrino/chainimport"
	"github.com/lightninglabs/neutrino/headerfs"
)

// A header file for import has neutrino's format. It begins with 10 bytes: the network's magic (4
// bytes), version 0, type (0 for headers, 1 for filter headers), height of the first (4 bytes).
// Then come the records. Integers are little endian.
const exportVersion = 0

// importBatch is how many headers are written at once. neutrino's default of 65,536 takes some 60
// MB more memory.
const importBatch = 16384

// headerFile is what the beginning and the size of a header file say.
type headerFile struct {
	magic       uint32
	kind        headerfs.HeaderType
	first, last int64 // heights
}

func readHeaderFile(path string) (headerFile, error) {
	var h headerFile
	f, info, err := atomicfile.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	var begin [chainimport.ImportMetadataSize]byte
	if _, err := io.ReadFull(f, begin[:]); err != nil {
		return h, fmt.Errorf("%s: too short to be a header file", path)
	}
	h.magic = binary.LittleEndian.Uint32(begin[:])
	h.kind = headerfs.HeaderType(begin[5])
	h.first = int64(binary.LittleEndian.Uint32(begin[6:]))
	size, err := h.kind.Size()
	if err != nil || begin[4] != exportVersion {
		return h, fmt.Errorf("%s: not a header file for import", path)
	}
	records := info.Size() - int64(len(begin))
	if records <= 0 || records%int64(size) != 0 {
		return h, fmt.Errorf("%s: it is cut off: %d bytes are not a whole number of records of %d bytes", path, records, size)
	}
	h.last = h.first + records/int64(size) - 1
	return h, nil
}

// checkImport checks the beginnings and sizes of the header files to import.
func checkImport(files []string, params *chaincfg.Params) error {
	if len(files) == 0 {
		return nil
	}
	if len(files) != 2 {
		return fmt.Errorf("%d header files to import: there must be two, block headers and filter headers", len(files))
	}
	var heads [2]headerFile
	for i, want := range []headerfs.HeaderType{headerfs.Block, headerfs.RegularFilter} {
		h, err := readHeaderFile(files[i])
		if err != nil {
			return importError(files, err)
		}
		if h.kind != want {
			return importError(files, fmt.Errorf("%s is a %v file, where a %v file is expected (the block headers come first)", files[i], h.kind, want))
		}
		if h.magic != uint32(params.Net) {
			return importError(files, fmt.Errorf("%s is not of the network %s", files[i], params.Name))
		}
		heads[i] = h
	}
	if b, f := heads[0], heads[1]; b.first != f.first || b.last != f.last {
		return importError(files, fmt.Errorf("the block headers are of heights %d to %d, the filter headers of heights %d to %d: they are not of one export", b.first, b.last, f.first, f.last))
	}
	return nil
}

// importError wraps an error with the names of the files, and says what to do.
func importError(files []string, err error) error {
	return fmt.Errorf("cannot import headers from %q: %w; export both files again, or remove spv.headers_import to download the headers from peers",
		files, err)
}

// importHeaders reads the configured files into the header store, if they reach higher than the
// stored headers: reading them takes seconds, which later starts need not spend. neutrino checks
// the headers as if peers had sent them. It cannot check the filter headers: only peers that
// disagree can show that one is false.
func (c *Client) importHeaders(ctx context.Context) error {
	files := c.cfg.HeadersImport
	if len(files) == 0 {
		return nil
	}
	head, err := readHeaderFile(files[0])
	if err != nil {
		return importError(files, err)
	}
	best, err := c.reading.BestBlock()
	if err != nil {
		return fmt.Errorf("newest block: %w", err)
	}
	if int64(best.Height) >= head.last {
		c.log.Debug("the stored headers reach as high as the files: importing none", "height", best.Height, "file_height", head.last)
		return nil
	}
	c.log.Info("importing headers", "from", best.Height+1, "to", head.last, "files", files)
	start := time.Now()
	importer, err := chainimport.NewHeadersImport(&chainimport.ImportOptions{
		BlockHeadersSource:      files[0],
		FilterHeadersSource:     files[1],
		TargetChainParams:       c.params,
		TargetBlockHeaderStore:  c.reading.BlockHeaders,
		TargetFilterHeaderStore: c.reading.RegFilterHeaders,
		WriteBatchSizePerRegion: importBatch,
	})
	if err != nil {
		return importError(files, err)
	}
	if _, err := importer.Import(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("the import of headers was ended: %w", ctx.Err())
		}
		return importError(files, err)
	}
	c.log.Info("headers imported", "to", head.last, "took", time.Since(start).Round(time.Millisecond))
	return nil
}
