package pebblestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ancre/batcher/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// unreadableFS lets one file exist and not be read.
type unreadableFS struct {
	vfs.FS
	path string
}

func (u unreadableFS) denied(name string) error {
	if name == u.path {
		return &os.PathError{Op: "open", Path: name, Err: syscall.EACCES}
	}
	return nil
}

func (u unreadableFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := u.denied(name); err != nil {
		return nil, err
	}
	return u.FS.Open(name, opts...)
}

func (u unreadableFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := u.denied(name); err != nil {
		return nil, err
	}
	return u.FS.OpenReadWrite(name, c, opts...)
}

// damages of a file.
var damages = []struct {
	name string
	do   func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS
}{
	{"missing", func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS {
		if err := fs.Remove(path); err != nil {
			t.Fatal(err)
		}
		return fs
	}},
	{"empty", func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS {
		change(t, fs, path, func([]byte) []byte { return nil })
		return fs
	}},
	{"zeros", func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS {
		change(t, fs, path, func(b []byte) []byte { clear(b); return b })
		return fs
	}},
	{"cut", func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS {
		change(t, fs, path, func(b []byte) []byte { return b[:len(b)/2] })
		return fs
	}},
	{"one bit", func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS {
		change(t, fs, path, func(b []byte) []byte {
			if len(b) > 0 {
				b[len(b)*2/3] ^= 8
			}
			return b
		})
		return fs
	}},
	{"unreadable", func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS { return unreadableFS{fs, path} }},
	{"a directory", func(t *testing.T, fs *vfs.MemFS, path string) vfs.FS {
		if err := fs.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := fs.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return fs
	}},
}

// TestEveryFileInEveryStateOfDamage starts on each: the store opens with all that it acknowledged,
// or names the file, or what is missing, and says what to do. It never panics, never hangs, and is
// never silent about a loss.
func TestEveryFileInEveryStateOfDamage(t *testing.T) {
	refused, opened := 0, 0
	for _, end := range []string{stopped, killed, stuck} {
		w := makeWreck(t, shapes[3], end)
		for _, path := range w.files {
			for _, d := range damages {
				o := w.start(d.do(t, w.clone(), path))
				name := filepath.Base(path)
				fail := func(format string, args ...any) {
					t.Helper()
					t.Errorf("%s: %s is %s: "+format, append([]any{end, path, d.name}, args...)...)
				}
				if testing.Verbose() && o.err != nil {
					t.Logf("%s: %s is %s: %v", end, path, d.name, o.err)
				}
				switch {
				case o.err == nil:
					opened++
					if o.lost != "" {
						fail("nothing is said, and %s", o.lost)
					}
					continue
				case strings.Contains(o.err.Error(), "PANIC") || errors.Is(o.err, errHangs):
					fail("%v", o.err)
				}
				refused++
				text := o.err.Error()
				if !strings.Contains(text, "store") || !namesTheFile(text, name) {
					fail("%v\ndoes not name the file", o.err)
				}
				if !saysWhatToDo(text) {
					fail("%v\ndoes not say what to do", o.err)
				}
				if d.name != "unreadable" && d.name != "a directory" && !errors.Is(o.err, store.ErrDamaged) {
					fail("%v\ndoes not wrap ErrDamaged", o.err)
				}
			}
		}
	}
	t.Logf("%d starts were refused, %d went well", refused, opened)
}

// namesTheFile says whether an error names a file, or as much of it as can be known when the file
// is missing.
func namesTheFile(text, name string) bool {
	if i := strings.Index(name, ".0"); strings.HasPrefix(name, "marker.") && i > 0 {
		name = name[:i]
	}
	return strings.Contains(text, name) || strings.Contains(text, "it holds less than it acknowledged") || strings.Contains(text, "a log before it is missing or empty")
}

func saysWhatToDo(text string) bool {
	for _, remedy := range []string{"ancred restore", "start again", "chmod"} {
		if strings.Contains(text, remedy) {
			return true
		}
	}
	return false
}
