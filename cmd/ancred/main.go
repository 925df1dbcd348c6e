// Command ancred is the daemon of Ancre: it accepts digests over JSON-RPC and anchors them in
// Bitcoin.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"ancre/config"
	"ancre/daemon"
	"ancre/internal/printable"
)

// version is set at link time (-ldflags "-X main.version=…"); the module's own version is the
// fallback.
var version = ""

const usage = `ancred anchors hashes in Bitcoin.

Usage: ancred [--config FILE] [--datadir DIR] [--network NAME]

  --config FILE    the configuration; without it DIR/ancre.conf is read, if there is one
  --datadir DIR    where the data of all networks lie (default ~/.ancre)
  --network NAME   mainnet, testnet4, signet, regtest or simnet (default mainnet)
  --version        print the version and exit

Every setting stands in sample.conf with its default and its reason. The log goes to
standard error. Stop it with Ctrl-C, SIGTERM or "ancre rpc stop". It goes on when the
terminal is closed that it was started from (SIGHUP), or whoever reads its log is gone.
Use "ancre status" to see how it stands, and "ancre wallet create" to begin paying.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status: 0 after a stop that was asked for, 1 after a failure, 2 for wrong
// usage.
func run(args []string, stdout, stderr io.Writer) int {
	keepRunning()
	var flags config.Flags
	set := flag.NewFlagSet("ancred", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&flags.File, "config", "", "")
	set.StringVar(&flags.DataDir, "datadir", "", "")
	set.StringVar(&flags.Network, "network", "", "")
	showVersion := set.Bool("version", false, "")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, err := fmt.Fprint(stdout, usage)
		return printed(stderr, err)
	case err != nil:
		fmt.Fprintf(stderr, "ancred: %s\n\n%s", printable.Text(err.Error()), usage)
		return 2
	case set.NArg() > 0:
		fmt.Fprintf(stderr, "ancred: unexpected argument %q\n\n%s", set.Arg(0), usage)
		return 2
	}
	if *showVersion {
		_, err := fmt.Fprintln(stdout, "ancred", versionText())
		return printed(stderr, err)
	}
	cfg, err := flags.Load()
	if err != nil {
		fmt.Fprintf(stderr, "ancred: %s\n", printable.Text(err.Error()))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: nothing is lost by that, only the stop is not
	// clean.
	context.AfterFunc(ctx, stop)
	keepPrivate()
	if err := daemon.Run(ctx, cfg, versionText(), stderr); err != nil {
		fmt.Fprintf(stderr, "ancred: %s\n", printable.Text(err.Error()))
		return 1
	}
	return 0
}

// keepRunning has the process outlive what it was started from: a terminal that is closed sends
// SIGHUP, and a log that nobody reads any more is SIGPIPE. Neither is a reason to stop anchoring.
// (daemon.Run writes a line about each SIGHUP.)
func keepRunning() { signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE) }

// printed returns the exit status of a call that only prints.
func printed(stderr io.Writer, err error) int {
	if err != nil {
		fmt.Fprintf(stderr, "ancred: standard output could not be written: %v\n", err)
		return 1
	}
	return 0
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unreleased"
}
