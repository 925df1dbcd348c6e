package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/backup"
	"ancre/batcher/store/pebblestore"
	"ancre/batcher/store/storetest"
	"ancre/internal/datadir"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// restoring is where a new store grows, below a data directory.
const restoring = datadir.Store + ".restoring"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// example is a store with a sealed batch and an open one.
func example(t *testing.T) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open(t.TempDir(), pebblestore.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, storetest.FillExample(t.Context(), s, testTime))
	return s
}

// backedUp is the backup of a store, in a file.
func backedUp(t *testing.T, s *pebblestore.Store) (file string) {
	t.Helper()
	n, err := s.Snapshot(t.Context())
	must(t, err)
	var b bytes.Buffer
	_, err = backup.Write(t.Context(), &b, n, "regtest", testTime)
	must(t, errors.Join(err, n.Close()))
	return write(t, b.Bytes())
}

func write(t *testing.T, data []byte) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "a.backup")
	must(t, os.WriteFile(file, data, 0o644))
	return file
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// restoreTo restores on regtest in a data directory.
func restoreTo(data string, args ...string) answer {
	return call(append([]string{"--datadir", data, "--network", "regtest", "restore"}, args...)...)
}

func TestRestoreBringsTheStoreBack(t *testing.T) {
	old := example(t)
	file := backedUp(t, old)
	data := filepath.Join(t.TempDir(), "new", "data")
	restoreTo(data, file).is(t, exitDone, "302 digests in 2 batches and 0 anchors, with the chain followed to block 1,234.", "taken 2026-01-02 03:04 UTC",
		"ancred --datadir "+data+" --network regtest`", "ancre --datadir "+data+" --network regtest wallet create --restore")
	network := filepath.Join(data, "regtest")
	entries, err := os.ReadDir(network)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{datadir.Marker, datadir.Lock, datadir.Backups, datadir.Store}; !slices.Equal(names, want) {
		t.Errorf("the data directory holds %v, want %v", names, want)
	}
	back, err := pebblestore.Open(filepath.Join(network, datadir.Store), pebblestore.Options{})
	must(t, err)
	defer back.Close()
	at, err := back.Find(t.Context(), []store.Leaf{storetest.Leaf(1, 299), storetest.Leaf(2, 1), storetest.Leaf(2, 2)})
	must(t, err)
	if want := []store.Position{{Batch: 1, Index: 299}, {Batch: 2, Index: 1}, {}}; !slices.Equal(at, want) || back.Key() != old.Key() {
		t.Errorf("leaves stand at %v, want %v; or the key is another", at, want)
	}
}

// Flags may stand before the verb, behind it, and behind the file; and in a configuration.
func TestRestoreTakesTheDaemonsFlags(t *testing.T) {
	file := backedUp(t, example(t))
	dir := t.TempDir()
	conf := filepath.Join(dir, "ancre.conf")
	must(t, os.WriteFile(conf, []byte("datadir = \"d\"\nnetwork = \"regtest\"\n"), 0o600))
	for data, args := range map[string][]string{
		filepath.Join(dir, "a"): {"--network", "regtest", "restore", "--datadir", filepath.Join(dir, "a"), file},
		filepath.Join(dir, "b"): {"restore", file, "--datadir", filepath.Join(dir, "b"), "--network=regtest"},
		filepath.Join(dir, "d"): {"restore", "--config", conf, file},
		filepath.Join(dir, "e"): {"--config", conf, "restore", "--datadir", filepath.Join(dir, "e"), "--", file},
	} {
		call(args...).is(t, exitDone, "Restored to "+filepath.Join(data, "regtest"))
		if !exists(filepath.Join(data, "regtest", datadir.Store)) {
			t.Errorf("%q: there is no store", args)
		}
	}
}

func TestRestoreTellsScripts(t *testing.T) {
	file := backedUp(t, example(t))
	data := t.TempDir()
	want := backup.Report{File: file, DataDir: filepath.Join(data, "regtest"), Network: "regtest", Taken: testTime, Digests: 302, Batches: 2, Height: 1234,
		BlockHash: "01" + strings.Repeat("00", 31), Bytes: int64(len(read(t, file)))}
	a := restoreTo(data, "--json", file).is(t, exitDone)
	var got backup.Report
	must(t, json.Unmarshal([]byte(a.out), &got))
	if got != want || a.err != "" {
		t.Errorf("got %+v, want %+v; standard error: %q", got, want, a.err)
	}
	// The exact name of a file that JSON cannot hold.
	odd := filepath.Join(t.TempDir(), "a\xff")
	if err := os.WriteFile(odd, read(t, file), 0o644); err == nil {
		must(t, json.Unmarshal([]byte(restoreTo(t.TempDir(), "--json", odd).is(t, exitDone).out), &got))
		if !strings.HasSuffix(got.File, `a\xff`) || got.FileBytes == "" {
			t.Errorf("the name of the file is %q, %q", got.File, got.FileBytes)
		}
	}
	for _, args := range [][]string{{"--json", file}, {"--json"}, {"--json", "--bogus"}} {
		a := restoreTo(data, args...)
		var failure struct {
			Error string
			Exit  int
		}
		if err := json.Unmarshal([]byte(a.err), &failure); err != nil || failure.Exit != a.status || a.status == exitDone || failure.Error == "" || a.out != "" {
			t.Errorf("%q: exit status %d, %q, %q (%v)", args, a.status, a.out, a.err, err)
		}
	}
}

func TestRestoreFromStandardInput(t *testing.T) {
	file := backedUp(t, example(t))
	callIn(t.Context(), bytes.NewReader(read(t, file)), "--datadir", t.TempDir(), "--network", "regtest", "restore", "-").is(t, exitDone, "302 digests")
	callIn(t.Context(), strings.NewReader("PK"), "restore", "--check", "-").is(t, exitFailed, "standard input: not a backup")
}

// The bug that it catches: an interrupt does nothing as long as nothing comes through a pipe.
func TestAnInterruptEndsARestore(t *testing.T) {
	whole := read(t, backedUp(t, example(t)))
	data := t.TempDir()
	for _, args := range [][]string{{"--check", "-"}, {"-"}} {
		ctx, cancel := context.WithCancel(t.Context())
		begun, pipe := io.Pipe()
		go func() {
			pipe.Write(whole[:len(whole)/2])
			cancel() // it waits now
		}()
		a := callIn(ctx, begun, append([]string{"--datadir", data, "--network", "regtest", "restore"}, args...)...).is(t, exitFailed, "ancred: interrupted\n")
		if a.out != "" {
			t.Errorf("standard output: %q", a.out)
		}
		for _, name := range []string{datadir.Store, restoring} {
			if exists(filepath.Join(data, "regtest", name)) {
				t.Errorf("%q: %s is left behind", args, name)
			}
		}
	}
}

// hashTree is what lies in a directory, and below.
func hashTree(t *testing.T, dir string) [32]byte {
	t.Helper()
	h := sha256.New()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		io.WriteString(h, path)
		h.Write(data)
		return err
	}))
	return [32]byte(h.Sum(nil))
}

func TestRestoreRefusesABadBackupWithTheRemedy(t *testing.T) {
	data := read(t, backedUp(t, example(t)))
	flipped := bytes.Clone(data)
	flipped[len(data)/2] ^= 1
	for _, c := range []struct {
		name    string
		content []byte
		args    []string
		says    []string
	}{
		{"cut off", data[:len(data)-10], nil, []string{"not whole", "copy it again"}},
		{"a flipped byte", flipped, nil, []string{"damaged near byte", "copy it again"}},
		{"no backup", []byte("PK\x03\x04 and so on"), nil, []string{"not a backup of ancre"}},
		{"only a beginning", data[:40], nil, []string{"not whole"}},
		{"another network", data, []string{"--network", "signet"}, []string{"a backup of regtest", "is signet", "--network regtest"}},
	} {
		file := write(t, c.content)
		dir := t.TempDir()
		restoreTo(dir, append(c.args, file)...).is(t, exitFailed, append(c.says, file)...)
		for _, network := range []string{"regtest", "signet"} {
			for _, name := range []string{datadir.Store, restoring} {
				if exists(filepath.Join(dir, network, name)) {
					t.Errorf("%s: %s is left behind", c.name, name)
				}
			}
		}
	}
	restoreTo(t.TempDir(), filepath.Join(t.TempDir(), "nothing")).is(t, exitFailed, "no such file")
	restoreTo(t.TempDir(), t.TempDir()).is(t, exitUsage, "is a directory")
}

func TestRestoreRefusesABadPlaceWithTheRemedy(t *testing.T) {
	good := backedUp(t, example(t))

	// A daemon runs.
	dir := t.TempDir()
	release, err := datadir.Open(filepath.Join(dir, "regtest"), "regtest")
	must(t, err)
	restoreTo(dir, good).is(t, exitFailed, "an ancred is running in", "ancre rpc stop")
	must(t, release())

	// What an interrupted restore left is no obstacle, nor is a store to which nothing came.
	must(t, os.MkdirAll(filepath.Join(dir, "regtest", restoring), 0o700))
	empty, err := pebblestore.Open(filepath.Join(dir, "regtest", datadir.Store), pebblestore.Options{})
	must(t, err)
	must(t, errors.Join(empty.Apply(t.Context(), &store.Update{Cursor: &store.Cursor{Points: []store.Point{{Height: 9}}}}), empty.Close()))
	restoreTo(dir, good).is(t, exitDone)

	// A store with something in it is.
	path := filepath.Join(dir, "regtest", datadir.Store)
	restoreTo(dir, good).is(t, exitFailed, "a store with 302 digests in "+path, "move that directory away first", "another --datadir")
	s, err := pebblestore.Open(path, pebblestore.Options{})
	must(t, err)
	if n, err := s.NumLeaves(t.Context()); n != 302 || err != nil {
		t.Errorf("after a refused restore there are %d digests (%v)", n, err)
	}
	must(t, s.Close())

	// And so is one that cannot be opened, which is left as it is.
	must(t, filepath.WalkDir(path, func(path string, d os.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), "MANIFEST") {
			return os.Truncate(path, 10)
		}
		return err
	}))
	before := hashTree(t, path)
	restoreTo(dir, good).is(t, exitFailed, "cannot be opened", "move that directory away first")
	if hashTree(t, path) != before {
		t.Error("a store that could not be opened was changed")
	}
}

// A backup is rehearsed without a place to restore it to: on any machine, beside a daemon that
// runs, with whatever configuration.
func TestRestoreCheckOnlyRehearses(t *testing.T) {
	file := backedUp(t, example(t))
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp)
	data := filepath.Join(t.TempDir(), "data")
	call("--datadir", data, "restore", "--check", file).is(t, exitDone,
		"a whole backup of regtest, taken 2026-01-02 03:04 UTC: 302 digests in 2 batches and 0 anchors, with the chain followed to block 1,234.")
	var got backup.Report
	must(t, json.Unmarshal([]byte(call("--datadir", data, "restore", "--json", "--check", file).is(t, exitDone).out), &got))
	if got.Digests != 302 || got.DataDir != "" {
		t.Errorf("got %+v", got)
	}
	bad := read(t, file)
	bad[len(bad)-50] ^= 1
	call("--datadir", data, "restore", "--check", write(t, bad)).is(t, exitFailed, "damaged")
	if exists(data) {
		t.Error("a data directory was made")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	call("--config", filepath.Join(temp, "missing.conf"), "restore", "--check", file).is(t, exitDone, "It was restored for trial")
	t.Setenv("TMPDIR", filepath.Join(temp, "missing"))
	t.Setenv("TMP", filepath.Join(temp, "missing"))
	call("restore", "--check", file).is(t, exitFailed, "TMPDIR")
}

// A restore ends with 1 when something that it had to say was not written.
func TestRestoreFailsWhenItsOutputIsLost(t *testing.T) {
	file := backedUp(t, example(t))
	dir, n := t.TempDir(), 0
	losesNothing(t, func() []string {
		n++
		return []string{"--datadir", filepath.Join(dir, strconv.Itoa(n)), "--network", "regtest", "restore", file}
	})
	losesNothing(t, func() []string { return []string{"restore", "--check", file} })
	losesNothing(t, func() []string { return []string{"restore", "--check", "--json", file} })
}

// A file's name is no text of ours: it does nothing to a terminal.
func TestRestorePrintsNamesHarmlessly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "\x1b[2J\nall is well")
	if err := os.WriteFile(file, read(t, backedUp(t, example(t))), 0o644); err != nil {
		t.Skip(err)
	}
	for _, args := range [][]string{{"--check", file}, {file, "--json"}, {file}, {file}} { // the last finds a store
		if a := restoreTo(filepath.Dir(file), args...); strings.Contains(a.out+a.err, "\x1b") || strings.Contains(a.out+a.err, "\nall") {
			t.Errorf("%q: %q, %q", args, a.out, a.err)
		}
	}
	if a := restoreTo(t.TempDir(), file+"\nx").is(t, exitFailed, "no such file"); strings.Count(a.err, "\n") != 1 {
		t.Errorf("%q", a.err)
	}
}

// A restore that is killed leaves no store or a whole one, and the next begins again.
func TestKilledRestoreLeavesNoHalfStore(t *testing.T) {
	s := example(t)
	const many = 200_000
	b := store.Batch{ID: 2, State: store.Open, Count: many, Opened: testTime}
	must(t, s.Append(t.Context(), storetest.Group([]store.Batch{b}, 2, 2, many)))
	file := backedUp(t, s)

	data := t.TempDir()
	path, growing := filepath.Join(data, "regtest", datadir.Store), filepath.Join(data, "regtest", restoring)
	for range 3 {
		cmd := program("--datadir", data, "--network", "regtest", "restore", file)
		must(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for deadline := time.Now().Add(2 * time.Minute); !exists(growing) && !exists(path); {
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
		must(t, err)
		n, err := whole.NumLeaves(t.Context())
		must(t, errors.Join(err, whole.Close(), os.RemoveAll(path)))
		if n != many+300 {
			t.Errorf("there is a store with %d digests of %d", n, many+300)
		}
	}
	restoreTo(data, file).is(t, exitDone, "200,300 digests")
	if exists(growing) {
		t.Error("what the killed ones left is still there")
	}
}
