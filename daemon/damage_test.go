package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/config"
	"ancre/internal/datadir"
	"ancre/rpc"
	"ancre/spv"
	"ancre/wallet"
)

// damages are what may happen to a file.
var damages = []struct {
	name string
	do   func(path string, data []byte) error
}{
	{"missing", func(path string, _ []byte) error { return os.Remove(path) }},
	{"empty", func(path string, _ []byte) error { return os.Truncate(path, 0) }},
	{"zeros", func(path string, data []byte) error { return os.WriteFile(path, make([]byte, len(data)), 0o600) }},
	{"cut", func(path string, data []byte) error { return os.Truncate(path, int64(len(data)/2)) }},
	{"one bit", func(path string, data []byte) error {
		// The same bit each time, somewhere in the part that is in use.
		h := fnv.New32a()
		h.Write([]byte(filepath.Base(path)))
		used := len(strings.TrimRight(string(data), "\x00"))
		if used > 0 {
			data[int(h.Sum32())%used] ^= 0x10
		}
		return os.WriteFile(path, data, 0o600)
	}},
	{"unreadable", func(path string, _ []byte) error {
		// Root may read everything, but no link that leads to itself.
		return errors.Join(os.Remove(path), os.Symlink(filepath.Base(path), path))
	}},
	{"a directory", func(path string, _ []byte) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }},
}

// usedDir makes the data directory of a daemon that took digests and has a wallet, and has ended.
func usedDir(t *testing.T) (c config.Config, before rpc.Info) {
	t.Helper()
	c = testConfig(t)
	c.Calendar.Listen = ""
	log, stop := starts(t, c)
	client := dial(t, c, log)
	submit(t, client, "before")
	if err := client.Call(context.Background(), "closebatch", nil); err != nil {
		t.Fatal(err)
	}
	submit(t, client, "before, too")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	makeWallet(t, c)
	log, stop = starts(t, c)
	before = info(t, c, log)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if before.Wallet.State != string(wallet.Locked) || before.Digests != 2 {
		t.Fatalf("%+v", before)
	}
	cookie := filepath.Join(netDir(t, c), datadir.Cookie) // as after a crash
	if err := os.WriteFile(cookie, []byte("__cookie__:"+strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	return c, before
}

func makeWallet(t *testing.T, c config.Config) {
	t.Helper()
	params, err := spv.Params(c.Network)
	if err != nil {
		t.Fatal(err)
	}
	client, err := spv.Open(spv.Config{Params: params, Dir: filepath.Join(netDir(t, c), datadir.SPV)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := wallet.Open(wallet.Config{Dir: filepath.Join(netDir(t, c), datadir.Wallet), Params: params, Chain: client})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Create(context.Background(), []byte("correct horse"), nil, time.Time{})
	if err = errors.Join(err, w.Close(), client.Close()); err != nil {
		t.Fatal(err)
	}
}

func netDir(t *testing.T, c config.Config) string {
	t.Helper()
	dir, err := c.NetworkDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// dial returns a client of a daemon that answers.
func dial(t *testing.T, c config.Config, log *output) *rpc.Client {
	t.Helper()
	info(t, c, log)
	client, err := rpc.NewCookieClient("http://"+address(t, log), filepath.Join(netDir(t, c), datadir.Cookie))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func submit(t *testing.T, client *rpc.Client, what string) {
	t.Helper()
	digest := sha256.Sum256([]byte(what))
	if err := client.Call(context.Background(), "submit", nil, fmt.Sprintf("%x", digest)); err != nil {
		t.Errorf("submit: %v", err)
	}
}

// filesBelow lists the files of a data directory, by their names from there.
func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			name, _ := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// told are other words for a file, in which its damage may be told.
var told = map[string][]string{
	"wallet/wallet.db":           {"there is no wallet yet"}, // missing: it may never have been there
	"spv/neutrino.db":            {"header files are damaged"},
	"spv/block_headers.bin":      {"header files are damaged"},
	"spv/reg_filter_headers.bin": {"header files are damaged"},
}

// Whatever happens to a file of the data directory while the daemon is down: it starts, takes
// digests and says what it did; or it refuses and names the file. Where it says nothing, nothing is
// different. A panic anywhere ends this test's process.
func TestDamagedFilesAreToldOrRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no links")
	}
	whole, before := usedDir(t)
	// Damage inside of the store's files is the store's to tell, see its own tests.
	files := slices.DeleteFunc(filesBelow(t, netDir(t, whole)), func(name string) bool { return strings.HasPrefix(name, datadir.Store+"/") })
	for _, want := range []string{datadir.Marker, datadir.Lock, datadir.Cookie, "spv/neutrino.db", "spv/block_headers.bin", "spv/reg_filter_headers.bin", "wallet/wallet.db"} {
		if !slices.Contains(files, want) {
			t.Errorf("no %s in the data directory: %v", want, files)
		}
	}
	for _, name := range files {
		for _, d := range damages {
			t.Run(name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				c := whole
				c.DataDir = filepath.Join(t.TempDir(), "data")
				if err := os.CopyFS(c.DataDir, os.DirFS(whole.DataDir)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(netDir(t, c), filepath.FromSlash(name))
				data, err := os.ReadFile(path)
				if err == nil {
					err = d.do(path, data)
				}
				if err != nil {
					t.Fatal(err)
				}
				startsOrRefuses(t, c, name, before)
			})
		}
	}
}

// startsOrRefuses checks what a daemon does with a damaged file.
func startsOrRefuses(t *testing.T, c config.Config, name string, before rpc.Info) {
	t.Helper()
	log, ended := new(output), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- Run(ctx, c, "test", log); close(ended) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	defer stop()

	got, err := answers(t, c, log, ended)
	if err != nil {
		cancel()
		if s := err.Error(); !strings.Contains(s, filepath.Base(name)) || strings.Contains(s, "goroutine ") || !helps(s) {
			t.Errorf("refuses, and does not say which file, what is wrong and what to do: %s", s)
		}
		t.Logf("refuses: %v", err)
		return
	}
	said := log.String() + strings.Join(got.Warnings, "\n")
	names := append([]string{filepath.Base(name)}, told[name]...)
	if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(said, n) }) {
		t.Logf("starts, and says so; the wallet is %s", got.Wallet.State)
	} else if strings.HasSuffix(name, "headers.bin") {
		t.Error("starts silently, and nobody knows that headers were damaged")
	} else if got.Wallet.State != before.Wallet.State || got.Chain.HeadersHeight != before.Chain.HeadersHeight {
		t.Errorf("starts silently, and is not what it was: %+v", got)
	}
	if got.Digests != before.Digests {
		t.Errorf("%d digests, want %d", got.Digests, before.Digests)
	}
	submit(t, dial(t, c, log), "after")
	if err := stop(); err != nil {
		t.Errorf("stops with %v", err)
	}
}

// helps says whether an error names a remedy.
func helps(s string) bool {
	return slices.ContainsFunc([]string{"remove", "move", "must", "put it back", "make it", "restore", "give"}, func(w string) bool { return strings.Contains(s, w) })
}

// answers waits for the first answer of getinfo, or for the end of the daemon.
func answers(t *testing.T, c config.Config, log *output, ended <-chan error) (rpc.Info, error) {
	t.Helper()
	for deadline := time.After(time.Minute); ; {
		select {
		case err := <-ended:
			if err == nil {
				t.Fatal("ended without being asked")
			}
			return rpc.Info{}, err
		case <-deadline:
			t.Fatalf("neither an answer nor an end after a minute:\n%s", log)
		case <-time.After(5 * time.Millisecond):
		}
		_, after, ok := strings.Cut(log.String(), " rpc=")
		if !ok {
			continue
		}
		addr, _, _ := strings.Cut(after, "\n")
		client, err := rpc.NewCookieClient("http://"+addr, filepath.Join(netDir(t, c), datadir.Cookie))
		if err != nil {
			continue
		}
		got, err := client.Info(context.Background())
		client.Close()
		if err == nil {
			return got, nil
		}
	}
}

// The places of directories taken by something else, and the data directory itself.
func TestDirectoriesThatAreNone(t *testing.T) {
	for _, name := range []string{".", datadir.SPV, datadir.Wallet, datadir.Store} {
		for kind, put := range map[string]func(path string) error{
			"a file":           func(path string) error { return os.WriteFile(path, []byte("file"), 0o600) },
			"a link to itself": func(path string) error { return os.Symlink(filepath.Base(path), path) },
		} {
			t.Run(name+" is "+kind, func(t *testing.T) {
				t.Parallel()
				if runtime.GOOS == "windows" {
					t.Skip("no links")
				}
				c := testConfig(t)
				c.Calendar.Listen = ""
				path := filepath.Join(netDir(t, c), name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), put(path)); err != nil {
					t.Fatal(err)
				}
				startsOrRefuses(t, c, path, rpc.Info{Wallet: rpc.WalletInfo{State: string(wallet.None)}})
			})
		}
	}
}

// A configuration that cannot be read is never taken for none.
func TestADamagedConfigurationIsRefused(t *testing.T) {
	for _, d := range damages {
		if d.name == "missing" || d.name == "empty" || d.name == "cut" || d.name == "one bit" {
			continue // no configuration, or another one: nobody can tell
		}
		dir := t.TempDir()
		path := filepath.Join(dir, config.FileName)
		conf := []byte("network = \"regtest\"\n")
		if err := errors.Join(os.WriteFile(path, conf, 0o600), d.do(path, conf)); err != nil {
			t.Fatal(err)
		}
		if _, err := (config.Flags{DataDir: dir}).Load(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", d.name, err)
		}
	}
}
