package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ancre/rpc"
)

// Daemon is an ancred on regtest with a directory and a configuration of its own, whether it runs
// at the moment or not.
type Daemon struct {
	service
	DataDir string // as given to --datadir; the daemon makes a directory for the network in it

	bin      Binaries
	port     int
	calendar int // its port
	metrics  int // where they would be told, see MetricsAddr
	rpc      *rpcClient
}

// NewDaemon prepares a daemon in home, with the node as its only peer unless node is nil. Start
// starts it.
func NewDaemon(bin Binaries, node *Node, home string, outlive bool) (*Daemon, error) {
	svc, err := newService(bin.Ancred, home, "ancre.conf", outlive)
	if err != nil {
		return nil, err
	}
	d := &Daemon{service: svc, DataDir: filepath.Join(home, "data"), bin: bin}
	d.Set("", "network", fmt.Sprintf("%q", Network)) // so that --datadir is enough for a person who comes later
	if node != nil {
		d.Set("spv", "connect", fmt.Sprintf("[%q]", node.P2P()))
	}
	return d, d.newPort()
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
	return d.startOn(ctx, d.newPort, d.run)
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
func (d *Daemon) Launch() error { return d.launch(d.flags()...) }

// AwaitUp waits until a launched daemon answers.
func (d *Daemon) AwaitUp(ctx context.Context) error {
	return d.process().awaitUp(ctx, func(ctx context.Context) error { return d.Call(ctx, nil, "getinfo") })
}

func (d *Daemon) flags() []string {
	return []string{"--config", d.Config, "--datadir", d.DataDir, "--network", Network}
}

// RunToEnd runs ancred in the foreground and returns how it ended, for cases in which it must
// refuse to start. The flags in more come last, and override ours.
func (d *Daemon) RunToEnd(ctx context.Context, more ...string) (Result, error) {
	if err := d.WriteConfig(); err != nil {
		return Result{}, err
	}
	return run(ctx, nil, d.environ(), d.Home, d.bin.Ancred, append(d.flags(), more...)...)
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
