package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Large files, of which half a one would be worse than none, come to be in one step, and survive a loss of power from then on.

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

// writeWhole has write fill a file under another name in the same directory, syncs it and gives it its name when it is whole. The name must not be
// taken, unless force is set.
func writeWhole(path string, force bool, mode fs.FileMode, write func(io.Writer) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // what is behind a symbolic link is replaced, not the link
	}
	temp := filepath.Join(filepath.Dir(path), tempPrefix+rand.Text()+tempSuffix)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("no file can be made in the directory of %s: %w", path, plainError(err))
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(temp)
			err = fmt.Errorf("nothing was written to %s: %w", path, err)
		}
	}()
	if err = write(file); err != nil {
		return err
	}
	if err = errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if force {
		err = os.Rename(temp, path)
	} else {
		err = place(temp, path)
	}
	if errors.Is(err, fs.ErrExist) {
		return errors.New("another file of that name has appeared meanwhile: name another one, or replace it with --force")
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir has a directory's names survive a loss of power, where directories can be synced.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !isWindows {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return nil
}
