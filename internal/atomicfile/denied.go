package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Denied adds to an error of access which file or directory on the way denies it: its mode and its
// owner. Other errors are returned as they are.
func Denied(err error) error {
	var at *fs.PathError
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &at) {
		return err
	}
	path, pathErr := filepath.Abs(at.Path)
	if pathErr != nil {
		return err
	}
	// What lies below a directory that may not be searched cannot even be looked at.
	info, statErr := os.Stat(path)
	for statErr != nil && filepath.Dir(path) != path {
		path = filepath.Dir(path)
		info, statErr = os.Stat(path)
	}
	if statErr != nil {
		return err
	}
	return fmt.Errorf("%w: %s has the mode %s%s, and this program runs as %s", err, path, info.Mode(), ownerText(info), userText())
}
