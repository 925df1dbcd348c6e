package headers

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// A file of headers is what Bitcoin's programs have always kept: the headers of all blocks from the
// first on, 80 bytes each, as they are on the wire. The header of block N begins at byte 80·N. The
// first header shows which network it is. After the last header follows the SHA-256 of everything
// before, 32 bytes.
//
// The checksum is there to detect accidents. A changed byte breaks a header's proof of work, or the
// link of the next header to it. The only exception is the last header of a network on which proof
// of work costs nothing (regtest), and the checksum covers that one too. It proves nothing about
// who made the file, and need not: the headers prove themselves. Files without a checksum, as
// Electrum and neutrino have them, are read as well.
const checksumSize = sha256.Size

// FileSize returns the length in bytes of a file with a checksum whose newest header is at height.
func FileSize(height int64) int64 { return (height+1)*Size + checksumSize }

// maxHeaders is more than Bitcoin will have in a hundred years. A larger file is something else.
const maxHeaders = 6_000_000

// ErrNoBlock is wrapped when a file ends below the requested height.
var ErrNoBlock = errors.New("the headers end before")

// stride is the number of headers between two whose hashes are kept in memory.
const stride = 1024

// File is a file of headers that were all checked when it was opened. Several goroutines may use it
// at once.
type File struct {
	r      io.ReaderAt
	chain  *Chain
	ends   []chainhash.Hash // of the last header of each stride, of the newest header at the end
	summed bool
}

// Open checks all headers of a file of that size, and its checksum if it has one. Headers that are
// more than two hours later than now are refused. If progress is not nil, Open calls it from time
// to time with the number of headers checked so far. Errors of r are returned unchanged.
func Open(ctx context.Context, r io.ReaderAt, size int64, params *chaincfg.Params, now time.Time, progress func(done uint64)) (*File, error) {
	n, rest := size/Size, size%Size
	switch {
	case size == 0:
		return nil, errors.New("the file is empty")
	case n > maxHeaders:
		return nil, fmt.Errorf("the file has %d bytes, too many for headers of blocks: is it the right one?", size)
	case n == 0:
		return nil, fmt.Errorf("the file has %d bytes, less than one header of %d", size, Size)
	}
	f := &File{r: r, chain: New(params, now), summed: rest == checksumSize}
	sum := sha256.New()
	buf := make([]byte, stride*Size)
	for done := int64(0); done < n; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		part := buf[:min(stride, n-done)*Size]
		if err := readAt(r, part, done*Size); err != nil {
			return nil, err
		}
		if f.summed {
			sum.Write(part)
		}
		for i := 0; i < len(part); i += Size {
			if err := f.chain.Append(part[i : i+Size]); err != nil {
				return nil, err
			}
		}
		f.ends = append(f.ends, f.chain.Hash())
		done += int64(len(part) / Size)
		if progress != nil {
			progress(uint64(done))
		}
	}
	switch rest {
	case 0:
	case checksumSize:
		want := make([]byte, checksumSize)
		if err := readAt(r, want, n*Size); err != nil {
			return nil, err
		}
		if got := sum.Sum(nil); string(got) != string(want) {
			return nil, fmt.Errorf("the checksum after the header of block %d is %x, and that of the headers is %x: the file was changed", n-1, want, got)
		}
	default:
		return nil, fmt.Errorf("after the header of block %d come %d bytes, which are neither a header (%d) nor the checksum (%d): the file is cut short, or something was added", n-1, rest, Size, checksumSize)
	}
	return f, f.chain.Enough()
}

// readAt fills p, and says so when the file has become shorter.
func readAt(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the file ends at byte %d, and was longer when it was opened", at+int64(n))
	}
	return err
}

// Height returns the height of the newest header.
func (f *File) Height() int64 { return f.chain.Height() }

// Time returns the time that the newest header claims.
func (f *File) Time() time.Time { return f.chain.Time() }

// Summed reports whether the file has a checksum.
func (f *File) Summed() bool { return f.summed }

// Header returns the header at height. If the file ends below it, the error wraps [ErrNoBlock].
// Header reads from the file again and checks that the file has not changed since it was opened.
func (f *File) Header(height uint64) (h wire.BlockHeader, err error) {
	if height > uint64(f.Height()) {
		return h, fmt.Errorf("%w block %d: the newest is %d", ErrNoBlock, height, f.Height())
	}
	part := int64(height) / stride
	first := part * stride
	raw := make([]byte, min(stride, f.Height()+1-first)*Size)
	if err := readAt(f.r, raw, first*Size); err != nil {
		return h, err
	}
	// The hashes of the headers before and at the end are known; what lies between must lead from
	// the one to the other.
	prev := chainhash.Hash{}
	if part > 0 {
		prev = f.ends[part-1]
	}
	for i := 0; i < len(raw); i += Size {
		if [32]byte(raw[i+4:]) != prev {
			return h, errChanged
		}
		prev = hashOf(raw[i : i+Size])
	}
	if prev != f.ends[part] {
		return h, errChanged
	}
	return parse(raw[(int64(height)-first)*Size:]), nil
}

var errChanged = errors.New("the file was changed while it was being used")

// Copy reads headers without a checksum from r, checks them like [Open], and writes a file of
// headers to w. It returns the checked chain. It accepts no more headers than Open does, because on
// a network whose proof of work costs nothing, a hostile sender could go on until the disk is full.
func Copy(ctx context.Context, w io.Writer, r io.Reader, params *chaincfg.Params, now time.Time, progress func(done uint64)) (*Chain, error) {
	return copyUpTo(ctx, w, r, params, now, progress, maxHeaders)
}

// copyUpTo is Copy for at most that many headers.
func copyUpTo(ctx context.Context, w io.Writer, r io.Reader, params *chaincfg.Params, now time.Time, progress func(done uint64), most int64) (*Chain, error) {
	chain := New(params, now)
	out := NewWriter(w)
	in := bufio.NewReaderSize(r, 1<<16)
	raw := make([]byte, Size)
	for {
		n, err := io.ReadFull(in, raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("after the header of block %d come %d bytes instead of %d: it was cut short", chain.Height(), n, Size)
		}
		if err != nil {
			return nil, err
		}
		if chain.Height()+1 >= most {
			return nil, fmt.Errorf("more than %d headers were sent, more than %s has blocks: get them from another source", most, params.Name)
		}
		if err := chain.Append(raw); err != nil {
			return nil, err
		}
		if _, err := out.Write(raw); err != nil {
			return nil, err
		}
		if done := chain.Height() + 1; done%stride == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if progress != nil {
				progress(uint64(done))
			}
		}
	}
	if err := chain.Enough(); err != nil {
		return nil, err
	}
	return chain, out.Close()
}

// Writer writes a file of headers.
type Writer struct {
	w   *bufio.Writer
	sum hash.Hash
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{bufio.NewWriterSize(w, 1<<16), sha256.New()} }

// Write writes headers, of Size bytes each. It does not check them.
func (w *Writer) Write(p []byte) (int, error) {
	w.sum.Write(p)
	return w.w.Write(p)
}

// Close writes the checksum. It does not close what is below.
func (w *Writer) Close() error {
	if _, err := w.w.Write(w.sum.Sum(nil)); err != nil {
		return err
	}
	return w.w.Flush()
}
