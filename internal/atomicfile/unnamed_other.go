//go:build !linux

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

func openUnnamed(*Dir, fs.FileMode) *os.File { return nil }

func linkUnnamed(*Dir, *os.File, string) error { return errors.ErrUnsupported }
