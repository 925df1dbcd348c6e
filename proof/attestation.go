package proof

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
)

// Kind says who attests.
type Kind string

const (
	KindPending  Kind = "pending"  // a calendar promises to have it attested
	KindBitcoin  Kind = "bitcoin"  // the message is the Merkle root of a Bitcoin block
	KindLitecoin Kind = "litecoin" // the same of Litecoin
	KindEthereum Kind = "ethereum" // the message is the transactions root of an Ethereum block
	KindUnknown  Kind = "unknown"  // anything else: kept byte for byte, proves nothing here
)

// Attestation says that a message existed at some time. It hangs on that message in a [Timestamp].
type Attestation struct {
	Tag     [8]byte
	Payload []byte
}

// tagOf and kindOf translate between kinds and the tags that the reference implementation assigned.
func tagOf(k Kind) [8]byte {
	switch k {
	case KindPending:
		return [8]byte{0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e}
	case KindBitcoin:
		return [8]byte{0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01}
	case KindLitecoin:
		return [8]byte{0x06, 0x86, 0x9a, 0x0d, 0x73, 0xd7, 0x1b, 0x45}
	case KindEthereum:
		return [8]byte{0x30, 0xfe, 0x80, 0x87, 0xb5, 0xc7, 0xea, 0xd7}
	}
	panic("no tag of kind " + k)
}

func kindOf(tag [8]byte) Kind {
	for _, k := range [...]Kind{KindPending, KindBitcoin, KindLitecoin, KindEthereum} {
		if tag == tagOf(k) {
			return k
		}
	}
	return KindUnknown
}

// PendingAt is the promise of the calendar at uri. Clients append "/timestamp/HEX" to it, so it
// should end without a slash.
func PendingAt(uri string) (Attestation, error) {
	if err := checkURI([]byte(uri)); err != nil {
		return Attestation{}, err
	}
	return Attestation{Tag: tagOf(KindPending), Payload: appendVarbytes(nil, []byte(uri))}, nil
}

// BitcoinAt attests that the message is the Merkle root of the Bitcoin block at height, in the byte
// order of the header.
func BitcoinAt(height uint64) Attestation {
	return Attestation{Tag: tagOf(KindBitcoin), Payload: appendVaruint(nil, height)}
}

// Kind says who attests.
func (a Attestation) Kind() Kind { return kindOf(a.Tag) }

// URI returns the calendar's address; ok is false when the attestation is not a well-formed pending
// one.
func (a Attestation) URI() (uri string, ok bool) {
	c, err := a.content()
	return string(c.uri), err == nil && c.kind == KindPending
}

// Height returns the block's height; ok is false when the attestation is not a well-formed one of a
// block chain.
func (a Attestation) Height() (height uint64, ok bool) {
	c, err := a.content()
	return c.height, err == nil && (c.kind == KindBitcoin || c.kind == KindLitecoin || c.kind == KindEthereum)
}

// Equal reports whether both say the same.
func (a Attestation) Equal(b Attestation) bool {
	return a.Tag == b.Tag && bytes.Equal(a.Payload, b.Payload)
}

// String puts the attestation into a few words.
func (a Attestation) String() string {
	c, err := a.content()
	switch {
	case err != nil:
		return fmt.Sprintf("malformed %v attestation", a.Kind())
	case c.kind == KindPending:
		return "pending at " + string(c.uri)
	case c.kind == KindUnknown:
		return fmt.Sprintf("unknown attestation %x, payload %x", a.Tag, a.Payload)
	}
	return fmt.Sprintf("%v block %d", c.kind, c.height)
}

// content is a payload decoded, uri a part of it.
type content struct {
	kind   Kind
	uri    []byte
	height uint64
}

// content decodes the payload of an attestation that is held in memory.
func (a Attestation) content() (content, error) {
	if n := len(a.Payload); n > MaxPayload {
		return content{}, fmt.Errorf("the payload of attestation %x is %d bytes long, at most %d are allowed", a.Tag, n, MaxPayload)
	}
	c, err := readContent(&reader{b: a.Payload, end: len(a.Payload)}, a.Kind())
	if e, ok := err.(*SyntaxError); ok {
		return content{}, fmt.Errorf("attestation %x, payload %s: %s", a.Tag, shortHex(a.Payload), e.Reason)
	}
	return c, err
}

// readContent decodes the payload that r is about, to its end.
func readContent(r *reader, kind Kind) (content, error) {
	c := content{kind: kind}
	switch kind {
	case KindUnknown:
		return c, nil
	case KindPending:
		at := r.off
		uri, err := r.varbytes(0, MaxURI, "the URI")
		if err != nil {
			return c, err
		}
		if err := checkURI(uri); err != nil {
			return c, r.fail(at, "%v", err)
		}
		c.uri = uri
		return c, r.done("the URI")
	}
	height, err := r.varuint("the height")
	if err != nil {
		return c, err
	}
	c.height = height
	return c, r.done("the height")
}

// canonical returns the attestation with its numbers written in as few bytes as they need. It fails
// where no reader would accept the payload.
func (a Attestation) canonical() (Attestation, error) {
	c, err := a.content()
	switch {
	case err != nil:
		return Attestation{}, err
	case c.kind == KindUnknown:
		return a, nil
	case c.kind == KindPending:
		return Attestation{a.Tag, appendVarbytes(nil, c.uri)}, nil
	}
	return Attestation{a.Tag, appendVaruint(nil, c.height)}, nil
}

// compare orders canonical attestations as they are written: by tag, then by what they say, heights
// as numbers.
func (a Attestation) compare(b Attestation) int {
	if d := bytes.Compare(a.Tag[:], b.Tag[:]); d != 0 {
		return d
	}
	ca, errA := a.content()
	cb, errB := b.content()
	if errA != nil || errB != nil || ca.kind == KindUnknown {
		return bytes.Compare(a.Payload, b.Payload)
	}
	return cmp.Or(bytes.Compare(ca.uri, cb.uri), cmp.Compare(ca.height, cb.height))
}

func (a Attestation) append(b []byte) []byte {
	b = append(b, 0x00)
	b = append(b, a.Tag[:]...)
	return appendVarbytes(b, a.Payload)
}

// readAttestation reads what follows after the byte 00.
func readAttestation(r *reader) (Attestation, error) {
	tag, err := r.bytes(8, "the tag of an attestation")
	if err != nil {
		return Attestation{}, err
	}
	payload, err := r.varbytes(0, MaxPayload, "the payload of an attestation")
	if err != nil {
		return Attestation{}, err
	}
	a := Attestation{Tag: [8]byte(tag), Payload: payload}
	_, err = readContent(&reader{b: r.b, off: r.off - len(payload), end: r.off}, a.Kind())
	return a, err
}

func checkURI(uri []byte) error {
	if len(uri) > MaxURI {
		return fmt.Errorf("the URI is %d bytes long, at most %d are allowed", len(uri), MaxURI)
	}
	for i := range len(uri) {
		if strings.IndexByte(uriAlphabet, uri[i]) < 0 {
			return fmt.Errorf("the URI has %q at place %d, only letters, digits and -._/: are allowed", uri[i:i+1], i)
		}
	}
	return nil
}

// shortHex shows the first bytes.
func shortHex(b []byte) string {
	if len(b) <= 20 {
		return hex.EncodeToString(b)
	}
	return hex.EncodeToString(b[:20]) + "…"
}
