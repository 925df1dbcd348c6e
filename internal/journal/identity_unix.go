//go:build unix

package journal

import (
	"fmt"
	"os"
	"syscall"
)

// identity returns what the variable says of an open file: DEVICE:INODE.
func identity(f *os.File) (string, bool) {
	info, err := f.Stat()
	if err != nil {
		return "", false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino), true
}
