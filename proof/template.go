package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// PendingWriter writes pending proofs for one calendar: the bytes of [Pending] and [File.Marshal], without building
// the tree, for whoever answers a hundred thousand digests a second. It is safe for concurrent use.
type PendingWriter struct{ attestation []byte }

// NewPendingWriter returns a writer for the calendar at uri, which must be one that [PendingAt] takes.
func NewPendingWriter(uri string) (*PendingWriter, error) {
	a, err := PendingAt(uri)
	if err != nil {
		return nil, err
	}
	return &PendingWriter{attestation: a.append(nil)}, nil
}

// Append appends the pending proof of a digest to b. All that it can hold is canonical, so nothing is left to check.
func (w *PendingWriter) Append(b []byte, digest, nonce [32]byte) []byte {
	b = append(b, magic...)
	b = append(b, majorVersion, byte(SHA256))
	return w.AppendTimestamp(append(b, digest[:]...), nonce)
}

// AppendTimestamp appends the same without a file's header, the bytes of [PendingTimestamp] and [Timestamp.Marshal]: what a calendar
// answers to a message, whatever its length.
func (w *PendingWriter) AppendTimestamp(b []byte, nonce [32]byte) []byte {
	b = append(b, byte(Append), byte(len(nonce)))
	b = append(b, nonce[:]...)
	b = append(b, byte(SHA256))
	return append(b, w.attestation...)
}

// Size is how many bytes Append appends.
func (w *PendingWriter) Size() int {
	return len(magic) + 2 + 32 + 2 + 32 + 1 + len(w.attestation)
}

// Noncer makes nonces with one key: what [Nonce] returns, without preparing the key each time. It is safe for
// concurrent use.
type Noncer struct{ macs sync.Pool }

// NewNoncer returns a Noncer for a store key.
func NewNoncer(key [32]byte) *Noncer {
	n := new(Noncer)
	n.macs.New = func() any { return hmac.New(sha256.New, key[:]) }
	return n
}

// Nonce returns HMAC-SHA256(key, message).
func (n *Noncer) Nonce(message []byte) (nonce [32]byte) {
	mac := n.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(message)
	mac.Sum(nonce[:0])
	n.macs.Put(mac)
	return nonce
}
