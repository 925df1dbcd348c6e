package main

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ancre/internal/atomicfile"
)

// target is one file that a command works on.
type target struct {
	path  string
	info  fs.FileInfo // of the file; nil for "-", and if err is not nil
	tree  *tree       // it was found in, with -r
	proof fs.FileInfo // of FILE.ots beside it, if the walker looks for it
	left  leftKind    // why it is left out, if it is: the command only counts it
	err   error       // why it cannot be read: the command reports it and goes on
}

var errDirectory = errors.New("is a directory: use -r for all files in it")

// walker lists the files that a command works on.
type walker struct {
	recursive  bool                   // go into directories
	want       func(name string) bool // which files of a directory are meant
	withProofs bool                   // describe FILE.ots too
}

// files lists the files that args name, and what the walker wants of the directories among them. It
// follows symbolic links that are named, not those that it finds. It passes "-" on.
func (w walker) files(args []string) iter.Seq[target] {
	return func(yield func(target) bool) {
		for _, arg := range args {
			if !w.arg(arg, yield) {
				return
			}
		}
	}
}

// arg lists what an argument means. It reports whether to go on.
func (w walker) arg(arg string, yield func(target) bool) bool {
	if arg == "-" {
		return yield(target{path: arg})
	}
	info, err := os.Stat(arg)
	switch {
	case err != nil:
		return yield(target{path: arg, err: plainError(err)})
	case !info.IsDir():
		return yield(target{path: arg, info: info})
	case !w.recursive:
		return yield(target{path: arg, err: errDirectory})
	}
	t, err := openTree(arg)
	if err != nil {
		return yield(target{path: arg, err: plainError(err)})
	}
	return w.dir(t, t.top, filepath.Clean(arg), yield)
}

// dir lists the files in a directory of a tree and below, sorted by name.
func (w walker) dir(t *tree, dir *atomicfile.Dir, path string, yield func(target) bool) bool {
	entries, err := dir.ReadDir()
	beside := proofsBeside{dir: dir, entries: entries}
	for _, e := range entries {
		if !w.entry(t, dir, filepath.Join(path, e.Name()), e, &beside, yield) {
			return false
		}
	}
	// The directory cannot be read, or not completely.
	return err == nil || yield(target{path: path, tree: t, err: plainError(err)})
}

// entry lists one file, or what is in one directory.
func (w walker) entry(t *tree, dir *atomicfile.Dir, path string, e fs.DirEntry, beside *proofsBeside, yield func(target) bool) bool {
	if e.IsDir() {
		sub, err := dir.OpenDir(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			return true // it went away meanwhile
		}
		if err != nil {
			return yield(target{path: path, tree: t, err: plainError(err)})
		}
		defer sub.Close()
		return w.dir(t, sub, path, yield)
	}
	if !e.Type().IsRegular() {
		if !w.want(e.Name()) && !leadsToDirectory(path, e) {
			return true
		}
		return yield(target{path: path, tree: t, left: kindOf(e.Type())})
	}
	if !w.want(e.Name()) {
		return true
	}
	info, err := beside.lstat(e.Name())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true // it went away meanwhile
	case err != nil:
		return yield(target{path: path, tree: t, err: plainError(err)})
	}
	found := target{path: path, tree: t, info: info}
	if w.withProofs {
		found.proof = beside.of(e.Name())
	}
	return yield(found)
}

// leadsToDirectory reports whether an entry is a symbolic link to a directory, in which there may
// be files that are meant.
func leadsToDirectory(path string, e fs.DirEntry) bool {
	if e.Type() != fs.ModeSymlink {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// proofsBeside looks at files of a directory, and at the proofs beside them. It looks at each only
// once: a proof comes after its file.
type proofsBeside struct {
	dir     *atomicfile.Dir
	entries []fs.DirEntry // sorted by name
	seen    map[string]fs.FileInfo
}

// lstat describes a file.
func (p *proofsBeside) lstat(name string) (fs.FileInfo, error) {
	if info := p.seen[name]; info != nil {
		delete(p.seen, name)
		return info, nil
	}
	return p.dir.Lstat(name)
}

// of describes the proof beside a file. It returns nil if there is none.
func (p *proofsBeside) of(file string) fs.FileInfo {
	name := file + proofSuffix
	_, found := slices.BinarySearchFunc(p.entries, name, func(e fs.DirEntry, name string) int { return strings.Compare(e.Name(), name) })
	if !found {
		return nil
	}
	info, err := p.dir.Lstat(name)
	if err != nil {
		return nil
	}
	if p.seen == nil {
		p.seen = make(map[string]fs.FileInfo)
	}
	p.seen[name] = info
	return info
}
