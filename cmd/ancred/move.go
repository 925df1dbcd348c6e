package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"ancre/config"
	"ancre/daemon"
	"ancre/internal/humanize"
	"ancre/internal/printable"
)

const moveUsage = `ancred move moves a daemon's data and settings from a home directory to the service.

Usage: sudo ancred move [--config FILE] [--datadir DIR] [--network NAME] [--json] FROM

  --config, --datadir   of the daemon that gets the data (default: the service of this machine)
  --network             of the data, if FROM has those of several
  --json                print the result, or the error, as JSON

FROM is a data directory, such as /home/NAME/.ancre, or the directory of one network in
it. Stop both daemons first. The data are copied, synced and compared. Then the service's
configuration takes over the settings of FROM's ancre.conf, and FROM gets a name with
".moved" at its end: no ancred opens it any more, because two daemons with the same coins
would pay twice. Delete it when the service has worked for a while.

If the move is interrupted, even by a power cut, run the same command again. A target
that holds digests or a wallet is never replaced.
`

// move is one call of the verb.
type move struct {
	world
	flags config.Flags
	json  bool
}

// runMove does what args say, and returns the exit status. flags are those before the verb.
func runMove(args []string, flags config.Flags, w world) int {
	m := &move{world: w, flags: flags}
	set := newFlagSet(&m.flags)
	set.BoolVar(&m.json, "json", false, "")
	err := set.Parse(args)
	from := set.Arg(0)
	if err == nil && set.NArg() > 0 {
		err = set.Parse(set.Args()[1:]) // flags may stand behind FROM too
	}
	if err == nil && (from == "" || set.NArg() > 0) {
		err = errors.New("move takes one FROM: a data directory such as /home/NAME/.ancre")
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return w.print(moveUsage)
	case err != nil && m.json:
		return w.fail(true, exitUsage, err)
	case err != nil:
		return w.wrongUsage(moveUsage, err)
	}
	keepPrivate()
	return m.run(w.begin(), from)
}

// run moves the data, and returns the exit status.
func (m *move) run(ctx context.Context, from string) int {
	cfg, err := m.target()
	if err != nil {
		return m.fail(m.json, exitUsage, err)
	}
	show, finish := m.startProgress("Copying and comparing", m.json, true)
	report, err := (&daemon.Move{From: from, Network: m.flags.Network, Config: cfg, Progress: show}).Run(ctx)
	finish()
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		return m.fail(m.json, exitFailed, errors.New("interrupted: run the same command again"))
	case err != nil:
		return m.fail(m.json, exitFailed, err)
	}
	return m.report(report)
}

// target returns the configuration of the daemon that gets the data: the service's, even for a user
// who has a daemon of his own.
func (m *move) target() (config.Config, error) {
	if m.flags.File == "" && m.flags.DataDir == "" {
		if _, err := os.Stat(config.ServiceFile); err != nil {
			return config.Config{}, fmt.Errorf("this machine has no service (%w): install it, or name a target with --datadir", err)
		}
		m.flags.File = config.ServiceFile
	}
	return m.flags.Load()
}

// report says what was done, and what to do next.
func (m *move) report(r daemon.MoveReport) int {
	if m.json {
		return m.print(asJSON(r, "  "))
	}
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", printable.Args(args)...) }
	line("The data of %s are now in %s.", r.Network, r.To)
	if r.Files > 0 {
		line("Copied and compared: %s, %s.", humanize.Plural(r.Files, "file", "files"), humanize.Bytes(r.Bytes))
	}
	if r.Aside != "" {
		line("An unused directory was there. It is now %s, and you may delete it.", r.Aside)
	}
	if len(r.Taken) > 0 {
		line("%s took over: %s.", r.Config, strings.Join(r.Taken, ", "))
	}
	for _, left := range r.Left {
		line("Not taken over: %s: %s.", left.Key, left.Why)
	}
	line("The old data are still in %s. No ancred opens them any more.", r.Kept)
	status := m.print(text.String())
	next := "Now start the daemon."
	if m.flags.File == config.ServiceFile {
		next = "Now start the service: sudo systemctl enable --now " + config.ServiceUnit
	}
	if _, err := fmt.Fprintln(m.err, next); err != nil {
		return exitFailed // there is no place left to say why
	}
	return status
}
