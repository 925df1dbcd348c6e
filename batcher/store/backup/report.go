package backup

import (
	"fmt"
	"time"

	"ancre/internal/humanize"
	"ancre/internal/printable"
)

// Report is what "ancre backup" and "ancred restore" print of a backup with --json.
type Report struct {
	File      string    `json:"file"`
	FileBytes string    `json:"file_bytes,omitempty"` // the exact name in base64, if it is not UTF-8
	DataDir   string    `json:"datadir,omitempty"`    // where it was restored to
	Network   string    `json:"network"`
	Taken     time.Time `json:"taken"`
	Digests   uint64    `json:"digests"`
	Batches   uint64    `json:"batches"`
	Anchors   uint64    `json:"anchors"`
	Height    int32     `json:"height,omitempty"` // of the newest block that the daemon had followed
	BlockHash string    `json:"blockhash,omitempty"`
	Bytes     int64     `json:"bytes"`
}

// NewReport returns the report on a backup in a file of that name.
func NewReport(file string, s Summary) Report {
	r := Report{Network: s.Network, Taken: s.Taken, Digests: s.Digests, Batches: s.Batches, Anchors: s.Anchors, Bytes: s.Bytes}
	r.File, r.FileBytes = printable.FileName(file)
	if s.Followed.Height > 0 {
		r.Height, r.BlockHash = s.Followed.Height, s.Followed.Hash.String()
	}
	return r
}

// Contents says in words what a backup holds: "302 digests in 2 batches and 0 anchors, with the
// chain followed to block 1,234".
func (s Summary) Contents() string {
	text := fmt.Sprintf("%s in %s and %s", humanize.Plural(s.Digests, "digest", "digests"), humanize.Plural(s.Batches, "batch", "batches"),
		humanize.Plural(s.Anchors, "anchor", "anchors"))
	if s.Followed.Height > 0 {
		text += ", with the chain followed to block " + humanize.Count(s.Followed.Height)
	}
	return text
}

// fileBase is what a backup takes beside its digests: batches and anchors take some hundred bytes
// each.
const fileBase = 1 << 20

// FileBytes returns about how many bytes a backup of so many digests takes.
func FileBytes(digests uint64) uint64 { return fileBase + 32*digests }

// RehearsalPrefix is how the name of a directory begins in which "ancred restore --check" makes a
// store. A directory of that name is left behind only by a process that was killed.
const RehearsalPrefix = ".ancre-rehearsal-"

// RehearsalBytes returns how many bytes the store takes at most that a rehearsal makes from so many
// digests (measured: 83 for each of a million).
func RehearsalBytes(digests uint64) uint64 { return 16<<20 + 128*digests }
