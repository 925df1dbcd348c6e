// Command ancred is the daemon of Ancre: it accepts digests over JSON-RPC and anchors them in
// Bitcoin. While no daemon runs, "ancred restore" makes a new store from a backup, and "ancred
// move" moves a daemon from a home directory to the service.
//
// Exit statuses: 0 after a stop that was asked for, or when the verb is done; 1 after a failure; 2
// for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ancre/config"
	"ancre/daemon"
	"ancre/internal/interrupt"
	"ancre/internal/journal"
	"ancre/internal/printable"
	"ancre/internal/version"

	"golang.org/x/term"
)

const usage = `ancred anchors hashes in Bitcoin.

Usage: ancred [--config FILE] [--datadir DIR] [--network NAME]
       ancred check [--quiet] [--json]
       ancred restore [--check] [--json] FILE
       ancred move [--json] FROM
       ancred mail [--server HOST[:PORT]] ADDRESS...
       ancred version

  --config FILE    the configuration; without it DIR/ancre.conf is read, if there is one,
                   and then /etc/ancre/ancre.conf, that of the service of this machine
  --datadir DIR    where the data of all networks lie (default ~/.ancre)
  --network NAME   mainnet, testnet4, signet, regtest or simnet (default mainnet)
  --version        print the version and exit

"ancred check" says whether ancred would start with its configuration, and changes
nothing; "ancred check --help" says more.

"ancred restore FILE" makes a new store from a file that "ancre backup" wrote, while no
ancred runs in the data directory; "ancred restore --help" says more.

"ancred move FROM" moves a daemon's data and settings from a home directory to the
service; "ancred move --help" says more.

"ancred mail" sends a warning by mail, as a notify.command; "ancred mail --help" says
more.

Every setting stands in sample.conf with its default and its reason. The log goes to
standard error. Stop it with Ctrl-C, SIGTERM or "ancre rpc stop". It goes on when the
terminal is closed that it was started from (SIGHUP), or whoever reads its log is gone.
Use "ancre status" to see how it stands, and "ancre wallet create" to begin paying.
`

// Exit statuses, see the package comment.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], systemWorld())) }

// world is what a call of the program meets.
type world struct {
	in       io.Reader
	out, err io.Writer
	errTerm  bool                   // a person reads err
	width    func() int             // of that person's terminal
	begin    func() context.Context // begins a verb; the context ends when a signal asks for that
}

func systemWorld() world {
	w := world{in: os.Stdin, out: os.Stdout, err: os.Stderr, errTerm: term.IsTerminal(int(os.Stderr.Fd()))}
	w.width = func() int {
		if columns, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && columns > 0 {
			return columns
		}
		return 80
	}
	w.begin = func() context.Context { return interrupt.Context(nil) }
	return w
}

// run does what args say, and returns the exit status.
func run(args []string, w world) int {
	var flags config.Flags
	set := newFlagSet(&flags)
	showVersion := set.Bool("version", false, "")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return w.print(usage)
	case err != nil:
		return w.wrongUsage(usage, err)
	case set.Arg(0) == "restore":
		return runRestore(set.Args()[1:], flags, w)
	case set.Arg(0) == "move":
		return runMove(set.Args()[1:], flags, w)
	case set.Arg(0) == "check":
		return runCheck(set.Args()[1:], flags, w)
	case set.Arg(0) == "mail":
		return runMail(set.Args()[1:], w)
	case set.NArg() == 0 && *showVersion, set.NArg() == 1 && set.Arg(0) == "version":
		return w.print("ancred " + version.Text() + "\n")
	case set.NArg() > 0:
		return w.wrongUsage(usage, fmt.Errorf("unexpected argument %q", set.Arg(0)))
	}
	return runDaemon(flags, w.err)
}

// newFlagSet returns the flags that the daemon and its verbs share.
func newFlagSet(flags *config.Flags) *flag.FlagSet {
	set := flag.NewFlagSet("ancred", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&flags.File, "config", flags.File, "")
	set.StringVar(&flags.DataDir, "datadir", flags.DataDir, "")
	set.StringVar(&flags.Network, "network", flags.Network, "")
	return set
}

// runDaemon runs the daemon until a signal or a client asks for its end.
func runDaemon(flags config.Flags, stderr io.Writer) int {
	cfg, err := flags.Load()
	if err != nil {
		fmt.Fprintf(stderr, "%s\n", journal.Line(stderr, journal.Error, "ancred: "+printable.Text(err.Error())))
		return exitUsage
	}
	if err := refuseBesideService(flags, cfg); err != nil {
		fmt.Fprintf(stderr, "%s\n", journal.Line(stderr, journal.Error, "ancred: "+printable.Text(err.Error())))
		return exitUsage
	}
	keepRunning()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: nothing is lost by that, only the stop is not
	// clean.
	context.AfterFunc(ctx, stop)
	keepPrivate()
	if err := daemon.Run(ctx, cfg, version.Text(), stderr); err != nil {
		fmt.Fprintf(stderr, "%s\n", journal.Line(stderr, journal.Error, "ancred: "+printable.Text(err.Error())))
		return exitFailed
	}
	return exitDone
}

// keepRunning lets the process outlive the terminal that it was started from. A terminal that is
// closed sends SIGHUP. A log that nobody reads any more is SIGPIPE. Neither is a reason to stop
// anchoring. (daemon.Run writes a line about each SIGHUP.)
func keepRunning() { signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE) }

// wrongUsage says what is wrong with a call, and what is right.
func (w world) wrongUsage(usage string, err error) int {
	fmt.Fprintf(w.err, "ancred: %s\n\n%s", printable.Text(err.Error()), usage)
	return exitUsage
}

// print writes a result, and returns the exit status of a call that does nothing else. It closes
// standard output where it can be closed: some file systems report a failed write only then.
func (w world) print(text string) int {
	_, err := io.WriteString(w.out, text)
	if c, ok := w.out.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		fmt.Fprintf(w.err, "ancred: standard output could not be written: %v\n", err)
		return exitFailed
	}
	return exitDone
}
