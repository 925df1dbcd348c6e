package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"ancre/config"
	"ancre/internal/command"
	"ancre/internal/loopback"
	"ancre/rpc"
)

// passwordVariable holds the password of --rpc-user: other people on the machine see command lines,
// but not this.
const passwordVariable = "ANCRE_RPC_PASSWORD"

// daemon returns the client for the daemon that the flags and the configuration name. It sends
// nothing yet.
func (a *app) daemon(ctx context.Context) (*rpc.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	cfg, err := a.flags.Load()
	if err != nil {
		return nil, command.Exit(exitUsage, err)
	}
	addr := cfg.RPCAddress()
	if a.rpcURL != "" {
		if addr, err = checkURL(a.rpcURL); err != nil {
			return nil, err
		}
	}

	var c *rpc.Client
	switch {
	case a.rpcUser != "" && a.rpcCookie != "":
		return nil, command.Usagef("--rpc-user and --rpc-cookie exclude each other")
	case a.rpcUser != "":
		password, err := a.password(ctx)
		if err != nil {
			return nil, err
		}
		c, err = rpc.NewClient(addr, a.rpcUser, password)
		if err != nil {
			return nil, command.Exit(exitUsage, err)
		}
	case a.rpcURL != "" && a.rpcCookie == "" && !isLoopback(addr):
		// This machine's cookie is no business of another one.
		return nil, command.Usagef("--rpc %s is not on this machine: name --rpc-user, and put the password into %s", a.rpcURL, passwordVariable)
	case a.rpcCookie != "":
		if c, err = rpc.NewCookieClient(addr, a.rpcCookie); err != nil {
			return nil, command.Exit(exitUsage, err)
		}
	default:
		if a.cookies, err = a.findCookies(cfg); err != nil {
			return nil, err
		}
		if c, err = rpc.NewClientFrom(addr, a.cookies.read); err != nil {
			return nil, command.Exit(exitUsage, err)
		}
	}
	c.Hint = fmt.Sprintf("is ancred running? Start it with `%s`, or name another address with --rpc", a.flags.Command("ancred"))
	if cfg.OnServiceMachine() {
		c.Hint = "does the service of this machine run? `" + serviceStatus + "` says why not"
	}
	a.client = c
	return c, nil
}

// checkURL accepts the value of --rpc: a URL without credentials, or HOST:PORT.
func checkURL(s string) (string, error) {
	full := s
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err == nil && u.User != nil {
		// Not repeated in the error: it holds a password.
		return "", command.Usagef("--rpc holds a user or password, which others would see in the list of processes: use --rpc-user and %s", passwordVariable)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", command.Usagef("--rpc %q: must be HOST:PORT, http://HOST:PORT or https://HOST:PORT", s)
	}
	return full, nil
}

func isLoopback(addr string) bool {
	u, err := url.Parse(addr)
	if err != nil {
		return false
	}
	return loopback.IsHost(u.Hostname())
}

func (a *app) password(ctx context.Context) (string, error) {
	if p := os.Getenv(passwordVariable); p != "" {
		return p, nil
	}
	if !a.person {
		return "", command.Usagef("--rpc-user %s: put the password into the environment as %s", a.rpcUser, passwordVariable)
	}
	return a.askSecret(ctx, "Password of "+a.rpcUser+": ")
}

// configuration returns what the daemon was configured with, if it was on this machine.
func (a *app) configuration() (config.Config, error) {
	cfg, err := a.flags.Load()
	if err != nil {
		return cfg, command.Exit(exitUsage, err)
	}
	return cfg, nil
}

const (
	// patience is how often patiently asks a daemon that is busy: about a minute's worth.
	patience = 60

	// longestWait is how long patiently waits before it asks again, whatever the server says.
	longestWait = time.Hour
)

// pause is [time.After]. Only tests set it.
var pause = time.After

// patiently calls do again while the daemon, or a web server in front of it, says that it accepts
// nothing now. It gives up on one that stays busy. A user's limit is no such thing: there is room
// again after some time. tell is called before each longer wait, if it is not nil.
func patiently(ctx context.Context, do func() error, tell func(wait time.Duration, err error)) error {
	for busy := 0; ; {
		err := do()
		wait, temporary := rpc.RetryAfter(err)
		if !temporary {
			return err
		}
		if !rpc.HasCode(err, rpc.CodeQuota) {
			if busy++; busy > patience {
				return err
			}
		}
		wait = min(wait, longestWait)
		if tell != nil && wait > time.Second {
			tell(wait, err)
		}
		select {
		case <-pause(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// daemonError is one that every further call would meet as well: nothing listens, or refuses the
// credentials.
type daemonError struct{ error }

func (e daemonError) Unwrap() error { return e.error }

// callError marks errors of calls: a refusal concerns this call, everything else the daemon.
func callError(err error) error {
	var refused *rpc.Error
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return daemonError{err}
}

// isFatal says whether there is no use in going on with the next file.
func isFatal(err error) bool {
	var d daemonError
	return errors.As(err, &d)
}
