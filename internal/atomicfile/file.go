package atomicfile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// What names of unfinished files begin and end with. The rest does not hold the name of the file
// that it becomes, which may be as long as names can be.
const (
	tempPrefix = ".ancre-"
	tempSuffix = ".tmp"
)

// IsTemp reports whether a file has a name of those that a killed process may have left behind.
func IsTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}

// File is a file that is being written and has no name in its directory yet. On Linux most file
// systems hold such a file without any name, and nothing is left of it when the process is killed.
// Elsewhere it has a name that [IsTemp] recognises.
//
// Exactly one of Create, Put and Replace gives it its name. Discard after that does nothing.
type File struct {
	dir  *Dir
	f    *os.File
	temp string // empty: it has no name
}

// unnamedAllowed is false only in tests, to see what other systems do.
var unnamedAllowed = true

// New makes an empty file in the directory. The mode is before the umask. The caller defers
// Discard.
func (d *Dir) New(mode fs.FileMode) (*File, error) {
	if unnamedAllowed {
		if f := openUnnamed(d, mode); f != nil {
			return &File{dir: d, f: f}, nil
		}
	}
	n := &File{dir: d, temp: tempName()}
	unfinished.add(n)
	var err error
	if n.f, err = d.root.OpenFile(n.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode.Perm()); err != nil {
		unfinished.remove(n)
		return nil, err
	}
	return n, nil
}

func tempName() string { return tempPrefix + rand.Text() + tempSuffix }

// Write implements [io.Writer].
func (n *File) Write(p []byte) (int, error) { return n.f.Write(p) }

// Discard removes a file that has not got its name.
func (n *File) Discard() {
	if n.f != nil {
		n.f.Close()
		n.f = nil
	}
	if n.temp != "" {
		_ = n.dir.root.Remove(n.temp)
		unfinished.remove(n)
		n.temp = ""
	}
}

// Create gives the file a name that must not exist yet. The error wraps [fs.ErrExist] when it does.
func (n *File) Create(name string) error {
	defer n.Discard()
	if err := checkName(name); err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: err}
	}
	if err := n.f.Sync(); err != nil {
		return err
	}
	step("create")
	if n.temp == "" {
		return linkUnnamed(n.dir, n.f, name)
	}
	if err := n.close(); err != nil {
		return err
	}
	err := n.dir.root.Link(n.temp, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// There are file systems without hard links. Two programs that make the same file at once may
	// then both succeed, and the later one wins.
	if _, err := n.dir.root.Lstat(name); err == nil {
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return n.rename(name)
}

// Put gives the file a name, in the place of anything but a directory that has it. It follows no
// symbolic link.
func (n *File) Put(name string) error {
	defer n.Discard()
	if err := n.prepare(name); err != nil {
		return err
	}
	step("rename")
	return n.rename(name)
}

// Replace puts the file in the place of the one that was described before, with the same owner,
// group and mode. The error wraps [ErrChanged] if that one is not there any more, or was written
// to.
func (n *File) Replace(name string, was fs.FileInfo) error {
	defer n.Discard()
	if !was.Mode().IsRegular() {
		return &fs.PathError{Op: "replace", Path: name, Err: &KindError{was.Mode()}}
	}
	if err := n.Inherit(was); err != nil {
		return err
	}
	if err := n.prepare(name); err != nil {
		return err
	}
	step("rename")
	now, err := n.dir.root.Lstat(name)
	if err == nil && (!os.SameFile(was, now) || was.Size() != now.Size() || !was.ModTime().Equal(now.ModTime())) {
		err = &fs.PathError{Op: "replace", Path: name, Err: ErrChanged}
	}
	if err != nil {
		return err
	}
	return n.rename(name)
}

// Inherit gives the file the owner, the group and the mode of another one. What this user may not
// give away stays, and nobody gets more rights by that.
func (n *File) Inherit(from fs.FileInfo) error {
	mode := from.Mode().Perm()
	if !giveTo(n.f, from) {
		// It has another group: its members get what everybody has.
		mode = mode&^0o070 | mode&0o007<<3
	}
	return chmod(n.f, mode)
}

// prepare has the file synced, closed, and under a temporary name.
func (n *File) prepare(name string) error {
	if err := checkName(name); err != nil {
		return &fs.PathError{Op: "replace", Path: name, Err: err}
	}
	if err := n.f.Sync(); err != nil {
		return err
	}
	if n.temp == "" {
		n.temp = tempName()
		unfinished.add(n)
		if err := linkUnnamed(n.dir, n.f, n.temp); err != nil {
			return err
		}
	}
	return n.close()
}

func (n *File) close() error {
	f := n.f
	n.f = nil
	return f.Close()
}

func (n *File) rename(name string) error {
	err := n.dir.root.Rename(n.temp, name)
	if err == nil {
		unfinished.remove(n)
		n.temp = ""
	}
	return err
}

// files are the unfinished files of this process that have a name.
type files struct {
	mu  sync.Mutex
	all map[*File]string
}

var unfinished = files{all: make(map[*File]string)}

func (s *files) add(n *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[n] = n.temp
}

func (s *files) remove(n *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, n)
}

// RemoveUnfinished removes all unfinished files of this process that have a name. It is for a
// program that is about to end at once, on a signal: Discard removes them at any other end.
func RemoveUnfinished() {
	unfinished.mu.Lock()
	defer unfinished.mu.Unlock()
	for n, temp := range unfinished.all {
		_ = n.dir.root.Remove(temp)
	}
}

// Move gives a file another name in the directory, which must not exist yet. The error wraps
// [fs.ErrExist] when it does. A process that is killed may leave the file with both names.
func (d *Dir) Move(from, to string) error {
	if err := errors.Join(checkName(from), checkName(to)); err != nil {
		return &fs.PathError{Op: "rename", Path: from, Err: err}
	}
	err := d.root.Link(from, to)
	if err == nil {
		return d.root.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// There are file systems without hard links: see Create.
	if _, err := d.root.Lstat(to); err == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.root.Rename(from, to)
}

// Write makes a file that must not exist yet. The mode is before the umask.
func (d *Dir) Write(name string, data []byte, mode fs.FileMode) error {
	return d.fill(data, mode, func(n *File) error { return n.Create(name) })
}

// Replace puts data in the place of the file that was described before. See [File.Replace].
func (d *Dir) Replace(name string, was fs.FileInfo, data []byte) error {
	return d.fill(data, privateMode, func(n *File) error { return n.Replace(name, was) })
}

// Put writes a file, in the place of anything but a directory that has its name. The mode is before
// the umask.
func (d *Dir) Put(name string, data []byte, mode fs.FileMode) error {
	return d.fill(data, mode, func(n *File) error { return n.Put(name) })
}

// privateMode is what a file has until it gets the mode of the one that it replaces.
const privateMode = 0o600

func (d *Dir) fill(data []byte, mode fs.FileMode, finish func(*File) error) error {
	n, err := d.New(mode)
	if err != nil {
		return err
	}
	defer n.Discard()
	if _, err := n.Write(data); err != nil {
		return err
	}
	return finish(n)
}

// Put writes the file at a path, in the place of anything but a directory that is there. It follows
// no symbolic link that has the file's name. The mode is before the umask.
func Put(path string, data []byte, mode fs.FileMode) error {
	return putAt(path, data, mode, (*File).Put)
}

// PutMode is Put, and the file has exactly this mode from the moment on at which it has its name.
func PutMode(path string, data []byte, mode fs.FileMode) error {
	return putAt(path, data, privateMode, func(n *File, name string) error {
		if err := chmod(n.f, mode); err != nil {
			return err
		}
		return n.Put(name)
	})
}

func putAt(path string, data []byte, mode fs.FileMode, finish func(*File, string) error) error {
	d, name, err := OpenParent(path)
	if err != nil {
		return err
	}
	return errors.Join(d.fill(data, mode, func(n *File) error { return finish(n, name) }), d.Close())
}
