package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"ancre/internal/atomicfile"
	"ancre/register/control"
)

// backupRecord is the last backup of which somebody reported that it was written and checked. It
// survives a restart, in a small file of the data directory.
type backupRecord struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex // guards kept, and the file
	kept *control.BackupReport
	err  error // why the last one that the register made by itself failed; nil: it did not
}

// maxRecord is far more than the file has.
const maxRecord = 64 << 10

// openBackupRecord reads the record. One that cannot be read counts as none: the register then
// warns until the next backup.
func openBackupRecord(path string, log *slog.Logger) *backupRecord {
	r := &backupRecord{path: path, log: log}
	data, err := atomicfile.ReadInput(path, maxRecord)
	if err == nil {
		r.kept = new(control.BackupReport)
		err = json.Unmarshal(data, r.kept)
	}
	if err != nil {
		r.kept = nil
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("cannot read what is known of the last backup: it is forgotten until the next one", "file", path, "err", err)
		}
	}
	return r
}

// done records a backup. One that is older than the last is not recorded, because its report came
// late.
func (r *backupRecord) done(b control.BackupReport) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept != nil && b.Taken.Before(r.kept.Taken) {
		return nil
	}
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := atomicfile.Put(r.path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("cannot record the backup: %w", err)
	}
	r.kept, r.err = &b, nil
	r.log.Info("a backup is complete", "taken", b.Taken, "documents", b.Documents, "file", b.File, "bytes", b.Bytes)
	return nil
}

// failed notes why the register could not make a backup by itself.
func (r *backupRecord) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	r.log.Error("the backup failed, and is tried again", "err", err)
}

// failure returns why the last backup failed; nil: it did not.
func (r *backupRecord) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// last returns the last backup; nil: there is none.
func (r *backupRecord) last() *control.BackupReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept // nobody changes what it points to
}
