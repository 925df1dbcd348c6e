package spv

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"ancre/internal/warning"
)

// suspectFile is in the data directory while the stored filter headers are suspected to be false
// (see the warning FiltersStuck). neutrino cannot replace them. So the next start removes all
// headers, and they are downloaded again.
const suspectFile = "filter_headers.suspect"

// noteSuspicion notes for the next start whether the filter headers are suspected to be false, if
// that has changed. It returns what is noted now.
func (c *Client) noteSuspicion(noted bool, now []warning.Warning) bool {
	suspected := warning.Has(now, warning.FiltersStuck)
	if suspected == noted {
		return noted
	}
	if err := writeSuspicion(c.cfg.Dir, suspected); err != nil {
		c.log.Error("cannot note that the filter headers may be false", "err", err)
		return noted
	}
	return suspected
}

// writeSuspicion writes or removes the file.
func writeSuspicion(dir string, suspected bool) error {
	path := filepath.Join(dir, suspectFile)
	if suspected {
		return os.WriteFile(path, []byte("No peer agrees with the newest filter headers in this directory. At its next start, ancred downloads all headers again.\n"), 0o600)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeSuspects removes the header files if they were suspected when the client was last closed.
func removeSuspects(dir string, log *slog.Logger) error {
	if _, err := os.Stat(filepath.Join(dir, suspectFile)); err != nil {
		return nil
	}
	log.Warn("no peer agreed with the stored filter headers: removing the header files, all headers will be downloaded again", "dir", dir)
	if err := removeHeaders(dir); err != nil {
		return err
	}
	return writeSuspicion(dir, false)
}
