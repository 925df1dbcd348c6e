package daemon

import (
	"fmt"
	"os"
	"path/filepath"

	"ancre/config"
)

// refuseOldConfig returns an error if the service has a second configuration in its data directory,
// where the unit of earlier versions had it. Its caps on fees would no longer count, and nobody
// would be told.
func refuseOldConfig(cfg config.Config) error {
	if !cfg.IsService() {
		return nil
	}
	dir, err := cfg.NetworkDir()
	if err != nil {
		return err
	}
	old := filepath.Join(filepath.Dir(dir), config.FileName)
	info, err := os.Stat(old)
	if err != nil {
		return nil
	}
	if now, err := os.Stat(cfg.File()); err == nil && os.SameFile(info, now) {
		return nil
	}
	return fmt.Errorf("there are two configurations: ancred reads %s, and an earlier version read %s. "+
		"Move the settings of the old file to the new one, remove the old file, and restart ancred", cfg.File(), old)
}
