package proof

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// meaning has the bytes that say something in proofs, or are at a limit.
var meaning = []byte{0x00, 0x01, 0x7f, 0x80, 0x81, 0xff, 0x02, 0x03, 0x08, 0x67, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4}

// mutator makes bytes that are almost proofs, or proofs that nobody would write. All that it does
// follows from its random numbers.
type mutator struct {
	*rand.Rand
	seeds [][]byte // whole .ots files, good and bad
}

func newMutator(t testing.TB, seed uint64) *mutator {
	m := &mutator{}
	for _, dir := range []string{"valid", "loose", "invalid"} {
		found := vectors(t, dir)
		for _, name := range slices.Sorted(maps.Keys(found)) {
			m.seeds = append(m.seeds, found[name])
		}
	}
	m.reset(seed, 0)
	return m
}

// reset begins the case of this number: it comes out the same whatever came before.
func (m *mutator) reset(seed, number uint64) { m.Rand = rand.New(rand.NewPCG(seed, number)) }

func (m *mutator) one(of int) bool { return m.IntN(of) == 0 }

func (m *mutator) bytes(n int) []byte {
	b := make([]byte, n)
	if m.one(2) { // cheap, and equal ones meet
		for i := range b {
			b[i] = byte(m.IntN(2))
		}
		return b
	}
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return b
}

// file returns a proof, somehow changed or not at all.
func (m *mutator) file() []byte {
	switch {
	case m.one(3000):
		return m.costly()
	case m.one(5000):
		return m.large()
	}
	b := bytes.Clone(m.seeds[m.IntN(len(m.seeds))])
	if !m.one(3) {
		b = append(m.head(), m.timestamp(nil, m.IntN(4))...)
	}
	for range []int{0, 0, 1, 1, 1, 2, 3}[m.IntN(7)] {
		b = m.change(b)
	}
	return b
}

// costly is a proof of a few kilobytes that takes tens of megabytes of memory.
func (m *mutator) costly() []byte {
	return append(append([]byte(magic), 1, byte(SHA256)), append(make([]byte, 32), hostile(20+m.IntN(20))...)...)
}

// large is a proof of about a megabyte, at times of more than may be read.
func (m *mutator) large() []byte {
	b := append(append([]byte(magic), 1, byte(SHA256)), make([]byte, 32)...)
	for more := true; more; {
		if more = len(b) < MaxSize-8300+m.IntN(8300); more {
			b = append(b, 0xff)
		}
		tag := [8]byte{byte(m.IntN(20))}
		b = append(append(append(b, 0), tag[:]...), m.varbytes(m.bytes(8000))...)
	}
	return b
}

// head is the beginning of a file, with a digest that many share, so that they can be merged.
func (m *mutator) head() []byte {
	hash := []Tag{SHA1, RIPEMD160, SHA256, SHA256, Keccak256}[m.IntN(5)]
	b := append([]byte(magic), m.varuint(1)...)
	b = append(b, byte(hash))
	return append(b, make([]byte, hash.Size())...)
}

// timestamp appends one whose parts stand in any order, some of them twice.
func (m *mutator) timestamp(b []byte, levels int) []byte {
	if m.one(200) { // at the limit of depth
		for range 253 + m.IntN(5) {
			b = append(b, byte(SHA256))
		}
		levels = 0
	}
	items := 1 + m.IntN(3)
	var last []byte
	for i := range items {
		if i < items-1 {
			b = append(b, 0xff)
		}
		item := last
		if item == nil || !m.one(5) {
			item = m.item(levels)
		}
		b, last = append(b, item...), item
	}
	return b
}

func (m *mutator) item(levels int) []byte {
	if levels == 0 || m.one(3) {
		return m.attestation()
	}
	return m.timestamp(m.op(), levels-1)
}

func (m *mutator) op() []byte {
	tag := []Tag{SHA1, RIPEMD160, SHA256, Keccak256, Append, Prepend, Append, Prepend, Reverse, Hexlify}[m.IntN(10)]
	if !tag.hasArg() {
		return []byte{byte(tag)}
	}
	return append([]byte{byte(tag)}, m.varbytes(m.bytes(m.length(MaxMessage, MaxMessage-20, MaxMessage-32, MaxMessage/2-32)))...)
}

// length is mostly small, at times beside one of the limits.
func (m *mutator) length(limits ...int) int {
	if !m.one(30) {
		return 1 + m.IntN(4)
	}
	return limits[m.IntN(len(limits))] - 1 + m.IntN(3)
}

func (m *mutator) attestation() []byte {
	var tag [8]byte
	var payload []byte
	switch kind := []Kind{KindPending, KindBitcoin, KindLitecoin, KindEthereum, KindUnknown}[m.IntN(5)]; kind {
	case KindUnknown:
		copy(tag[:], m.bytes(8))
		payload = m.bytes(m.length(MaxPayload))
	case KindPending:
		tag = tagOf(kind)
		uri := make([]byte, m.length(MaxURI))
		for i := range uri {
			uri[i] = uriAlphabet[m.IntN(len(uriAlphabet))]
		}
		payload = m.varbytes(uri)
	default:
		tag = tagOf(kind)
		payload = m.varuint([]uint64{uint64(m.IntN(3)), 127, 128, 1 << 32, m.Uint64()}[m.IntN(5)])
	}
	return append(append([]byte{0}, tag[:]...), m.varbytes(payload)...)
}

// varuint is at times written in more bytes than it needs, or is another number, far too large.
func (m *mutator) varuint(v uint64) []byte {
	b := appendVaruint(nil, v)
	if !m.one(20) {
		return b
	}
	for range 1 + m.IntN(12) {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	if m.one(8) {
		b[len(b)-1] = byte(m.IntN(3))
	}
	return b
}

func (m *mutator) varbytes(b []byte) []byte { return append(m.varuint(uint64(len(b))), b...) }

// change does one thing to b.
func (m *mutator) change(b []byte) []byte {
	body := bodyOf(b)
	at := func() int { return m.IntN(len(b) + 1) }
	if len(b) > body && !m.one(10) {
		at = func() int { return body + m.IntN(len(b)-body+1) }
	}
	i := at()
	j := min(i+1+m.IntN(40), len(b))
	switch m.IntN(11) {
	case 0: // a bit
		if i < len(b) {
			b[i] ^= 1 << m.IntN(8)
		}
	case 1: // a byte that means something
		if i < len(b) {
			b[i] = meaning[m.IntN(len(meaning))]
		}
	case 2: // something is missing
		b = slices.Delete(b, i, j)
	case 3: // something stands twice
		b = slices.Insert(b, i, bytes.Clone(b[i:j])...)
	case 4: // something comes between
		b = slices.Insert(b, i, m.bytes(1+m.IntN(3))...)
	case 5: // an operation comes between
		b = slices.Insert(b, i, m.op()...)
	case 6: // an item comes between
		b = slices.Insert(b, i, append([]byte{0xff}, m.item(m.IntN(3))...)...)
	case 7: // an item comes first
		if len(b) > body {
			b = slices.Insert(b, body, append([]byte{0xff}, m.item(m.IntN(3))...)...)
		}
	case 8: // the end is missing
		b = b[:i]
	case 9: // the end is that of another proof
		other := m.seeds[m.IntN(len(m.seeds))]
		b = append(b[:i:i], other[m.IntN(len(other)+1):]...)
	case 10: // the timestamp of another proof comes first
		if other := m.seeds[m.IntN(len(m.seeds))]; len(b) > body && len(other) > bodyOf(other) {
			b = slices.Insert(b, body, append([]byte{0xff}, other[bodyOf(other):]...)...)
		}
	}
	return b
}

// bodyOf is where the timestamp of a file begins.
func bodyOf(b []byte) int {
	if at := len(magic) + 1; len(b) > at && Tag(b[at]).Size() > 0 {
		return at + 1 + Tag(b[at]).Size()
	}
	return len(magic) + 2 + 32
}
