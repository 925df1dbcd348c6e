package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
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
)

// output collects the log of a daemon that a test runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func testConfig(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Network = "regtest"
	c.DataDir = t.TempDir()
	c.RPC.Listen, c.Calendar.Listen = "127.0.0.1:0", "127.0.0.1:0"
	return c
}

// starts runs a daemon until stop is called, which returns what Run returned.
func starts(t *testing.T, c config.Config) (log *output, stop func() error) {
	t.Helper()
	log = new(output)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, c, "test", log) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return log, stop
}

// awaitLog waits until the log says something: what is answered may be logged a moment later.
func awaitLog(t *testing.T, log *output, what string) {
	t.Helper()
	for deadline := time.After(time.Minute); !strings.Contains(log.String(), what); {
		select {
		case <-deadline:
			t.Fatalf("the log does not say %q after a minute:\n%s", what, log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// address waits until the log names the address of the JSON-RPC.
func address(t *testing.T, log *output) string {
	t.Helper()
	awaitLog(t, log, " rpc=")
	_, after, _ := strings.Cut(log.String(), " rpc=")
	addr, _, _ := strings.Cut(after, "\n")
	return addr
}

// info waits for the first answer of getinfo.
func info(t *testing.T, c config.Config, log *output) rpc.Info {
	t.Helper()
	return awaitInfo(t, c, log, func(rpc.Info) bool { return true })
}

// awaitInfo waits for an answer of getinfo that is as wanted.
func awaitInfo(t *testing.T, c config.Config, log *output, wanted func(rpc.Info) bool) rpc.Info {
	t.Helper()
	addr := address(t, log)
	dir, err := c.NetworkDir()
	if err != nil {
		t.Fatal(err)
	}
	client, err := rpc.NewCookieClient("http://"+addr, filepath.Join(dir, datadir.Cookie))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for deadline := time.After(time.Minute); ; {
		got, err := client.Info(context.Background())
		if err == nil && wanted(got) {
			return got
		}
		select {
		case <-deadline:
			t.Fatalf("not the answer that is wanted after a minute: %+v, %v\n%s", got, err, log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestRunAnswersAndStopsWithoutPeersAndWallet(t *testing.T) {
	c := testConfig(t)
	log, stop := starts(t, c)
	got := info(t, c, log)
	if got.Network != "regtest" || got.Version != "test" || got.Ready || got.Wallet.State != "none" {
		t.Errorf("getinfo of a new daemon: %+v", got)
	}
	got = awaitInfo(t, c, log, func(got rpc.Info) bool {
		all := strings.Join(got.Warnings, "\n")
		return strings.Contains(all, "no peer") && strings.Contains(all, "ancre wallet create")
	})
	var texts, kinds []string
	for _, w := range got.Details {
		texts, kinds = append(texts, w.Text), append(kinds, w.Severity+" "+w.Kind)
	}
	if !slices.Equal(texts, got.Warnings) || !slices.Contains(kinds, "warning wallet") {
		t.Errorf("the warnings are %q, with details %q of %q", got.Warnings, texts, kinds)
	}
	dir, _ := c.NetworkDir()
	if fi, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o700 {
		t.Errorf("the data directory has mode %v (%v), 0700 is wanted", fi.Mode(), err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run returned %v after its context ended", err)
	}
	if _, err := os.Stat(filepath.Join(dir, datadir.Cookie)); !os.IsNotExist(err) {
		t.Errorf("the cookie is still there after the stop (%v)", err)
	}
	// What was stopped starts again.
	log, _ = starts(t, c)
	info(t, c, log)
}

func TestSecondDaemonOnOneDirectoryIsRefused(t *testing.T) {
	c := testConfig(t)
	log, _ := starts(t, c)
	info(t, c, log)
	err := Run(context.Background(), c, "test", new(output))
	if err == nil || !strings.Contains(err.Error(), "in use by another ancred") {
		t.Errorf("a second daemon: %v", err)
	}
	info(t, c, log) // the first is unharmed, its cookie included
}

func TestPortInUseIsNamedWithTheKey(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := testConfig(t)
	c.RPC.Listen = l.Addr().String()
	err = Run(context.Background(), c, "test", new(output))
	if err == nil || !strings.Contains(err.Error(), "rpc.listen") || !strings.Contains(err.Error(), c.RPC.Listen) {
		t.Errorf("a port in use: %v", err)
	}
	dir, _ := c.NetworkDir()
	if _, err := os.Stat(filepath.Join(dir, datadir.Store)); !os.IsNotExist(err) {
		t.Errorf("something was begun although the port is in use (%v)", err)
	}
}

func TestDataDirectoryOfAnotherKindIsRefused(t *testing.T) {
	for _, test := range []struct{ name, marker, want string }{
		{"another network", `{"format":1,"network":"signet"}`, "is for signet"},
		{"a newer format", `{"format":2,"network":"regtest"}`, "has format 2"},
		{"a damaged marker", `{"form`, "is damaged"},
		{"a marker without format", `{}`, "is damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := testConfig(t)
			dir, _ := c.NetworkDir()
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, datadir.Marker), []byte(test.marker), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Run(context.Background(), c, "test", new(output))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error with %q", err, test.want)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 2 {
				t.Errorf("it left something behind: %v", entries)
			}
		})
	}
}

func TestMissingMarkerOfAUsedDirectoryIsNotMadeAnew(t *testing.T) {
	c := testConfig(t)
	dir, _ := c.NetworkDir()
	if err := os.MkdirAll(filepath.Join(dir, datadir.Store), 0o700); err != nil {
		t.Fatal(err)
	}
	err := Run(context.Background(), c, "test", new(output))
	if err == nil || !strings.Contains(err.Error(), datadir.Marker) {
		t.Errorf("a used directory without its marker: %v", err)
	}
}

func TestBadUserIsNamedByItsEntry(t *testing.T) {
	c := testConfig(t)
	good, _, err := rpc.NewUser("clerk", rpc.RoleSubmit)
	if err != nil {
		t.Fatal(err)
	}
	c.RPC.Auth = []string{good, good}
	err = Run(context.Background(), c, "test", new(output))
	if err == nil || !strings.Contains(err.Error(), "rpc.auth, entry 2") || !strings.Contains(err.Error(), "clerk has entry 1") {
		t.Errorf("a user with two entries: %v", err)
	}
	c.RPC.Auth = []string{good, "clerk:king:00$11"}
	err = Run(context.Background(), c, "test", new(output))
	if err == nil || !strings.Contains(err.Error(), "rpc.auth, entry 2") || !strings.Contains(err.Error(), "king") {
		t.Errorf("a user with an unknown role: %v", err)
	}
}

func TestConfigurationAndLightClientKnowTheSameNetworks(t *testing.T) {
	if !slices.Equal(config.Networks(), spv.Networks()) {
		t.Errorf("the configuration takes %q, the light client %q", config.Networks(), spv.Networks())
	}
}

func TestPassphraseFileOfOthersIsTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	out := new(output)
	log, err := newLogger(out, config.Default().Log)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "passphrase")
	for mode, told := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true} {
		if err := os.WriteFile(path, []byte("correct horse\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		before := len(out.String())
		got, err := readPassphrase(path, log)
		if string(got) != "correct horse" || err != nil {
			t.Errorf("passphrase of a file with mode %v: %q, %v", mode, got, err)
		}
		if line := out.String()[before:]; strings.Contains(line, "other users of this machine") != told || strings.Contains(line, "horse") {
			t.Errorf("told of a file with mode %v: %q", mode, line)
		}
	}
}

func TestLogIsJSONWhenAskedFor(t *testing.T) {
	out := new(output)
	log, err := newLogger(out, config.Log{Level: "warn", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud", "batch", 7)
	var line struct {
		Msg   string
		Batch int
	}
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil || line.Msg != "loud" || line.Batch != 7 {
		t.Errorf("log %q: %+v, %v", out, line, err)
	}
	if _, err := newLogger(out, config.Log{Level: "shout", Format: "text"}); err == nil || !strings.Contains(err.Error(), "shout") {
		t.Errorf("an unknown level: %v", err)
	}
}
