package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ancre/itest/harness"
)

// bench is one run.
type bench struct {
	options
	work    string // where everything is written; removed at the end
	bins    harness.Binaries
	machine string
	floor   *floorProcess

	small, medium, large *site   // nil: not built yet; large: of -store, if at all
	others               []*site // that steps made for themselves

	rows []row

	// For the plots.
	latencies []latency
	speeds    []speed
}

// step is one part of a run. Each prepares what it needs and adds its rows. They run in the order
// of this list.
type step struct {
	name string
	run  func(*bench, context.Context) error
}

var steps = []step{
	{"submit", (*bench).measureSubmit},
	{"start", (*bench).measureStart},
	{"proofs", (*bench).measureProofs},
	{"submitbatch", (*bench).measureSubmitBatch},
	{"seal", (*bench).measureSeal},
	{"memory", (*bench).measureMemory},
	{"disk", (*bench).measureDisk},
	{"lookup", (*bench).measureLookup},
	{"mined", (*bench).measureMined},
	{"headers", measureWith(measureHeaders)},
	{"stamp", measureWith(measureStamp)},
}

// measureWith makes a step that needs only the programs of the run.
func measureWith(measure func(ctx context.Context, o options, dir string) ([]row, error)) func(*bench, context.Context) error {
	return func(b *bench, ctx context.Context) error {
		rows, err := measure(ctx, b.options, b.work)
		b.rows = append(b.rows, rows...)
		return err
	}
}

func stepNames() (names []string) {
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

func isStep(name string) bool { return slices.Contains(stepNames(), name) }

func run(ctx context.Context, o options) (err error) {
	b := &bench{options: o}
	if b.work, err = os.MkdirTemp(o.dir, "ancre-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	fmt.Println("Building ancred, ancre and btcd.")
	if b.bins, err = harness.Build(ctx, ".", b.work); err != nil {
		return err
	}
	if o.build > 0 {
		s, err := openSite(o.store)
		if err != nil {
			return err
		}
		if err := s.build(ctx, b.bins, o.build); err != nil {
			return err
		}
		fmt.Printf("%s holds %s digests in %.1f GB, all final. Measure with it: make bench STORE=%s\n", o.store, count(s.book.Stored), float64(s.book.Bytes)/1e9, o.store)
		return nil
	}
	if b.machine, err = machine(b.work); err != nil {
		return err
	}
	fmt.Println(b.machine)
	defer func() { err = errors.Join(err, b.closeAll()) }()
	if err := b.openAll(ctx); err != nil {
		return err
	}
	failed := b.measure(ctx)
	fmt.Println()
	printTable(os.Stdout, b.rows)
	if failed != nil || ctx.Err() != nil {
		return errors.Join(failed, ctx.Err())
	}
	if o.short {
		fmt.Println("\nThis was a short run: all works, and the figures mean nothing.")
	}
	if o.docs == "" {
		return nil
	}
	return b.writeDocument(o.docs)
}

// measure runs the steps that are wanted. If one fails, the others are still measured, and the
// error is returned at the end.
func (b *bench) measure(ctx context.Context) (failed error) {
	for _, s := range steps {
		if len(b.only) > 0 && !slices.Contains(b.only, s.name) {
			continue
		}
		began := time.Now()
		if err := s.run(b, ctx); err != nil {
			if ctx.Err() != nil {
				return failed // interrupted: what comes of that is no news
			}
			err = fmt.Errorf("%s: %w", s.name, err)
			fmt.Fprintf(os.Stderr, "bench: %v%s\n", err, b.logs())
			failed = errors.Join(failed, err)
			continue
		}
		fmt.Printf("-- %s: %.0f s\n", s.name, time.Since(began).Seconds())
	}
	return failed
}

// openAll starts the floor, and opens the large site if one is named.
func (b *bench) openAll(ctx context.Context) (err error) {
	if b.floor, err = startFloor(ctx, filepath.Join(b.work, "floor")); err != nil {
		return err
	}
	if b.store == "" {
		return nil
	}
	if b.large, err = openSite(b.store); err != nil {
		return err
	}
	if !b.large.book.Final {
		return fmt.Errorf("%s holds no complete store: build one, or resume building it, with go run ./tools/bench -build 100000000 -store %[1]s", b.store)
	}
	return b.large.open(ctx, b.bins)
}

func (b *bench) sites() (all []*site) {
	for _, s := range append([]*site{b.small, b.medium, b.large}, b.others...) {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// fresh starts a daemon without digests, with more lines of configuration: section, key, value.
func (b *bench) fresh(ctx context.Context, settings ...string) (*site, error) {
	s, err := openSite(filepath.Join(b.work, fmt.Sprintf("fresh-%d", len(b.others))))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.prepare(b.bins, nil); err != nil {
		return nil, err
	}
	for i := 0; i+2 < len(settings); i += 3 {
		s.daemon.Set(settings[i], settings[i+1], settings[i+2])
	}
	b.others = append(b.others, s)
	return s, s.daemon.Start(ctx)
}

// closeAll ends everything that runs.
func (b *bench) closeAll() (err error) {
	for _, s := range b.sites() {
		err = errors.Join(err, s.close())
	}
	if b.floor != nil {
		err = errors.Join(err, b.floor.stop())
	}
	return err
}

// logs returns the end of the daemons' logs, for a person who looks for the cause of a failure.
func (b *bench) logs() (text string) {
	for _, s := range b.sites() {
		if s.daemon != nil {
			text += fmt.Sprintf("\nthe end of the log of ancred in %s:\n%s", s.dir, s.daemon.Log(10))
		}
	}
	return text
}

// filled returns the sites that hold digests, smallest first, and builds those that are built in
// each run.
func (b *bench) filled(ctx context.Context) ([]*site, error) {
	for _, s := range []struct {
		at   **site
		size uint64
	}{{&b.small, b.options.small}, {&b.medium, b.options.medium}} {
		if *s.at != nil {
			continue
		}
		made, err := openSite(filepath.Join(b.work, fmt.Sprint(s.size)))
		if err != nil {
			return nil, err
		}
		if err := made.build(ctx, b.bins, s.size); err != nil {
			return nil, err
		}
		if err := made.open(ctx, b.bins); err != nil {
			return nil, err
		}
		*s.at = made
	}
	all := []*site{b.small, b.medium}
	if b.large != nil {
		all = append(all, b.large)
	}
	return all, nil
}

// absent adds a row that says "not measured", for a figure that needs the large site, if there is
// none.
func (b *bench) absent(name, unit string, t target) {
	if b.large == nil {
		b.rows = append(b.rows, row{name: fmt.Sprintf(name, count(largeSize)), unit: unit, target: t, absent: "no store of this size was given: make bench STORE=DIR"})
	}
}

// largeSize is the number of digests in the targets.
const largeSize = 100_000_000

// floorServer returns the floor as a server to load.
func (b *bench) floorServer() *server {
	return &server{name: "the floor", addr: b.floor.addr, calendar: b.floor.addr, pid: b.floor.cmd.Process.Pid, user: "floor", password: "floor"}
}
