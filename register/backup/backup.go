// Package backup writes a whole register into one file, and makes a register of it again.
//
// The file is a tar archive, so that it can be read without this program. Its members are, in this
// order:
//
//	register-backup.json      what this is: see Header
//	register.db               the database, as the engine hands it over
//	files/ab/abcd…            the documents, named by their SHA-256, by rising digest
//	files/ab/abcd….ots        the document's proof
//	files/ab/abcd….receipt.json  its receipt
//	sums/ab.sha256            behind files/ab: the SHA-256 of each, for sha256sum -c
//	SHA256SUMS                SHA-256 of the first two, and of the members in sums
//	SHA256                    SHA-256 of all bytes before the header of this member
//
// The promises. A backup is one moment of the database, with every document that this database
// names, while the register goes on. Every later version reads what this package has once written.
// A file that was cut off, or in which a byte changed, is never taken for a whole one. A register
// is restored whole or not at all, and never in the place of another one.
package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"ancre/internal/humanize"
	"ancre/register/store"
)

const (
	// Format is the version of the format that this package writes.
	Format = 1

	manifestName = "register-backup.json"
	databaseName = "register.db"
	sumsName     = "SHA256SUMS"
	endName      = "SHA256"

	memberMode  = 0o600
	maxManifest = 64 << 10
	maxSums     = 64 << 20 // far more than the sums of 1/256 of the documents take
	block       = 512      // of a tar archive
)

// FilesDir is where the files lie in a restored register: see package files.
const FilesDir = "files"

// Errors of a file that is no good backup. store.ErrDamaged is wrapped by an error about a document
// that is damaged on the disk while a backup is written.
var (
	ErrNotBackup = errors.New("not a backup of a register")
	ErrNewer     = errors.New("a backup in a newer format")
	ErrTruncated = errors.New("the backup is not whole")
	ErrDamaged   = errors.New("the backup is damaged")
)

// Engine is what stores the rows.
type Engine struct {
	Name    string                                                   // stands in the backup: "sqlite"
	Exists  func(dir string) (bool, error)                           // whether there is a store in dir
	Restore func(ctx context.Context, dir string, r io.Reader) error // makes a store of what its Backup handed over
	Open    func(dir string) (store.Store, error)                    // opens it
	Moves   []string                                                 // the files in dir that a store has when it is closed
}

// Header is what stands first in a backup.
type Header struct {
	Format    int       `json:"format"`
	Engine    string    `json:"engine"`
	Network   string    `json:"network"` // "": the register never reached a node
	Taken     time.Time `json:"taken"`
	Documents int       `json:"documents"`
	Bytes     int64     `json:"bytes"` // of the documents and the database
}

// Summary is what a backup holds.
type Summary struct {
	Network   string    `json:"network,omitempty"`
	Taken     time.Time `json:"taken"`
	Meetings  int       `json:"meetings"`
	Entries   int       `json:"entries"`
	Documents int       `json:"documents"` // files: those that a crash left without an entry are counted too
	Bytes     int64     `json:"bytes"`     // of the backup
	SHA256    string    `json:"sha256"`    // of the whole backup, as sha256sum prints it
}

// Contents says in words what a backup holds: "302 documents in 4 meetings, 12.3 MB".
func (s Summary) Contents() string {
	return fmt.Sprintf("%s in %s, %s", humanize.Plural(s.Entries, "document", "documents"),
		humanize.Plural(s.Meetings, "meeting", "meetings"), humanize.Bytes(s.Bytes))
}

func (h *Header) encode() []byte {
	text, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		panic(err) // a struct of texts, numbers and a time
	}
	return append(text, '\n')
}

func decodeHeader(text []byte) (h Header, err error) {
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("%w: %s cannot be read: %w", ErrDamaged, manifestName, err)
	}
	switch {
	case h.Format > Format:
		return h, fmt.Errorf("%w: it has format %d, this program knows up to %d: use the ancre-register that wrote it, or a later one",
			ErrNewer, h.Format, Format)
	case h.Format < 1 || h.Documents < 0 || h.Bytes < 0:
		return h, fmt.Errorf("%w: %s says format %d, %d documents, %d bytes", ErrDamaged, manifestName, h.Format, h.Documents, h.Bytes)
	}
	return h, nil
}
