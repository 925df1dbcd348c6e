package atomicfile

import (
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Of open(2) and linkat(2); package syscall lacks them.
const (
	oTmpfile        = 0x400000 | syscall.O_DIRECTORY
	atFdcwd         = -100
	atSymlinkFollow = 0x400
)

// hasProc reports whether an open file can be given a name: that goes through /proc.
var hasProc = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
})

// openUnnamed opens a new file without a name. It returns nil where that is not possible.
func openUnnamed(d *Dir, mode fs.FileMode) *os.File {
	if !hasProc() {
		return nil
	}
	// Without any special case for errors: whatever it is, a named file tells it again.
	f, err := d.root.OpenFile(".", os.O_WRONLY|oTmpfile, mode.Perm())
	if err != nil {
		return nil
	}
	return f
}

// linkUnnamed gives an open file a name that must not exist yet.
func linkUnnamed(d *Dir, f *os.File, name string) error {
	from, err := syscall.BytePtrFromString(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return err
	}
	to, err := syscall.BytePtrFromString(name)
	if err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: err}
	}
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	at := atFdcwd
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_LINKAT, uintptr(at), uintptr(unsafe.Pointer(from)),
			dir.Fd(), uintptr(unsafe.Pointer(to)), atSymlinkFollow, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return &fs.PathError{Op: "create", Path: name, Err: errno}
		}
	}
}
