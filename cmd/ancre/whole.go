package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"ancre/internal/atomicfile"
)

// Large files, of which half a one would be worse than none, come to be in one step, and survive a
// loss of power from then on.

// mayWrite says whether a file may be made, or with force be replaced.
func mayWrite(path string, force bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return usagef("%s is no file: name one", path)
	case !force:
		return fmt.Errorf("%s is there already: name another file, or replace it with --force", path)
	}
	return nil
}

// writeWhole has write fill a file that has no name yet, syncs it and gives it its name when it is
// whole. The name must not be taken, unless force is set. A file that is replaced leaves its owner,
// group and mode to the new one, unless the new one is private. A symbolic link stays, and what it
// points to is replaced, if it belongs to the user or to root.
func writeWhole(path string, force bool, mode fs.FileMode, write func(io.Writer) error) (err error) {
	parent, name, err := atomicfile.OpenParent(path)
	if err != nil {
		return fmt.Errorf("no file can be made in the directory of %s: %w", path, plainError(err))
	}
	defer parent.Close()
	dir, name, err := parent.Follow(name)
	if err != nil {
		return fmt.Errorf("%s %w", path, plainError(err))
	}
	defer dir.Close()
	file, err := dir.New(mode)
	if err != nil {
		return fmt.Errorf("no file can be made in the directory of %s: %w", path, plainError(err))
	}
	defer func() {
		file.Discard()
		if err != nil {
			err = fmt.Errorf("nothing was written to %s: %w", path, err)
		}
	}()
	if err = write(file); err != nil {
		return err
	}
	if !force {
		err = file.Create(name)
	} else {
		const others = 0o077
		if old, statErr := dir.Lstat(name); statErr == nil && mode&others != 0 {
			err = file.Inherit(old)
		}
		if err == nil {
			err = file.Put(name)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return errors.New("another file of that name has appeared meanwhile: name another one, or replace it with --force")
	}
	if err != nil {
		return err
	}
	return dir.Sync()
}
