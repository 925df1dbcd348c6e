package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
)

// tree is a directory that was named with -r. A file in it is reached from the opened directory,
// through the directories in between, and through no symbolic link: somebody else may be able to
// replace a directory by a link while ancre walks. A nil tree is for a path that the user named,
// and whose links the user trusts.
//
// The directory is closed when nothing refers to the tree any more, as os.Root does by itself.
type tree struct {
	top    *atomicfile.Dir
	prefix string // of all paths in it
}

// openTree opens a directory that the user named.
func openTree(path string) (*tree, error) {
	top, err := atomicfile.OpenDir(path)
	if err != nil {
		return nil, err
	}
	prefix := filepath.Clean(path)
	switch {
	case prefix == ".":
		prefix = ""
	case !os.IsPathSeparator(prefix[len(prefix)-1]):
		prefix += string(os.PathSeparator)
	}
	return &tree{top, prefix}, nil
}

// openParent opens the directory of a file. The caller must close it.
func (t *tree) openParent(path string) (*atomicfile.Dir, string, error) {
	if t == nil {
		return atomicfile.OpenParent(path)
	}
	names := strings.Split(strings.TrimPrefix(path, t.prefix), string(os.PathSeparator))
	at, err := t.top.Clone()
	for _, name := range names[:len(names)-1] {
		if err != nil {
			break
		}
		above := at
		at, err = above.OpenDir(name)
		above.Close()
	}
	return at, names[len(names)-1], err
}

// document is a file that is opened for reading, and a way to look at its name again.
type document struct {
	*os.File
	info  fs.FileInfo
	again func() (fs.FileInfo, error)
	close func() error
	whole io.Reader // instead of the file, when it is a pipe
}

// Read implements [io.Reader].
func (d *document) Read(p []byte) (int, error) {
	if d.whole != nil {
		return d.whole.Read(p)
	}
	return d.File.Read(p)
}

func (d *document) Close() error { return errors.Join(d.File.Close(), d.close()) }

// open opens a file for reading. In a tree, a symbolic link is followed only if it belongs to the
// user or to root.
func (t *tree) open(path string) (*document, error) {
	if t == nil {
		f, info, err := atomicfile.OpenInput(path)
		if err != nil {
			return nil, err
		}
		return &document{File: f, info: info, again: func() (fs.FileInfo, error) { return os.Stat(path) }, close: func() error { return nil }}, nil
	}
	dir, name, err := t.openParent(path)
	if err != nil {
		return nil, err
	}
	f, info, err := dir.Open(name)
	var kind *atomicfile.KindError
	if errors.As(err, &kind) && kind.Mode.Type() == fs.ModeSymlink {
		link := dir
		if dir, name, err = link.Follow(name); err == nil {
			f, info, err = dir.Open(name)
		}
		err = errors.Join(err, link.Close())
	}
	if err != nil {
		if dir != nil {
			dir.Close()
		}
		return nil, err
	}
	return &document{File: f, info: info, again: func() (fs.FileInfo, error) { return dir.Lstat(name) }, close: dir.Close}, nil
}

// pipes holds the content of pipes that the shell made, by their paths. Each can be read only once,
// and an argument may be looked at as a proof and as a receipt.
var pipes sync.Map

// openProof opens a file that may be a proof or a receipt.
func (t *tree) openProof(path string) (*document, error) {
	d, err := t.open(path)
	if err != nil || d.info.Mode().IsRegular() {
		return d, err
	}
	data, known := pipes.Load(path)
	if !known {
		if data, err = io.ReadAll(io.LimitReader(d.File, max(proof.MaxSize, receipt.MaxSize)+1)); err != nil {
			return nil, errors.Join(err, d.Close())
		}
		pipes.Store(path, data)
	}
	d.whole = bytes.NewReader(data.([]byte))
	return d, nil
}

// head reads the first bytes of a file. If the file cannot be read, it returns nothing.
func (t *tree) head(path string, size int) []byte {
	f, err := t.openProof(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	start := make([]byte, size)
	n, _ := io.ReadFull(f, start)
	return start[:n]
}

// heldFile is a file that was read and may be replaced, in its opened directory.
type heldFile struct {
	dir  *atomicfile.Dir
	name string
	info fs.FileInfo
	data []byte
}

// hold reads at most limit bytes of a file that is to be replaced. It follows a symbolic link only
// if it belongs to the user or to root. The caller must close h.dir.
func (t *tree) hold(path string, limit int64) (h *heldFile, err error) {
	parent, name, err := t.openParent(path)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	h = new(heldFile)
	if h.dir, h.name, err = parent.Follow(name); err != nil {
		return nil, err
	}
	f, info, err := h.dir.Open(h.name)
	if err == nil {
		h.info = info
		h.data, err = io.ReadAll(io.LimitReader(f, limit))
		f.Close()
	}
	if err != nil {
		h.dir.Close()
		return nil, err
	}
	return h, nil
}

// parent describes the directory of a file.
func (t *tree) parent(path string) (fs.FileInfo, error) {
	dir, _, err := t.openParent(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Stat()
}

// create makes a file that must not exist yet. The error wraps fs.ErrExist if it does. If parent is
// not nil, the file's directory must be that one: another directory may have its path by now.
func (t *tree) create(path string, data []byte, parent fs.FileInfo) error {
	dir, name, err := t.openParent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if parent != nil {
		if now, err := dir.Stat(); err != nil || !os.SameFile(parent, now) {
			return errors.Join(errors.New("its directory was replaced by another one meanwhile"), err)
		}
	}
	return dir.Write(name, data, proofMode)
}

// replace writes data over a file that still holds what was read of it. With backup, the old file
// is kept beside path, unless a backup exists: the older one is worth more.
func (t *tree) replace(path string, was, data []byte, backup bool) error {
	h, err := t.hold(path, int64(len(was))+1)
	if err != nil {
		return err
	}
	defer h.dir.Close()
	if string(h.data) != string(was) {
		return atomicfile.ErrChanged
	}
	if backup {
		if err := t.backUp(path, h); err != nil {
			return &backupError{path, err}
		}
	}
	return h.dir.Replace(h.name, h.info, data)
}

// backUp keeps a file under path.bak, unless something has that name.
func (t *tree) backUp(path string, h *heldFile) error {
	dir, name, err := t.openParent(path + backupSuffix)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := dir.Lstat(name); err == nil {
		return nil
	}
	if err := h.copyTo(dir, name); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// copyTo makes a copy of the file that must not exist yet, with the same owner, group and mode: who
// may not read the one may not read the other.
func (h *heldFile) copyTo(dir *atomicfile.Dir, name string) error {
	n, err := dir.New(privateMode)
	if err != nil {
		return err
	}
	defer n.Discard()
	if err := n.Inherit(h.info); err != nil {
		return err
	}
	if _, err := n.Write(h.data); err != nil {
		return err
	}
	return n.Create(name)
}

// backupError says that a file was not replaced because it could not be kept.
type backupError struct {
	path  string
	cause error
}

func (e *backupError) Error() string {
	cause := tooLong(e.path+backupSuffix, plainError(e.cause), "give the file and its proof shorter names")
	return fmt.Sprintf("the old proof cannot be kept as %s%s: %v", shown(humanize.Clip(e.path)), backupSuffix, cause)
}

func (e *backupError) Unwrap() error { return e.cause }
