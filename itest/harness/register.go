package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Register is an ancre-register with a directory and a configuration of its own, whether it runs at
// the moment or not. It is a client of the node that the configuration names.
type Register struct {
	service
	DataDir string

	node *Daemon
	port int
}

// NewRegister prepares a register in home, beside a node. Start starts it.
func NewRegister(bin Binaries, node *Daemon, home string, outlive bool) (*Register, error) {
	svc, err := newService(bin.AncreRegister, home, "register.conf", outlive)
	if err != nil {
		return nil, err
	}
	r := &Register{service: svc, DataDir: filepath.Join(home, "data"), node: node}
	r.Set("", "datadir", fmt.Sprintf("%q", r.DataDir))
	return r, r.newPort()
}

func (r *Register) newPort() (err error) {
	if r.port, err = FreePort(); err != nil {
		return err
	}
	r.Set("page", "listen", fmt.Sprintf("%q", loopback(r.port)))
	r.Set("node", "rpc", fmt.Sprintf("%q", r.node.Addr()))
	r.Set("node", "cookie", fmt.Sprintf("%q", filepath.Join(r.node.NetDir(), ".cookie")))
	return nil
}

// URL is the address of the public page, without a slash at its end. It stays the same over
// restarts.
func (r *Register) URL() string { return "http://" + loopback(r.port) }

// Start starts the register and waits until its page answers.
func (r *Register) Start(ctx context.Context) error {
	return r.startOn(ctx, r.newPort, func(ctx context.Context) error {
		if err := r.Launch(); err != nil {
			return err
		}
		if err := r.AwaitUp(ctx); err != nil {
			return errors.Join(err, r.Kill9())
		}
		return nil
	})
}

// Launch starts the register without waiting until it answers.
func (r *Register) Launch() error { return r.launch("serve", "--config", r.Config) }

// AwaitUp waits until a launched register answers its verbs, and its page answers too.
func (r *Register) AwaitUp(ctx context.Context) error {
	return r.process().awaitUp(ctx, func(ctx context.Context) error {
		if err := dial(ctx, loopback(r.port)); err != nil {
			return err
		}
		res, err := r.Run(ctx, "status")
		if err == nil && res.Code != 0 {
			err = errors.New(res.Stderr)
		}
		return err
	})
}

// Run runs a verb of ancre-register on the running register, as its clerk would.
func (r *Register) Run(ctx context.Context, args ...string) (Result, error) {
	return r.RunIn(ctx, "", nil, args...)
}

// RunIn is Run in a working directory and with something on standard input.
func (r *Register) RunIn(ctx context.Context, dir string, stdin io.Reader, args ...string) (Result, error) {
	if dir == "" {
		dir = r.Home
	}
	return run(ctx, stdin, r.environ(), dir, r.exe, append(args, "--config", r.Config)...)
}
