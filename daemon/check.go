package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/diskspace"
	"ancre/internal/findings"
	"ancre/internal/humanize"
	"ancre/notify"
)

// Check says whether a daemon with this configuration could start, as the user that runs the
// check, and what would be wrong with it. It changes nothing.
func Check(cfg config.Config) findings.List {
	c := &checkup{cfg: cfg}
	c.oldConfig()
	c.users()
	c.dataDir()
	c.files()
	c.command()
	c.addresses()
	c.exposure()
	return c.List
}

// checkup collects what Check finds.
type checkup struct {
	findings.List
	cfg  config.Config
	used bool // a daemon runs in the data directory
}

func (c *checkup) oldConfig() {
	if err := refuseOldConfig(c.cfg); err != nil {
		c.Add("configuration", findings.Fatal, "%v", err)
	}
}

func (c *checkup) users() {
	who, err := parseAccess(c.cfg)
	if err != nil {
		c.Add("rpc.auth", findings.Fatal, "%v", err)
		return
	}
	c.Add("rpc.auth", findings.Fine, "%s beside the cookie", humanize.Plural(len(who.users), "user", "users"))
}

func (c *checkup) dataDir() {
	const about = "datadir"
	dir, err := c.cfg.NetworkDir()
	if err != nil {
		c.Add(about, findings.Fatal, "%v", err)
		return
	}
	state, err := datadir.Inspect(dir, c.cfg.Network)
	if err != nil {
		c.Add(about, findings.Fatal, "%v", err)
		return
	}
	switch state {
	case datadir.Used:
		c.used = true
		c.Add(about, findings.Fine, "an ancred runs in %s", dir)
	case datadir.Absent:
		c.NewDir(about, dir, "ancred")
	case datadir.Unused:
		if path, owner, ok := foreign(dir); ok {
			c.Add(about, findings.Caution, "%s belongs to %s, and ancred would run as %s: if it cannot write there, give all of %s to that user (chown -R)", path, owner, userName(), dir)
			break
		}
		c.Add(about, findings.Fine, "%s is ready", dir)
	}
	c.space(dir)
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
		c.Add(about, findings.Caution, "%d MB are free under %s, and ancred accepts no digests with less than %d MB: free disk space", free>>20, dir, pebblestore.DefaultReserve>>20)
	case free < lowDisk*pebblestore.DefaultReserve:
		c.Add(about, findings.Caution, "%d MB are free under %s: ancred warns until there are %d MB", free>>20, dir, lowDisk*pebblestore.DefaultReserve>>20)
	default:
		c.Add(about, findings.Fine, "%d MB are free under %s", free>>20, dir)
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
			c.Add(about, findings.Caution, "%v. ancred starts, and pays for nothing until \"ancre wallet unlock\"", err)
		case statErr == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
			c.Add(about, findings.Caution, "%s has the mode %s, so others can read the passphrase: run chmod 600 on it", path, info.Mode().Perm())
		case note != "":
			c.Add(about, findings.Caution, "%s", note)
		default:
			c.Add(about, findings.Fine, "%s can be read", path)
		}
	}
	for _, path := range c.cfg.SPV.HeadersImport {
		f, _, err := atomicfile.OpenInput(path)
		if err != nil {
			c.Add("spv.headers_import", findings.Fatal, "%v", atomicfile.Denied(err))
			continue
		}
		_ = f.Close()
		c.Add("spv.headers_import", findings.Fine, "%s can be read", path)
	}
}

// command checks that the program that tells of warnings can be run. A daemon that tells nobody
// starts.
func (c *checkup) command() {
	const about = "notify.command"
	command := c.cfg.Notify.Command
	if len(command) == 0 {
		c.Add(about, findings.Fine, "off: getinfo, the log and the metrics tell of warnings")
		return
	}
	if err := notify.Usable(command); err != nil {
		c.Add(about, findings.Caution, "%v", err)
		return
	}
	c.Add(about, findings.Fine, "%s can be run", command[0])
}

// addresses checks that the servers can listen.
func (c *checkup) addresses() {
	running := ""
	if c.used {
		running = "an ancred"
	}
	const other = "another ancred or another program"
	c.Address("rpc.listen", c.cfg.RPC.Listen, running, other)
	c.Address("calendar.listen", c.cfg.Calendar.Listen, running, other)
	c.Address("metrics.listen", c.cfg.Metrics.Listen, running, other)
}

// exposure adds what ancred itself would warn of.
func (c *checkup) exposure() {
	for _, w := range exposureWarnings(c.cfg) {
		c.Add(w.Kind.Name(), findings.Caution, "%s", w.Text)
	}
	if text := calendarWarning(c.cfg.Calendar, false); text != "" {
		c.Add("calendar.uri", findings.Caution, "%s", text)
	}
}
