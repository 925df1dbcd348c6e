// Package files keeps bytes in files named by their digest: documents, and beside each its proof
// and its receipt.
//
// In the directory, the document with the digest abcd… is ab/abcd…, its proof is ab/abcd….ots, and
// its receipt ab/abcd….receipt.json. No name comes from outside.
//
// The promises. What a method has written is synced when it returns, the names too. A file appears
// under its name whole or not at all. A document's bytes have the digest that its name says: who
// puts the same bytes again repairs a file that was damaged. Nothing is read or written through a
// symbolic link. Files are their owner's alone.
package files

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"ancre/internal/atomicfile"
	"ancre/internal/diskspace"
	"ancre/internal/humanize"
	"ancre/register/store"
)

const (
	dirMode  = 0o700
	fileMode = 0o600

	incoming      = "incoming" // files that have no name yet; emptied at each start
	otsSuffix     = ".ots"
	receiptSuffix = ".receipt.json"

	// maxProof is far more than a proof or a receipt has.
	maxProof = 1 << 20

	chunk = 256 << 10 // bytes in one step of copying

	// spaceEvery is after how many bytes the free space is looked at again.
	spaceEvery = 16 << 20
)

// DefaultReserve stays free on the disk: with less, documents are refused. So the database beside
// them can go on.
const DefaultReserve = 64 << 20

// Dir is an opened directory of files. Its methods may be called by several goroutines at once.
type Dir struct {
	root    *os.Root
	reserve uint64
	later   bool                 // nothing is synced before Sync
	sync    func(*os.File) error // (*os.File).Sync, but in tests
	failed  atomic.Bool          // the sync of a name failed: what is on disk is not certain any more
}

// Options are what may be left out.
type Options struct {
	Reserve uint64 // bytes that stay free on the disk; 0: DefaultReserve

	// SyncLater has nothing synced until Sync is called: for a new directory that is of no use
	// before it is whole.
	SyncLater bool
}

const remedy = "it must be a directory that the user of ancre-register can read and write, on a disk that is not mounted read-only"

// Open opens a directory, and makes it if there is none. It removes what a killed process left
// unfinished. One process at a time may have it open.
func Open(path string, opts Options) (*Dir, error) {
	if opts.Reserve == 0 {
		opts.Reserve = DefaultReserve
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err = os.MkdirAll(path, dirMode); err == nil {
			err = atomicfile.SyncDir(filepath.Dir(path))
		}
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%s %w", path, &atomicfile.KindError{Mode: info.Mode()})
	}
	if err != nil {
		return nil, fmt.Errorf("open the register's files: %w; %s", err, remedy)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the register's files: %w; %s", err, remedy)
	}
	d := &Dir{root: root, reserve: opts.Reserve, later: opts.SyncLater, sync: (*os.File).Sync}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the register's files in %s: %w; %s", path, err, remedy), root.Close())
	}
	return d, nil
}

// prepare makes the directories for each first byte, and empties the one for unfinished files.
func (d *Dir) prepare() error {
	made := false
	for i := -1; i < 256; i++ {
		name := incoming
		if i >= 0 {
			name = fmt.Sprintf("%02x", i)
		}
		info, err := d.root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			made = true
			err = d.root.Mkdir(name, dirMode)
		case err == nil && !info.IsDir():
			err = &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a directory: move it away")}
		}
		if err != nil {
			return d.explain(err)
		}
	}
	if made {
		if err := d.syncDir("."); err != nil {
			return err
		}
	}
	left, err := fs.ReadDir(d.root.FS(), incoming)
	for _, entry := range left {
		err = errors.Join(err, d.root.Remove(incoming+"/"+entry.Name()))
	}
	return err
}

// Close closes the directory. What was written is synced already.
func (d *Dir) Close() error { return d.root.Close() }

// Put reads a document to its end and keeps it. It returns its digest and size. If it is there
// already, nothing changes. The error of r is returned as it is.
func (d *Dir) Put(ctx context.Context, r io.Reader) (digest store.Digest, size int64, err error) {
	n, err := d.begin()
	if err != nil {
		return digest, 0, err
	}
	defer n.discard()
	hash := sha256.New()
	buffer := make([]byte, chunk)
	for space := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return digest, 0, err
		}
		if size >= space {
			if err := d.checkSpace(); err != nil {
				return digest, 0, err
			}
			space = size + spaceEvery
		}
		read, err := r.Read(buffer)
		hash.Write(buffer[:read])
		size += int64(read)
		if _, err := n.f.Write(buffer[:read]); err != nil {
			return digest, 0, d.explain(err)
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return digest, 0, err
		}
	}
	hash.Sum(digest[:0])
	if d.holds(ctx, digest, size) {
		// Whoever put it may have been killed before its name was synced.
		return digest, size, d.syncDir(shard(digest))
	}
	return digest, size, n.name(digest, "")
}

// holds reports whether the document is there, and not damaged.
func (d *Dir) holds(ctx context.Context, digest store.Digest, size int64) bool {
	info, err := d.root.Lstat(path(digest, ""))
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false
	}
	return d.Verify(ctx, digest) == nil
}

// Open opens a document. The error wraps [store.ErrNotFound] if it is not there.
func (d *Dir) Open(digest store.Digest) (io.ReadSeekCloser, error) {
	f, _, err := d.open(digest, "")
	if err != nil {
		return nil, err
	}
	return f, nil
}

// open opens a regular file, and follows no symbolic link.
func (d *Dir) open(digest store.Digest, suffix string) (*os.File, fs.FileInfo, error) {
	name := path(digest, suffix)
	before, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("the file of %s%s is %w", digest, suffix, store.ErrNotFound)
	}
	if err == nil && !before.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: &atomicfile.KindError{Mode: before.Mode()}}
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(before, info) {
		err = &fs.PathError{Op: "open", Path: name, Err: atomicfile.ErrChanged}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// PutOTS keeps the proof of a document, in the place of one that is there.
func (d *Dir) PutOTS(digest store.Digest, ots []byte) error { return d.put(digest, otsSuffix, ots) }

// OTS returns the proof of a document. The error wraps [store.ErrNotFound] if there is none.
func (d *Dir) OTS(digest store.Digest) ([]byte, error) { return d.get(digest, otsSuffix) }

// PutReceipt keeps the receipt of a document, in the place of one that is there.
func (d *Dir) PutReceipt(digest store.Digest, receipt []byte) error {
	return d.put(digest, receiptSuffix, receipt)
}

// Receipt returns the receipt of a document. The error wraps [store.ErrNotFound] if there is none.
func (d *Dir) Receipt(digest store.Digest) ([]byte, error) { return d.get(digest, receiptSuffix) }

func (d *Dir) put(digest store.Digest, suffix string, content []byte) error {
	if len(content) > maxProof {
		return fmt.Errorf("%w: %s%s would have %s, and at most %s are allowed", store.ErrInvalid, digest, suffix,
			humanize.Bytes(int64(len(content))), humanize.Bytes(maxProof))
	}
	if had, err := d.get(digest, suffix); err == nil && bytes.Equal(had, content) {
		return d.syncDir(shard(digest))
	}
	n, err := d.begin()
	if err != nil {
		return err
	}
	defer n.discard()
	if _, err := n.f.Write(content); err != nil {
		return d.explain(err)
	}
	return n.name(digest, suffix)
}

func (d *Dir) get(digest store.Digest, suffix string) ([]byte, error) {
	f, info, err := d.open(digest, suffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > maxProof {
		return nil, fmt.Errorf("%s%s is %w: it has %s", digest, suffix, store.ErrDamaged, humanize.Bytes(info.Size()))
	}
	return io.ReadAll(io.LimitReader(f, maxProof))
}

func shard(digest store.Digest) string { return digest.String()[:2] }

func path(digest store.Digest, suffix string) string {
	return shard(digest) + "/" + digest.String() + suffix
}

// newFile is a file that has no name of its own yet.
type newFile struct {
	dir  *Dir
	temp string
	f    *os.File // nil: it is closed
}

// begin makes an empty file.
func (d *Dir) begin() (*newFile, error) {
	if d.failed.Load() {
		return nil, errSync(nil)
	}
	temp := incoming + "/" + rand.Text()
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, d.explain(err)
	}
	return &newFile{d, temp, f}, nil
}

// name syncs the file, and gives it its name, in the place of what has it.
func (n *newFile) name(digest store.Digest, suffix string) error {
	if !n.dir.later {
		if err := n.dir.sync(n.f); err != nil {
			return n.dir.explain(err) // the file is discarded: it can be tried again
		}
	}
	f := n.f
	n.f = nil
	if err := f.Close(); err != nil {
		return n.dir.explain(err)
	}
	if err := n.dir.root.Rename(n.temp, path(digest, suffix)); err != nil {
		return n.dir.explain(err)
	}
	n.temp = ""
	return n.dir.syncDir(shard(digest))
}

// discard removes the file if it got no name.
func (n *newFile) discard() {
	if n.f != nil {
		n.f.Close()
	}
	if n.temp != "" {
		_ = n.dir.root.Remove(n.temp) // the next start removes what is left
	}
}

// syncDir makes the names in a directory survive a loss of power. A failure is final: another sync
// could say that all is well, and it would not be.
func (d *Dir) syncDir(name string) error {
	if d.failed.Load() {
		return errSync(nil)
	}
	if d.later {
		return nil
	}
	return d.syncName(name)
}

// syncName syncs a file or a directory that has its name.
func (d *Dir) syncName(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return d.explain(err)
	}
	defer f.Close()
	if err := d.sync(f); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		d.failed.Store(true)
		return errSync(err)
	}
	return nil
}

// Sync syncs everything, if the directory was opened to be synced later.
func (d *Dir) Sync(ctx context.Context) error {
	if !d.later {
		return nil
	}
	for i := range 256 {
		shard := fmt.Sprintf("%02x", i)
		names, err := fs.ReadDir(d.root.FS(), shard)
		if err != nil {
			return err
		}
		for _, entry := range names {
			if err := errors.Join(ctx.Err(), d.syncName(shard+"/"+entry.Name())); err != nil {
				return err
			}
		}
		if err := d.syncName(shard); err != nil {
			return err
		}
	}
	return d.syncName(".")
}

func errSync(err error) error {
	if err == nil {
		return fmt.Errorf("%w while names of files were synced: look at the disk, then restart ancre-register", store.ErrFailed)
	}
	return fmt.Errorf("%w while names of files were synced: look at the disk, then restart ancre-register: %w", store.ErrFailed, err)
}

// checkSpace refuses when little space is left.
func (d *Dir) checkSpace() error {
	if free, ok := diskspace.Free(d.root.Name()); ok && free < d.reserve {
		return fmt.Errorf("%w: %s are left for %s, and %s stay free for the database: free some space",
			store.ErrFull, humanize.Bytes(int64(free)), d.root.Name(), humanize.Bytes(int64(d.reserve)))
	}
	return nil
}

// explain gives an error of the file system the sentinel of the register.
func (d *Dir) explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) {
		return fmt.Errorf("%w: free some space on the disk of %s: %w", store.ErrFull, d.root.Name(), err)
	}
	return err
}
