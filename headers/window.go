package headers

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// A window is a run of headers from the middle of a chain. It is a small file that verifies proofs
// of its blocks offline, where a file of all headers is too large. docs/windows.md specifies the
// format and the rules. The page's verifier reads the same format, and testdata/windows.json holds
// both to the same verdicts.
//
//	magic               8 bytes  "ANCREHW1"
//	genesis            32 bytes  hash of the network's first block, in internal order
//	height              4 bytes  of the first header, little endian
//	headers         n · 80 bytes 1 ≤ n ≤ 4096
//	checksum           32 bytes  SHA-256 of everything before
const (
	windowMagic  = "ANCREHW1"
	windowBegins = len(windowMagic) + chainhash.HashSize + 4

	// MaxWindow is how many headers a window may have: two periods of difficulty and a little.
	MaxWindow = 4096

	// MaxWindowSize is the length of the largest window in bytes.
	MaxWindowSize = windowBegins + MaxWindow*Size + checksumSize
)

// ErrNoWindow is wrapped when data is not a window, or a damaged one.
var ErrNoWindow = errors.New("not a window of headers")

// Window is a window that was read but not checked: see [Window.Check].
type Window struct {
	Genesis chainhash.Hash // of the network's first block
	First   int64          // height of the first header, as the window claims
	Raw     []byte         // the headers, Size bytes each
}

// LooksLikeWindow reports whether a file that starts so is meant to be a window. Eight bytes are
// enough. No file of all headers starts so: that starts with the version of the first block.
func LooksLikeWindow(start []byte) bool { return bytes.HasPrefix(start, []byte(windowMagic)) }

// ParseWindow reads a window. It checks the form and the checksum, and nothing of the headers. The
// window keeps data. Errors wrap [ErrNoWindow].
func ParseWindow(data []byte) (*Window, error) {
	if !LooksLikeWindow(data) {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrNoWindow, windowMagic)
	}
	body := len(data) - windowBegins - checksumSize
	switch {
	case body < Size:
		return nil, fmt.Errorf("%w: it has %d bytes, and one with a single header has %d: it is cut short", ErrNoWindow, len(data), windowBegins+Size+checksumSize)
	case body%Size != 0:
		return nil, fmt.Errorf("%w: %d bytes are left over after %d headers: it is cut short, or something was added", ErrNoWindow, body%Size, body/Size)
	case body/Size > MaxWindow:
		return nil, fmt.Errorf("%w: it has %d headers, and at most %d are allowed", ErrNoWindow, body/Size, MaxWindow)
	}
	end := len(data) - checksumSize
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, fmt.Errorf("%w: its checksum is %x, and that of its content is %x: it was changed", ErrNoWindow, data[end:], sum)
	}
	w := &Window{
		Genesis: chainhash.Hash(data[len(windowMagic):]),
		First:   int64(binary.LittleEndian.Uint32(data[windowBegins-4:])),
		Raw:     data[windowBegins:end:end],
	}
	if w.Last() > math.MaxInt32 {
		return nil, fmt.Errorf("%w: it claims to reach block %d, and no block can be that high", ErrNoWindow, w.Last())
	}
	return w, nil
}

// Len returns the number of headers.
func (w *Window) Len() int { return len(w.Raw) / Size }

// Last returns the height of the last header, as the window claims.
func (w *Window) Last() int64 { return w.First + int64(w.Len()) - 1 }

// Encode returns the window as the bytes that [ParseWindow] reads. It does not check the headers,
// so that tests can make false windows: call [Window.Check] before you hand one out.
func (w *Window) Encode() []byte {
	b := make([]byte, 0, windowBegins+len(w.Raw)+checksumSize)
	b = append(b, windowMagic...)
	b = append(b, w.Genesis[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(w.First))
	b = append(b, w.Raw...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}
