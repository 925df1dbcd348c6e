package pebblestore

import (
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// hookFS lets a test stand in the way of every change of a file system.
type hookFS struct {
	vfs.FS
	hook func(op, name string, change func() error) error
}

type hookFile struct {
	vfs.File
	fs   *hookFS
	name string
}

func (h *hookFS) file(op, name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	if err = h.hook(op, name, func() error { f, err = open(); return err }); err != nil {
		return nil, err
	}
	return &hookFile{f, h, name}, nil
}

func (h *hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.file("create", name, func() (vfs.File, error) { return h.FS.Create(name, c) })
}

func (h *hookFS) ReuseForWrite(o, n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return h.file("reuse", n, func() (vfs.File, error) { return h.FS.ReuseForWrite(o, n, c) })
}

func (h *hookFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return h.file("open", name, func() (vfs.File, error) { return h.FS.OpenReadWrite(name, c, opts...) })
}

func (h *hookFS) OpenDir(name string) (vfs.File, error) {
	f, err := h.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &hookFile{f, h, name}, nil
}

func (h *hookFS) Rename(o, n string) error {
	return h.hook("rename", n, func() error { return h.FS.Rename(o, n) })
}

func (h *hookFS) Remove(name string) error {
	return h.hook("remove", name, func() error { return h.FS.Remove(name) })
}

func (h *hookFS) Link(o, n string) error {
	return h.hook("link", n, func() error { return h.FS.Link(o, n) })
}

func (h *hookFS) MkdirAll(name string, perm os.FileMode) error {
	return h.hook("mkdir", name, func() error { return h.FS.MkdirAll(name, perm) })
}

func (f *hookFile) Write(p []byte) (n int, err error) {
	err = f.fs.hook("write", f.name, func() (err error) { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *hookFile) Sync() error     { return f.fs.hook("sync", f.name, f.File.Sync) }
func (f *hookFile) SyncData() error { return f.fs.hook("sync", f.name, f.File.SyncData) }
func (f *hookFile) Close() error    { return f.fs.hook("close", f.name, f.File.Close) }

func (f *hookFile) SyncTo(n int64) (full bool, err error) {
	err = f.fs.hook("sync", f.name, func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}
