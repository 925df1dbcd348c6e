package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
)

// relocation is a daemon's data in a home directory, and the place where they go.
type relocation struct {
	t          *testing.T
	home, from string // data directory, and that of the network in it
	conf, to   string // of the target
}

// contents are the files of the source.
var contents = map[string]string{
	"store/000001.sst": "leaves", "store/index/1.seg": "index", "wallet/wallet.db": "coins", "spv/headers.bin": strings.Repeat("h", 300_000), "notes": "",
}

func newRelocation(t *testing.T) *relocation {
	t.Helper()
	r := &relocation{t: t, home: filepath.Join(t.TempDir(), ".ancre"), conf: filepath.Join(t.TempDir(), "service.conf")}
	r.from = filepath.Join(r.home, "regtest")
	data := filepath.Join(t.TempDir(), "ancre")
	r.to = filepath.Join(data, "regtest")
	r.open(r.from)
	for name, content := range contents {
		r.write(filepath.Join(r.from, name), content)
	}
	r.write(filepath.Join(r.from, datadir.Cookie), "__cookie__:secret")
	r.write(filepath.Join(r.home, config.FileName), "network = \"regtest\"\n[anchor]\nmonthly_budget = 60000\n")
	r.write(r.conf, "# The service's.\ndatadir = \""+filepath.ToSlash(data)+"\"\n")
	return r
}

func (r *relocation) write(path, content string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// open opens and closes a directory as a daemon does.
func (r *relocation) open(dir string) {
	r.t.Helper()
	release, err := datadir.Open(dir, "regtest")
	if err != nil {
		r.t.Fatal(err)
	}
	if err := release(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *relocation) move(crashAt string) (report MoveReport, err error) {
	r.t.Helper()
	cfg, err := config.Flags{File: r.conf}.Load()
	if err != nil {
		r.t.Fatal(err)
	}
	m := Move{From: r.home, Config: cfg, atStep: func(step string) {
		if step == crashAt {
			panic(errCrash)
		}
	}}
	defer func() {
		if p := recover(); p != nil && p != errCrash {
			panic(p)
		} else if p != nil {
			err = errCrash
		}
	}()
	return m.Run(r.t.Context())
}

var errCrash = errors.New("a crash")

// usable reports whether a daemon could start in a directory and pay.
func (r *relocation) usable(dir string) bool {
	r.t.Helper()
	if _, err := os.Stat(filepath.Join(dir, datadir.Wallet)); err != nil {
		return false
	}
	release, err := datadir.Open(dir, "regtest")
	if err != nil {
		return false
	}
	return release() == nil
}

// isMoved checks the state after a move.
func (r *relocation) isMoved() {
	r.t.Helper()
	for name, content := range contents {
		if got, err := os.ReadFile(filepath.Join(r.to, name)); err != nil || string(got) != content {
			r.t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if got, err := os.ReadFile(filepath.Join(r.from+movedSuffix, name)); err != nil || string(got) != content {
			r.t.Errorf("%s of the source: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(r.to, datadir.Cookie)); err == nil {
		r.t.Error("a cookie was copied")
	}
	var moved *datadir.MovedError
	if _, err := datadir.Open(r.from+movedSuffix, "regtest"); !errors.As(err, &moved) || moved.To != r.to {
		r.t.Errorf("the source opens: %v", err)
	}
	r.open(r.to)
	c, err := config.Load(r.conf)
	if err != nil || c.Network != "regtest" || c.Anchor.MonthlyBudget != 60000 {
		r.t.Errorf("the configuration: %+v, %v", c.Anchor, err)
	}
	for _, gone := range []string{r.from, filepath.Join(r.home, config.FileName), r.to + movingSuffix} {
		if _, err := os.Lstat(gone); err == nil {
			r.t.Errorf("%s is still there", gone)
		}
	}
}

func TestMoveTakesTheDataAndTheSettings(t *testing.T) {
	r := newRelocation(t)
	r.open(r.to) // the service was started by accident
	report, err := r.move("")
	if err != nil {
		t.Fatal(err)
	}
	r.isMoved()
	if report.Files != len(contents)+1 || report.Kept != r.from+movedSuffix || !strings.HasPrefix(report.Aside, r.to+emptySuffix) ||
		!slices.Equal(report.Taken, []string{"network", "anchor.monthly_budget"}) || report.Config != r.conf {
		t.Errorf("%+v", report)
	}
	if report, err = r.move(""); err != nil || report.Files != 0 || report.Kept != r.from+movedSuffix {
		t.Errorf("a second time: %+v, %v", report, err)
	}
	r.isMoved()
}

func TestMoveGoesOnAfterACrash(t *testing.T) {
	for _, step := range []string{"copying", "copied", "marked", "configured", "put aside", "in place"} {
		t.Run(step, func(t *testing.T) {
			r := newRelocation(t)
			r.open(r.to)
			if _, err := r.move(step); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			if r.usable(r.from) && r.usable(r.to) {
				t.Error("two daemons can pay")
			}
			if step == "put aside" {
				r.open(r.to) // the service is started in the gap
			}
			if _, err := r.move(""); err != nil {
				t.Fatal(err)
			}
			r.isMoved()
		})
	}
}

func TestMoveRefuses(t *testing.T) {
	hold := func(dir string) func(*relocation) {
		return func(r *relocation) {
			other := filepath.Join(filepath.Dir(r.to), "signet")
			dir := map[string]string{"from": r.from, "to": r.to, "other": other}[dir]
			release, err := datadir.Open(dir, filepath.Base(dir))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = release() })
		}
	}
	for name, c := range map[string]struct {
		prepare func(*relocation)
		want    string
	}{
		"while the old daemon runs":                    {hold("from"), "is running in"},
		"while the new daemon runs":                    {hold("to"), "systemctl stop ancred"},
		"while the new daemon runs on another network": {hold("other"), "systemctl stop ancred"},
		"a target with a wallet":                       {func(r *relocation) { r.open(r.to); r.write(filepath.Join(r.to, "wallet/wallet.db"), "") }, "already is a wallet"},
		"a target with a store":                        {func(r *relocation) { r.open(r.to); r.write(filepath.Join(r.to, "store/CURRENT"), "x") }, "cannot be opened"},
		"a link in the source":                         {func(r *relocation) { r.must(os.Symlink("/etc/passwd", filepath.Join(r.from, "store/x"))) }, "is a symbolic link"},
		"what is no data directory":                    {func(r *relocation) { r.must(os.Remove(filepath.Join(r.from, datadir.Marker))) }, "is no data directory"},
		"data of several networks":                     {func(r *relocation) { r.write(filepath.Join(r.home, "signet", datadir.Marker), "{}") }, "--network"},
		"a broken old configuration":                   {func(r *relocation) { r.write(filepath.Join(r.home, config.FileName), "netwrok = 1\n") }, "netwrok"},
		"data that went elsewhere":                     {func(r *relocation) { r.must(datadir.MarkMoved(r.from, "regtest", "/elsewhere")) }, "/elsewhere"},
		"when the copy is gone":                        {func(r *relocation) { r.must(datadir.MarkMoved(r.from, "regtest", r.to)) }, "never used"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelocation(t)
			c.prepare(r)
			if _, err := r.move(""); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(r.from, "wallet/wallet.db")); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(r.to + movingSuffix); err == nil {
				t.Error("half a copy was left")
			}
		})
	}
}

func (r *relocation) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// Root copies for the owner of the source what he could read himself, and nothing else.
func TestMoveByRootChangesTheOwner(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	const old, service = 65533, 65534
	r := newRelocation(t)
	r.must(os.Chmod(filepath.Dir(filepath.Dir(r.home)), 0o755))
	r.must(os.MkdirAll(filepath.Dir(r.to), 0o700))
	r.must(os.Chown(filepath.Dir(r.to), service, service))
	r.must(filepath.WalkDir(filepath.Dir(r.home), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, old, old))
	}))
	foreign := filepath.Join(r.from, "store", "000001.sst")
	r.must(os.Chown(foreign, service, service))
	if _, err := r.move(""); err == nil || !strings.Contains(err.Error(), "it belongs to") {
		t.Errorf("a file of another user: %v", err)
	}
	r.must(os.Chown(foreign, old, old))
	if _, err := r.move(""); err != nil {
		t.Fatal(err)
	}
	r.isMoved()
	for dir, want := range map[string]int{r.to: service, r.from + movedSuffix: old} {
		r.must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			r.must(err)
			info, err := d.Info()
			r.must(err)
			if uid, _ := atomicfile.OwnerOf(info); uid != want && !strings.HasSuffix(path, datadir.Lock) || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s belongs to %d and has the mode %v", path, uid, info.Mode())
			}
			return nil
		}))
	}
}
