package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"
)

// PendingWriter writes pending proofs for one calendar. Its output equals that of [Pending]
// followed by [File.Marshal], but it builds no tree, so a server can answer a hundred thousand
// digests a second. It is safe for concurrent use.
type PendingWriter struct {
	attestation []byte
	head, tail  string // the text of what is before every digest, and behind every nonce
}

// NewPendingWriter returns a writer for the calendar at uri. It returns an error for a URI that
// [PendingAt] refuses.
func NewPendingWriter(uri string) (*PendingWriter, error) {
	a, err := PendingAt(uri)
	if err != nil {
		return nil, err
	}
	w := &PendingWriter{attestation: a.append(nil)}
	proof := w.Append(nil, [32]byte{}, [32]byte{})
	w.head = base64.StdEncoding.EncodeToString(proof[:headSize])
	w.tail = base64.StdEncoding.EncodeToString(proof[headSize+ownSize:])
	return w, nil
}

// Sizes in bytes of what comes before the digest, and of digest, operation and nonce. Both are
// multiples of three, so in base64 each stands for itself.
const (
	headSize = len(magic) + 2
	ownSize  = 32 + 2 + 32
)

// Append appends the pending proof of a digest to b. Everything that varies in it is canonical by
// itself, so no check is needed.
func (w *PendingWriter) Append(b []byte, digest, nonce [32]byte) []byte {
	b = append(b, magic...)
	b = append(b, majorVersion, byte(SHA256))
	return w.AppendTimestamp(append(b, digest[:]...), nonce)
}

// AppendBase64 appends the same proof in base64, as JSON-RPC returns it. It encodes only what
// differs from proof to proof.
func (w *PendingWriter) AppendBase64(b []byte, digest, nonce *[32]byte) []byte {
	var own [ownSize]byte
	copy(own[:], digest[:])
	own[32], own[33] = byte(Append), byte(len(nonce))
	copy(own[34:], nonce[:])
	b = append(b, w.head...)
	b = base64.StdEncoding.AppendEncode(b, own[:])
	return append(b, w.tail...)
}

// AppendTimestamp appends the timestamp alone, without a file's header: the bytes of
// [PendingTimestamp] followed by [Timestamp.Marshal]. A calendar answers with it to a message of
// any length.
func (w *PendingWriter) AppendTimestamp(b []byte, nonce [32]byte) []byte {
	b = append(b, byte(Append), byte(len(nonce)))
	b = append(b, nonce[:]...)
	b = append(b, byte(SHA256))
	return append(b, w.attestation...)
}

// Noncer computes nonces with one key, like [Nonce], without preparing the key each time. It is
// safe for concurrent use.
type Noncer struct{ macs sync.Pool }

// NewNoncer returns a Noncer for a store key.
func NewNoncer(key [32]byte) *Noncer {
	n := new(Noncer)
	n.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, key[:])} }
	return n
}

// mac has memory of its own for what goes through the interface of hashes: a caller's would be
// allocated for each digest.
type mac struct {
	hash.Hash
	message []byte
	sum     [sha256.Size]byte
}

// Nonce returns HMAC-SHA256(key, message).
func (n *Noncer) Nonce(message []byte) [32]byte {
	m := n.macs.Get().(*mac)
	defer n.macs.Put(m)
	m.message = append(m.message[:0], message...)
	m.Reset()
	m.Write(m.message)
	m.Sum(m.sum[:0])
	return m.sum
}
