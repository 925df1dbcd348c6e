package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"ancre/internal/atomicfile"
)

// maxFile is far more than the ledger needs.
const maxFile = 1 << 20

// fileFormat is the version of the file. A file of another version is not read.
const fileFormat = 1

// file is what is on disk.
type file struct {
	Format int `json:"format"`
	ledger
}

// load reads the ledger. A file that is not there is an empty one.
func load(path string) (ledger, error) {
	data, err := atomicfile.ReadInput(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return ledger{}, nil
	}
	if err != nil {
		return ledger{}, err
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return ledger{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if f.Format != fileFormat {
		return ledger{}, fmt.Errorf("%s has format %d, and this program knows format %d", path, f.Format, fileFormat)
	}
	f.known()
	return f.ledger, nil
}

// encode returns the content of the file.
func (l ledger) encode() ([]byte, error) {
	data, err := json.MarshalIndent(file{fileFormat, l}, "", " ")
	return append(data, '\n'), err
}
