package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/diskspace"
	"ancre/notify"
	"ancre/register/control"
	"ancre/register/files"
	"ancre/register/page"
	"ancre/register/store/sqlitestore"
	"ancre/rpc"

	"github.com/gofrs/flock"
)

// Level says what a finding means for the register.
type Level string

// The levels.
const (
	Fine    Level = "fine"
	Caution Level = "warning" // the register starts, and something is not as it should be
	Fatal   Level = "error"   // the register would not start
)

// Finding is the result of one check of [Check].
type Finding struct {
	About string `json:"about"` // a key of the configuration, or what was looked at
	Level Level  `json:"level"`
	Text  string `json:"text"` // what was found and, unless it is fine, what to do
}

// Check says whether a register with this configuration could start, as the user that runs the
// check, and what would be wrong with it. It changes nothing.
func Check(ctx context.Context, cfg config.Register) []Finding {
	c := &checkup{cfg: cfg}
	c.dataDir()
	c.page()
	c.addresses()
	c.socket()
	c.watched()
	c.command()
	c.backups()
	c.node(ctx)
	return c.found
}

// checkup collects what Check finds.
type checkup struct {
	cfg   config.Register
	found []Finding
	dir   string
	used  bool // a register runs in the data directory
}

func (c *checkup) add(about string, level Level, format string, args ...any) {
	c.found = append(c.found, Finding{about, level, fmt.Sprintf(format, args...)})
}

func (c *checkup) dataDir() {
	const about = "datadir"
	var err error
	if c.dir, err = c.cfg.Dir(); err != nil {
		c.add(about, Fatal, "%v", err)
		return
	}
	exists, err := sqlitestore.Exists(c.dir)
	switch {
	case err != nil:
		c.add(about, Fatal, "%v", atomicfile.Denied(err))
		return
	case !exists:
		c.newDir(about)
	default:
		lock := flock.New(filepath.Join(c.dir, sqlitestore.Lock))
		free, err := lock.TryRLock()
		if err != nil {
			c.add(about, Fatal, "%v", atomicfile.Denied(err))
			return
		}
		_ = lock.Unlock()
		if c.used = !free; c.used {
			c.add(about, Fine, "a register runs in %s", c.dir)
		} else {
			c.add(about, Fine, "%s is ready", c.dir)
		}
	}
	if free, ok := diskspace.Free(datadir.Nearest(c.dir)); ok && free < lowDisk*files.DefaultReserve {
		c.add("disk", Caution, "%d MB are free under %s, and the register takes no documents with less than %d MB: free disk space", free>>20, c.dir, files.DefaultReserve>>20)
	} else if ok {
		c.add("disk", Fine, "%d MB are free under %s", free>>20, c.dir)
	}
}

// newDir checks that a data directory can be made, or used.
func (c *checkup) newDir(about string) {
	parent := datadir.Nearest(c.dir)
	probe, err := os.MkdirTemp(parent, ".ancre-register-check-*")
	if err != nil {
		c.add(about, Fatal, "%s cannot be made: %v", c.dir, atomicfile.Denied(&fs.PathError{Op: "write", Path: parent, Err: errors.Unwrap(err)}))
		return
	}
	_ = os.Remove(probe)
	c.add(about, Fine, "%s will be made", c.dir)
}

// page checks the settings of the public page, and the files that they name.
func (c *checkup) page() {
	p := c.cfg.Page
	if p.Listen == "" {
		c.add("page", Fine, "off")
		return
	}
	settings, err := pageConfig(c.cfg)
	if err == nil {
		_, err = page.New(settings)
	}
	if err != nil {
		c.add("page", Fatal, "%v", err)
		return
	}
	c.add("page", Fine, "%s", p.URL)
	if p.Name == "" {
		c.add("page.name", Caution, "the page does not say whose it is: set page.name to the name of the authority")
	}
	if strings.HasPrefix(p.URL, "http://") {
		c.add("page.url", Caution, "%s is no public address: set page.url to https://… before you publish, because QR codes and attestations have it", p.URL)
	}
	if p.Texts == "" {
		c.add("page.texts", Caution, "the legal notice and the accessibility statement are ours: write your own into a folder, and name it (docs/register.md)")
	}
}

// addresses checks that the servers can listen.
func (c *checkup) addresses() {
	for _, a := range []struct{ about, listen string }{{"page.listen", c.cfg.Page.Listen}, {"metrics.listen", c.cfg.Metrics.Listen}} {
		if a.listen == "" {
			c.add(a.about, Fine, "off")
			continue
		}
		if c.used {
			c.add(a.about, Fine, "%s: not tried, a register runs", a.listen)
			continue
		}
		ln, err := net.Listen("tcp", a.listen)
		if err != nil {
			c.add(a.about, Fatal, "%v: if another program uses the port, stop that one, or choose another address", err)
			continue
		}
		_ = ln.Close()
		c.add(a.about, Fine, "%s is free", a.listen)
	}
}

// socket checks where the verbs reach the register.
func (c *checkup) socket() {
	const about = "control.socket"
	path, err := c.cfg.Socket()
	if err == nil {
		err = control.CheckPath(path)
	}
	if err != nil {
		c.add(about, Fatal, "%v", err)
		return
	}
	c.add(about, Fine, "%s", path)
}

// watched checks the watched folder.
func (c *checkup) watched() {
	dir := c.cfg.Watch.Dir
	if dir == "" {
		c.add("watch.dir", Fine, "off")
		return
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		c.add("watch.dir", Caution, "%v: make it, and let the user of the register read and write there", atomicfile.Denied(err))
	case !info.IsDir():
		c.add("watch.dir", Caution, "%s is not a directory", dir)
	default:
		if _, err := os.ReadDir(dir); err != nil {
			c.add("watch.dir", Caution, "%v", atomicfile.Denied(err))
			return
		}
		c.add("watch.dir", Fine, "%s", dir)
	}
}

// command checks that the program that tells of warnings can be run.
func (c *checkup) command() {
	const about = "notify.command"
	command := c.cfg.Notify.Command
	if len(command) == 0 {
		c.add(about, Fine, "off: \"ancre-register status\", the log and the metrics tell of warnings")
		return
	}
	if err := notify.Usable(command); err != nil {
		c.add(about, Caution, "%v", err)
		return
	}
	c.add(about, Fine, "%s can be run", command[0])
}

func (c *checkup) backups() {
	const about = "backup.dir"
	dir := c.cfg.Backup.Dir
	if dir == "" {
		c.add(about, Caution, "the register makes no backups by itself: set backup.dir, or run \"ancre-register backup FILE\" each day")
		return
	}
	info, err := os.Stat(datadir.Nearest(dir))
	if err != nil || !info.IsDir() {
		c.add(about, Caution, "%s cannot be made: %v", dir, atomicfile.Denied(err))
		return
	}
	c.add(about, Fine, "%s, %d backups", dir, c.cfg.Backup.Keep)
}

// askNode is how long the node may take to answer.
const askNode = 10 * time.Second

// node asks the node. The register starts without it, and waits.
func (c *checkup) node(ctx context.Context) {
	const about = "node"
	client, err := newNode(c.cfg)
	if err != nil {
		c.add(about, Fatal, "%v", err)
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, askNode)
	defer cancel()
	info, err := client.BlockchainInfo(ctx)
	if err != nil {
		c.add(about, Caution, "%v", err)
		return
	}
	network := info.Chain // as bitcoind names it
	if network == "main" {
		network = "mainnet"
	}
	switch {
	case c.cfg.Network != "" && network != c.cfg.Network:
		c.add(about, Fatal, "the node at %s is of %s, and network is %s: name the right one", client.URL(), network, c.cfg.Network)
		return
	case !slices.Contains(config.Networks(), network):
		c.add(about, Caution, "the node at %s is of the network %q, which is not one of %s", client.URL(), info.Chain, strings.Join(config.Networks(), ", "))
		return
	}
	// Submitting nothing is an error of its own kind, unless the user may not submit at all.
	if _, err := client.SubmitBatch(ctx, nil); rpc.HasCode(err, rpc.CodeForbidden) {
		c.add(about, Caution, "the node at %s does not let the register submit: give its user the roles submit, verify and read", client.URL())
		return
	}
	c.add(about, Fine, "%s answers, %s, block %d", client.URL(), network, info.Blocks)
}
