package spv

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ancre/internal/atomicfile"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/lightninglabs/neutrino/chainimport"
	"github.com/lightninglabs/neutrino/headerfs"
)

// A file of headers to be imported is neutrino's: 10 bytes that say what it is (network magic, 4
// bytes; version 0; type, 0 for headers and 1 for filter headers; height of the first, 4 bytes;
// integers little endian), then the records.
const exportVersion = 0

// importBatch is how many headers are written at once; neutrino's own 65,536 take some 60 MB more
// memory.
const importBatch = 16384

// exportReserve is how many of the newest blocks an export leaves out, so that no usual
// reorganisation makes it useless.
const exportReserve = 6

// headerFile is what the beginning of such a file, and its size, say.
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
		return h, fmt.Errorf("%s: too short to be a file of headers", path)
	}
	h.magic = binary.LittleEndian.Uint32(begin[:])
	h.kind = headerfs.HeaderType(begin[5])
	h.first = int64(binary.LittleEndian.Uint32(begin[6:]))
	size, err := h.kind.Size()
	if err != nil || begin[4] != exportVersion {
		return h, fmt.Errorf("%s: it is not a file of headers that was made for import", path)
	}
	records := info.Size() - int64(len(begin))
	if records <= 0 || records%int64(size) != 0 {
		return h, fmt.Errorf("%s: %d bytes of records of %d bytes: it is cut off", path, records, size)
	}
	h.last = h.first + records/int64(size) - 1
	return h, nil
}

// checkImport checks, without reading them whole, that the configured files can be imported.
func checkImport(files []string, params *chaincfg.Params) error {
	if len(files) == 0 {
		return nil
	}
	if len(files) != 2 {
		return fmt.Errorf("%d files of headers to import: there must be two, block headers and filter headers", len(files))
	}
	var heads [2]headerFile
	for i, want := range []headerfs.HeaderType{headerfs.Block, headerfs.RegularFilter} {
		h, err := readHeaderFile(files[i])
		if err != nil {
			return importError(files, err)
		}
		if h.kind != want {
			return importError(files, fmt.Errorf("%s holds a %v file, and should hold a %v file (block headers are named first)", files[i], h.kind, want))
		}
		if h.magic != uint32(params.Net) {
			return importError(files, fmt.Errorf("%s is of another network than %s", files[i], params.Name))
		}
		heads[i] = h
	}
	if b, f := heads[0], heads[1]; b.first != f.first || b.last != f.last {
		return importError(files, fmt.Errorf("block headers reach from height %d to %d, filter headers from %d to %d: they are not of one export", b.first, b.last, f.first, f.last))
	}
	return nil
}

// importError says which files, and what to do.
func importError(files []string, err error) error {
	return fmt.Errorf("importing headers from %q: %w; make both files again, or remove spv.headers_import to download them from peers",
		files, err)
}

// importHeaders reads the configured files into the header store, when they reach higher than what
// is here: reading them costs seconds, which the next start need not spend. neutrino checks them as
// it would check what peers send, but for the filter headers, which only peers that disagree can
// show to be wrong.
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
		c.log.Debug("headers need not be imported", "height", best.Height, "file_height", head.last)
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
			return fmt.Errorf("importing headers: %w", ctx.Err())
		}
		return importError(files, err)
	}
	c.log.Info("headers imported", "to", head.last, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// ExportHeaders writes the headers and filter headers that are here to two new files, in the form
// that [Config.HeadersImport] wants. They spare another node the download; whoever imports them
// trusts the filter headers as they are. The newest blocks are left out. It returns the height of
// the last that was written.
func (c *Client) ExportHeaders(ctx context.Context, blockFile, filterFile string) (int32, error) {
	if !c.begin() {
		return 0, ErrClosed
	}
	defer c.wg.Done()
	best, err := c.service().BestBlock()
	if err != nil {
		return 0, fmt.Errorf("newest block: %w", err)
	}
	last := best.Height - exportReserve
	if last < 1 {
		return 0, fmt.Errorf("nothing to export yet: %d blocks are here, and the newest %d are left out", best.Height, exportReserve)
	}
	stop, err := c.source().GetBlockHeaderByHeight(uint32(last))
	if err != nil {
		return 0, fmt.Errorf("header at height %d: %w", last, err)
	}
	lastHash := stop.BlockHash()
	err = writeHeaderFile(ctx, blockFile, c.params, headerfs.Block, last, func(w io.Writer, height uint32) error {
		h, err := c.source().GetBlockHeaderByHeight(height)
		if err != nil {
			return err
		}
		return h.Serialize(w)
	})
	if err != nil {
		return 0, err
	}
	err = writeHeaderFile(ctx, filterFile, c.params, headerfs.RegularFilter, last, func(w io.Writer, height uint32) error {
		h, err := c.source().GetFilterHeaderByHeight(height)
		if err != nil {
			return err
		}
		_, err = w.Write(h[:])
		return err
	})
	if err != nil {
		os.Remove(blockFile)
		return 0, err
	}
	if _, _, err := c.header(lastHash); err != nil {
		os.Remove(blockFile)
		os.Remove(filterFile)
		return 0, fmt.Errorf("the chain was reorganised during the export, try again: %w", err)
	}
	return last, nil
}

// writeHeaderFile writes a file whole or not at all, and never over one that is there.
func writeHeaderFile(ctx context.Context, path string, params chaincfg.Params, kind headerfs.HeaderType, last int32, write func(w io.Writer, height uint32) error) (err error) {
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s exists already", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	begin := binary.LittleEndian.AppendUint32(nil, uint32(params.Net))
	begin = append(begin, exportVersion, byte(kind))
	begin = binary.LittleEndian.AppendUint32(begin, 0)
	if _, err := w.Write(begin); err != nil {
		return err
	}
	for height := uint32(0); height <= uint32(last); height++ {
		if height%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := write(w, height); err != nil {
			return fmt.Errorf("header at height %d: %w", height, err)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
