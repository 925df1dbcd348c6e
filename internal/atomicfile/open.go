package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open opens a regular file in the directory for reading. It follows no symbolic link and waits for
// no named pipe.
func (d *Dir) Open(name string) (*os.File, fs.FileInfo, error) {
	// Devices and pipes are not even opened, unless they appear just now.
	before, err := d.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: &KindError{before.Mode()}}
	}
	step("open file")
	f, err := d.root.OpenFile(name, os.O_RDONLY|withoutWaiting, 0)
	if err != nil {
		return nil, nil, err
	}
	// os.Root follows symbolic links inside the root.
	info, err := f.Stat()
	if err != nil || !os.SameFile(before, info) || !info.Mode().IsRegular() { // numbers of inodes are used again
		f.Close()
		return nil, nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: ErrChanged}, err)
	}
	return f, info, nil
}

// Open opens the regular file at a path for reading, and waits for no named pipe. It follows
// symbolic links: the caller must trust the path.
func Open(path string) (*os.File, fs.FileInfo, error) {
	return open(path, fs.FileMode.IsRegular)
}

// OpenInput is Open, and also opens a pipe that this process was started with: /dev/stdin, or
// /dev/fd/63 as shells write it for <(command). Its other end exists already.
func OpenInput(path string) (*os.File, fs.FileInfo, error) {
	if isDescriptor(path) {
		return open(path, func(mode fs.FileMode) bool { return !mode.IsDir() })
	}
	return Open(path)
}

func open(path string, allowed func(fs.FileMode) bool) (*os.File, fs.FileInfo, error) {
	// Devices and pipes are not even opened, unless they appear just now.
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !allowed(info.Mode()) {
		return nil, nil, &fs.PathError{Op: "open", Path: path, Err: &KindError{info.Mode()}}
	}
	step("open file")
	f, err := os.OpenFile(path, os.O_RDONLY|withoutWaiting, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = f.Stat()
	if err == nil && !allowed(info.Mode()) {
		err = &fs.PathError{Op: "open", Path: path, Err: &KindError{info.Mode()}}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// ReadInput reads a whole file that [OpenInput] opens. A file of more than limit bytes is an error.
func ReadInput(path string, limit int64) ([]byte, error) {
	f, _, err := OpenInput(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is larger than %d bytes: is it the right file?", limit)}
	}
	return data, err
}

// Unchanged reports whether two descriptions are of the same file with the same content, as far as
// the system tells: its size, the time of its last change, and the time at which this time was last
// set.
func Unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changeTime(a) == changeTime(b)
}
