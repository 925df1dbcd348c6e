package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"ancre/config"
	"ancre/daemon"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/findings"
	"ancre/internal/printable"
)

const checkUsage = `ancred check says whether ancred would start with its configuration, and changes nothing.

Usage: ancred check [--config FILE] [--datadir DIR] [--network NAME] [--quiet] [--json]

  --config, --datadir, --network   as for the daemon
  --quiet                          print only what is wrong
  --json                           print the result, or the error, as JSON

It reads the configuration, and looks at the users, the data directory, the files that are
named, the addresses, and the disk. As root it looks as the user to whom the data directory
belongs, because the service runs as that user.

Exit status: 0 ancred would start (there may be warnings), 1 it would not, 2 the
configuration is wrong.
`

// check is one call of the verb.
type check struct {
	world
	flags       config.Flags
	quiet, json bool
}

// runCheck does what args say, and returns the exit status. flags are those before the verb.
func runCheck(args []string, flags config.Flags, w world) int {
	c := &check{flags: flags, world: w}
	set := newFlagSet(&c.flags)
	set.BoolVar(&c.quiet, "quiet", false, "")
	set.BoolVar(&c.json, "json", false, "")
	err := set.Parse(args)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return w.print(checkUsage)
	case err != nil:
		return w.wrongUsage(checkUsage, err)
	}
	found, err := c.look()
	if err != nil {
		return c.fail(c.json, exitUsage, err)
	}
	return c.report(found)
}

// look checks as the user to whom the data directory belongs, if this is root. The error is about
// the configuration.
func (c *check) look() (found findings.List, err error) {
	cfg, err := c.flags.Load()
	if err != nil {
		return nil, err
	}
	if err := refuseMember(cfg, "check"); err != nil {
		return nil, err
	}
	dir, err := cfg.NetworkDir()
	if err != nil {
		return nil, err
	}
	root := os.Geteuid() == 0
	flags := c.flags
	flags.File = cfg.File() // that user has another home directory
	err = datadir.AsOwner(dir, func() error {
		if flags.File != "" {
			if cfg, err = flags.Load(); err != nil { // that user may not read it
				return err
			}
		}
		if root && os.Geteuid() != 0 && !c.json && !c.quiet {
			fmt.Fprintf(c.err, "Checking as %s, to whom %s belongs.\n", printable.Line(atomicfile.UserName(os.Geteuid())), printable.Line(dir))
		}
		found = daemon.Check(cfg)
		return nil
	})
	return found, err
}

// report prints what was found, and returns the exit status.
func (c *check) report(found findings.List) int {
	report := found.Report()
	status := exitDone
	if !report.Starts {
		status = exitFailed
	}
	text := ""
	if c.json {
		text = asJSON(report, "  ")
	} else {
		text = report.Text("ancred", c.quiet, c.out)
	}
	if printed := c.print(text); printed != exitDone {
		return printed
	}
	return status
}
