package daemon

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/internal/datadir"
	"ancre/internal/warning"
	"ancre/rpc"
)

const day = 24 * time.Hour

// none is the time of the first digest in a store that has none.
func none() (time.Time, error) { return time.Time{}, errors.New("there is no batch") }

func TestBackupsAreToldOf(t *testing.T) {
	now := well().now
	last := func(age time.Duration, digests uint64) *rpc.LastBackup {
		return &rpc.LastBackup{Taken: now.Add(-age), Digests: digests}
	}
	for _, tt := range []struct {
		name    string
		digests uint64
		first   time.Duration // how long ago the first digest came
		last    *rpc.LastBackup
		failure *rpc.Failure
		want    []*warning.Kind
		words   string
	}{
		{"a new machine", 0, 0, nil, nil, nil, ""},
		{"the first week", 5, 6 * day, nil, nil, nil, ""},
		{"no backup after a week", 5, 8 * day, nil, nil, []*warning.Kind{warning.BackupOld}, "there is no backup, and the oldest of 5 digests came 8 days ago: enable"},
		{"a backup of today", 5, 30 * day, last(time.Hour, 4), nil, nil, ""},
		{"a week", 5, 30 * day, last(7*day, 4), nil, nil, ""},
		{"more than a week", 5, 30 * day, last(7*day+time.Second, 4), nil, []*warning.Kind{warning.BackupOld}, "is 7 days old, and does not hold 1 digest that came later"},
		{"an old one that holds everything", 5, 400 * day, last(365*day, 5), nil, nil, ""},
		{"one that holds more than the store", 5, 400 * day, last(365*day, 6), nil, nil, ""},
		{"a clock that was a little ahead", 5, 30 * day, last(-time.Hour, 4), nil, nil, ""},
		{"a clock that was wrong", 5, 30 * day, last(-400*day, 4), nil, []*warning.Kind{warning.BackupOld}, "dated 2027-02-05 00:00 UTC, which is after today"},
		{"a failure", 5, 30 * day, last(time.Hour, 5), &rpc.Failure{Time: now, Reason: "rsync: no route"}, []*warning.Kind{warning.BackupFailed}, "2026-01-01 00:00 UTC failed: rsync: no route. Mend"},
		{"failures for weeks", 5, 30 * day, last(9*day, 4), &rpc.Failure{Time: now, Reason: "no space"}, []*warning.Kind{warning.BackupFailed, warning.BackupOld}, "is 9 days old"},
	} {
		l := well()
		l.over.Digests = tt.digests
		l.backups = backupLook{keptBackups{tt.last, tt.failure}, time.Time{}}
		if tt.first > 0 {
			l.backups.first = now.Add(-tt.first)
		}
		got := new(levels).warnings(l)
		if !slices.Equal(kindsOf(got), tt.want) || len(got) > 0 && !strings.Contains(got[len(got)-1].Text, tt.words) {
			t.Errorf("%s: %q, want %d warnings, the last with %q", tt.name, got, len(tt.want), tt.words)
		}
	}
}

// What was reported survives a restart, and a later report that says less changes nothing.
func TestTheRecordOfBackupsSurvives(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	at := time.Date(2026, 11, 30, 2, 17, 0, 5, time.UTC)
	r := openBackupRecord(dir, none, log)
	wants := func(last *rpc.LastBackup, reason string) {
		t.Helper()
		for range 2 {
			gotLast, gotFailure := r.reported()
			if (gotLast == nil) != (last == nil) || last != nil && *gotLast != *last || (gotFailure == nil) != (reason == "") || gotFailure != nil && gotFailure.Reason != reason {
				t.Errorf("%+v, %+v; want %+v, %q", gotLast, gotFailure, last, reason)
			}
			r = openBackupRecord(dir, none, log)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wants(nil, "")
	must(r.Failed("no space"))
	wants(nil, "no space")
	one := rpc.LastBackup{Taken: at, Digests: 3, File: "a", Rehearsed: true, Copied: true}
	must(r.Done(one))
	wants(&one, "")
	must(r.Failed("the network is down"))
	wants(&one, "the network is down")
	must(r.Done(rpc.LastBackup{Taken: at.Add(-time.Hour), Digests: 3}))
	wants(&one, "")
	must(r.Done(rpc.LastBackup{Taken: at.Add(time.Hour), Digests: 2}))
	wants(&one, "")
	more := rpc.LastBackup{Taken: at.Add(-400 * day), Digests: 4} // the clock went back
	must(r.Done(more))
	wants(&more, "")
	if info, err := os.Stat(filepath.Join(dir, datadir.Backups)); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the file has the mode %v (%v)", info.Mode(), err)
	}
}

func TestADamagedRecordOfBackupsCountsAsNone(t *testing.T) {
	dir, log := t.TempDir(), new(output)
	if err := os.WriteFile(filepath.Join(dir, datadir.Backups), []byte(`{"last_backup":{"taken":7`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := openBackupRecord(dir, none, slog.New(slog.NewTextHandler(log, nil)))
	if last, failure := r.reported(); last != nil || failure != nil || !strings.Contains(log.String(), "cannot read what is known of the last backup") {
		t.Errorf("%+v, %+v, and the log says %s", last, failure, log)
	}
	if err := r.Done(rpc.LastBackup{Digests: 1}); err != nil {
		t.Error(err)
	}
	if last, _ := r.reported(); last == nil {
		t.Error("the next backup is not recorded")
	}
}

// A disk that takes no file must not make the daemon claim a backup that it forgets.
func TestABackupThatCannotBeRecordedIsRefused(t *testing.T) {
	r := openBackupRecord(filepath.Join(t.TempDir(), "missing"), none, slog.New(slog.DiscardHandler))
	if err := r.Done(rpc.LastBackup{Digests: 1}); err == nil || !strings.Contains(err.Error(), "cannot record the backup") {
		t.Errorf("%v", err)
	}
	if last, _ := r.reported(); last != nil {
		t.Errorf("%+v is told of", last)
	}
}
