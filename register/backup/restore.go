package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ancre/internal/atomicfile"
	"ancre/register/files"
	"ancre/register/store"
)

// restoring is the directory, in that of the register, in which a new register grows. The next
// Restore removes what an interrupted one left. The daemon never looks at it.
const restoring = ".restoring"

// Restore makes a register in dir of a backup: its database and its files. If dir does not exist,
// it is made. Everything is checked before anything is in its place: checksums, the database, and
// that each entry has its document. A register that is there is never replaced.
//
// Who calls it as root wraps it in datadir.AsOwner, so that the files belong to the register's
// user.
func (b *Reader) Restore(ctx context.Context, dir string, e Engine) (sum Summary, err error) {
	if err := b.refuse(dir, e); err != nil {
		return sum, err
	}
	_, absent := os.Lstat(dir)
	temp := filepath.Join(dir, restoring)
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o700)); err != nil {
		return sum, err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(temp))
		if absent != nil && err != nil {
			_ = os.Remove(dir) // unless something is in it
		} else if absent != nil {
			err = atomicfile.SyncDir(filepath.Dir(dir))
		}
	}()
	if sum, err = b.fill(ctx, temp, e); err != nil {
		if errors.Is(err, store.ErrFull) {
			err = fmt.Errorf("%w: free some space, or use a --datadir on another disk", err)
		}
		return sum, err
	}
	return sum, b.move(temp, dir, e)
}

// refuse returns an error if the backup does not belong in dir.
func (b *Reader) refuse(dir string, e Engine) error {
	if b.header.Engine != e.Name {
		return fmt.Errorf("the backup is of a register that keeps its rows with %s, and this one does with %s: configure that one", b.header.Engine, e.Name)
	}
	const remedy = "to put the backup in its place, stop ancre-register and move it away first; to keep both, restore into another --datadir"
	switch exists, err := e.Exists(dir); {
	case err != nil:
		return err
	case exists:
		return fmt.Errorf("there already is a register in %s: %s", dir, remedy)
	}
	target := filepath.Join(dir, FilesDir)
	if interrupted(dir, e) {
		return os.RemoveAll(target) // an earlier Restore was about to put the database beside it
	}
	has, err := hasFiles(target)
	if err == nil && has {
		err = fmt.Errorf("there are documents in %s already: %s", target, remedy)
	}
	return err
}

// interrupted reports whether an earlier Restore was killed between its last two steps: the files
// are in their place, and the database is not.
func interrupted(dir string, e Engine) bool {
	temp := filepath.Join(dir, restoring)
	_, noFiles := os.Lstat(filepath.Join(temp, FilesDir))
	whole, err := e.Exists(temp)
	return errors.Is(noFiles, fs.ErrNotExist) && whole && err == nil
}

// hasFiles reports whether there is a file anywhere below a directory.
func hasFiles(dir string) (has bool, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			has = true
			return fs.SkipAll
		}
		return nil
	})
	return has, err
}

// fill makes the register in a directory of its own, and checks it.
func (b *Reader) fill(ctx context.Context, temp string, e Engine) (sum Summary, err error) {
	dir, err := files.Open(filepath.Join(temp, FilesDir), files.Options{SyncLater: true})
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	to := &fileSink{ctx, dir, temp, e}
	if err := b.read(ctx, to); err != nil {
		return sum, err
	}
	if err := dir.Sync(ctx); err != nil {
		return sum, err
	}
	return b.checkStore(ctx, temp, e, func(d store.Digest) (int64, bool) {
		f, err := dir.Open(d)
		if err != nil {
			return 0, false
		}
		defer f.Close()
		size, err := f.Seek(0, io.SeekEnd)
		return size, err == nil
	})
}

// move puts the new register in its place. The database is what makes it one: it comes last.
func (b *Reader) move(temp, dir string, e Engine) error {
	target := filepath.Join(dir, FilesDir)
	if err := os.RemoveAll(target); err != nil { // without a file, as refuse saw
		return err
	}
	if err := os.Rename(filepath.Join(temp, FilesDir), target); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	for _, name := range e.Moves {
		if err := os.Rename(filepath.Join(temp, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return atomicfile.SyncDir(dir)
}

// Check reads the whole backup and checks it as Restore does, and keeps nothing of it. It makes the
// database in a temporary directory below temp, and hashes the documents without storing them.
func (b *Reader) Check(ctx context.Context, temp string, e Engine) (sum Summary, err error) {
	if b.header.Engine != e.Name {
		return sum, fmt.Errorf("the backup is of a register that keeps its rows with %s: this program checks those of %s", b.header.Engine, e.Name)
	}
	dir, err := os.MkdirTemp(temp, ".ancre-register-rehearsal-")
	if err != nil {
		return sum, fmt.Errorf("make a temporary directory: %w; name another one with TMPDIR", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	to := &hashSink{ctx: ctx, dir: dir, engine: e, sizes: make(map[store.Digest]int64)}
	if err := b.read(ctx, to); err != nil {
		return sum, err
	}
	return b.checkStore(ctx, dir, e, func(d store.Digest) (int64, bool) {
		size, ok := to.sizes[d]
		return size, ok
	})
}

// checkStore opens the new store, checks it, and closes it.
func (b *Reader) checkStore(ctx context.Context, dir string, e Engine, document func(store.Digest) (size int64, ok bool)) (sum Summary, err error) {
	s, err := e.Open(dir)
	if err != nil {
		return sum, damaged("its database cannot be opened: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Check(ctx); err != nil {
		return sum, damaged("its database: %w", err)
	}
	network, err := s.Network(ctx)
	if err != nil {
		return sum, err
	}
	// A register learns its network once, perhaps between the copy of the database and the header.
	if network != b.header.Network && network != "" && b.header.Network != "" {
		return sum, damaged("%s says that it is of %q, and its database is of %q", manifestName, b.header.Network, network)
	}
	err = eachEntry(ctx, s, func(entry *store.Entry) error {
		if size, ok := document(entry.Digest); !ok {
			return damaged("the document %s of the entry %d is not in it", entry.Digest, entry.ID)
		} else if size != entry.Size {
			return damaged("the document %s has %d bytes, and the entry %d says %d", entry.Digest, size, entry.ID, entry.Size)
		}
		return nil
	})
	if err != nil {
		return sum, err
	}
	counts, err := s.Counts(ctx)
	return Summary{Network: network, Taken: b.header.Taken, Meetings: counts.Meetings, Entries: counts.Entries, Documents: b.count,
		Bytes: b.in.n, SHA256: b.in.sum()}, err
}

// fileSink makes a register.
type fileSink struct {
	ctx    context.Context
	files  *files.Dir
	dir    string
	engine Engine
}

func (s *fileSink) database(r io.Reader) error { return s.engine.Restore(s.ctx, s.dir, r) }

func (s *fileSink) document(r io.Reader) (store.Digest, int64, error) { return s.files.Put(s.ctx, r) }

func (s *fileSink) proof(d store.Digest, suffix string, content []byte) error {
	for _, proof := range proofFiles(s.files) {
		if proof.suffix == suffix {
			return proof.put(d, content)
		}
	}
	return damaged("%s%s is no file of a register", d, suffix)
}

// hashSink makes a database, and hashes documents.
type hashSink struct {
	ctx    context.Context
	dir    string
	engine Engine
	sizes  map[store.Digest]int64
}

func (s *hashSink) database(r io.Reader) error { return s.engine.Restore(s.ctx, s.dir, r) }

func (s *hashSink) document(r io.Reader) (d store.Digest, size int64, err error) {
	hash := sha256.New()
	buffer := make([]byte, 256<<10)
	for {
		if err := s.ctx.Err(); err != nil {
			return d, size, err
		}
		n, err := r.Read(buffer)
		hash.Write(buffer[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return d, size, err
		}
	}
	d = store.Digest(hash.Sum(nil))
	s.sizes[d] = size
	return d, size, nil
}

func (s *hashSink) proof(store.Digest, string, []byte) error { return nil }
