package register

import (
	"context"
	"io"

	"ancre/register/store"
)

// Files keeps the bytes of documents and their proofs, named by digest. What a method has written
// is synced when it returns. Errors wrap store.ErrNotFound where a file does not exist, and
// store.ErrFull where the disk is full.
type Files interface {
	// Put reads a document to its end and keeps it. If it is there already, nothing changes.
	Put(ctx context.Context, r io.Reader) (d store.Digest, size int64, err error)
	Open(d store.Digest) (io.ReadSeekCloser, error)

	PutOTS(d store.Digest, ots []byte) error
	OTS(d store.Digest) ([]byte, error)
	PutReceipt(d store.Digest, receipt []byte) error
	Receipt(d store.Digest) ([]byte, error)
}
