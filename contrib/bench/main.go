// Command bench measures how fast ancred accepts digests, over JSON-RPC and at the calendar, beside a floor: a bare net/http handler
// that decodes the same requests and group-commits the same bytes to a synced log. Both run as processes of their own on this machine, in
// turns within one run, and what counts is their ratio: times tell about the machine, ratios about the program.
//
//	go run ./contrib/bench [-short] [-dir DIR] [-rounds N] [-time T] [-connections N] [-only NAME]
//
// It fails when something does not work: a call that is refused, a digest that was acknowledged and is not found after
// kill -9. It does not fail on slow figures. SHORT=1 in the environment is -short: a run to see that all works, whose
// figures mean nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"ancre/itest/harness"
)

// The ratios to the floor that are asked for now: of JSON-RPC, and of the calendar, whose requests need no decoding.
const (
	rpcTarget      = 0.4
	calendarTarget = 0.8
)

// rssTarget is how much the idle daemon may hold, in bytes.
const rssTarget = 100 << 20

type options struct {
	dir         string
	rounds      int
	time        time.Duration // of one measurement
	connections int
	only        string
	short       bool
}

// job is one way of submitting.
type job struct {
	name        string
	connections int
	digests     int     // a call
	calendar    bool    // with POST /digest, one digest a call
	target      float64 // of the ratio to the floor
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == floorCommand {
		exit(serveFloor(os.Args[2]))
	}
	o := options{short: os.Getenv("SHORT") != "" && os.Getenv("SHORT") != "0"}
	flag.BoolVar(&o.short, "short", o.short, "a quick run, to see that all works")
	flag.StringVar(&o.dir, "dir", "", "where both write, on the disk to be measured (default the system's directory for temporary files)")
	flag.IntVar(&o.rounds, "rounds", 7, "how often each measurement is made")
	flag.DurationVar(&o.time, "time", 4*time.Second, "how long one measurement takes")
	flag.IntVar(&o.connections, "connections", 256, "connections that submit one digest a call")
	flag.StringVar(&o.only, "only", "", "measure only what has this in its name: submit, submitbatch, digest")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.connections < 1 || o.time <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if o.short {
		o.rounds, o.time = 2, min(o.time, 500*time.Millisecond)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "ancre-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	fmt.Println(machine(dir))
	fmt.Println("Building ancred.")
	bin := filepath.Join(dir, "ancred")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "ancre/cmd/ancred").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}

	d, err := harness.NewDaemon(harness.Binaries{Ancred: bin}, nil, filepath.Join(dir, "daemon"), false)
	if err != nil {
		return err
	}
	d.Set("calendar", "rate_limit", "0") // all of the load comes from one address
	d.Set("calendar", "max_digests", "0")
	started := time.Now()
	if err := d.Start(ctx); err != nil {
		return err
	}
	fmt.Printf("ancred answered getinfo %d ms after its start.\n", time.Since(started).Milliseconds())
	defer func() {
		if d.Running() {
			err = errors.Join(err, d.Kill9())
		}
		if err != nil {
			err = fmt.Errorf("%w\nthe end of ancred's log:\n%s", err, d.Log(20))
		}
	}()
	idle, err := idleMemory(ctx, d.PID(), o.short)
	if err != nil {
		return err
	}
	f, err := startFloor(ctx, filepath.Join(dir, "floor"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.stop()) }()

	user, password, err := d.Credentials()
	if err != nil {
		return err
	}
	ours := &server{name: "ancred", addr: d.Addr(), calendar: d.CalendarAddr(), pid: d.PID(), user: user, password: password}
	floor := &server{name: "floor", addr: f.addr, calendar: f.addr, pid: f.cmd.Process.Pid, user: user, password: password}
	jobs := []job{
		{name: "submit", connections: o.connections, digests: 1, target: rpcTarget},
		{name: "submitbatch of 1,000", connections: 16, digests: 1000, target: rpcTarget},
	}
	for _, n := range []int{1, 64, 1000} {
		jobs = append(jobs, job{name: "POST /digest", connections: n, digests: 1, calendar: true, target: calendarTarget})
	}
	var results []result
	for _, j := range jobs {
		if !strings.Contains(j.name, o.only) {
			continue
		}
		r, err := compare(ctx, o, j, ours, floor)
		if err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
		results = append(results, r)
	}
	loaded, _ := residentMemory(d.PID())

	fmt.Println("Killing ancred, and asking for a sample of what it acknowledged.")
	if err := d.Kill9(); err != nil {
		return err
	}
	if err := d.Start(ctx); err != nil {
		return fmt.Errorf("after kill -9: %w", err)
	}
	n, err := askBack(ctx, d, ours.sample)
	if err != nil {
		return err
	}
	fmt.Printf("All %d of the sample are there.\n\n", n)
	printTable(results, idle, loaded)
	if o.short {
		fmt.Println("\nThis was a short run: its figures mean nothing.")
	}
	return d.Stop()
}

// askBack looks up digests that were acknowledged.
func askBack(ctx context.Context, d *harness.Daemon, digests []string) (int, error) {
	if len(digests) == 0 {
		return 0, errors.New("nothing was acknowledged")
	}
	for _, digest := range digests {
		var entry struct {
			Digest string `json:"digest"`
			Batch  uint64 `json:"batch"`
		}
		if err := d.Call(ctx, &entry, "getstatus", digest); err != nil {
			return 0, fmt.Errorf("%s was acknowledged: %w", digest, err)
		}
		if entry.Digest != digest || entry.Batch == 0 {
			return 0, fmt.Errorf("%s was acknowledged, and getstatus answers %+v", digest, entry)
		}
	}
	return len(digests), nil
}
