package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// sealedLeaves is the size of the batches that are sealed: 1 Mi, the default of
	// batch.max_digests.
	sealedLeaves = 1 << 20

	// probes are the connections that submit, one digest a call, while a batch is sealed.
	probes = 16
)

// probe is their load.
var probe = job{kind: submit, name: "submit", connections: probes, digests: 1}

// measureSeal measures how long the daemon takes to seal a batch of 1 Mi leaves, from closebatch to
// its answer. The floor is the plain tree over as many leaves in memory. It also measures the
// longest submit during sealing, beside the longest without sealing and the longest at the floor.
func (b *bench) measureSeal(ctx context.Context) error {
	leaves := sealedLeaves
	if b.short {
		leaves = 1 << 14
	}
	s, err := b.fresh(ctx, "batch", "max_digests", fmt.Sprint(4*sealedLeaves))
	if err != nil {
		return err
	}
	to, err := s.server()
	if err != nil {
		return err
	}
	floor := b.floorServer()

	fmt.Printf("Sealing %s leaves, %d rounds: ", count(uint64(leaves)), b.rounds)
	var m sealings
	for range b.rounds {
		if err := m.round(ctx, s, to, floor, leaves); err != nil {
			return err
		}
		fmt.Print(".")
	}
	fmt.Println()
	b.rows = append(b.rows, m.rows(leaves)...)
	if _, err := askBack(ctx, s.daemon, to.sample); err != nil {
		return err
	}
	return s.close()
}

// sealings are the measured milliseconds, one figure a round.
type sealings struct {
	alone, crowded []float64 // sealing a batch, without and with submits at the same time
	tree           []float64 // the plain tree over as many leaves

	during, without, atFloor []float64 // the longest submit: while a batch is sealed, else, at the floor
}

// round seals one batch without submits beside it, and one with them.
func (m *sealings) round(ctx context.Context, s *site, to, floor *server, leaves int) error {
	if err := fillOpen(ctx, to, leaves); err != nil {
		return err
	}
	took, err := s.seal(ctx, leaves)
	if err != nil {
		return err
	}
	m.alone = append(m.alone, ms(took))
	m.tree = append(m.tree, ms(plainTree(leaves)))

	if err := fillOpen(ctx, to, leaves); err != nil {
		return err
	}
	// All three are measured for the same time: a longer measurement sees more of the machine's
	// other work.
	length := max(took, 200*time.Millisecond)
	f, err := to.load(ctx, probe, lasting(length))
	if err != nil {
		return err
	}
	m.without = append(m.without, ms(f.most))
	if f, err = floor.load(ctx, probe, lasting(length)); err != nil {
		return err
	}
	m.atFloor = append(m.atFloor, ms(f.most))

	var sealing atomic.Bool
	sealing.Store(true)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		f, err := to.load(gctx, probe, sealing.Load)
		m.during = append(m.during, ms(f.most))
		return err
	})
	g.Go(func() error {
		defer sealing.Store(false)
		took, err := s.seal(gctx, leaves)
		m.crowded = append(m.crowded, ms(took))
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	// The digests of the probes must not be part of the next round.
	return s.daemon.Call(ctx, nil, "closebatch")
}

func (m *sealings) rows(leaves int) []row {
	n := mebi(leaves)
	sealing := inTurns("sealing "+n+" leaves", "ms", m.alone, m.tree, atMost(ratio, 2))
	sealing.detail = fmt.Sprintf("from closebatch to its answer; floor: plain crypto/sha256, one core. Under %d connections of submit %s ms",
		probes, brief(middle(m.crowded)))
	longest := inTurns("longest submit while "+n+" leaves are sealed", "ms", m.during, m.without, atMost(figure, 20))
	longest.detail = fmt.Sprintf("%d connections; median of %d sealings, the worst of all %s. Floor: the longest without sealing, in as much time; the longest at the bare handler is %s",
		probes, len(m.during), brief(slices.Max(m.during)), brief(middle(m.atFloor)))
	return []row{sealing, longest}
}

// fillOpen submits a number of new digests into the open batch.
func fillOpen(ctx context.Context, to *server, digests int) error {
	to.limit = to.next + uint64(digests)
	defer func() { to.limit = 0 }()
	_, err := to.load(ctx, job{kind: submit, name: "submitbatch", connections: buildConnections, digests: 1024}, always)
	return err
}

// seal closes the open batch, which must hold at least a number of digests, and returns how long
// that took.
func (s *site) seal(ctx context.Context, atLeast int) (time.Duration, error) {
	var sealed struct {
		State   string `json:"state"`
		Root    string `json:"root"`
		Digests int    `json:"digests"`
	}
	start := time.Now()
	err := s.daemon.Call(ctx, &sealed, "closebatch")
	took := time.Since(start)
	if err == nil && (sealed.State == "open" || sealed.Root == "" || sealed.Digests < atLeast) {
		err = fmt.Errorf("closebatch answers %+v, want a sealed batch of at least %d digests", sealed, atLeast)
	}
	return took, err
}

// plainTree computes a Merkle tree over a number of leaves in memory, pair by pair and level by
// level, and returns how long that took.
func plainTree(leaves int) time.Duration {
	nodes := make([][32]byte, leaves)
	for i := range nodes {
		nodes[i] = sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	start := time.Now()
	var pair [64]byte
	for n := len(nodes); n > 1; n = (n + 1) / 2 {
		for i := range n / 2 {
			copy(pair[:32], nodes[2*i][:])
			copy(pair[32:], nodes[2*i+1][:])
			nodes[i] = sha256.Sum256(pair[:])
		}
		if n%2 == 1 {
			nodes[n/2] = nodes[n-1]
		}
	}
	return time.Since(start)
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// mebi writes a power of two as people say it.
func mebi(n int) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d Mi", n>>20)
	}
	return fmt.Sprintf("%d Ki", n>>10)
}
