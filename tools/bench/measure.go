package main

import (
	"context"
	"fmt"
	"time"
)

// rounds are the results of all rounds of one job, for one server.
type rounds []figures

// inRounds loads all servers in turns, round by round. Each is first as often as any other, so that
// other work of the machine and the disk's cache affect all of them alike. It returns the rounds of
// each server, in the servers' order.
func inRounds(ctx context.Context, o options, j job, servers ...*server) ([]rounds, error) {
	fmt.Printf("%s, %d connections, %d rounds of %d: ", j.name, j.connections, o.rounds, len(servers))
	all := make([]rounds, len(servers))
	for round := -1; round < o.rounds; round++ { // round -1 warms up
		length := o.time
		if round < 0 {
			length = o.time / 4
		}
		for i := range servers {
			at := (i + round + 1) % len(servers)
			if servers[at].files != "" {
				if err := warm(servers[at].files); err != nil {
					return nil, err
				}
			}
			if !o.short {
				if err := rest(ctx, servers...); err != nil {
					return nil, err
				}
			}
			f, err := servers[at].load(ctx, j, lasting(length))
			if err != nil {
				fmt.Println()
				return nil, fmt.Errorf("%s, %s: %w", j.name, servers[at].name, err)
			}
			if round >= 0 {
				all[at] = append(all[at], f)
			}
		}
		fmt.Print(".")
	}
	fmt.Println()
	return all, nil
}

// of returns one figure of each round.
func (r rounds) of(get func(figures) float64) []float64 {
	values := make([]float64, len(r))
	for i := range r {
		values[i] = get(r[i])
	}
	return values
}

func (r rounds) speed() []float64 { return r.of(func(f figures) float64 { return f.perSecond }) }

// milliseconds is the median of a latency.
func (r rounds) milliseconds(get func(figures) time.Duration) float64 {
	return middle(r.of(func(f figures) float64 { return get(f).Seconds() * 1000 }))
}

// detail describes the latencies and the processor time beside the speed.
func (r rounds) detail() string {
	cpu := middle(r.of(func(f figures) float64 { return float64(f.cpu.Nanoseconds()) / 1000 }))
	text := fmt.Sprintf("p50 %s, p99 %s, p99.9 %s ms", brief(r.milliseconds(func(f figures) time.Duration { return f.p50 })),
		brief(r.milliseconds(func(f figures) time.Duration { return f.p99 })), brief(r.milliseconds(func(f figures) time.Duration { return f.p999 })))
	if cpu > 0 {
		text += fmt.Sprintf(", CPU %s µs each", brief(cpu))
	}
	return text
}

// beside makes the row of a speed and the floor's.
func beside(name, unit string, ours, floor rounds, t target) row {
	r := inTurns(name, unit, ours.speed(), floor.speed(), t)
	r.detail = fmt.Sprintf("%s; floor: %s", ours.detail(), floor.detail())
	return r
}

// brief writes a figure with its significant digits.
func brief(x float64) string {
	switch {
	case x >= 100:
		return group(fmt.Sprintf("%.0f", x))
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2g", x)
}

// group puts commas between thousands.
func group(digits string) string {
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
