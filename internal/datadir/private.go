package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Restrict closes to others what an older version left readable to them: the files of the daemon's
// rooms become their owner's alone. It follows no symbolic link. The error names the files for
// which it could not be done; the rest was.
func Restrict(dir string) error {
	var errs []error
	for _, room := range []string{Store, SPV, Wallet} {
		err := filepath.WalkDir(filepath.Join(dir, room), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil || info.Mode().Perm()&0o077 == 0 || !d.IsDir() && !info.Mode().IsRegular() {
				return nil // one that is gone meanwhile is closed, too
			}
			if err := os.Chmod(path, info.Mode().Perm()&^0o077); err != nil {
				errs = append(errs, err)
			}
			return nil
		})
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
