// Package notify tells an operator of warnings, by running a command that the configuration names.
//
// The command is run when a warning has begun, when it is over, and as a reminder while it lasts.
// It is run without a shell, and reads the [Event] as JSON from standard input. It succeeds by
// exiting with status 0.
//
// The promises: a warning that lasted two minutes is told at least once, over any failure of the
// command and any restart of the daemon. Events of one kind are told in order. That a warning of a
// kind began is told at most once a day (critical ones: once an hour), and so is that it is over.
// Whatever the command does, it never holds up the daemon.
//
// Webhooks, and events other than warnings, will have files of their own beside command.go.
package notify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/internal/wake"
	"ancre/internal/warning"
)

const (
	// timeLimit is how long a command may take. A mail server may wait half a minute before it
	// greets.
	timeLimit = time.Minute

	// manyFailures is from when on a command that fails is a warning.
	manyFailures = 3
)

// ErrNoCommand is returned by [Notifier.Test] if the configuration names no command.
var ErrNoCommand = errors.New("no command is configured: set notify.command in ancre.conf, and restart ancred")

// Config configures a [Notifier].
type Config struct {
	Command []string // the program and its arguments; empty: nothing is ever told
	File    string   // what was told, over restarts
	Network string
	Version string
	Program string // whose warnings they are; empty: ancred
	Status  string // the command that shows all of them; empty: ancre status
	Log     *slog.Logger
}

// Notifier tells an operator of warnings. Its methods may be called by several goroutines at once.
type Notifier struct {
	cfg   Config
	host  string
	limit time.Duration    // timeLimit; tests shorten it
	now   func() time.Time // tests have a clock of their own

	running chan struct{} // holds one value while a command runs
	due     chan struct{} // see wake: something may have to be told
	changed chan struct{} // see wake: the ledger must be written

	mu     sync.Mutex
	ledger ledger
}

// New returns a notifier that knows what was told before. If it cannot read that, it says so in the
// log, and may tell something twice.
func New(cfg Config) *Notifier {
	n := &Notifier{cfg: cfg, limit: timeLimit, now: time.Now, running: make(chan struct{}, 1), due: wake.New(), changed: wake.New()}
	n.host, _ = os.Hostname()
	if len(cfg.Command) == 0 {
		return n
	}
	var err error
	if n.ledger, err = load(cfg.File); err != nil {
		cfg.Log.Warn("cannot read which warnings the operator was told of; some may be told again", "err", err)
	}
	return n
}

// Look takes note of the warnings that there are now. The daemon calls it every few seconds. It
// waits for nothing.
func (n *Notifier) Look(all []warning.Warning) {
	if len(n.cfg.Command) == 0 {
		return
	}
	n.mu.Lock()
	changed := n.ledger.look(n.now(), all)
	n.mu.Unlock()
	if changed {
		wake.Up(n.changed)
	}
	wake.Up(n.due)
}

// Run tells what is to be told until ctx ends. Then it kills a command that runs, and tells that
// event again after the next start.
func (n *Notifier) Run(ctx context.Context) {
	if len(n.cfg.Command) == 0 {
		<-ctx.Done()
		return
	}
	// A disk that hangs must not delay the warning that says so: another goroutine writes.
	var saving sync.WaitGroup
	saving.Go(func() { n.save(ctx) })
	defer saving.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.due:
		}
		for n.tellNext(ctx) {
		}
	}
}

// tellNext tells one event. It reports whether there was one and the command took it.
func (n *Notifier) tellNext(ctx context.Context) bool {
	n.mu.Lock()
	e, ok := n.ledger.next(n.now())
	n.mu.Unlock()
	if !ok || ctx.Err() != nil {
		return false
	}
	started := n.now()
	printed, err := n.tell(ctx, &e)
	if ctx.Err() != nil && err != nil { // the daemon stops: this is no failure of the command
		return false
	}
	log := n.cfg.Log.With("warning", e.Kind, "event", e.Event)
	n.mu.Lock()
	if err == nil {
		n.ledger.told(n.now(), e)
	} else {
		wait := n.ledger.failed(n.now(), e, withOutput(err, printed))
		log = log.With("retry_seconds", int(wait.Seconds()))
	}
	n.mu.Unlock()
	wake.Up(n.changed)
	if err != nil {
		log.Warn("notify.command failed, and is run again later", "output", printed, "err", err)
		return false
	}
	log.Info("notify.command told the operator", "output", printed, "seconds", seconds(n.now().Sub(started)))
	return true
}

// tell runs the command with an event. One command runs at a time.
func (n *Notifier) tell(ctx context.Context, e *Event) (printed string, err error) {
	select {
	case n.running <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-n.running }()
	e.Network, e.Host, e.Version = n.cfg.Network, n.host, n.cfg.Version
	e.program, e.status = n.cfg.Program, n.cfg.Status
	line, err := e.line()
	if err != nil {
		return "", err
	}
	if err := Usable(n.cfg.Command); err != nil {
		return "", err
	}
	return run(ctx, n.cfg.Command, line, n.limit)
}

// Result is the outcome of a test.
type Result struct {
	Program string        // that was run
	Output  string        // what it printed, on one line
	Took    time.Duration //
	Err     error         // nil: it succeeded
}

// Test runs the command now, with an event that says that it is a test. It returns [ErrNoCommand]
// if there is none.
func (n *Notifier) Test(ctx context.Context) (Result, error) {
	if len(n.cfg.Command) == 0 {
		return Result{}, ErrNoCommand
	}
	now := n.now()
	e := Event{Event: Test, Kind: Test, Severity: "info", Time: now, Since: now, says: "this is a test",
		Text: "This is a test of notify.command in ancre.conf. If you can read it, you will be told when ancred has a warning."}
	r := Result{Program: n.cfg.Command[0]}
	r.Output, r.Err = n.tell(ctx, &e)
	r.Took = n.now().Sub(now)
	if r.Err == nil { // what waits is told at once
		n.mu.Lock()
		n.ledger.succeeded()
		n.mu.Unlock()
		wake.Up(n.changed)
		wake.Up(n.due)
	}
	return r, nil
}

// Warnings says when the command cannot be run, or fails again and again.
func (n *Notifier) Warnings() []warning.Warning {
	if len(n.cfg.Command) == 0 {
		return nil
	}
	const remedy = "\"ancre rpc testnotify\" tries it"
	if err := Usable(n.cfg.Command); err != nil {
		return []warning.Warning{warning.New(warning.Notify, "nobody will be told of warnings: notify.command: %v: correct it in ancre.conf and restart ancred; %s", err, remedy)}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &n.ledger
	if l.Failures < manyFailures {
		return nil
	}
	about := ""
	if kinds := l.untold(); len(kinds) > 0 {
		about = fmt.Sprintf(", so nobody was told of %s (%s)", humanize.Plural(len(kinds), "warning", "warnings"), strings.Join(kinds, ", "))
	}
	return []warning.Warning{warning.New(warning.Notify, "notify.command has failed %d times since %s%s. The last time: %s. ancred tries again; %s",
		l.Failures, l.Failed.UTC().Format("2006-01-02 15:04 UTC"), about, cmp.Or(l.Error, "unknown"), remedy)}
}

// save writes the ledger whenever it changed, until ctx ends.
func (n *Notifier) save(ctx context.Context) {
	var saved []byte
	failed := false
	write := func() {
		n.mu.Lock()
		data, err := n.ledger.encode()
		n.mu.Unlock()
		if err == nil && !slices.Equal(data, saved) {
			err = atomicfile.Put(n.cfg.File, data, 0o600)
		}
		if err != nil && !failed {
			n.cfg.Log.Warn("cannot write which warnings the operator was told of; after a restart some may be told again", "err", err)
		}
		if failed = err != nil; !failed {
			saved = bytes.Clone(data)
		}
	}
	for {
		select {
		case <-n.changed:
			write()
		case <-ctx.Done():
			write()
			return
		}
	}
}

// withOutput adds what a command printed to its error.
func withOutput(err error, printed string) error {
	if printed == "" {
		return err
	}
	return fmt.Errorf("%w, and it printed: %s", err, printed)
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
