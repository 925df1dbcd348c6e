package main

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"ancre/internal/atomicfile"
)

// target is one file that a command works on.
type target struct {
	path string
	size int64
	tree *tree // it was found in, with -r
	err  error // why it cannot be read: the command reports it and goes on
}

var errDirectory = errors.New("is a directory: use -r for all files in it")

// walk lists the files that args name, and with recursive also the regular files in directories
// that want accepts. It follows symbolic links that are named, not those that it finds. It passes
// "-" on.
func walk(args []string, recursive bool, want func(name string) bool) iter.Seq[target] {
	return func(yield func(target) bool) {
		for _, arg := range args {
			if arg == "-" {
				if !yield(target{path: arg}) {
					return
				}
				continue
			}
			info, err := os.Stat(arg)
			switch {
			case err != nil:
				if !yield(target{path: arg, err: plainError(err)}) {
					return
				}
			case !info.IsDir():
				if !yield(target{path: arg, size: info.Size()}) {
					return
				}
			case !recursive:
				if !yield(target{path: arg, err: errDirectory}) {
					return
				}
			default:
				t, err := openTree(arg)
				if err != nil {
					if !yield(target{path: arg, err: plainError(err)}) {
						return
					}
					continue
				}
				if !t.walk(t.top, filepath.Clean(arg), want, yield) {
					return
				}
			}
		}
	}
}

// walk lists the files in a directory and below, sorted by name. It reports whether to go on.
func (t *tree) walk(dir *atomicfile.Dir, path string, want func(name string) bool, yield func(target) bool) bool {
	entries, err := dir.ReadDir()
	for _, e := range entries {
		if !t.entry(dir, filepath.Join(path, e.Name()), e, want, yield) {
			return false
		}
	}
	// The directory cannot be read, or not completely.
	return err == nil || yield(target{path: path, tree: t, err: plainError(err)})
}

// entry lists one file, or what is in one directory. It reports whether to go on.
func (t *tree) entry(dir *atomicfile.Dir, path string, e fs.DirEntry, want func(name string) bool, yield func(target) bool) bool {
	if e.IsDir() {
		sub, err := dir.OpenDir(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			return true // it went away meanwhile
		}
		if err != nil {
			return yield(target{path: path, tree: t, err: plainError(err)})
		}
		defer sub.Close()
		return t.walk(sub, path, want, yield)
	}
	if !e.Type().IsRegular() || !want(e.Name()) {
		return true
	}
	info, err := dir.Lstat(e.Name())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true // it went away meanwhile
	case err != nil:
		return yield(target{path: path, tree: t, err: plainError(err)})
	}
	return yield(target{path: path, tree: t, size: info.Size()})
}
