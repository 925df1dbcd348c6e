package spv

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"ancre/internal/atomicfile"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/lightninglabs/neutrino/headerfs"
)

// exportReserve is how many of the newest blocks an export leaves out, so that a usual
// reorganisation does not make it useless.
const exportReserve = 6

// ExportHeaders writes the stored headers and filter headers to two new files, which
// [Config.HeadersImport] reads. They save another node the download. That node trusts the filter
// headers unchecked. The newest blocks are left out. ExportHeaders returns the height of the last
// block that was written.
func (c *Client) ExportHeaders(ctx context.Context, blockFile, filterFile string) (int32, error) {
	if !c.begin() {
		return 0, ErrClosed
	}
	defer c.wg.Done()
	last, lastHash, err := c.exportEnd()
	if err != nil {
		return 0, err
	}
	err = c.writeHeaderFile(ctx, blockFile, headerfs.Block, last, func(w io.Writer, height uint32) error {
		h, err := c.source().GetBlockHeaderByHeight(height)
		if err != nil {
			return err
		}
		return h.Serialize(w)
	})
	if err != nil {
		return 0, err
	}
	err = c.writeHeaderFile(ctx, filterFile, headerfs.RegularFilter, last, func(w io.Writer, height uint32) error {
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

// exportEnd returns the last block of an export.
func (c *Client) exportEnd() (height int32, hash chainhash.Hash, err error) {
	best, err := c.service().BestBlock()
	if err != nil {
		return 0, hash, fmt.Errorf("newest block: %w", err)
	}
	last := best.Height - exportReserve
	if last < 1 {
		return 0, hash, fmt.Errorf("nothing to export yet: %d blocks are stored, and the newest %d are left out", best.Height, exportReserve)
	}
	header, err := c.source().GetBlockHeaderByHeight(uint32(last))
	if err != nil {
		return 0, hash, fmt.Errorf("header at height %d: %w", last, err)
	}
	return last, header.BlockHash(), nil
}

// writeHeaderFile writes a new file whole or not at all. write writes the record of one height.
func (c *Client) writeHeaderFile(ctx context.Context, path string, kind headerfs.HeaderType, last int32, write func(w io.Writer, height uint32) error) (err error) {
	dir, name, err := atomicfile.OpenParent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := dir.Lstat(name); err == nil {
		return fmt.Errorf("%s exists already", path)
	}
	file, err := dir.New(0o600)
	if err != nil {
		return err
	}
	defer file.Discard()
	w := bufio.NewWriterSize(file, 1<<16)
	begin := binary.LittleEndian.AppendUint32(nil, uint32(c.params.Net))
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
	if err := file.Create(name); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already", path)
	} else if err != nil {
		return err
	}
	return nil
}
