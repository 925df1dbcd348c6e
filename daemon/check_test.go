package daemon

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ancre/config"
	"ancre/internal/datadir"
	"ancre/internal/findings"
	"ancre/rpc"
)

// found returns the finding about something.
func found(all findings.List, about string) (f findings.Finding) {
	if i := slices.IndexFunc(all, func(f findings.Finding) bool { return f.About == about }); i >= 0 {
		return all[i]
	}
	return f
}

func TestCheckFindsWhatKeepsTheDaemonFromStarting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	line, _, err := rpc.NewUser("clerk", rpc.RoleSubmit)
	if err != nil {
		t.Fatal(err)
	}
	write := func(t *testing.T, name, text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	networkDir := func(t *testing.T, c *config.Config) string {
		dir, err := c.NetworkDir()
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, c *config.Config)
		about  string
		level  findings.Level
		text   string
	}{
		"nothing":             {func(*testing.T, *config.Config) {}, "datadir", findings.Fine, "will be made"},
		"a user":              {func(_ *testing.T, c *config.Config) { c.RPC.Auth = []string{line} }, "rpc.auth", findings.Fine, "1 user"},
		"two users of a name": {func(_ *testing.T, c *config.Config) { c.RPC.Auth = []string{line, line} }, "rpc.auth", findings.Fatal, "clerk has entry 1"},
		"an address is taken": {func(_ *testing.T, c *config.Config) { c.RPC.Listen = taken.Addr().String() }, "rpc.listen", findings.Fatal, "another address"},
		"the calendar is off": {func(_ *testing.T, c *config.Config) { c.Calendar.Listen = "" }, "calendar.listen", findings.Fine, "off"},
		"for other machines":  {func(_ *testing.T, c *config.Config) { c.RPC.Listen = ":0" }, "rpc_listen", findings.Caution, "without TLS"},
		"no passphrase file":  {func(t *testing.T, c *config.Config) { c.Wallet.PassphraseFile = filepath.Join(t.TempDir(), "none") }, "wallet.passphrase_file", findings.Caution, "ancre wallet unlock"},
		"an open passphrase":  {func(t *testing.T, c *config.Config) { c.Wallet.PassphraseFile = write(t, "p", "correct horse", 0o644) }, "wallet.passphrase_file", findings.Caution, "chmod 600"},
		"a good passphrase":   {func(t *testing.T, c *config.Config) { c.Wallet.PassphraseFile = write(t, "p", "correct horse", 0o600) }, "wallet.passphrase_file", findings.Fine, "can be read"},
		"no headers to import": {func(t *testing.T, c *config.Config) {
			c.SPV.HeadersImport = []string{filepath.Join(t.TempDir(), "none")}
		}, "spv.headers_import", findings.Fatal, "none"},
		"another network's directory": {func(t *testing.T, c *config.Config) {
			release, err := datadir.Open(networkDir(t, c), "signet")
			if err != nil {
				t.Fatal(err)
			}
			if err := release(); err != nil {
				t.Fatal(err)
			}
		}, "datadir", findings.Fatal, "is for signet"},
		"a directory that is used": {func(t *testing.T, c *config.Config) {
			release, err := datadir.Open(networkDir(t, c), c.Network)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = release() })
			c.RPC.Listen = taken.Addr().String()
		}, "rpc.listen", findings.Fine, "an ancred runs"},
		"a file in the place of the directory": {func(t *testing.T, c *config.Config) {
			c.DataDir = write(t, "file", "", 0o600)
		}, "datadir", findings.Fatal, "directory"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && name == "an open passphrase" {
				t.Skip("Windows has no such modes")
			}
			c := testConfig(t)
			tt.change(t, &c)
			before := listing(t, c.DataDir)
			all := Check(c)
			if f := found(all, tt.about); f.Level != tt.level || !strings.Contains(f.Text, tt.text) {
				t.Errorf("%+v, want %s: %q; all: %+v", f, tt.level, tt.text, all)
			}
			if after := listing(t, c.DataDir); !slices.Equal(before, after) {
				t.Errorf("the check changed the data directory: %q, before %q", after, before)
			}
		})
	}
}

// listing names all files below a directory.
func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return nil
	})
	return names
}

// A full disk keeps no daemon from starting: it serves proofs and follows its anchors.
func TestCheckLetsADaemonStartOnAFullDisk(t *testing.T) {
	for free, want := range map[uint64]findings.Level{0: findings.Caution, reserve - 1: findings.Caution, reserve: findings.Caution, lowDisk*reserve - 1: findings.Caution, lowDisk * reserve: findings.Fine} {
		var c checkup
		c.freeSpace("data", free)
		if len(c.List) != 1 || c.List[0].Level != want {
			t.Errorf("%d bytes are free: %+v, want %s", free, c.List, want)
		}
	}
}
