//go:build unix

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// owner is who shall have what is made in a directory, when root makes it in somebody else's: a daemon that runs under a user of its own
// could not open it otherwise.
type owner struct {
	uid, gid int
	made     []string // directories that have yet to be made
}

// ownerOf returns who owns a directory, or the nearest one above it that is there. nil: whoever runs this keeps what is made.
func ownerOf(dir string) *owner {
	if os.Geteuid() != 0 {
		return nil
	}
	o := new(owner)
	for {
		if info, err := os.Stat(dir); err == nil {
			st, ok := info.Sys().(*syscall.Stat_t)
			if !ok || st.Uid == 0 {
				return nil
			}
			o.uid, o.gid = int(st.Uid), int(st.Gid)
			return o
		}
		o.made = append(o.made, dir)
		if dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// give gives paths, and all that is below them, to the owner.
func (o *owner) give(paths ...string) error {
	if o == nil {
		return nil
	}
	for _, dir := range o.made {
		if err := os.Lchown(dir, o.uid, o.gid); err != nil {
			return err
		}
	}
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, o.uid, o.gid)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
