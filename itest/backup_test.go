package itest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ancre/rpc"
)

// The unattended backup, as the daily unit runs it: it rotates, ancred rehearses each restore, a
// command copies the file, and the daemon knows how it went, also after a kill and on the machine
// where a backup is restored.
func TestBackupsAreRotatedRehearsedCopiedAndKnown(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the copy command is a shell script")
	}
	w := newLonelyWorld(t)
	dir, copies := t.TempDir(), t.TempDir()
	copier := filepath.Join(t.TempDir(), "copy")
	w.must(os.WriteFile(copier, []byte("#!/bin/sh\nexec cp \"$1\" \"$2\"\n"), 0o700))
	w.daemon.Set("backup", "keep", "2")
	w.daemon.Set("backup", "copy", fmt.Sprintf(`[%q, "{file}", %q]`, copier, copies))
	w.start()
	info := func() (i rpc.Info) { w.call(&i, "getinfo"); return i }
	if i := info(); i.LastBackup != nil || i.BackupFailure != nil {
		t.Errorf("a new daemon knows the backup %+v and the failure %+v", i.LastBackup, i.BackupFailure)
	}
	w.submit(randomDigest())
	w.call(nil, "closebatch")
	var names []string
	for range 3 {
		w.submit(randomDigest())
		w.ancre(0, "backup", "--rotate", dir)
		names = append(names, filepath.Base(info().LastBackup.File))
	}
	found := func(dir string) (names []string) {
		all, err := filepath.Glob(filepath.Join(dir, "*.backup"))
		w.must(err)
		for _, path := range all {
			names = append(names, filepath.Base(path))
		}
		return names
	}
	if got := found(dir); !slices.Equal(got, names[1:]) {
		t.Errorf("%q stay, want %q", got, names[1:])
	}
	if got := found(copies); !slices.Equal(got, names) {
		t.Errorf("%q were copied, want %q", got, names)
	}
	last := info().LastBackup
	if last.Digests != 4 || !last.Rehearsed || !last.Copied {
		t.Errorf("the last backup is %+v", last)
	}

	// The other machine is away: the daemon warns until a backup succeeds.
	w.must(os.Remove(copier))
	if res := w.ancre(1, "backup", "--rotate", dir); !strings.Contains(res.Stderr, "backup.copy failed") {
		t.Errorf("standard error: %s", res.Stderr)
	}
	w.must(w.daemon.Kill9())
	w.start()
	failed := func(d rpc.Warning) bool {
		return d.Kind == "backup_failed" && strings.Contains(d.Text, "backup.copy failed")
	}
	if i := info(); !slices.ContainsFunc(i.Details, failed) || i.LastBackup == nil || i.LastBackup.Copied {
		t.Errorf("after a copy that failed and a kill: %+v, %+v", i.LastBackup, i.Details)
	}
	file := filepath.Join(t.TempDir(), "a.backup")
	w.ancre(0, "backup", file)
	if i := info(); slices.ContainsFunc(i.Details, failed) || i.BackupFailure != nil || i.LastBackup.File != file {
		t.Errorf("after a backup: %+v, %+v, %+v", i.LastBackup, i.BackupFailure, i.Details)
	}

	taken := info().LastBackup.Taken
	w.must(w.daemon.Kill9())
	w.daemon = w.newDaemon(nil)
	w.restore(file)
	w.start()
	if i := info(); i.LastBackup == nil || !i.LastBackup.Taken.Equal(taken) || i.LastBackup.Digests != i.Digests {
		t.Errorf("the restored daemon knows the backup %+v, want that of %s", i.LastBackup, taken)
	}
}

// A rehearsal runs beside the daemon, and finds a byte that changed.
func TestARehearsalRebuildsWhatARestoreWould(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	digests := make([]string, 10_000)
	for i := range digests {
		digests[i] = randomDigest()
	}
	w.call(nil, "submitbatch", digests)
	w.call(nil, "closebatch")
	file := filepath.Join(w.daemon.Home, "a.backup")
	w.ancre(0, "backup", file)
	res, err := w.daemon.RunToEnd(w.ctx, "restore", "--check", file) // beside the daemon, which runs
	w.must(err)
	if res.Code != 0 || !strings.Contains(res.Stdout, "10,000 digests in 1 batch") || !strings.Contains(res.Stdout, "restored for trial") {
		t.Errorf("exit status %d: %s%s", res.Code, res.Stdout, res.Stderr)
	}
	data, err := os.ReadFile(file)
	w.must(err)
	data[len(data)/2] ^= 1
	w.must(os.WriteFile(file, data, 0o600))
	if res, err = w.daemon.RunToEnd(w.ctx, "restore", "--check", file); err != nil || res.Code != 1 || !strings.Contains(res.Stderr, "damaged") {
		t.Errorf("a damaged file: %+v, %v", res, err)
	}
}
