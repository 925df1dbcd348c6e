package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
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
	"ancre/internal/datadir"
)

// stored is a store with a sealed batch of 300 digests and an open one of 2, which the daemon of a
// rig backs up.
func (r *rig) stored() *pebblestore.Store {
	r.t.Helper()
	s, err := pebblestore.Open(r.t.TempDir(), pebblestore.Options{})
	r.must(err)
	r.t.Cleanup(func() { r.must(s.Close()) })
	ctx := r.t.Context()
	first := store.Batch{ID: 1, State: store.Closed, Count: 300, Opened: testTime, Closed: testTime}
	r.must(s.Append(ctx, storetest.Group([]store.Batch{first}, 1, 0, 300)))
	second := store.Batch{ID: 2, State: store.Open, Count: 2, Opened: testTime}
	r.must(s.Append(ctx, storetest.Group([]store.Batch{second}, 2, 0, 2)))
	sealed, nodes := storetest.Seal(first)
	r.must(s.Apply(ctx, &store.Update{
		Batches: []store.Batch{sealed},
		Nodes:   nodes,
		Cursor:  &store.Cursor{Points: []store.Point{{Height: 1234, Hash: [32]byte{31: 1}}}},
	}))
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

// restore runs ancre restore for a data directory of its own.
func (r *rig) restore(data string, args ...string) answer {
	r.t.Helper()
	return call(session{}, append([]string{"--datadir", data, "--network", "regtest"}, args...)...)
}

func TestBackupAndRestoreBringTheStoreBack(t *testing.T) {
	r := newRig(t)
	old := r.stored()
	file := r.path("a.backup")
	r.ancre("backup", file).is(t, exitDone, "Backed up 302 digests in 2 batches and 0 anchors, with the chain followed to block 1,234, to "+file)
	info, err := os.Stat(file)
	r.must(err)
	if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file has mode %v, want 0600: it tells what was stamped", info.Mode())
	}

	data := filepath.Join(t.TempDir(), "new", "data")
	r.restore(data, "restore", file).is(t, exitDone, "Restored 302 digests in 2 batches", "taken 2026-01-02 03:04 UTC",
		"ancred --datadir "+data+" --network regtest`", "ancre --datadir "+data+" --network regtest wallet create --restore")
	network := filepath.Join(data, "regtest")
	entries, err := os.ReadDir(network)
	r.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{datadir.Marker, datadir.Lock, datadir.Store}; !slices.Equal(names, want) {
		t.Errorf("the data directory holds %v, want %v", names, want)
	}
	back, err := pebblestore.Open(filepath.Join(network, datadir.Store), pebblestore.Options{})
	r.must(err)
	defer back.Close()
	at, err := back.Find(t.Context(), []store.Leaf{storetest.Leaf(1, 299), storetest.Leaf(2, 1), storetest.Leaf(2, 2)})
	r.must(err)
	if want := []store.Position{{Batch: 1, Index: 299}, {Batch: 2, Index: 1}, {}}; !slices.Equal(at, want) || back.Key() != old.Key() {
		t.Errorf("leaves stand at %v, want %v; or the key is another", at, want)
	}
}

func TestBackupTellsScripts(t *testing.T) {
	r := newRig(t)
	r.stored()
	file := r.path("a.backup")
	want := backupResult{File: file, Network: "regtest", Taken: testTime, Digests: 302, Batches: 2, Height: 1234, BlockHash: "01" + strings.Repeat("00", 31)}
	check := func(a answer) {
		t.Helper()
		a.is(t, exitDone)
		var got backupResult
		r.must(json.Unmarshal([]byte(a.out), &got))
		if info, err := os.Stat(file); err != nil || got.Bytes != info.Size() {
			t.Errorf("%d bytes, want those of the file (%v)", got.Bytes, err)
		}
		want.Bytes = got.Bytes
		if got != want || a.err != "" {
			t.Errorf("got %+v, want %+v; standard error: %q", got, want, a.err)
		}
	}
	check(r.ancre("--json", "backup", file))
	data := t.TempDir()
	want.DataDir = filepath.Join(data, "regtest")
	check(r.restore(data, "--json", "restore", file))
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
	r.ancre("backup", "--force", r.dir).is(t, exitUsage, "is no file")
	r.ancre("backup", r.path("missing/a.backup")).is(t, exitFailed, "no file can be made in the directory", "no such file")
	r.ancre("backup").is(t, exitUsage)
	if names := r.names(); !slices.Equal(names, []string{"a.backup"}) {
		t.Errorf("files left behind: %v", names)
	}
}

func TestBackupToStandardOutputAndBack(t *testing.T) {
	r := newRig(t)
	r.stored()
	a := r.ancre("backup", "-").is(t, exitDone)
	if !strings.Contains(a.err, "Backed up 302 digests") {
		t.Errorf("standard error: %q", a.err)
	}
	data := t.TempDir()
	call(session{in: a.out}, "--datadir", data, "--network", "regtest", "restore", "-").is(t, exitDone, "Restored 302 digests")
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

// hashTree is what lies in a directory, and below.
func hashTree(t *testing.T, dir string) [32]byte {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		io.WriteString(h, path)
		h.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

func TestRestoreRefusesWithTheRemedy(t *testing.T) {
	r := newRig(t)
	r.stored()
	good := r.path("good")
	r.ancre("backup", good).is(t, exitDone)
	data := r.read(good)
	flipped := bytes.Clone(data)
	flipped[len(data)/2] ^= 1
	newer := bytes.Clone(data[:40])
	for _, c := range []struct {
		name    string
		content []byte
		args    []string
		exit    int
		says    []string
	}{
		{"cut off", data[:len(data)-10], nil, exitFailed, []string{"not whole", "copy it again"}},
		{"a flipped byte", flipped, nil, exitFailed, []string{"damaged near byte", "copy it again"}},
		{"no backup", []byte("PK\x03\x04 and so on"), nil, exitFailed, []string{"not a backup of ancre"}},
		{"only a beginning", newer, nil, exitFailed, []string{"not whole"}},
		{"another network", data, []string{"--network", "signet"}, exitFailed, []string{"a backup of regtest", "is signet", "--network regtest"}},
		{"with an address", data, []string{"--rpc", "127.0.0.1:1"}, exitUsage, []string{"--rpc"}},
	} {
		file := r.write("bad", string(c.content))
		dir := t.TempDir()
		r.restore(dir, append(c.args, "restore", file)...).is(t, c.exit, c.says...)
		for _, network := range []string{"regtest", "signet"} {
			for _, name := range []string{datadir.Store, datadir.Store + restoringSuffix} {
				if exists(filepath.Join(dir, network, name)) {
					t.Errorf("%s: %s is left behind", c.name, name)
				}
			}
		}
	}
	r.restore(t.TempDir(), "restore", r.path("nothing")).is(t, exitFailed, "no such file")
	r.restore(t.TempDir(), "restore", r.dir).is(t, exitUsage, "is a directory")

	// A daemon runs.
	dir := t.TempDir()
	release, err := datadir.Open(filepath.Join(dir, "regtest"), "regtest")
	r.must(err)
	r.restore(dir, "restore", good).is(t, exitFailed, "an ancred runs in", "ancre rpc stop")
	r.must(release())

	// What an interrupted restore left is no obstacle, nor is a store to which nothing came.
	r.must(os.MkdirAll(filepath.Join(dir, "regtest", datadir.Store+restoringSuffix), 0o700))
	empty, err := pebblestore.Open(filepath.Join(dir, "regtest", datadir.Store), pebblestore.Options{})
	r.must(err)
	r.must(errors.Join(empty.Apply(t.Context(), &store.Update{Cursor: &store.Cursor{Points: []store.Point{{Height: 9}}}}), empty.Close()))
	r.restore(dir, "restore", good).is(t, exitDone)

	// A store with something in it is.
	path := filepath.Join(dir, "regtest", datadir.Store)
	r.restore(dir, "restore", good).is(t, exitFailed, "a store with 302 digests in "+path, "move that directory away first", "another --datadir")
	s, err := pebblestore.Open(path, pebblestore.Options{})
	r.must(err)
	if n, err := s.NumLeaves(t.Context()); n != 302 || err != nil {
		t.Errorf("after a refused restore there are %d digests (%v)", n, err)
	}
	r.must(s.Close())

	// And so is one that cannot be opened, which is left as it is.
	r.must(filepath.WalkDir(path, func(path string, d os.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), "MANIFEST") {
			return os.Truncate(path, 10)
		}
		return err
	}))
	before := hashTree(t, path)
	r.restore(dir, "restore", good).is(t, exitFailed, "cannot be opened", "move that directory away first")
	if hashTree(t, path) != before {
		t.Error("a store that could not be opened was changed")
	}
}

// A backup is verified without a place to restore it to: on whatever machine, beside a daemon that
// runs.
func TestRestoreCheckOnlyVerifies(t *testing.T) {
	r := newRig(t)
	r.stored()
	file := r.path("a.backup")
	r.ancre("backup", file).is(t, exitDone)
	data := filepath.Join(t.TempDir(), "data")
	call(session{}, "--datadir", data, "restore", "--check", file).is(t, exitDone,
		"a whole backup of regtest, taken 2026-01-02 03:04 UTC: 302 digests in 2 batches and 0 anchors, with the chain followed to block 1,234.")
	var got backupResult
	r.must(json.Unmarshal([]byte(call(session{}, "--datadir", data, "--json", "restore", "--check", file).is(t, exitDone).out), &got))
	if got.Digests != 302 || got.DataDir != "" {
		t.Errorf("got %+v", got)
	}
	bad := r.read(file)
	bad[len(bad)-50] ^= 1
	call(session{}, "--datadir", data, "restore", "--check", r.write("bad", string(bad))).is(t, exitFailed, "damaged")
	if exists(data) {
		t.Error("a data directory was made")
	}
}

// A restore that is killed leaves no store or a whole one, and the next begins anew.
func TestKilledRestoreLeavesNoHalfStore(t *testing.T) {
	r := newRig(t)
	s := r.stored()
	const many = 200_000
	b := store.Batch{ID: 2, State: store.Open, Count: many, Opened: testTime}
	r.must(s.Append(t.Context(), storetest.Group([]store.Batch{b}, 2, 2, many)))
	file := r.path("a.backup")
	r.ancre("backup", file).is(t, exitDone)

	data := t.TempDir()
	path := filepath.Join(data, "regtest", datadir.Store)
	for range 3 {
		cmd := exec.Command(os.Args[0], "--datadir", data, "--network", "regtest", "restore", file)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		r.must(cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for deadline := time.Now().Add(2 * time.Minute); !exists(path+restoringSuffix) && !exists(path); {
			if time.Now().After(deadline) {
				t.Error("no restore began within two minutes")
				break
			}
			runtime.Gosched()
		}
		_ = cmd.Process.Kill()
		<-ended
		if !exists(path) {
			continue
		}
		whole, err := pebblestore.Open(path, pebblestore.Options{}) // the kill came late
		r.must(err)
		n, err := whole.NumLeaves(t.Context())
		r.must(errors.Join(err, whole.Close(), os.RemoveAll(path)))
		if n != many+300 {
			t.Errorf("there is a store with %d digests of %d", n, many+300)
		}
	}
	r.restore(data, "restore", file).is(t, exitDone, "Restored 200,300 digests")
	if exists(path + restoringSuffix) {
		t.Error("what the killed ones left is still there")
	}
}
