package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Fill has write fill a new file, and gives it the name at path once it is whole. After that the
// file survives a loss of power. The mode is before the umask.
//
// If replace is false, the name must not be taken: the error wraps [fs.ErrExist] when it is. If
// replace is true, a file that is there leaves its owner, group and mode to the new one, unless
// mode makes the new one private. A symbolic link stays, and what it points to is replaced: see
// [Dir.Follow]. Errors do not name the file.
func Fill(path string, replace bool, mode fs.FileMode, write func(io.Writer) error) error {
	parent, name, err := OpenParent(path)
	if err != nil {
		return fmt.Errorf("no file can be made in the directory: %w", reason(err))
	}
	defer parent.Close()
	dir, name, err := parent.Follow(name)
	if err != nil {
		return fmt.Errorf("the file %w", reason(err))
	}
	defer dir.Close()
	file, err := dir.New(mode)
	if err != nil {
		return fmt.Errorf("no file can be made in the directory: %w", reason(err))
	}
	defer file.Discard()
	if err := write(file); err != nil {
		return err
	}
	if replace {
		err = file.takePlace(name, mode)
	} else {
		err = file.Create(name)
	}
	if err != nil {
		return err
	}
	return dir.Sync()
}

// takePlace is Put, and leaves the file the owner, group and mode of one that is there, unless mode
// makes it private.
func (n *File) takePlace(name string, mode fs.FileMode) error {
	const others = 0o077
	if old, err := n.dir.Lstat(name); err == nil && mode&others != 0 {
		if err := n.Inherit(old); err != nil {
			return err
		}
	}
	return n.Put(name)
}

// reason leaves out of an error of the file system what the caller knows: the operation and the
// path.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
