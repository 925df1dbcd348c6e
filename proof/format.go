// Package proof reads, writes, builds, verifies and explains OpenTimestamps proofs (.ots files),
// and computes the Merkle trees below them.
//
// What [File.Marshal] writes, every OpenTimestamps implementation reads. What the reference
// implementation (python-opentimestamps) reads, [Parse] reads, in any order and with duplicates,
// but for the limits of this file that keep hostile bytes cheap and for numbers of more than 64
// bits. Where one operation stands twice beside itself, the reference keeps what follows the
// second; here both are kept. A timestamp without a file's header ends where its bytes do; the
// reference reads over what follows it. Writing is canonical: equal proofs are equal bytes. Version
// 1 of the format does not change, so neither does this promise. docs/proofs.md specifies all of
// it, with an example that can be followed by hand.
//
// Everything is a pure function of its arguments: no file, no network, no clock, no package state.
// Block headers, the one thing that a proof needs from outside, come from the caller's
// [HeaderSource].
package proof

import (
	"errors"
	"fmt"
	"math"
)

// magic and majorVersion begin every .ots file.
const (
	magic        = "\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
	majorVersion = 1
)

// The limits of the format, as the reference implementation has them.
const (
	MaxMessage = 4096 // bytes of a message, of an operation's argument and of its result
	MaxHexlify = 2048 // bytes of a message that is to be hexlified: the result has twice as many
	MaxPayload = 8192 // bytes of an attestation's payload
	MaxURI     = 1000 // bytes of a pending attestation's URI
	MaxDepth   = 255  // operations one after the other
)

// The limits that are ours. The reference implementation has none here, and a megabyte of hostile
// bytes keeps it busy with gigabytes.
const (
	// MaxSize is how many bytes a proof may have: a hundred of the largest answers that clients
	// take of a calendar (10,000 bytes). Complete proofs have one or two thousand.
	MaxSize = 1 << 20

	// maxWork bounds what reading a proof may cost, in bytes hashed and copied, each operation and
	// attestation counted with nodeCost for the memory that it takes. An honest proof of MaxSize
	// needs half of it; without a bound, one byte (reverse) makes a new message of 4,096.
	maxWork  = 32 << 20
	nodeCost = 200
)

// uriAlphabet is what a URI may consist of: no query, no fragment, no login, nothing that needs
// escaping.
const uriAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/:"

// ErrUnsupported is wrapped by errors about something that this package does not know and a later
// or another program may: a version of the format, a hash, an operation. Nothing says that it is
// wrong.
var ErrUnsupported = errors.New("not supported by this version of the program")

// SyntaxError says where and why bytes are not a proof. It wraps [ErrUnsupported] if the bytes may
// be a proof that only another program reads.
type SyntaxError struct {
	Offset      int    // into the bytes that were to be parsed
	Reason      string // what was found, and what is allowed
	Unsupported bool   // the bytes may be a proof that another program reads
}

func (e *SyntaxError) Error() string {
	if e.Unsupported {
		return fmt.Sprintf("the proof cannot be read at byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("malformed proof at byte %d: %s", e.Offset, e.Reason)
}

// Unwrap returns ErrUnsupported if that is what the error is.
func (e *SyntaxError) Unwrap() error {
	if e.Unsupported {
		return ErrUnsupported
	}
	return nil
}

// errWork is how exceeding maxWork is told, in reading and in writing.
const errWork = "the proof takes too much work: its operations may produce and consume 32 MiB in all"

// budget is what is left of maxWork.
type budget int64

// spend takes count times size bytes, and reports whether they were there.
func (b *budget) spend(count, size int) bool {
	*b -= budget(count) * budget(size)
	return *b >= 0
}

// reader takes bytes from the front of b[off:end]. A narrower one over the same b keeps offsets
// true to the whole.
type reader struct {
	b        []byte
	off, end int
}

func (r *reader) fail(at int, format string, args ...any) error {
	return &SyntaxError{Offset: at, Reason: fmt.Sprintf(format, args...)}
}

// unsupported is fail for bytes that another program may understand.
func (r *reader) unsupported(at int, format string, args ...any) error {
	return &SyntaxError{Offset: at, Reason: fmt.Sprintf(format, args...), Unsupported: true}
}

func (r *reader) byte(what string) (byte, error) {
	if r.off >= r.end {
		return 0, r.fail(r.off, "ends where %s is expected", what)
	}
	r.off++
	return r.b[r.off-1], nil
}

// bytes returns the next n bytes. They share memory with the input, and cannot be appended to in
// place.
func (r *reader) bytes(n int, what string) ([]byte, error) {
	if left := r.end - r.off; n > left {
		return nil, r.fail(r.off, "ends within %s: %d bytes expected, %d left", what, n, left)
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off], nil
}

// varuint reads an unsigned LEB128 number. Zeros in the places above the value are read over, as
// the reference does: files with such numbers exist. They are not written again.
func (r *reader) varuint(what string) (uint64, error) {
	at := r.off
	var v uint64
	for shift := 0; ; shift += 7 {
		c, err := r.byte(what)
		if err != nil {
			return 0, err
		}
		bits := uint64(c & 0x7f)
		if bits != 0 && (shift > 63 || bits > math.MaxUint64>>shift) {
			return 0, r.fail(at, "%s does not fit into 64 bits", what)
		}
		if bits != 0 {
			v |= bits << shift
		}
		if c&0x80 == 0 {
			return v, nil
		}
	}
}

// varbytes reads a length of low to high, and that many bytes.
func (r *reader) varbytes(low, high int, what string) ([]byte, error) {
	at := r.off
	n, err := r.varuint("the length of " + what)
	if err != nil {
		return nil, err
	}
	if n < uint64(low) || n > uint64(high) {
		return nil, r.fail(at, "%s is %d bytes long, %d to %d are allowed", what, n, low, high)
	}
	return r.bytes(int(n), what)
}

// done fails when bytes are left.
func (r *reader) done(what string) error {
	if left := r.end - r.off; left > 0 {
		return r.fail(r.off, "%d bytes follow after %s, none are allowed", left, what)
	}
	return nil
}

func appendVaruint(b []byte, v uint64) []byte {
	for v > 0x7f {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendVarbytes(b, data []byte) []byte {
	return append(appendVaruint(b, uint64(len(data))), data...)
}
