package proof

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// File is an .ots file: a timestamp of the hash of some other file, whose content the proof does
// not hold.
type File struct {
	HashOp    Tag    // which hash: SHA1, RIPEMD160, SHA256 or Keccak256
	Digest    []byte // of the file
	Timestamp *Timestamp
}

// Parse reads an .ots file. The result is canonical: sorted, without duplicates, each number in as
// few bytes as it needs. Errors about the bytes are of type [*SyntaxError].
func Parse(b []byte) (*File, error) {
	if err := checkSize(b); err != nil {
		return nil, err
	}
	b = bytes.Clone(b)
	r := &reader{b: b, end: len(b)}
	for i := range min(len(b), len(magic)) {
		if b[i] != magic[i] {
			return nil, r.fail(i, "this is not an OpenTimestamps proof: its header has %02x where %02x is expected", b[i], magic[i])
		}
	}
	if _, err := r.bytes(len(magic), "the header of an OpenTimestamps proof"); err != nil {
		return nil, err
	}
	at := r.off
	version, err := r.varuint("the version of the format")
	if err != nil {
		return nil, err
	}
	switch {
	case version > majorVersion:
		return nil, r.unsupported(at, "version %d of the format, only %d is known", version, majorVersion)
	case version != majorVersion:
		return nil, r.fail(at, "version %d of the format, only %d is known", version, majorVersion)
	}
	at = r.off
	c, err := r.byte("the kind of hash")
	if err != nil {
		return nil, err
	}
	f := &File{HashOp: Tag(c)}
	if f.HashOp.Size() == 0 {
		fail := r.unsupported
		if f.HashOp.known() {
			fail = r.fail // of an operation that is no hash
		}
		return nil, fail(at, "unknown kind of hash 0x%02x, allowed are 02 (sha1), 03 (ripemd160), 08 (sha256) and 67 (keccak256)", c)
	}
	if f.Digest, err = r.bytes(f.HashOp.Size(), "the digest"); err != nil {
		return nil, err
	}
	f.Timestamp, err = parseTimestamp(r, f.Digest)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Marshal writes the file, canonically and checked as [Timestamp.Marshal] does.
func (f *File) Marshal() ([]byte, error) {
	t, err := f.checked()
	if err != nil {
		return nil, err
	}
	b := append([]byte(magic), majorVersion, byte(f.HashOp))
	b = append(b, f.Digest...)
	b = t.append(b)
	if len(b) > MaxSize {
		return nil, fmt.Errorf("the proof would be %d bytes long, at most %d are allowed", len(b), MaxSize)
	}
	return b, nil
}

// checked returns the canonical timestamp of the file's digest, or what is wrong with the file.
func (f *File) checked() (*Timestamp, error) {
	switch {
	case f == nil || f.Timestamp == nil:
		return nil, errors.New("there is no proof")
	case f.HashOp.Size() == 0:
		return nil, fmt.Errorf("%v is not a hash", f.HashOp)
	case len(f.Digest) != f.HashOp.Size():
		return nil, fmt.Errorf("the digest is %d bytes long, one of %v has %d", len(f.Digest), f.HashOp, f.HashOp.Size())
	case !bytes.Equal(f.Digest, f.Timestamp.Msg):
		return nil, fmt.Errorf("the proof is about the digest %x, but its timestamp about the message %s", f.Digest, shortHex(f.Timestamp.Msg))
	}
	return union(f.Timestamp)
}

// Attestations lists all attestations with the messages that they are about, in the order in which
// they are written.
func (f *File) Attestations() []Attested { return f.Timestamp.All() }

// IsComplete reports whether the proof names a Bitcoin block, so that no calendar is needed any
// more. Whether it is true is for [Verify] to say.
func (f *File) IsComplete() bool {
	return slices.ContainsFunc(f.Attestations(), func(a Attested) bool { return a.Kind() == KindBitcoin })
}
