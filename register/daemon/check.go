package daemon

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/diskspace"
	"ancre/internal/findings"
	"ancre/notify"
	"ancre/register/control"
	"ancre/register/files"
	"ancre/register/page"
	"ancre/register/store/sqlitestore"
	"ancre/rpc"

	"github.com/gofrs/flock"
)

// Check says whether a register with this configuration could start, as the user that runs the
// check, and what would be wrong with it. It changes nothing.
func Check(ctx context.Context, cfg config.Register) findings.List {
	c := &checkup{cfg: cfg}
	c.dataDir()
	c.page()
	c.addresses()
	c.socket()
	c.watched()
	c.command()
	c.backups()
	c.node(ctx)
	return c.List
}

// checkup collects what Check finds.
type checkup struct {
	findings.List
	cfg  config.Register
	dir  string
	used bool // a register runs in the data directory
}

func (c *checkup) dataDir() {
	const about = "datadir"
	var err error
	if c.dir, err = c.cfg.Dir(); err != nil {
		c.Add(about, findings.Fatal, "%v", err)
		return
	}
	exists, err := sqlitestore.Exists(c.dir)
	switch {
	case err != nil:
		c.Add(about, findings.Fatal, "%v", atomicfile.Denied(err))
		return
	case !exists:
		c.NewDir(about, c.dir, "ancre-register")
	default:
		lock := flock.New(filepath.Join(c.dir, sqlitestore.Lock))
		free, err := lock.TryRLock()
		if err != nil {
			c.Add(about, findings.Fatal, "%v", atomicfile.Denied(err))
			return
		}
		_ = lock.Unlock()
		if c.used = !free; c.used {
			c.Add(about, findings.Fine, "a register runs in %s", c.dir)
		} else {
			c.Add(about, findings.Fine, "%s is ready", c.dir)
		}
	}
	if free, ok := diskspace.Free(datadir.Nearest(c.dir)); ok && free < lowDisk*files.DefaultReserve {
		c.Add("disk", findings.Caution, "%d MB are free under %s, and the register takes no documents with less than %d MB: free disk space", free>>20, c.dir, files.DefaultReserve>>20)
	} else if ok {
		c.Add("disk", findings.Fine, "%d MB are free under %s", free>>20, c.dir)
	}
}

// page checks the settings of the public page, and the files that they name.
func (c *checkup) page() {
	p := c.cfg.Page
	if p.Listen == "" {
		c.Add("page", findings.Fine, "off")
		return
	}
	settings, err := pageConfig(c.cfg)
	if err == nil {
		_, err = page.New(settings)
	}
	if err != nil {
		c.Add("page", findings.Fatal, "%v", err)
		return
	}
	c.Add("page", findings.Fine, "%s", p.URL)
	if p.Name == "" {
		c.Add("page.name", findings.Caution, "the page does not say whose it is: set page.name to the name of the authority")
	}
	if strings.HasPrefix(p.URL, "http://") {
		c.Add("page.url", findings.Caution, "%s is no public address: set page.url to https://… before you publish, because QR codes and attestations have it", p.URL)
	}
	if p.Texts == "" {
		c.Add("page.texts", findings.Caution, "the legal notice and the accessibility statement are ours: write your own into a folder, and name it (docs/register.md)")
	}
}

// addresses checks that the servers can listen.
func (c *checkup) addresses() {
	running := ""
	if c.used {
		running = "a register"
	}
	c.Address("page.listen", c.cfg.Page.Listen, running, "another program")
	c.Address("metrics.listen", c.cfg.Metrics.Listen, running, "another program")
}

// socket checks where the verbs reach the register.
func (c *checkup) socket() {
	const about = "control.socket"
	path, err := c.cfg.Socket()
	if err == nil {
		err = control.CheckPath(path)
	}
	if err != nil {
		c.Add(about, findings.Fatal, "%v", err)
		return
	}
	c.Add(about, findings.Fine, "%s", path)
}

// watched checks the watched folder.
func (c *checkup) watched() {
	dir := c.cfg.Watch.Dir
	if dir == "" {
		c.Add("watch.dir", findings.Fine, "off")
		return
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		c.Add("watch.dir", findings.Caution, "%v: make it, and let the user of the register read and write there", atomicfile.Denied(err))
	case !info.IsDir():
		c.Add("watch.dir", findings.Caution, "%s is not a directory", dir)
	default:
		if _, err := os.ReadDir(dir); err != nil {
			c.Add("watch.dir", findings.Caution, "%v", atomicfile.Denied(err))
			return
		}
		c.Add("watch.dir", findings.Fine, "%s", dir)
	}
}

// command checks that the program that tells of warnings can be run.
func (c *checkup) command() {
	const about = "notify.command"
	command := c.cfg.Notify.Command
	if len(command) == 0 {
		c.Add(about, findings.Fine, "off: \"ancre-register status\", the log and the metrics tell of warnings")
		return
	}
	if err := notify.Usable(command); err != nil {
		c.Add(about, findings.Caution, "%v", err)
		return
	}
	c.Add(about, findings.Fine, "%s can be run", command[0])
}

func (c *checkup) backups() {
	const about = "backup.dir"
	dir := c.cfg.Backup.Dir
	if dir == "" {
		c.Add(about, findings.Caution, "the register makes no backups by itself: set backup.dir, or run \"ancre-register backup FILE\" each day")
		return
	}
	info, err := os.Stat(datadir.Nearest(dir))
	if err != nil || !info.IsDir() {
		c.Add(about, findings.Caution, "%s cannot be made: %v", dir, atomicfile.Denied(err))
		return
	}
	c.Add(about, findings.Fine, "%s, %d backups", dir, c.cfg.Backup.Keep)
}

// askNode is how long the node may take to answer.
const askNode = 10 * time.Second

// node asks the node. The register starts without it, and waits.
func (c *checkup) node(ctx context.Context) {
	const about = "node"
	client, err := newNode(c.cfg)
	if err != nil {
		c.Add(about, findings.Fatal, "%v", err)
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, askNode)
	defer cancel()
	info, err := client.BlockchainInfo(ctx)
	if err != nil {
		c.Add(about, findings.Caution, "%v", err)
		return
	}
	network := info.Network()
	switch {
	case c.cfg.Network != "" && network != c.cfg.Network:
		c.Add(about, findings.Fatal, "the node at %s is of %s, and network is %s: name the right one", client.URL(), network, c.cfg.Network)
		return
	case !slices.Contains(config.Networks(), network):
		c.Add(about, findings.Caution, "the node at %s is of the network %q, which is not one of %s", client.URL(), info.Chain, strings.Join(config.Networks(), ", "))
		return
	}
	// Submitting nothing is an error of its own kind, unless the user may not submit at all.
	if _, err := client.SubmitBatch(ctx, nil); rpc.HasCode(err, rpc.CodeForbidden) {
		c.Add(about, findings.Caution, "the node at %s does not let the register submit: give its user the roles submit, verify and read", client.URL())
		return
	}
	c.Add(about, findings.Fine, "%s answers, %s, block %d", client.URL(), network, info.Blocks)
}
