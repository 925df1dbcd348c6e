package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"ancre/rpc"
)

// Daemon is an ancred on regtest with a directory and a configuration of its own, whether it runs
// at the moment or not.
type Daemon struct {
	Home    string // holds everything: the configuration, the data directory, the log
	DataDir string // as given to --datadir; the daemon makes a directory for the network in it
	Config  string // path of the configuration file

	// Env is added to the daemon's environment, as NAME=VALUE, from the next start on.
	Env []string

	bin      Binaries
	outlive  bool
	port     int
	calendar int                          // its port
	metrics  int                          // where they would be told, see MetricsAddr
	settings map[string]map[string]string // section, key, value as TOML
	rpc      *rpcClient

	mu   sync.Mutex
	proc *process
}

// NewDaemon prepares a daemon in home, with the node as its only peer unless node is nil. Start
// starts it.
func NewDaemon(bin Binaries, node *Node, home string, outlive bool) (*Daemon, error) {
	d := &Daemon{
		Home: home, DataDir: filepath.Join(home, "data"), Config: filepath.Join(home, "ancre.conf"),
		bin: bin, outlive: outlive, settings: make(map[string]map[string]string),
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	if node != nil {
		d.Set("spv", "connect", fmt.Sprintf("[%q]", node.P2P()))
	}
	return d, d.newPort()
}

// Unset removes a line of the configuration.
func (d *Daemon) Unset(section, key string) { delete(d.settings[section], key) }

// Set sets a line of the configuration, with the value as TOML, from the next start on.
func (d *Daemon) Set(section, key, value string) {
	if d.settings[section] == nil {
		d.settings[section] = make(map[string]string)
	}
	d.settings[section][key] = value
}

func (d *Daemon) newPort() (err error) {
	if d.port, err = FreePort(); err != nil {
		return err
	}
	d.Set("rpc", "listen", fmt.Sprintf("%q", d.Addr()))
	ours := fmt.Sprintf("%q", d.CalendarAddr())
	if d.calendar, err = FreePort(); err != nil {
		return err
	}
	if was, set := d.settings["calendar"]["listen"]; !set || was == ours {
		d.Set("calendar", "listen", fmt.Sprintf("%q", d.CalendarAddr()))
	}
	ours = fmt.Sprintf("%q", d.MetricsAddr())
	if d.metrics, err = FreePort(); err != nil {
		return err
	}
	if was, set := d.settings["metrics"]["listen"]; set && was == ours {
		d.Set("metrics", "listen", fmt.Sprintf("%q", d.MetricsAddr()))
	}
	d.rpc = newRPCClient(d.Addr(), d.Credentials)
	return nil
}

// Addr is where the daemon answers JSON-RPC, as host:port. It stays the same over restarts.
func (d *Daemon) Addr() string { return loopback(d.port) }

// CalendarAddr is where the daemon's calendar listens, as host:port, unless the test has set
// calendar.listen. It stays the same over restarts, and is what proofs point to.
func (d *Daemon) CalendarAddr() string { return loopback(d.calendar) }

// MetricsAddr is a free address for the daemon's metrics, as host:port. A test that wants them sets
// metrics.listen to it. It stays the same over restarts.
func (d *Daemon) MetricsAddr() string { return loopback(d.metrics) }

// NetDir is the directory with this network's data.
func (d *Daemon) NetDir() string { return filepath.Join(d.DataDir, Network) }

// Credentials returns the user and password in the cookie of the running daemon.
func (d *Daemon) Credentials() (user, password string, err error) {
	raw, err := os.ReadFile(filepath.Join(d.NetDir(), ".cookie"))
	if err != nil {
		return "", "", err
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(raw)), ":")
	if !ok {
		return "", "", errors.New("the cookie file holds no colon")
	}
	return user, password, nil
}

// Start starts the daemon and waits until it answers. The first start takes other ports if another
// program has taken ours.
func (d *Daemon) Start(ctx context.Context) error {
	fresh := d.process() == nil
	for try := 1; ; try++ {
		err := d.run(ctx)
		if err == nil || !fresh || !portTaken(err) || try == startTries {
			return err
		}
		if err := d.newPort(); err != nil {
			return err
		}
	}
}

func (d *Daemon) run(ctx context.Context) error {
	if err := d.Launch(); err != nil {
		return err
	}
	if err := d.AwaitUp(ctx); err != nil {
		return errors.Join(err, d.Kill9())
	}
	return nil
}

// Launch starts the daemon without waiting until it answers, for tests that kill it before.
func (d *Daemon) Launch() error {
	if d.process().running() {
		return errors.New("ancred is still running")
	}
	if err := d.WriteConfig(); err != nil {
		return err
	}
	proc, err := start("ancred", d.logPath(), d.outlive, append(d.environ(), d.Env...), d.bin.Ancred, d.flags()...)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proc = proc
	return nil
}

// AwaitUp waits until a launched daemon answers.
func (d *Daemon) AwaitUp(ctx context.Context) error {
	return d.process().awaitUp(ctx, func(ctx context.Context) error { return d.Call(ctx, nil, "getinfo") })
}

// WriteConfig writes the configuration file with the present settings.
func (d *Daemon) WriteConfig() error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "network = %q\n\n", Network) // so that --datadir is enough for a person who comes later
	for _, section := range slices.Sorted(maps.Keys(d.settings)) {
		fmt.Fprintf(&text, "[%s]\n", section)
		for _, key := range slices.Sorted(maps.Keys(d.settings[section])) {
			fmt.Fprintf(&text, "%s = %s\n", key, d.settings[section][key])
		}
		fmt.Fprintln(&text)
	}
	return os.WriteFile(d.Config, text.Bytes(), 0o600)
}

func (d *Daemon) flags() []string {
	return []string{"--config", d.Config, "--datadir", d.DataDir, "--network", Network}
}

func (d *Daemon) environ() []string { return environ(d.Home) }

func (d *Daemon) logPath() string { return filepath.Join(d.Home, "ancred.log") }

// RunToEnd runs ancred in the foreground and returns how it ended, for cases in which it must
// refuse to start. The flags in more come last, and override ours.
func (d *Daemon) RunToEnd(ctx context.Context, more ...string) (Result, error) {
	if err := d.WriteConfig(); err != nil {
		return Result{}, err
	}
	return run(ctx, nil, d.environ(), d.Home, d.bin.Ancred, append(d.flags(), more...)...)
}

// Stop asks the daemon to end, and waits.
func (d *Daemon) Stop() error { return d.process().stop() }

// Kill9 ends the daemon at once, as a power cut would.
func (d *Daemon) Kill9() error { return d.process().kill() }

// Abort ends a daemon that is stuck. The error contains the end of its log, and the path of the
// log.
func (d *Daemon) Abort() error { return d.process().abort() }

// AwaitEnd waits until the daemon has ended by itself; a status other than 0 is an error.
func (d *Daemon) AwaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	p := d.process()
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("ancred still runs: %w", ctx.Err())
	}
	if p.err != nil {
		return p.ended()
	}
	return nil
}

// PID is the id of the process.
func (d *Daemon) PID() int { return d.process().cmd.Process.Pid }

// Running reports whether the process runs.
func (d *Daemon) Running() bool { return d.process().running() }

// Log returns the last lines that the daemon wrote, over all its starts.
func (d *Daemon) Log(lines int) string { return tail(d.logPath(), lines) }

// LogSize returns the number of bytes that the daemon has logged so far, over all its starts.
// [Daemon.LogFrom] reads on from there.
func (d *Daemon) LogSize() int64 {
	info, err := os.Stat(d.logPath())
	if err != nil {
		return 0 // nothing yet
	}
	return info.Size()
}

// LogFrom returns what the daemon has written beyond an offset.
func (d *Daemon) LogFrom(offset int64) string {
	f, err := os.Open(d.logPath())
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.NewSectionReader(f, offset, 1<<30))
	return string(text)
}

func (d *Daemon) process() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proc
}

// Call calls a method over JSON-RPC with the daemon's cookie, and decodes the answer into result
// unless that is nil.
func (d *Daemon) Call(ctx context.Context, result any, method string, params ...any) error {
	return d.rpc.call(ctx, result, method, params...)
}

// AwaitInfo waits until ok accepts the answer of getinfo.
func (d *Daemon) AwaitInfo(ctx context.Context, what string, ok func(rpc.Info) bool) (info rpc.Info, err error) {
	err = Await(ctx, what, func(ctx context.Context) (bool, string, error) {
		info = rpc.Info{}
		if err := d.Call(ctx, &info, "getinfo"); err != nil {
			if !d.Running() {
				return false, "", d.process().ended()
			}
			return false, err.Error(), nil
		}
		return ok(info), fmt.Sprintf("%+v", info), nil
	})
	return info, err
}

// AwaitHeight waits until the daemon follows the chain up to the node's newest block.
func (d *Daemon) AwaitHeight(ctx context.Context, n *Node) error {
	height, err := n.Height(ctx)
	if err != nil {
		return err
	}
	hash, err := n.HashAt(ctx, height)
	if err != nil {
		return err
	}
	_, err = d.AwaitInfo(ctx, fmt.Sprintf("ancred to see block %d, %s", height, hash), func(i rpc.Info) bool {
		return i.Chain.Synced && i.Chain.BlockHash == hash.String()
	})
	return err
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status
}

// Ancre runs `ancre` against this daemon's directory, as someone on the same machine would.
func (d *Daemon) Ancre(ctx context.Context, args ...string) (Result, error) {
	return d.AncreIn(ctx, "", nil, args...)
}

// AncreIn is Ancre in a working directory and with something on standard input.
func (d *Daemon) AncreIn(ctx context.Context, dir string, stdin io.Reader, args ...string) (Result, error) {
	if dir == "" {
		dir = d.Home
	}
	return run(ctx, stdin, d.environ(), dir, d.bin.Ancre, append(d.flags(), args...)...)
}

// Shell runs lines of bash in the daemon's home directory. More variables are NAME=VALUE.
func (d *Daemon) Shell(ctx context.Context, lines string, more ...string) (Result, error) {
	return run(ctx, nil, append(d.environ(), more...), d.Home, "bash", "-c", lines)
}

// run runs a program to its end. An exit status other than 0 is no error.
func run(ctx context.Context, stdin io.Reader, env []string, dir, path string, args ...string) (Result, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.Env, cmd.Dir = env, dir
	err := cmd.Run()
	res := Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	if err != nil {
		return res, fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(path), strings.Join(args, " "), err, res.Stdout, res.Stderr)
	}
	return res, nil
}
