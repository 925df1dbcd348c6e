package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/humanize"
	"ancre/internal/warning"
	"ancre/rpc"
)

// backupRecord is what clients report of backups. It survives a restart of the daemon, in a small
// file of the data directory.
//
// A backup counts when its client says so, not when its last byte was sent: only the client knows
// that it synced the file and checked it.
type backupRecord struct {
	path  string
	first func() (time.Time, error) // when the first digest came
	log   *slog.Logger

	mu   sync.Mutex // guards the two below, and the file
	kept keptBackups
	came time.Time // what first returned; zero: it is not known yet
}

// keptBackups is the content of the file.
type keptBackups struct {
	Last    *rpc.LastBackup `json:"last_backup,omitempty"`
	Failure *rpc.Failure    `json:"backup_failure,omitempty"`
}

// maxBackupRecord is far more than the file has.
const maxBackupRecord = 64 << 10

// openBackupRecord reads the record of a network's data directory. A record that cannot be read
// counts as none: the daemon then warns until the next backup.
func openBackupRecord(dir string, first func() (time.Time, error), log *slog.Logger) *backupRecord {
	r := &backupRecord{path: filepath.Join(dir, datadir.Backups), first: first, log: log}
	data, err := atomicfile.ReadInput(r.path, maxBackupRecord)
	if err == nil {
		err = json.Unmarshal(data, &r.kept)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.kept = keptBackups{}
		log.Warn("cannot read what is known of the last backup: ancred forgets it until the next backup", "file", r.path, "err", err)
	}
	return r
}

// Done records a backup that is complete. A backup that holds less than the last one is not
// recorded, because its report came late. Failures that were reported before are over.
func (r *backupRecord) Done(b rpc.LastBackup) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := keptBackups{Last: &b}
	if last := r.kept.Last; last != nil && (b.Digests < last.Digests || b.Digests == last.Digests && b.Taken.Before(last.Taken)) {
		next.Last = last
	}
	if err := r.keep(next); err != nil {
		return err
	}
	r.log.Info("a backup is complete", "taken", b.Taken, "digests", b.Digests, "file", b.File, "rehearsed", b.Rehearsed, "copied", b.Copied)
	return nil
}

// Failed records why an unattended backup failed.
func (r *backupRecord) Failed(reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keep(keptBackups{Last: r.kept.Last, Failure: &rpc.Failure{Time: time.Now().UTC(), Reason: reason}})
}

func (r *backupRecord) keep(next keptBackups) error {
	if err := writeBackupRecord(filepath.Dir(r.path), next); err != nil {
		return err
	}
	r.kept = next
	return nil
}

// writeBackupRecord writes whole or not at all.
func writeBackupRecord(dir string, kept keptBackups) error {
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := atomicfile.Put(filepath.Join(dir, datadir.Backups), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("cannot record the backup: %w", err)
	}
	return nil
}

// reported returns the last backup, and the failure since then; nil: there is none.
func (r *backupRecord) reported() (*rpc.LastBackup, *rpc.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept.Last, r.kept.Failure // nobody changes what they point to
}

// backupLook is what the warnings and metrics about backups are made of.
type backupLook struct {
	keptBackups
	first time.Time // when the first digest came; zero: none came, or it is not known
}

func (r *backupRecord) look() backupLook {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.came.IsZero() {
		r.came, _ = r.first() // zero while there is no batch
	}
	return backupLook{r.kept, r.came}
}

// taken returns when the last backup was taken; zero: there is none.
func (l backupLook) taken() time.Time {
	if l.Last == nil {
		return time.Time{}
	}
	return l.Last.Taken
}

// missing returns how many of so many digests no backup holds.
func (l backupLook) missing(digests uint64) uint64 {
	if l.Last == nil {
		return digests
	}
	return digests - min(l.Last.Digests, digests)
}

const (
	// backupWait is how old the last backup may be while digests are in no backup.
	backupWait = 7 * 24 * time.Hour

	// backupAhead is how far in the future a backup may be taken by this machine's clock. Its own
	// daemon took it, so the clock was wrong then, or is wrong now.
	backupAhead = 24 * time.Hour
)

// backupWarnings returns what is to be told of backups. While no new digest came since the last
// backup, that backup is good, however old it is.
func backupWarnings(l looks) (all []warning.Warning) {
	b := l.backups
	if f := b.Failure; f != nil {
		all = append(all, warning.New(warning.BackupFailed, "the backup of %s failed: %s. Mend that, then run \"systemctl start ancre-backup\" (or \"ancre backup FILE\")",
			humanize.Time(f.Time), f.Reason))
	}
	missing := b.missing(l.over.Digests)
	if missing == 0 {
		return all
	}
	const remedy = "enable the daily backup with \"systemctl enable --now ancre-backup.timer\" and see \"systemctl status ancre-backup\", " +
		"or run \"ancre backup FILE\" and keep FILE on another machine"
	count := humanize.Plural(missing, "digest", "digests")
	switch age := l.now.Sub(b.taken()); {
	case b.Last == nil:
		if age := l.now.Sub(b.first); !b.first.IsZero() && age > backupWait {
			all = append(all, warning.New(warning.BackupOld, "there is no backup, and the oldest of %s came %s ago: %s", count, days(age), remedy))
		}
	case age > backupWait:
		all = append(all, warning.New(warning.BackupOld, "the last backup is %s old, and does not hold %s that came later: %s", days(age), count, remedy))
	case age < -backupAhead:
		all = append(all, warning.New(warning.BackupOld, "the last backup is dated %s, which is after today, and does not hold %s: check the clock; then %s",
			humanize.Time(b.taken()), count, remedy))
	}
	return all
}

func days(d time.Duration) string { return humanize.Plural(int64(d/(24*time.Hour)), "day", "days") }
