package pebblestore

import (
	"io"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// privateFS is the operating system's file system, in which each file that is made is its owner's
// alone: Pebble would give it the mode 0666, less what the umask takes away. The directory is 0700
// as well, but files are copied, and directories opened to others.
type privateFS struct{ vfs.FS }

const privateMode = 0o600

// private closes a file to others that was just made. A file system that knows no modes is no
// failure: see restrict.
func private(name string) { _ = os.Chmod(name, privateMode) }

func (p privateFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, c)
	if err == nil {
		private(name)
	}
	return f, err
}

func (p privateFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.OpenReadWrite(name, c, opts...)
	if err == nil {
		private(name)
	}
	return f, err
}

func (p privateFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.ReuseForWrite(oldname, newname, c)
	if err == nil {
		private(newname)
	}
	return f, err
}

func (p privateFS) Lock(name string) (io.Closer, error) {
	c, err := p.FS.Lock(name)
	if err == nil {
		private(name)
	}
	return c, err
}

func (p privateFS) Unwrap() vfs.FS { return p.FS }

// restrict closes the files to others that an older version made.
func (p privateFS) restrict(dir string, log *slog.Logger) {
	for _, in := range []string{dir, p.PathJoin(dir, indexDir)} {
		names, _ := p.List(in) // what cannot be read is met again
		for _, name := range names {
			path := p.PathJoin(in, name)
			info, err := os.Lstat(path)
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&^privateMode == 0 {
				continue
			}
			if err := os.Chmod(path, privateMode); err != nil {
				log.Warn("store: others on this machine may read a file: chmod 600 it", "file", path, "err", err)
				return
			}
		}
	}
}
