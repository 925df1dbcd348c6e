// Package hashcache remembers the SHA-256 of the files in a tree, so that files that have not
// changed need not be read again.
//
// A file counts as unchanged if its size, its times and its inode are the same: see
// [atomicfile.Identity]. A file that changed just before a run is not remembered: it may change
// again and look the same, where the clock of the file system is coarse. git calls such a file
// racily clean.
//
// It is a cache: anyone may delete its file at any time, and a damaged one is ignored. That only
// costs reading the files again.
package hashcache

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ancre/internal/atomicfile"
)

// tick is the coarsest clock of a file system that is in use: FAT's, with two seconds.
const tick = 2 * time.Second

// magic begins the file. Behind it come the path of the tree, and each directory's name and
// entries, all with their lengths, and the SHA-256 of everything before. Another format gets
// another number.
const magic = "ancre hashes 1\n"

// maxSize is the largest file that is read: some ten million files' worth.
const maxSize = 2 << 30

// ErrDamaged says that the file of a cache is not one, or damaged.
var ErrDamaged = errors.New("is damaged")

// Entry is what is known of a file.
type Entry struct {
	Name string // in its directory
	File atomicfile.Identity

	// The file's SHA-256. A file that is a proof or a receipt itself has none.
	Digest  [sha256.Size]byte
	IsProof bool

	// The file beside it that is a complete proof of the digest. Zero: none is known.
	Proof atomicfile.Identity
}

// Cache is what is known of a tree. One goroutine may call Find and Rewind while another one calls
// Add.
type Cache struct {
	path, root string
	settled    time.Time // what changed before this is remembered

	raw  []byte            // the file, as it was read
	old  map[string][]byte // its directories' entries
	dirs map[string]*reader

	fresh map[string]*writer // what is known now
}

// Open reads the file at path, of the tree at root. now is the time when the run began, by the
// clock of the tree's file system. The cache can be used even if there is an error: it is empty
// then.
func Open(path, root string, now time.Time) (*Cache, error) {
	c := &Cache{path: path, root: root, settled: now.Add(-tick), fresh: make(map[string]*writer)}
	c.Rewind()
	raw, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	old, err := decode(raw, root)
	if err != nil {
		return c, err
	}
	c.raw, c.old = raw, old
	return c, nil
}

// read reads a file that belongs to this user or to root. Anyone else could have this user believe
// false hashes.
func read(path string) ([]byte, error) {
	f, info, err := atomicfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !atomicfile.IsOwn(info) {
		return nil, errors.New("belongs to another user")
	}
	if info.Size() > maxSize {
		return nil, ErrDamaged
	}
	raw := make([]byte, info.Size())
	if _, err := io.ReadFull(f, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return raw, nil
}

// Find returns what is known of a file, if it has not changed. It must be called in the order of
// names in each directory.
func (c *Cache) Find(dir, name string, file atomicfile.Identity) (Entry, bool) {
	r := c.dirs[dir]
	if r == nil {
		r = &reader{rest: c.old[dir]}
		r.next()
		c.dirs[dir] = r
	}
	for r.ok && r.at.Name < name {
		r.next()
	}
	if !r.ok || r.at.Name != name || r.at.File != file {
		return Entry{}, false
	}
	return r.at, true
}

// Rewind lets Find begin again.
func (c *Cache) Rewind() { c.dirs = make(map[string]*reader) }

// Add remembers a file, unless it changed just now. It must be called in the order of names in each
// directory.
func (c *Cache) Add(dir string, e Entry) {
	if !c.isSettled(e.File) {
		return
	}
	if !c.isSettled(e.Proof) {
		e.Proof = atomicfile.Identity{}
	}
	w := c.fresh[dir]
	if w == nil {
		w = new(writer)
		c.fresh[dir] = w
	}
	w.add(e)
}

func (c *Cache) isSettled(i atomicfile.Identity) bool { return !i.LastChange().After(c.settled) }

// Save writes what is known now, if that is something new. After a run that looked at only a part
// of the tree, whole is false, and what was known of the rest stays.
func (c *Cache) Save(whole bool) error {
	if !whole {
		c.keepRest()
	}
	raw := encode(c.root, c.fresh)
	if bytes.Equal(raw, c.raw) || len(c.fresh) == 0 && c.raw == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return err
	}
	return atomicfile.Put(c.path, raw, 0o600)
}

// keepRest keeps what was known of directories that were not looked at, and of files behind the
// last one that was.
func (c *Cache) keepRest() {
	for dir, entries := range c.old {
		w := c.fresh[dir]
		if w == nil {
			w = new(writer)
			c.fresh[dir] = w
		}
		last := w.last
		for r := (&reader{rest: entries}); r.next(); {
			if r.at.Name > last {
				w.add(r.at)
			}
		}
	}
}

func encode(root string, dirs map[string]*writer) []byte {
	size := len(magic) + len(root) + binary.MaxVarintLen64 + sha256.Size
	for dir, w := range dirs {
		size += len(dir) + len(w.data) + 2*binary.MaxVarintLen64
	}
	b := make([]byte, 0, size)
	b = append(b, magic...)
	b = appendString(b, root)
	for _, dir := range slices.SortedFunc(maps.Keys(dirs), cmp.Compare[string]) {
		b = appendString(b, dir)
		b = appendString(b, dirs[dir].data)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decode returns the entries of each directory.
func decode(raw []byte, root string) (map[string][]byte, error) {
	body := len(raw) - sha256.Size
	if body < len(magic) || string(raw[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w, or of another version of this program", ErrDamaged)
	}
	if sum := sha256.Sum256(raw[:body]); !bytes.Equal(sum[:], raw[body:]) {
		return nil, ErrDamaged
	}
	d := decoder{rest: raw[len(magic):body]}
	if of := string(d.bytes()); of != root {
		return nil, fmt.Errorf("%w: it is of %s", ErrDamaged, of)
	}
	dirs := make(map[string][]byte)
	for len(d.rest) > 0 && !d.bad {
		dir := string(d.bytes())
		dirs[dir] = d.bytes()
	}
	if d.bad {
		return nil, ErrDamaged
	}
	return dirs, nil
}
