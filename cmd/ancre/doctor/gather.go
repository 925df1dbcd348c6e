package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	"ancre/config"
	"ancre/rpc"
)

// Limit is how long Gather looks, whatever does not answer.
const Limit = 25 * time.Second

// Target says where to look.
type Target struct {
	Flags   config.Flags
	Client  *rpc.Client // of the daemon; nil: see Problem
	Problem error       // why there is no client
	Remote  bool        // the daemon runs on another machine
	Version string      // of this program
	Notify  bool        // try notify.command, which tells somebody
	Command string      // how the person called this program, with the flags that name the daemon

	// Progress, if it is not nil, is told what Gather still waits for, each time that changes. It
	// is called by one goroutine at a time.
	Progress func(waiting []string)
}

// Gather looks at everything at once, and returns what it saw within limit. It changes nothing.
func Gather(ctx context.Context, t Target, limit time.Duration) *Facts {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := &collector{progress: t.Progress, facts: unseen(limit)}
	c.facts.Now, c.facts.Me, c.facts.Remote, c.facts.Client = time.Now(), me(t.Command), t.Remote, t.Version

	cfg, settings := loadSettings(t.Flags)
	c.put(func(f *Facts) { f.Settings, f.Me.Service = settings, cfg.OnServiceMachine() })
	g := &gatherer{Target: t, collector: c, cfg: cfg, settings: settings}
	c.start(ctx, "ancred", g.daemon)
	if t.Notify {
		c.facts.Notified = Missing[rpc.NotifyTest](noAnswer)
		c.start(ctx, "notify.command", g.tryNotify)
	}
	if !t.Remote {
		c.start(ctx, "the calendar", g.calendar)
		c.start(ctx, "the programs", g.programs)
		c.start(ctx, "the processes", g.processes)
		c.start(ctx, "systemd", g.systemd)
		c.start(ctx, "the clock", g.clock)
		c.start(ctx, "the disk", g.disk)
		c.start(ctx, "cron", g.cron)
	}
	return c.wait(ctx)
}

// gatherer is one call of Gather.
type gatherer struct {
	Target
	*collector
	cfg      config.Config // the defaults if it cannot be read
	settings Fact[Settings]
}

// collector takes facts from steps that run at the same time.
type collector struct {
	progress func([]string)
	ended    sync.WaitGroup

	mu      sync.Mutex
	closed  bool     // no more facts are taken
	facts   *Facts   // guarded by mu until closed
	waiting []string // the names of the steps that run
}

// put lets change write into the facts, unless it comes too late.
func (c *collector) put(change func(f *Facts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		change(c.facts)
	}
}

// start begins a step.
func (c *collector) start(ctx context.Context, name string, step func(ctx context.Context)) {
	c.mu.Lock()
	c.waiting = append(c.waiting, name)
	c.mu.Unlock()
	c.ended.Add(1)
	go func() {
		defer c.ended.Done()
		step(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting = slices.DeleteFunc(c.waiting, func(s string) bool { return s == name })
		c.tell()
	}()
}

// tell reports what is waited for. mu is held.
func (c *collector) tell() {
	if c.progress != nil && !c.closed && len(c.waiting) > 0 {
		c.progress(slices.Clone(c.waiting))
	}
}

// wait returns the facts when all steps have ended, or when ctx ends. A step that a file system
// holds up cannot be ended; it is left behind.
func (c *collector) wait(ctx context.Context) *Facts {
	c.mu.Lock()
	c.tell()
	c.mu.Unlock()
	all := make(chan struct{})
	go func() { c.ended.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done():
		// The steps that end with ctx say why they saw nothing.
		select {
		case <-all:
		case <-time.After(time.Second):
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.facts
}

// unseen are the facts before anything was seen.
func unseen(limit time.Duration) *Facts {
	why := fmt.Sprintf("nothing was seen within %s", config.Brief(limit))
	return &Facts{
		Settings: Missing[Settings](why), Programs: Missing[[]Program](why), Check: Missing[[]Finding](why),
		Service: Missing[Service](why), Timer: Missing[Service](why), Processes: Missing[[]Process](why), DataDirs: Missing[[]DataDir](why), InUse: Missing[bool](why),
		RPC: Missing[Port](why), Calendar: Missing[Port](why), Public: Missing[string](why), Info: Missing[rpc.Info](why), Fees: Missing[rpc.FeeEstimate](why),
		Reach: Missing[Reach](why), NTP: Missing[NTP](why), Disk: Missing[Disk](why), Unlock: Missing[string](why),
		Jobs: Missing[[]Job](why), Log: Missing[int](why),
	}
}

// me says who asks.
func me(command string) Me {
	m := Me{Ancre: command, Root: os.Geteuid() == 0, User: "unknown"}
	if u, err := user.Current(); err == nil {
		m.User = u.Username
	}
	return m
}

// loadSettings reads the configuration. If it cannot be read, the configuration is the default.
func loadSettings(flags config.Flags) (config.Config, Fact[Settings]) {
	cfg, err := flags.Load()
	if err == nil && cfg.ServiceDenied() != nil {
		return cfg, Denied[Settings]()
	}
	var dir string
	if err == nil {
		dir, err = cfg.NetworkDir()
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return config.Default(), Denied[Settings]()
	case err != nil:
		return config.Default(), Missing[Settings](strings.TrimPrefix(err.Error(), "configuration: "))
	}
	return cfg, Known(Settings{
		File: cfg.File(), Dir: dir, Network: cfg.Network,
		RPC: cfg.RPCAddress(), Calendar: cfg.Calendar.Listen, CalendarURI: cfg.Calendar.URI,
		Proxy: cfg.SPV.Proxy, Connect: cfg.SPV.Connect,
		Interval: cfg.Batch.Interval, Target: cfg.Anchor.Target, Debug: cfg.Log.Level == "debug",
		Notify: first(cfg.Notify.Command), Metrics: cfg.Metrics.Listen != "",
	})
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
