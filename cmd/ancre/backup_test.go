package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/batcher/store/storetest"
	"ancre/rpc"
)

// stored is a store with a sealed batch of 300 digests and an open one of 2, which the daemon of a
// rig backs up.
func (r *rig) stored() *pebblestore.Store {
	r.t.Helper()
	s, err := pebblestore.Open(r.t.TempDir(), pebblestore.Options{})
	r.must(err)
	r.t.Cleanup(func() { r.must(s.Close()) })
	r.must(storetest.FillExample(r.t.Context(), s, testTime))
	r.daemon.backup = func(ctx context.Context, w io.Writer) error {
		n, err := s.Snapshot(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		_, err = backup.Write(ctx, w, n, "regtest", testTime)
		return err
	}
	return s
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestBackupSavesTheStore(t *testing.T) {
	r := newRig(t)
	r.stored()
	file := r.path("a.backup")
	r.ancre("backup", file).is(t, exitDone, "Backed up to "+file+" (", "): 302 digests in 2 batches and 0 anchors, with the chain followed to block 1,234.")
	info, err := os.Stat(file)
	r.must(err)
	if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file has mode %v, want 0600: it tells what was stamped", info.Mode())
	}
	want := []rpc.LastBackup{{Taken: testTime, Digests: storetest.ExampleDigests, File: file}}
	if got := r.daemon.backups.done; !slices.Equal(got, want) {
		t.Errorf("the daemon was told of %+v, want %+v", got, want)
	}
}

// The daemon cannot record the backup: it is still good, and a person hears of it.
func TestABackupThatTheDaemonCannotRecordIsGood(t *testing.T) {
	r := newRig(t)
	r.stored()
	r.daemon.backups.err = errors.New("no space left on device")
	a := r.ancre("backup", r.path("a.backup")).is(t, exitDone, "Backed up to ")
	if !strings.Contains(a.err, "the backup is complete, but the daemon could not record it") || !strings.Contains(a.err, "no space left") {
		t.Errorf("standard error: %q", a.err)
	}
}

func TestBackupTellsScripts(t *testing.T) {
	r := newRig(t)
	r.stored()
	file := r.path("a.backup")
	want := backup.Report{File: file, Network: "regtest", Taken: testTime, Digests: 302, Batches: 2, Height: 1234, BlockHash: "01" + strings.Repeat("00", 31)}
	a := r.ancre("--json", "backup", file).is(t, exitDone)
	var got backup.Report
	r.must(json.Unmarshal([]byte(a.out), &got))
	if info, err := os.Stat(file); err != nil || got.Bytes != info.Size() {
		t.Errorf("%d bytes, want those of the file (%v)", got.Bytes, err)
	}
	want.Bytes = got.Bytes
	if got != want || a.err != "" {
		t.Errorf("got %+v, want %+v; standard error: %q", got, want, a.err)
	}
}

func TestBackupNeverOverwritesUnlessForced(t *testing.T) {
	r := newRig(t)
	r.stored()
	file := r.write("a.backup", "what is here")
	r.ancre("backup", file).is(t, exitFailed, file+" is there already", "--force")
	if string(r.read(file)) != "what is here" {
		t.Error("the file was changed")
	}
	r.ancre("backup", "--force", file).is(t, exitDone)
	if info, err := os.Stat(file); err != nil || !bytes.HasPrefix(r.read(file), []byte("ancre backup")) ||
		info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("--force: %v, %v", info.Mode(), err)
	}
	r.ancre("backup", "--force", r.dir).is(t, exitUsage, "is not a regular file")
	r.ancre("backup", r.path("missing/a.backup")).is(t, exitFailed, "no file can be made in the directory", "no such file")
	r.ancre("backup").is(t, exitUsage)
	if names := r.names(); !slices.Equal(names, []string{"a.backup"}) {
		t.Errorf("files left behind: %v", names)
	}
}

func TestBackupToStandardOutput(t *testing.T) {
	r := newRig(t)
	r.stored()
	a := r.ancre("backup", "-").is(t, exitDone)
	if !strings.Contains(a.err, "Backed up to standard output") || !strings.Contains(a.err, "302 digests") {
		t.Errorf("standard error: %q", a.err)
	}
	in, err := backup.Open(strings.NewReader(a.out))
	r.must(err)
	if s, err := in.Verify(t.Context()); err != nil || s.Digests != storetest.ExampleDigests {
		t.Errorf("standard output holds %d digests, %v", s.Digests, err)
	}
	r.with(session{terminal: true}, "backup", "-").is(t, exitUsage, "refusing to write a binary backup")
}

// The file comes whole or not at all, whatever goes wrong on the way.
func TestBackupThatBreaksOffLeavesNoFile(t *testing.T) {
	r := newRig(t)
	r.stored()
	whole := r.daemon.backup
	var full bytes.Buffer
	r.must(whole(t.Context(), &full))
	half := full.Bytes()[:full.Len()/2]
	for name, c := range map[string]struct {
		backup func(context.Context, io.Writer) error
		says   string
	}{
		"the daemon fails": {func(_ context.Context, w io.Writer) error {
			_, _ = w.Write(half)
			return errors.New("batch 7 is damaged")
		}, "batch 7 is damaged"},
		"the daemon dies": {func(ctx context.Context, w io.Writer) error {
			_, _ = w.Write(half)
			go r.http.CloseClientConnections()
			<-ctx.Done()
			return ctx.Err()
		}, "is ancred running?"},
		"something between ends the stream": {func(_ context.Context, w io.Writer) error {
			_, err := w.Write(half)
			return err
		}, "not whole"},
		"something between changes a byte": {func(_ context.Context, w io.Writer) error {
			bad := bytes.Clone(full.Bytes())
			bad[len(bad)/2] ^= 1
			_, err := w.Write(bad)
			return err
		}, "damaged"},
		"another service answers": {func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, strings.Repeat("hello ", 10))
			return err
		}, "not a backup"},
	} {
		r.daemon.backup = c.backup
		r.ancre("backup", r.path("b")).is(t, exitFailed, c.says, "nothing was written to "+r.path("b"))
		if done := r.daemon.backups.done; len(done) > 0 {
			t.Errorf("%s: the daemon was told of %+v", name, done)
		}
		if names := r.names(); len(names) > 0 {
			t.Errorf("%s: files left behind: %v", name, names)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.daemon.backup = func(ctx context.Context, w io.Writer) error {
		_, _ = w.Write(half)
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	r.with(session{ctx: ctx}, "backup", r.path("b")).is(t, exitFailed, "interrupted")
	if names := r.names(); len(names) > 0 {
		t.Errorf("interrupted: files left behind: %v", names)
	}
	r.daemon.backup = whole
	r.ancre("backup", r.path("b")).is(t, exitDone)
}

// The verb went to ancred: whoever types it is told so, with whatever flags it had.
func TestRestoreSaysWhereItWent(t *testing.T) {
	for _, args := range [][]string{{"restore"}, {"restore", "FILE"}, {"restore", "--check", "FILE"}, {"--datadir", "x", "restore", "-"}, {"--json", "restore", "FILE"}} {
		a := call(session{}, args...).is(t, exitUsage, "ancred restore FILE")
		if a.out != "" {
			t.Errorf("%v: standard output: %q", args, a.out)
		}
	}
	if a := call(session{}, "--help").is(t, exitDone); strings.Contains(a.out, "restore  ") {
		t.Errorf("ancre --help lists restore:\n%s", a.out)
	}
}
