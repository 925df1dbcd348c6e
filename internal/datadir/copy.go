package datadir

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"ancre/internal/atomicfile"
)

// Copy copies the data of a directory to another place and another owner. Its user may be root, and
// the source may belong to someone who wants root to copy a file of others for him. So Copy follows
// no symbolic link, and copies only files of one owner, or root's.
type Copy struct {
	From     *atomicfile.Dir
	To       *os.Root // an empty directory that only this process writes in
	FromUID  int      // the owner of the source; -1: any
	UID, GID int      // who gets the copy; -1: who runs this
	Progress func(done, total int64)

	files       []copied
	dirs        []string
	done, total int64
}

// copied is one file of a copy.
type copied struct {
	path string // slash-separated, below the directory
	size int64
	sum  [sha256.Size]byte
}

// notCopied are the names at the top that are of no use elsewhere: the credentials and the lock of
// one run, and headers that another program keeps for itself.
var notCopied = []string{Cookie, Lock, Verifier}

// Survey finds the files, and returns their number and size.
func (c *Copy) Survey(ctx context.Context) (files int, size int64, err error) {
	c.files, c.dirs, c.total = nil, nil, 0
	if err := c.survey(ctx, c.From, "."); err != nil {
		return 0, 0, err
	}
	return len(c.files), c.total, nil
}

func (c *Copy) survey(ctx context.Context, dir *atomicfile.Dir, at string) error {
	c.dirs = append(c.dirs, at)
	entries, err := dir.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(at, e.Name())
		if err := ctx.Err(); err != nil {
			return err
		}
		if at == "." && slices.Contains(notCopied, name) || atomicfile.IsTemp(e.Name()) {
			continue
		}
		info, err := dir.Lstat(e.Name())
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			sub, err := dir.OpenDir(e.Name())
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := errors.Join(c.survey(ctx, sub, name), sub.Close()); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			c.files = append(c.files, copied{path: name, size: info.Size()})
			c.total += info.Size()
		default:
			return fmt.Errorf("%s %w: put the file itself there", name, &atomicfile.KindError{Mode: info.Mode()})
		}
	}
	return nil
}

// Run copies what Survey found, has it synced, and compares each copy with its source.
func (c *Copy) Run(ctx context.Context) error {
	for _, dir := range c.dirs[1:] { // each after the one that it is in
		if err := c.To.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	for i := range c.files {
		if err := c.copyFile(ctx, &c.files[i]); err != nil {
			return fmt.Errorf("copy %s: %w", c.files[i].path, err)
		}
	}
	for _, dir := range slices.Backward(c.dirs) {
		if err := c.finishDir(dir); err != nil {
			return err
		}
	}
	for _, f := range c.files {
		if err := c.compare(ctx, f); err != nil {
			return fmt.Errorf("verify the copy of %s: %w", f.path, err)
		}
	}
	return nil
}

func (c *Copy) copyFile(ctx context.Context, file *copied) error {
	from, err := c.open(file.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := c.To.OpenFile(file.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, hash), &counted{ctx: ctx, copy: c, r: from}); err != nil {
		return err
	}
	hash.Sum(file.sum[:0])
	if c.UID >= 0 {
		if err := to.Chown(c.UID, c.GID); err != nil {
			return err
		}
	}
	if err := to.Sync(); err != nil {
		return err
	}
	return to.Close()
}

// open opens a file of the source, if it is one of its owner.
func (c *Copy) open(name string) (f *os.File, err error) {
	at, err := c.From.Clone()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	dir, base := path.Split(name)
	for _, part := range splitPath(dir) {
		sub, err := at.OpenDir(part)
		if err := errors.Join(err, at.Close()); err != nil {
			return nil, err
		}
		at = sub
	}
	f, info, err := at.Open(base)
	if err != nil {
		return nil, err
	}
	if uid, known := atomicfile.OwnerOf(info); known && c.FromUID >= 0 && uid != c.FromUID && uid != 0 {
		return nil, errors.Join(fmt.Errorf("it belongs to %s, and the directory to %s", atomicfile.UserName(uid), atomicfile.UserName(c.FromUID)), f.Close())
	}
	return f, nil
}

func splitPath(dir string) (parts []string) {
	for dir = path.Clean(dir); dir != "."; dir = path.Dir(dir) {
		parts = append([]string{path.Base(dir)}, parts...)
	}
	return parts
}

// finishDir gives a directory away, once all that is in it is there and synced.
func (c *Copy) finishDir(dir string) error {
	d, err := c.To.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if c.UID >= 0 && dir != "." {
		if err := d.Chown(c.UID, c.GID); err != nil {
			return err
		}
	}
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// compare reads a copy again.
func (c *Copy) compare(ctx context.Context, file copied) error {
	f, err := c.To.Open(file.path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, &counted{ctx: ctx, copy: c, r: f}); err != nil {
		return err
	}
	if !bytes.Equal(hash.Sum(nil), file.sum[:]) {
		return errors.New("it differs from its source: the disk may be damaged")
	}
	return nil
}

// counted is a reader that reports how far a copy is. Everything is read twice.
type counted struct {
	ctx  context.Context
	copy *Copy
	r    io.Reader
}

func (r *counted) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	r.copy.done += int64(n)
	if r.copy.Progress != nil {
		r.copy.Progress(r.copy.done, 2*r.copy.total)
	}
	return n, err
}
