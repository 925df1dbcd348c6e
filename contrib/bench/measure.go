package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// figures are what one measurement gave.
type figures struct {
	perSecond float64       // digests
	cpu       time.Duration // of the server, for each digest; 0: not known
	p50, p99  time.Duration
}

// result is what all rounds of one job gave, of the same index in the same round.
type result struct {
	job         job
	ours, floor []figures
}

// compare measures both servers in turns, each first as often as second, so that what else happens on the machine
// and what the disk has cached meets both.
func compare(ctx context.Context, o options, j job, ours, floor *server) (result, error) {
	fmt.Printf("%s, %d connections, %d rounds: ", j.name, j.connections, o.rounds)
	r := result{job: j}
	for round := -1; round < o.rounds; round++ { // round -1 warms up
		length := o.time
		if round < 0 {
			length = o.time / 4
		}
		order := []*server{ours, floor}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			f, err := s.load(ctx, j, length)
			if err != nil {
				fmt.Println()
				return r, fmt.Errorf("%s: %w", s.name, err)
			}
			switch {
			case round < 0:
			case s == ours:
				r.ours = append(r.ours, f)
			default:
				r.floor = append(r.floor, f)
			}
		}
		fmt.Print(".")
	}
	fmt.Println()
	return r, nil
}

func (r *result) ratios() []float64 {
	all := make([]float64, len(r.ours))
	for i := range all {
		all[i] = r.ours[i].perSecond / r.floor[i].perSecond
	}
	slices.Sort(all)
	return all
}

func median[T any](all []figures, of func(figures) T, less func(a, b T) int) T {
	values := make([]T, len(all))
	for i := range all {
		values[i] = of(all[i])
	}
	slices.SortFunc(values, less)
	return values[len(values)/2]
}

func printTable(results []result, idle, loaded uint64) {
	fmt.Printf("%-32s %6s %14s %14s %12s %12s %10s %10s %8s\n", "", "ratio", "of the rounds", "target", "digests/s", "floor", "p50", "p99", "CPU")
	for i := range results {
		r := &results[i]
		speed := func(f figures) float64 { return f.perSecond }
		floats := func(a, b float64) int {
			switch {
			case a < b:
				return -1
			case a > b:
				return 1
			}
			return 0
		}
		durations := func(a, b time.Duration) int { return int(a - b) }
		ratios := r.ratios()
		ratio := ratios[len(ratios)/2]
		fmt.Printf("%-32s %6.2f %14s %14s %12.0f %12.0f %10s %10s %5d µs\n", fmt.Sprintf("%s, %d conn.", r.job.name, r.job.connections),
			ratio, fmt.Sprintf("%.2f to %.2f", ratios[0], ratios[len(ratios)-1]), verdict(ratio >= r.job.target, fmt.Sprintf("≥ %.1f", r.job.target)),
			median(r.ours, speed, floats), median(r.floor, speed, floats),
			short(median(r.ours, func(f figures) time.Duration { return f.p50 }, durations)),
			short(median(r.ours, func(f figures) time.Duration { return f.p99 }, durations)),
			median(r.ours, func(f figures) time.Duration { return f.cpu }, durations).Microseconds())
		fmt.Printf("%-32s %6s %14s %14s %12s %12s %10s %10s %5d µs\n", "  floor", "", "", "", "", "",
			short(median(r.floor, func(f figures) time.Duration { return f.p50 }, durations)),
			short(median(r.floor, func(f figures) time.Duration { return f.p99 }, durations)),
			median(r.floor, func(f figures) time.Duration { return f.cpu }, durations).Microseconds())
	}
	if idle > 0 {
		fmt.Printf("%-32s %36s %8d MiB\n", "resident memory, idle", verdict(idle <= rssTarget, fmt.Sprintf("≤ %d", rssTarget>>20)), idle>>20)
		fmt.Printf("%-32s %36s %8d MiB\n", "resident memory, loaded", "", loaded>>20)
	} else {
		fmt.Println("resident memory: not measured on this system")
	}
	fmt.Println("\nMedians of the rounds; p50 and p99 of one call. The ratio is that of the digests per second in the same round; CPU is what the server\n" +
		"took for each digest, which other work on the machine changes little.")
}

func verdict(met bool, what string) string {
	if met {
		return what + " met"
	}
	return strings.ToUpper(what + " missed")
}

func short(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
}
