package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// AppendTime writes a time, which [Decoder.Time] reads back in UTC, to the nanosecond.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// AppendBytes writes a string of bytes behind its length.
func AppendBytes(b, p []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// Decoder reads a value from its front. After the first error it keeps that error, and gives zeros.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder returns a decoder of a value.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Fail keeps an error, if there is none yet.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.b = nil
}

// End returns the first error, or one if anything is left over.
func (d *Decoder) End() error {
	if d.err == nil && len(d.b) > 0 {
		d.Fail("%d bytes behind its end", len(d.b))
	}
	return d.err
}

// Take reads n bytes, which stay part of the value.
func (d *Decoder) Take(what string, n int) []byte {
	if d.err == nil && len(d.b) < n {
		d.Fail("%d bytes left, expected %d of %s", len(d.b), n, what)
	}
	if d.err != nil {
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

// Byte reads one byte.
func (d *Decoder) Byte(what string) byte {
	if p := d.Take(what, 1); d.err == nil {
		return p[0]
	}
	return 0
}

func (d *Decoder) version() {
	if v := d.Byte("version"); d.err == nil && v != recordVersion {
		d.Fail("record version %d, expected %d", v, recordVersion)
	}
}

// Hash reads 32 bytes.
func (d *Decoder) Hash(what string) (h [32]byte) {
	copy(h[:], d.Take(what, len(h)))
	return h
}

// Uvarint reads an unsigned number.
func (d *Decoder) Uvarint(what string) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if !d.varintTaken(what, n) {
		return 0
	}
	return v
}

// Varint reads a signed number.
func (d *Decoder) Varint(what string) int64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Varint(d.b)
	if !d.varintTaken(what, n) {
		return 0
	}
	return v
}

// varintTaken moves past a varint of n bytes, which must be in its shortest form, so that a value
// has one encoding.
func (d *Decoder) varintTaken(what string, n int) bool {
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.Fail("%s is not a varint in its shortest form", what)
		return false
	}
	d.b = d.b[n:]
	return true
}

// UvarintMax reads an unsigned number that must not be above limit.
func (d *Decoder) UvarintMax(what string, limit uint64) uint64 {
	v := d.Uvarint(what)
	if d.err == nil && v > limit {
		d.Fail("%s is %d, expected at most %d", what, v, limit)
		return 0
	}
	return v
}

// Count reads how many things of at least size bytes follow: no more than fit, so that damage
// cannot ask for memory.
func (d *Decoder) Count(what string, size int) int {
	return int(d.UvarintMax("number of "+what, uint64(len(d.b)/size)))
}

// Bytes reads what AppendBytes wrote; the bytes stay part of the value.
func (d *Decoder) Bytes(what string) []byte {
	n := d.UvarintMax("length of "+what, math.MaxInt32)
	return d.Take(what, int(n))
}

// Time reads what AppendTime wrote.
func (d *Decoder) Time(what string) time.Time {
	switch flag := d.Byte(what); {
	case d.err != nil || flag == 0:
		return time.Time{}
	case flag > 1:
		d.Fail("%s begins with %d, expected 0 or 1", what, flag)
		return time.Time{}
	}
	seconds := d.Varint(what)
	nanos := d.UvarintMax(what+" nanoseconds", 999_999_999)
	if d.err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}
