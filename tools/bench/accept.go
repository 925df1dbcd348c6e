package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ancre/itest/harness"
)

// manyConnections is the number of connections in the targets for single digests.
const manyConnections = 256

// measureSubmit measures how fast an empty daemon accepts digests one by one, over JSON-RPC and at
// the calendar. At the end the daemon is killed, and must still have every digest that it
// acknowledged.
func (b *bench) measureSubmit(ctx context.Context) error {
	empty, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	ours, err := empty.server()
	if err != nil {
		return err
	}
	floor := b.floorServer()
	const unit = "digests/s"
	jobs := []struct {
		job
		target target
	}{{job{kind: submit, name: "submit", connections: manyConnections, digests: 1}, atLeast(ratio, 0.7)}}
	for _, n := range []int{1, 64, manyConnections, 1000} {
		j := job{kind: postDigest, name: "POST /digest", connections: n, digests: 1}
		t := target{}
		if n == manyConnections {
			t = atLeast(ratio, 0.8)
		}
		jobs = append(jobs, struct {
			job
			target target
		}{j, t})
	}
	for _, j := range jobs {
		all, err := inRounds(ctx, b.options, j.job, ours, floor)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s, %d connections", j.name, j.connections)
		if j.connections == 1 {
			name = j.name + ", 1 connection"
		}
		b.rows = append(b.rows, beside(name, unit, all[0], all[1], j.target))
		if j.connections != manyConnections {
			continue
		}
		if j.kind == submit {
			p99 := func(f figures) float64 { return f.p99.Seconds() * 1000 }
			b.rows = append(b.rows, inTurns(name+": p99", "ms", all[0].of(p99), all[1].of(p99), atMost(ratio, 2)))
		}
		b.latencies = append(b.latencies, latency{name, all[0], all[1]})
	}

	fmt.Println("Killing ancred, and asking for a sample of what it acknowledged.")
	if err := empty.daemon.Kill9(); err != nil {
		return err
	}
	if err := empty.daemon.Start(ctx); err != nil {
		return fmt.Errorf("after kill -9: %w", err)
	}
	n, err := askBack(ctx, empty.daemon, ours.sample)
	if err != nil {
		return err
	}
	fmt.Printf("All %d of the sample are there.\n", n)
	return empty.close()
}

// measureSubmitBatch measures calls with a thousand digests, on stores of several sizes.
func (b *bench) measureSubmitBatch(ctx context.Context) error {
	if _, err := b.filled(ctx); err != nil {
		return err
	}
	empty, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	sites := []*site{empty, b.medium}
	if b.large != nil {
		sites = append(sites, b.large)
	}
	servers, err := serversOf(sites)
	if err != nil {
		return err
	}
	j := job{kind: submit, name: "submitbatch of 1,000", connections: buildConnections, digests: 1000}
	all, err := inRounds(ctx, b.options, j, append(servers, b.floorServer())...)
	if err != nil {
		return err
	}
	const name, unit = "submitbatch of 1,000, %s stored", "digests/s"
	t := atLeast(ratio, 0.6)
	for i, s := range sites {
		b.rows = append(b.rows, beside(fmt.Sprintf(name, count(s.book.Stored)), unit, all[i], all[len(sites)], t))
		if _, err := askBack(ctx, s.daemon, servers[i].sample); err != nil {
			return err
		}
	}
	b.absent(name, unit, t)
	return empty.close()
}

// askedBack is the number of digests of a sample that are looked up.
const askedBack = 1000

// askBack looks up digests that were acknowledged.
func askBack(ctx context.Context, d *harness.Daemon, digests []string) (int, error) {
	if len(digests) == 0 {
		return 0, errors.New("nothing was acknowledged")
	}
	rand.Shuffle(len(digests), func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
	digests = digests[:min(len(digests), askedBack)]
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

// latency holds how long the calls of one measurement took, for a plot.
type latency struct {
	name        string
	ours, floor rounds
}

// quantiles are the ones that are shown.
var quantiles = []struct {
	name string
	of   func(figures) time.Duration
}{
	{"p50", func(f figures) time.Duration { return f.p50 }},
	{"p99", func(f figures) time.Duration { return f.p99 }},
	{"p99.9", func(f figures) time.Duration { return f.p999 }},
}
