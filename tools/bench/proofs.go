package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

const (
	proofConnections = 64

	// verified is the number of proofs of each site that are verified.
	verified = 20
)

// speed is a speed at a number of stored digests, for a plot.
type speed struct {
	name   string
	stored uint64
	rounds rounds
}

// measureProofs measures how fast the daemon serves complete proofs of random digests, at all sizes
// in the same rounds. The floor is a bare net/http server that answers with the same bytes. Some of
// the proofs are verified.
func (b *bench) measureProofs(ctx context.Context) error {
	sites, err := b.filled(ctx)
	if err != nil {
		return err
	}
	for _, s := range sites {
		numbers := make([]uint64, verified)
		for i := range numbers {
			numbers[i] = rand.Uint64N(s.book.Stored)
		}
		if err := s.verify(ctx, numbers); err != nil {
			return fmt.Errorf("%s: %w", s.dir, err)
		}
		fmt.Printf("%d proofs of %s digests are complete and verified.\n", verified, count(s.book.Stored))
	}
	for _, j := range []struct {
		job
		contentType string
	}{
		{job{kind: getProof, name: "getproof", connections: proofConnections, digests: 1}, "application/json"},
		{job{kind: getTimestamp, name: "GET /timestamp/…", connections: proofConnections, digests: 1}, "application/octet-stream"},
	} {
		if err := b.measureAnswers(ctx, sites, j.job, j.contentType); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureAnswers(ctx context.Context, sites []*site, j job, contentType string) error {
	servers, err := serversOf(sites)
	if err != nil {
		return err
	}
	floor := b.floorServer()
	floor.answers, floor.stored, floor.count = sameAnswer, servers[0].stored, servers[0].count
	answer, err := servers[len(servers)-1].one(ctx, j)
	if err != nil {
		return err
	}
	if err := b.floor.answerWith(ctx, contentType, answer); err != nil {
		return err
	}
	all, err := inRounds(ctx, b.options, j, append(servers, floor)...)
	if err != nil {
		return err
	}
	const unit = "answers/s"
	name := j.name + ", %s stored"
	t := atLeast(ratio, 0.5)
	for i, s := range sites {
		b.rows = append(b.rows, beside(fmt.Sprintf(name, count(s.book.Stored)), unit, all[i], all[len(sites)], t))
		b.speeds = append(b.speeds, speed{j.name, s.book.Stored, all[i]})
	}
	b.absent(name, unit, t)

	// How much slower a large store is: these are times, so more is slower.
	slower, flat := j.name+", %s stored, beside "+count(sites[0].book.Stored), atMost(ratio, 1.3)
	micros := func(f figures) float64 { return 1e6 / f.perSecond }
	for i, s := range sites[1:] {
		r := inTurns(fmt.Sprintf(slower, count(s.book.Stored)), "µs", all[i+1].of(micros), all[0].of(micros), flat)
		r.detail = fmt.Sprintf("%d connections together; the floor is the smallest store", j.connections)
		b.rows = append(b.rows, r)
	}
	b.absent(slower, "µs", flat)
	return nil
}

// one makes a single call, and returns the answer.
func (s *server) one(ctx context.Context, j job) ([]byte, error) {
	w, err := s.dial(ctx, j)
	if err != nil {
		return nil, err
	}
	defer w.conn.Close()
	w.compose()
	if err := w.call(); err != nil {
		return nil, err
	}
	return w.answer.Bytes(), nil
}
