package hashcache

import (
	"crypto/sha256"
	"encoding/binary"

	"ancre/internal/atomicfile"
)

// Flags of an entry.
const (
	hasDigest = 1 << iota
	hasProof
)

// writer encodes the entries of a directory: flags, name, identity, digest, identity of the proof.
type writer struct {
	data []byte
	last string // the name of the last entry
}

func (w *writer) add(e Entry) {
	flags := byte(0)
	if !e.IsProof {
		flags |= hasDigest
	}
	if e.Proof != (atomicfile.Identity{}) {
		flags |= hasProof
	}
	w.data = appendString(append(w.data, flags), e.Name)
	w.data = appendIdentity(w.data, e.File)
	if flags&hasDigest != 0 {
		w.data = append(w.data, e.Digest[:]...)
	}
	if flags&hasProof != 0 {
		w.data = appendIdentity(w.data, e.Proof)
	}
	w.last = e.Name
}

// reader decodes the entries of a directory.
type reader struct {
	rest []byte
	at   Entry
	ok   bool // there is an entry
}

// next goes to the next entry, and reports whether there is one.
func (r *reader) next() bool {
	if r.ok = len(r.rest) > 0; !r.ok {
		return false
	}
	d := decoder{rest: r.rest}
	flags := d.take(1)
	r.at = Entry{Name: string(d.bytes()), File: d.identity(), IsProof: true}
	if len(flags) == 1 && flags[0]&hasDigest != 0 {
		r.at.IsProof = false
		copy(r.at.Digest[:], d.take(sha256.Size))
	}
	if len(flags) == 1 && flags[0]&hasProof != 0 {
		r.at.Proof = d.identity()
	}
	r.rest, r.ok = d.rest, !d.bad
	return r.ok
}

func appendString[S string | []byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendIdentity(b []byte, i atomicfile.Identity) []byte {
	b = binary.AppendVarint(b, i.Size)
	b = binary.LittleEndian.AppendUint64(b, uint64(i.Modified))
	b = binary.LittleEndian.AppendUint64(b, uint64(i.Changed))
	return binary.AppendUvarint(b, i.Inode)
}

// decoder takes values off the front of what was encoded. It is bad once something was missing.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.rest)) {
		d.rest, d.bad = nil, true
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	d.take(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.take(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}

func (d *decoder) fixed() int64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b))
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) identity() atomicfile.Identity {
	return atomicfile.Identity{Size: d.varint(), Modified: d.fixed(), Changed: d.fixed(), Inode: d.uvarint()}
}
