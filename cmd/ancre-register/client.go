package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"time"

	"ancre/config"
	"ancre/internal/command"
	"ancre/register/control"
)

// register returns the client of the register that the flags and the configuration name. It sends
// nothing yet.
func (a *app) register() (*control.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	cfg, err := a.flags.Load()
	if err != nil {
		return nil, command.Exit(exitUsage, err)
	}
	socket, err := cfg.Socket()
	if err != nil {
		return nil, command.Exit(exitUsage, err)
	}
	a.client = control.NewClient(socket)
	return a.client, nil
}

// call calls the register, and again while it is busy. Its error says how to start a register that
// does not run, and how to become one of those who may call.
func (a *app) call(ctx context.Context, do func(*control.Client) error) error {
	c, err := a.register()
	if err != nil {
		return err
	}
	return a.explain(patiently(ctx, func() error { return do(c) }))
}

// patience is how often patiently asks a register that is busy: some two minutes' worth.
const patience = 120

// pause is [time.After]. Only tests set it.
var pause = time.After

// patiently calls do again while the register is busy.
func patiently(ctx context.Context, do func() error) error {
	for tries := 0; ; tries++ {
		err := do()
		if !control.HasCode(err, control.CodeBusy) || tries == patience {
			return err
		}
		select {
		case <-pause(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// explain says what to type when the register could not be called.
func (a *app) explain(err error) error {
	if !errors.Is(err, control.ErrNotRunning) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	cfg, loadErr := a.flags.Load()
	if loadErr != nil {
		return err
	}
	service := cfg.OnServiceMachine()
	switch {
	case errors.Is(err, fs.ErrPermission) && service:
		return fmt.Errorf("%w. %s", err, howToJoin())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as the user who runs the register", err)
	case service:
		return fmt.Errorf("%w. Start it with \"sudo systemctl start %s\"; \"systemctl status %s\" says why it stopped", err, config.RegisterServiceUnit, config.RegisterServiceUnit)
	}
	return fmt.Errorf("%w. Start it with \"%s\", or name another one with --config or --datadir", err, a.flags.Command("ancre-register")+" serve")
}

// howToJoin says how this user becomes a member of the service's group.
func howToJoin() string {
	const group = config.RegisterServiceGroup
	name := "NAME"
	me, err := user.Current()
	if err == nil {
		name = me.Username
		// The system's list, and what this session began with.
		if g, err := user.LookupGroup(group); err == nil {
			listed, _ := me.GroupIds()
			gid, _ := strconv.Atoi(g.Gid)
			if has, err := os.Getgroups(); err == nil && slices.Contains(listed, g.Gid) && !slices.Contains(has, gid) {
				return fmt.Sprintf("%s is a member of the group %s, but not yet in this session: log in again", name, group)
			}
		}
	}
	return fmt.Sprintf("The members of the group %s may use the register: run \"sudo usermod -aG %s %s\" and log in again", group, group, name)
}
