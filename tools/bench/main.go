// Command bench measures how fast ancred is. Each figure stands beside a floor from the same run:
// the least that any program must do for the same result. Servers and load are separate processes
// on this machine, measured in turns. Compare the ratios: times depend on the machine. bench prints
// the table, and writes it with plots into docs/performance.md.
//
//	go run ./tools/bench [-store DIR] [-short] [-docs DIR] [-dir DIR] [-rounds N] [-time T]
//		[-only NAMES]
//	go run ./tools/bench -build N -store DIR
//
// The second form builds a store of N digests through the daemon's own interface, and measures
// nothing. It resumes an interrupted build. -store in the first form names such a store, which is
// measured too; the small stores are built each time.
//
// bench fails if something does not work: a call is refused, a digest that was acknowledged is not
// found after kill -9, a proof does not verify. It does not fail on slow figures. SHORT=1 in the
// environment is -short: a run that only shows that everything works, and writes no figures.
// STORE=DIR is -store DIR.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type options struct {
	dir    string
	store  string // of the large site; "": none
	build  uint64 // only build it
	docs   string // directory of performance.md; "": it is not written
	rounds int
	time   time.Duration // of one measurement
	only   []string      // names of steps; none: all
	short  bool

	small, medium uint64 // digests in the sites that are built each time
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == floorCommand {
		exit(serveFloor(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == syncCommand {
		exit(serveSync(os.Args[2]))
	}
	o := options{short: os.Getenv("SHORT") != "" && os.Getenv("SHORT") != "0", small: 1_000_000, medium: 10_000_000}
	var only string
	flag.BoolVar(&o.short, "short", o.short, "a quick run that only shows that everything works")
	flag.StringVar(&o.dir, "dir", "", "directory for everything that is written, on the disk to measure (default the system's directory for temporary files)")
	flag.StringVar(&o.store, "store", os.Getenv("STORE"), "directory of a large store")
	flag.Uint64Var(&o.build, "build", 0, "build the large store with this many digests, and measure nothing")
	flag.StringVar(&o.docs, "docs", "docs", "directory of performance.md and its plots; short and partial runs write there only if this is given")
	flag.IntVar(&o.rounds, "rounds", 5, "number of rounds of each measurement")
	flag.DurationVar(&o.time, "time", 3*time.Second, "length of one measurement")
	flag.StringVar(&only, "only", "", "measure only these, separated by commas: "+strings.Join(stepNames(), ", "))
	flag.Parse()
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if err := o.check(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o)
	stop()
	exit(err)
}

// check completes the options, or says what is wrong with them.
func (o *options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: bench takes only flags; see -h", flag.Arg(0))
	case o.rounds < 1:
		return fmt.Errorf("-rounds %d: must be at least 1", o.rounds)
	case o.time <= 0:
		return fmt.Errorf("-time %s: must be more than 0", o.time)
	case o.build > 0 && o.store == "":
		return errors.New("-build needs -store DIR, where the store is built")
	}
	for _, name := range o.only {
		if !isStep(name) {
			return fmt.Errorf("-only %s: there is no such part; the parts are %s", name, strings.Join(stepNames(), ", "))
		}
	}
	if o.short {
		o.rounds, o.time = 2, min(o.time, 300*time.Millisecond)
		o.small, o.medium = 20_000, 60_000
	}
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "docs" })
	if (o.short || len(o.only) > 0) && !given {
		o.docs = ""
	}
	return nil
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
