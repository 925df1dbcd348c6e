package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"

	"ancre/internal/atomicfile"
	"ancre/register/store"
)

// memory is which files were taken before the last restart, and how they looked then. It is a
// cache: without it, the files are read again.
type memory struct {
	path    string
	known   map[string]taken // by path below the folder
	changed bool             // something was taken since it was saved
	whole   bool             // all files were looked at: what was not seen is gone
}

// taken is a file that was taken.
type taken struct {
	File   identity
	Digest string
}

const memoryVersion = 1

type memoryFile struct {
	Version int
	Files   map[string]taken
}

// maxMemory is the largest file that is read: a million files' worth.
const maxMemory = 512 << 20

func (m *memory) read() error {
	if m.path == "" {
		return nil
	}
	f, info, err := atomicfile.Open(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if info.Size() > maxMemory || !atomicfile.IsOwn(info) {
		return fmt.Errorf("%s is too large, or belongs to another user", m.path)
	}
	var all memoryFile
	if err := json.NewDecoder(f).Decode(&all); err != nil || all.Version != memoryVersion {
		return fmt.Errorf("%s is damaged, or of another version: %v", m.path, err)
	}
	m.known = all.Files
	return nil
}

// find returns the digest of a file that was taken, if it still looks the same.
func (m *memory) find(rel string, id identity) (store.Digest, bool) {
	t, ok := m.known[rel]
	if !ok || t.File != id {
		return store.Digest{}, false
	}
	d, err := store.ParseDigest(t.Digest)
	return d, err == nil
}

// save keeps which files were taken, if that changed.
func (m *memory) save(files map[string]*file) error {
	if m.path == "" || !m.changed {
		return nil
	}
	all := memoryFile{Version: memoryVersion, Files: make(map[string]taken)}
	if !m.whole {
		maps.Copy(all.Files, m.known)
	}
	for rel, f := range files {
		if f.done && f.refusal == "" {
			all.Files[rel] = taken{f.identity, f.digest.String()}
		}
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = atomicfile.PutMode(m.path, text, os.FileMode(0o600))
	}
	if err == nil {
		m.changed = false
	}
	return err
}
