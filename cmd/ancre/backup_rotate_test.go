package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/batcher/store/storetest"
	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/rpc"
)

// rotating is a rig whose daemon takes backups, and a directory for them.
type rotating struct {
	*rig
	store *pebblestore.Store
	more  uint64    // digests that came after those of the example
	now   time.Time // by the daemon's clock
	into  string    // the directory
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	r := &rotating{rig: newRig(t), now: testTime}
	r.store = r.stored()
	r.daemon.backup = r.write
	r.into = r.path("backups")
	r.must(os.Mkdir(r.into, 0o700))
	return r
}

func (r *rotating) write(ctx context.Context, w io.Writer) error {
	n, err := r.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer n.Close()
	_, err = backup.Write(ctx, w, n, "regtest", r.now)
	return err
}

// submit adds a digest to the open batch.
func (r *rotating) submit() {
	r.t.Helper()
	open, err := r.store.Batch(r.t.Context(), 2)
	r.must(err)
	leaf := store.Leaf{0xff, byte(r.more)}
	at := store.Position{Batch: 2, Index: open.Count}
	open.Count++
	r.more++
	r.must(r.store.Append(r.t.Context(), &store.Append{Leaves: []store.Leaf{leaf}, At: []store.Position{at}, Batches: []store.Batch{open}}))
}

// later passes some time.
func (r *rotating) later(d time.Duration) { r.now = r.now.Add(d) }

// backups lists the directory, but for the lock.
func (r *rotating) backups() (names []string) {
	r.t.Helper()
	entries, err := os.ReadDir(r.into)
	r.must(err)
	for _, e := range entries {
		if e.Name() != backupLock {
			names = append(names, e.Name())
		}
	}
	return names
}

func (r *rotating) wantBackups(want ...string) {
	r.t.Helper()
	if got := r.backups(); !slices.Equal(got, want) {
		r.t.Errorf("the directory holds %q, want %q", got, want)
	}
}

func (r *rotating) wantFailure(text string) {
	r.t.Helper()
	if all := r.daemon.backups.failed; len(all) == 0 || !strings.Contains(all[len(all)-1], text) {
		r.t.Errorf("the daemon heard of the failures %q, want %q", all, text)
	}
}

// configure adds a section to the configuration.
func (r *rotating) configure(section string) {
	r.t.Helper()
	path := filepath.Join(r.data, config.FileName)
	r.must(os.WriteFile(path, append(r.read(path), section...), 0o600))
}

// script makes a program of a few lines.
func (r *rotating) script(name, lines string) string {
	r.t.Helper()
	if runtime.GOOS == "windows" {
		r.t.Skip("there are no shell scripts on Windows")
	}
	path := filepath.Join(r.t.TempDir(), name)
	r.must(os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o700))
	return path
}

func TestRotateKeepsTheNewest(t *testing.T) {
	r := newRotating(t)
	for range 4 {
		r.ancre("backup", "--rotate", "--keep", "2", r.into).is(t, exitDone, "302 digests")
		r.later(24 * time.Hour)
	}
	r.wantBackups("ancre-regtest-2026-01-04T030405Z.backup", "ancre-regtest-2026-01-05T030405Z.backup")
	info, err := os.Stat(filepath.Join(r.into, r.backups()[0]))
	r.must(err)
	if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v", info.Mode())
	}
	done := r.daemon.backups.done
	want := rpc.LastBackup{Taken: testTime.Add(72 * time.Hour), Digests: 302, File: filepath.Join(r.into, r.backups()[1])}
	if len(done) != 4 || done[3] != want || len(r.daemon.backups.failed) > 0 {
		t.Errorf("the daemon heard of %+v and %q, want %+v as the last", done, r.daemon.backups.failed, want)
	}
	// The configuration says how many otherwise. A run that was killed before it removed old ones
	// is made good by the next.
	r.configure("[backup]\nkeep = 1\n")
	r.ancre("backup", "--rotate", r.into).is(t, exitDone, "1 backup is there now", "2 removed")
	r.wantBackups("ancre-regtest-2026-01-06T030405Z.backup")
}

func TestRotateTellsScripts(t *testing.T) {
	r := newRotating(t)
	r.ancre("backup", "--rotate", r.into).is(t, exitDone)
	r.later(time.Hour)
	a := r.with(session{ancred: r.script("ancred", "exit 0\n")}, "--json", "backup", "--rotate", "--keep", "1", r.into).is(t, exitDone)
	var got rotationReport
	r.must(json.Unmarshal([]byte(a.out), &got))
	if got.Digests != 302 || !got.Rehearsed || got.Copied || got.Kept != 1 || !slices.Equal(got.Removed, []string{"ancre-regtest-2026-01-02T030405Z.backup"}) ||
		got.File != filepath.Join(r.into, "ancre-regtest-2026-01-02T040405Z.backup") || a.err != "" {
		t.Errorf("%+v; standard error: %q", got, a.err)
	}
}

// A file that this verb did not make stays, whatever its name is.
func TestRotateTouchesNothingElse(t *testing.T) {
	r := newRotating(t)
	other, full := newRotating(t), bytes.Buffer{}
	r.must(other.write(t.Context(), &full))
	var own bytes.Buffer
	r.must(r.write(t.Context(), &own))
	name := func(day int) string { return fmt.Sprintf("ancre-regtest-2025-12-%02dT030405Z.backup", day) }
	put := func(name string, data []byte) { r.must(os.WriteFile(filepath.Join(r.into, name), data, 0o600)) }
	put(name(1), full.Bytes())                                  // of another store
	put(name(2), []byte("a letter"))                            // no backup
	put(name(3), own.Bytes()[:20])                              // cut in its header
	put("ancre-mainnet-2025-12-01T030405Z.backup", own.Bytes()) // named for another network
	put("ancre-regtest-2025-12-01.backup", own.Bytes())         // an operator's name
	put(name(4)+".gpg", own.Bytes())
	put("notes.txt", nil)
	r.must(os.Mkdir(filepath.Join(r.into, name(5)), 0o700))
	if runtime.GOOS != "windows" {
		elsewhere := r.write2("elsewhere", own.Bytes())
		r.must(os.Symlink(elsewhere, filepath.Join(r.into, name(6))))
	}
	before := r.backups()
	put(name(7), own.Bytes()) // as one of ours
	r.ancre("backup", "--rotate", "--keep", "1", r.into).is(t, exitDone, "1 backup is in", "of another daemon", "1 removed")
	want := append(before, "ancre-regtest-2026-01-02T030405Z.backup")
	slices.Sort(want)
	r.wantBackups(want...)
}

// write2 makes a file outside of the directory of backups.
func (r *rotating) write2(name string, data []byte) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), name)
	r.must(os.WriteFile(path, data, 0o600))
	return path
}

// The clock jumps back, and later forward again. What holds most stays.
func TestRotateOverAClockThatJumps(t *testing.T) {
	r := newRotating(t)
	run := func() { r.ancre("backup", "--rotate", "--keep", "2", r.into).is(t, exitDone) }
	run()
	r.submit()
	r.later(24 * time.Hour)
	run()
	r.submit()
	r.now = time.Date(1970, 1, 1, 0, 0, 5, 0, time.UTC)
	run() // holds more than the two before
	r.wantBackups("ancre-regtest-1970-01-01T000005Z.backup", "ancre-regtest-2026-01-03T030405Z.backup")
	run() // at the same second
	r.wantBackups("ancre-regtest-1970-01-01T000005Z.backup", "ancre-regtest-1970-01-01T000006Z.backup")
	r.submit()
	r.now = testTime.Add(72 * time.Hour)
	run()
	r.wantBackups("ancre-regtest-1970-01-01T000006Z.backup", "ancre-regtest-2026-01-05T030405Z.backup")
}

// An older backup was restored: what holds more than the daemon has now is not removed, and counts
// for nothing.
func TestRotateKeepsWhatTheDaemonLost(t *testing.T) {
	r := newRotating(t)
	var old bytes.Buffer
	r.must(r.write(t.Context(), &old))
	r.submit()
	r.ancre("backup", "--rotate", r.into).is(t, exitDone)
	r.daemon.backup = func(_ context.Context, w io.Writer) error { _, err := w.Write(old.Bytes()); return err }
	for range 3 {
		r.ancre("backup", "--rotate", "--keep", "1", r.into).is(t, exitDone, "ancre-regtest-2026-01-02T030405Z.backup holds more digests (303) than the daemon has now (302)")
		if names := r.backups(); len(names) != 2 || names[0] != "ancre-regtest-2026-01-02T030405Z.backup" {
			t.Errorf("the directory holds %q", names)
		}
	}
}

func TestRotateOneAtATime(t *testing.T) {
	r := newRotating(t)
	release, err := lockBackups(r.into)
	r.must(err)
	r.ancre("backup", "--rotate", r.into).is(t, exitFailed, r.into, "is at work there: wait until it ends")
	r.wantBackups()
	if len(r.daemon.backups.failed) > 0 {
		t.Errorf("the daemon warns of %q, and a backup is being taken", r.daemon.backups.failed)
	}
	r.must(release())
	r.ancre("backup", "--rotate", r.into).is(t, exitDone)
}

// The restore is rehearsed with the new file, in the directory of backups. If that fails, nothing
// is removed.
func TestRotateRehearses(t *testing.T) {
	r := newRotating(t)
	calls := filepath.Join(t.TempDir(), "calls")
	r.ancre("backup", "--rotate", r.into).is(t, exitDone, "There is no ancred on this machine")
	r.later(time.Hour)
	good := session{ancred: r.script("ancred", `echo "$@" "$TMPDIR" >>`+calls+"\n")}
	r.with(good, "backup", "--rotate", "--keep", "1", r.into).is(t, exitDone, "The restore was rehearsed", "1 removed")
	file := filepath.Join(r.into, "ancre-regtest-2026-01-02T040405Z.backup")
	if got, want := string(r.read(calls)), "restore --check "+file+" "+r.into+"\n"; got != want {
		t.Errorf("ancred was called with %q, want %q", got, want)
	}
	if done := r.daemon.backups.done; len(done) != 2 || done[0].Rehearsed || !done[1].Rehearsed {
		t.Errorf("the daemon heard of %+v", done)
	}
	r.later(time.Hour)
	bad := session{ancred: r.script("ancred", "echo 'ancred: batch 7 is damaged' >&2\nexit 1\n")}
	r.with(bad, "backup", "--rotate", "--keep", "1", r.into).is(t, exitFailed, "the rehearsal of the restore failed, so no old backup was removed", "ended with exit status 1: ancred: batch 7 is damaged")
	r.wantFailure("batch 7 is damaged")
	if len(r.backups()) != 2 || len(r.daemon.backups.done) != 2 {
		t.Errorf("the directory holds %q, and the daemon heard of %+v", r.backups(), r.daemon.backups.done)
	}
}

// Without ancred the file is read back: a disk that returns other bytes is found.
func TestRotateReadsBack(t *testing.T) {
	r := newRotating(t)
	r.ancre("backup", "--rotate", r.into).is(t, exitDone)
	dir, err := atomicfile.OpenDir(r.into)
	r.must(err)
	defer dir.Close()
	all, err := storedBackups(dir, "regtest")
	r.must(err)
	rot := &rotation{dir: dir, made: all[0]}
	r.must(rot.readBack(t.Context()))
	path := filepath.Join(r.into, all[0].name)
	data := r.read(path)
	data[len(data)-60] ^= 1
	r.must(os.WriteFile(path, data, 0o600))
	if err := rot.readBack(t.Context()); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestRotateCopiesElsewhere(t *testing.T) {
	r := newRotating(t)
	elsewhere := t.TempDir()
	t.Setenv(passwordVariable, "secret")
	copier := r.script("copy", "test -z \"$"+passwordVariable+"\" && cp \"$2\" \"$3\" && echo sent\n")
	r.configure(fmt.Sprintf("[backup]\nkeep = 1\ncopy = [%q, \"-q; x\", \"{file}\", %q]\n", copier, elsewhere))
	r.ancre("backup", "--rotate", r.into).is(t, exitDone, copier+" copied it", "sent")
	name := "ancre-regtest-2026-01-02T030405Z.backup"
	if got := r.read(filepath.Join(elsewhere, name)); !bytes.Equal(got, r.read(filepath.Join(r.into, name))) {
		t.Error("the copy is another file")
	}
	if done := r.daemon.backups.done; len(done) != 1 || !done[0].Copied {
		t.Errorf("the daemon heard of %+v", done)
	}
	if a := r.ancre("backup", "-q", "--rotate", r.into).is(t, exitDone); a.out+a.err != "" {
		t.Errorf("with -q: %q %q", a.out, a.err)
	}
}

// A copy that fails: the exit status, the message and the daemon say so. The backup is there, and
// old ones go, or the disk would fill while the other machine is away.
func TestRotateWhenTheCopyFails(t *testing.T) {
	r := newRotating(t)
	r.ancre("backup", "--rotate", r.into).is(t, exitDone)
	r.later(time.Hour)
	copier := r.script("copy", "echo 'connecting' >&2\necho 'ssh: no route to host' >&2\nexit 23\n")
	r.configure(fmt.Sprintf("[backup]\nkeep = 1\ncopy = [%q, \"{file}\"]\n", copier))
	r.ancre("backup", "--rotate", r.into).is(t, exitFailed, "backup.copy failed", "ended with exit status 23: connecting; ssh: no route to host; the backup itself is good")
	r.wantBackups("ancre-regtest-2026-01-02T040405Z.backup")
	r.wantFailure("ssh: no route to host")
	if done := r.daemon.backups.done; len(done) != 2 || done[1].Copied {
		t.Errorf("the daemon heard of %+v", done)
	}
	r.configure("")
	missing := filepath.Join(t.TempDir(), "rsync")
	path := filepath.Join(r.data, config.FileName)
	r.must(os.WriteFile(path, bytes.Replace(r.read(path), []byte(copier), []byte(missing), 1), 0o600))
	r.ancre("backup", "--rotate", r.into).is(t, exitFailed, "backup.copy failed", missing, "no such file")
}

// What a killed run left behind goes with the next one. What may belong to a run that goes on
// stays.
func TestRotateCleansUpAfterAKill(t *testing.T) {
	r := newRotating(t)
	old := time.Now().Add(-2 * staleAfter)
	for _, name := range []string{".ancre-OLD.tmp", ".ancre-NEW.tmp", ".ancre-other", "x.tmp"} {
		path := filepath.Join(r.into, name)
		r.must(os.WriteFile(path, []byte("half"), 0o600))
		if name != ".ancre-NEW.tmp" {
			r.must(os.Chtimes(path, old, old))
		}
	}
	for _, name := range []string{"old", "new"} {
		path := filepath.Join(r.into, backup.RehearsalPrefix+name)
		r.must(os.MkdirAll(filepath.Join(path, "store"), 0o700))
		if name == "old" {
			r.must(os.Chtimes(path, old, old))
		}
	}
	r.ancre("backup", "--rotate", r.into).is(t, exitDone, "Removed what an interrupted backup left behind: .ancre-OLD.tmp, .ancre-rehearsal-old.")
	r.wantBackups(".ancre-NEW.tmp", ".ancre-other", ".ancre-rehearsal-new", "ancre-regtest-2026-01-02T030405Z.backup", "x.tmp")
}

// A backup that breaks off leaves the old ones and no part of a file, and the daemon hears why.
func TestRotateThatBreaksOffLeavesTheOldBackups(t *testing.T) {
	r := newRotating(t)
	r.ancre("backup", "--rotate", r.into).is(t, exitDone)
	before := r.backups()
	r.daemon.backup = func(_ context.Context, w io.Writer) error {
		_, _ = w.Write([]byte("ancre backup\r\n\x1a\n"))
		return errors.New("batch 7 is damaged")
	}
	r.ancre("backup", "--rotate", "--keep", "1", r.into).is(t, exitFailed, "no backup was added to "+r.into, "batch 7 is damaged")
	r.wantBackups(before...)
	r.wantFailure("batch 7 is damaged")

	ctx, cancel := context.WithCancel(t.Context())
	r.daemon.backup = func(ctx context.Context, w io.Writer) error {
		_, _ = w.Write([]byte("ancre backup\r\n\x1a\n"))
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	r.with(session{ctx: ctx}, "backup", "--rotate", r.into).is(t, exitFailed, "interrupted")
	r.wantBackups(before...)
	r.wantFailure("it was interrupted")
}

func TestRotateRefusesWhatItCannotDo(t *testing.T) {
	r := newRotating(t)
	for _, args := range [][]string{{"--keep", "3", r.into}, {"--rotate", "--keep", "0", r.into}, {"--rotate", "--force", r.into}, {"--rotate", "-"}, {"--rotate"}} {
		r.ancre(append([]string{"backup"}, args...)...).is(t, exitUsage)
	}
	missing := filepath.Join(r.into, "disk")
	r.ancre("backup", "--rotate", missing).is(t, exitFailed, missing+" does not exist", "mount its disk")
	r.wantFailure("mount its disk")
	r.ancre("backup", "--rotate", r.write2("file", nil)).is(t, exitFailed)
	r.daemon.backups.err = errors.New("no space left on device")
	r.ancre("backup", "--rotate", r.into).is(t, exitFailed, "was written, but the daemon could not record it: no space left")
}

func TestABackupThatDoesNotFitIsNotBegun(t *testing.T) {
	const huge = 1 << 50
	dir := t.TempDir()
	if err := fitsFile(filepath.Join(dir, "a"), huge); err == nil || !strings.Contains(err.Error(), "the backup takes about 36.0 PB") {
		t.Errorf("%v", err)
	}
	if err := fitsFile(filepath.Join(dir, "a"), 1); err != nil {
		t.Error(err)
	}
	r := &rotation{path: dir}
	if err := r.fits(huge); err == nil || !strings.Contains(err.Error(), "lower backup.keep") {
		t.Errorf("%v", err)
	}
	if err := r.fits(storetest.ExampleDigests); err != nil {
		t.Error(err)
	}
}
