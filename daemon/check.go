package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/diskspace"
	"ancre/internal/humanize"
	"ancre/notify"
)

// Level says what a finding means for the daemon.
type Level string

const (
	Fine    Level = "fine"
	Caution Level = "warning" // the daemon starts, and something is not as it should be
	Fatal   Level = "error"   // the daemon would not start
)

// Finding is the result of one check of [Check].
type Finding struct {
	About string `json:"about"` // a key of the configuration, or what was looked at
	Level Level  `json:"level"`
	Text  string `json:"text"` // what was found and, unless it is fine, what to do
}

// Check says whether a daemon with this configuration could start, as the user that runs the
// check, and what would be wrong with it. It changes nothing.
func Check(cfg config.Config) []Finding {
	c := &checkup{cfg: cfg}
	c.oldConfig()
	c.users()
	c.dataDir()
	c.files()
	c.command()
	c.addresses()
	c.exposure()
	return c.found
}

// checkup collects what Check finds.
type checkup struct {
	cfg   config.Config
	found []Finding
	used  bool // a daemon runs in the data directory
}

func (c *checkup) add(about string, level Level, format string, args ...any) {
	c.found = append(c.found, Finding{about, level, fmt.Sprintf(format, args...)})
}

func (c *checkup) oldConfig() {
	if err := refuseOldConfig(c.cfg); err != nil {
		c.add("configuration", Fatal, "%v", err)
	}
}

func (c *checkup) users() {
	who, err := parseAccess(c.cfg)
	if err != nil {
		c.add("rpc.auth", Fatal, "%v", err)
		return
	}
	c.add("rpc.auth", Fine, "%s beside the cookie", humanize.Plural(len(who.users), "user", "users"))
}

func (c *checkup) dataDir() {
	const about = "datadir"
	dir, err := c.cfg.NetworkDir()
	if err != nil {
		c.add(about, Fatal, "%v", err)
		return
	}
	state, err := datadir.Inspect(dir, c.cfg.Network)
	if err != nil {
		c.add(about, Fatal, "%v", err)
		return
	}
	switch state {
	case datadir.Used:
		c.used = true
		c.add(about, Fine, "an ancred runs in %s", dir)
	case datadir.Absent:
		c.newDir(about, dir)
	case datadir.Unused:
		if path, owner, ok := foreign(dir); ok {
			c.add(about, Caution, "%s belongs to %s, and ancred would run as %s: if it cannot write there, give all of %s to that user (chown -R)", path, owner, userName(), dir)
			break
		}
		c.add(about, Fine, "%s is ready", dir)
	}
	c.space(dir)
}

// newDir checks that a data directory can be made.
func (c *checkup) newDir(about, dir string) {
	parent := datadir.Nearest(dir)
	probe, err := os.MkdirTemp(parent, ".ancred-check-*")
	if err != nil {
		c.add(about, Fatal, "%s cannot be made: %v", dir, atomicfile.Denied(&fs.PathError{Op: "write", Path: parent, Err: errors.Unwrap(err)}))
		return
	}
	_ = os.Remove(probe)
	c.add(about, Fine, "%s will be made", dir)
}

// foreign finds a file in the data directory that belongs to another user.
func foreign(dir string) (path, owner string, found bool) {
	if os.Geteuid() <= 0 { // root may change everything, and other systems have no such owners
		return "", "", false
	}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return nil // it is gone meanwhile
		}
		if uid, ok := atomicfile.OwnerOf(info); ok && uid != os.Geteuid() {
			path, owner, found = p, atomicfile.UserName(uid), true
			return fs.SkipAll
		}
		return nil
	})
	return path, owner, found
}

func userName() string { return atomicfile.UserName(os.Geteuid()) }

// space checks that the store has room.
func (c *checkup) space(dir string) {
	if free, ok := diskspace.Free(datadir.Nearest(dir)); ok {
		c.freeSpace(dir, free)
	}
}

// freeSpace says what so many free bytes mean. A daemon on a full disk starts: it serves proofs and
// follows its anchors.
func (c *checkup) freeSpace(dir string, free uint64) {
	const about = "disk"
	switch {
	case free < pebblestore.DefaultReserve:
		c.add(about, Caution, "%d MB are free under %s, and ancred accepts no digests with less than %d MB: free disk space", free>>20, dir, pebblestore.DefaultReserve>>20)
	case free < lowDisk*pebblestore.DefaultReserve:
		c.add(about, Caution, "%d MB are free under %s: ancred warns until there are %d MB", free>>20, dir, lowDisk*pebblestore.DefaultReserve>>20)
	default:
		c.add(about, Fine, "%d MB are free under %s", free>>20, dir)
	}
}

// files checks that the files that the configuration names can be read.
func (c *checkup) files() {
	if path := c.cfg.Wallet.PassphraseFile; path != "" {
		const about = "wallet.passphrase_file"
		passphrase, err := config.ReadPassphrase(path)
		info, statErr := os.Stat(path)
		note := config.PassphraseNote(passphrase)
		switch {
		case err != nil:
			c.add(about, Caution, "%v. ancred starts, and pays for nothing until \"ancre wallet unlock\"", err)
		case statErr == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
			c.add(about, Caution, "%s has the mode %s, so others can read the passphrase: run chmod 600 on it", path, info.Mode().Perm())
		case note != "":
			c.add(about, Caution, "%s", note)
		default:
			c.add(about, Fine, "%s can be read", path)
		}
	}
	for _, path := range c.cfg.SPV.HeadersImport {
		f, _, err := atomicfile.OpenInput(path)
		if err != nil {
			c.add("spv.headers_import", Fatal, "%v", atomicfile.Denied(err))
			continue
		}
		_ = f.Close()
		c.add("spv.headers_import", Fine, "%s can be read", path)
	}
}

// command checks that the program that tells of warnings can be run. A daemon that tells nobody
// starts.
func (c *checkup) command() {
	const about = "notify.command"
	command := c.cfg.Notify.Command
	if len(command) == 0 {
		c.add(about, Fine, "off: getinfo, the log and the metrics tell of warnings")
		return
	}
	if err := notify.Usable(command); err != nil {
		c.add(about, Caution, "%v", err)
		return
	}
	c.add(about, Fine, "%s can be run", command[0])
}

// addresses checks that the servers can listen.
func (c *checkup) addresses() {
	for _, a := range []struct{ about, listen string }{
		{"rpc.listen", c.cfg.RPC.Listen}, {"calendar.listen", c.cfg.Calendar.Listen}, {"metrics.listen", c.cfg.Metrics.Listen},
	} {
		if a.listen == "" {
			c.add(a.about, Fine, "off")
			continue
		}
		if c.used {
			c.add(a.about, Fine, "%s: not tried, an ancred runs", a.listen)
			continue
		}
		ln, err := net.Listen("tcp", a.listen)
		if err != nil {
			c.add(a.about, Fatal, "%v: if another ancred or another program uses the port, stop that one, or choose another address", err)
			continue
		}
		_ = ln.Close()
		c.add(a.about, Fine, "%s is free", a.listen)
	}
}

// exposure adds what ancred itself would warn of.
func (c *checkup) exposure() {
	for _, w := range exposureWarnings(c.cfg) {
		c.add(w.Kind.Name(), Caution, "%s", w.Text)
	}
	if text := calendarWarning(c.cfg.Calendar, false); text != "" {
		c.add("calendar.uri", Caution, "%s", text)
	}
}
