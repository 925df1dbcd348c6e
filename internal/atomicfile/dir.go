// Package atomicfile reads, makes and replaces files in directories in which other people write
// too.
//
// Its promises:
//
//   - A file appears under its name whole, or not at all. A process that is killed leaves the old
//     file, the new one, or in rare cases a file that [IsTemp] recognises. It never leaves half a
//     file.
//   - A directory is opened once, and everything is done in that directory. Someone who renames it,
//     or puts a symbolic link in its place, does not redirect what follows.
//   - A symbolic link that somebody else made is never followed on the way to a file that is
//     replaced. [Dir.Follow] says which links are followed.
//   - Nothing waits for a named pipe. Only regular files are opened: see [KindError].
//   - A file is replaced only if it is still the file that was read. The new file has its owner,
//     its group and its mode.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	// ErrChanged is returned for a file or a directory that is no longer the one that was looked
	// at.
	ErrChanged = errors.New("was changed by another program meanwhile")

	// ErrForeignLink is returned for a symbolic link that belongs to somebody else. See
	// [Dir.Follow].
	ErrForeignLink = errors.New("is a symbolic link that belongs to another user: name the file that it points to")
)

// KindError says that something is not a regular file.
type KindError struct{ Mode fs.FileMode }

func (e *KindError) Error() string {
	kind := "is something else"
	switch e.Mode.Type() {
	case fs.ModeDir:
		kind = "is a directory"
	case fs.ModeSymlink:
		kind = "is a symbolic link"
	case fs.ModeNamedPipe:
		kind = "is a named pipe"
	case fs.ModeSocket:
		kind = "is a socket"
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		kind = "is a device"
	}
	return kind + ", not a regular file"
}

// atStep is called between two steps in which somebody else may change what is in a directory.
// Only tests set it.
var atStep func(step string)

func step(name string) {
	if atStep != nil {
		atStep(name)
	}
}

// Dir is an opened directory. Its methods take the name of one file in it, never a path. Several
// goroutines may use it.
type Dir struct{ root *os.Root }

// OpenDir opens a directory. It follows symbolic links: the caller must trust the path.
func OpenDir(path string) (*Dir, error) {
	if path == "" {
		path = "."
	}
	if path == filepath.VolumeName(path) {
		path += "." // the current directory of a drive
	}
	if !os.IsPathSeparator(path[len(path)-1]) {
		path += string(os.PathSeparator) // a named pipe is refused, not waited for
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Dir{root}, nil
}

// OpenParent opens the directory that the file at path is in, and returns the file's name there. It
// follows symbolic links on the way to the directory, and leaves one alone that has the file's
// name.
func OpenParent(path string) (*Dir, string, error) {
	dir, name := split(path)
	if err := checkName(name); err != nil {
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	d, err := OpenDir(dir)
	return d, name, err
}

// split is filepath.Split, but leaves ".." alone: behind a symbolic link it means another directory
// than the words say.
func split(path string) (dir, name string) {
	volume := len(filepath.VolumeName(path))
	i := len(path)
	for i > volume && !os.IsPathSeparator(path[i-1]) {
		i--
	}
	return path[:i], path[i:]
}

var errName = errors.New("is not the name of a file")

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r < 0x80 && os.IsPathSeparator(byte(r)) }) {
		return errName
	}
	return nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Path returns the path that the directory was opened by. Something else may be there by now.
func (d *Dir) Path() string { return filepath.Clean(d.root.Name()) }

// Stat describes the directory itself.
func (d *Dir) Stat() (fs.FileInfo, error) { return d.root.Stat(".") }

// Lstat describes a file, or a symbolic link itself.
func (d *Dir) Lstat(name string) (fs.FileInfo, error) {
	if err := checkName(name); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return d.root.Lstat(name)
}

// OpenDir opens a directory in the directory. It follows no symbolic link.
func (d *Dir) OpenDir(name string) (*Dir, error) {
	before, err := d.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a directory")}
	}
	step("open directory")
	// With "/.", os.Root opens the name as a directory: a named pipe is refused, not waited for.
	root, err := d.root.OpenRoot(name + "/.")
	if err != nil {
		return nil, err
	}
	sub := &Dir{root}
	// os.Root follows symbolic links inside the root.
	if now, err := sub.Stat(); err != nil || !os.SameFile(before, now) {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: ErrChanged}, err, sub.Close())
	}
	return sub, nil
}

// ReadDir returns what is in the directory, sorted by name. The types are hints: they were true
// once.
func (d *Dir) ReadDir() ([]fs.DirEntry, error) { return fs.ReadDir(d.root.FS(), ".") }

// Sync makes the names in the directory survive a loss of power, where the system can do that.
func (d *Dir) Sync() error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && canSyncDir {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return nil
}

// SyncDir makes the names in the directory at path survive a loss of power, where the system can do
// that.
func SyncDir(path string) error {
	d, err := OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// maxLinks is how many symbolic links lead to a file at most: as many as Linux follows.
const maxLinks = 40

// Follow returns where a file really is that is about to be read and replaced: the directory and
// the name. Where the name is a symbolic link, that is where the link leads, if the link belongs to
// the user that this process runs as, or to root. It returns [ErrForeignLink] for any other link:
// in a directory where others may write, it could lead to a file that they may not write, and we
// may.
//
// A file that does not exist is no error. The caller closes the directory, which may be d itself
// opened once more.
func (d *Dir) Follow(name string) (*Dir, string, error) {
	at, err := d.Clone()
	if err != nil {
		return nil, "", err
	}
	for range maxLinks {
		target, err := at.ownLink(name)
		if err != nil {
			return nil, "", errors.Join(err, at.Close())
		}
		if target == "" {
			return at, name, nil
		}
		if !filepath.IsAbs(target) {
			target = at.root.Name() + string(os.PathSeparator) + target
		}
		if err := at.Close(); err != nil {
			return nil, "", err
		}
		if at, name, err = OpenParent(target); err != nil {
			return nil, "", err
		}
	}
	return nil, "", errors.Join(&fs.PathError{Op: "open", Path: name, Err: errors.New("is one of too many symbolic links")}, at.Close())
}

// Clone opens the directory once more.
func (d *Dir) Clone() (*Dir, error) {
	root, err := d.root.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	return &Dir{root}, nil
}

// ownLink returns what a symbolic link says. It returns nothing if the name is no symbolic link.
func (d *Dir) ownLink(name string) (string, error) {
	before, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil || before.Mode().Type() != fs.ModeSymlink {
		return "", err
	}
	if !isOwn(before) {
		return "", &fs.PathError{Op: "open", Path: name, Err: ErrForeignLink}
	}
	step("read link")
	target, err := d.root.Readlink(name)
	if err != nil {
		return "", err
	}
	// A link that was renamed meanwhile, away and back, has another time.
	if now, err := d.Lstat(name); err != nil || !Unchanged(before, now) || !isOwn(now) {
		return "", errors.Join(&fs.PathError{Op: "open", Path: name, Err: ErrChanged}, err)
	}
	return target, nil
}

// Remove removes the file that was described before. The error wraps [ErrChanged] if something else
// has its name by now.
func (d *Dir) Remove(name string, was fs.FileInfo) error {
	now, err := d.Lstat(name)
	if err == nil && !os.SameFile(was, now) {
		err = &fs.PathError{Op: "remove", Path: name, Err: ErrChanged}
	}
	if err != nil {
		return err
	}
	return d.root.Remove(name)
}

// RemoveAll removes what has a name, with everything in it.
func (d *Dir) RemoveAll(name string) error {
	if err := checkName(name); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return d.root.RemoveAll(name)
}
