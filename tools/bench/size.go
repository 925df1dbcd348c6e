package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// The rows about the costs of a large store: start, memory, disk.

// startTries is the number of starts that are measured.
const startTries = 5

// measureStart measures the time from the start of the process to its first acknowledgement. The
// digest is new: the daemon has looked for it among all that are stored, and written it to disk.
func (b *bench) measureStart(ctx context.Context) error {
	empty, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	filled, err := b.filled(ctx)
	if err != nil {
		return err
	}
	const name = "start to the first answer, %s stored"
	t := atMost(figure, 2)
	tries := startTries
	if b.short {
		tries = 1
	}
	for _, s := range append([]*site{empty}, filled...) {
		var clean, info []float64
		for range tries {
			if err := s.daemon.Stop(); err != nil {
				return err
			}
			first, all, err := s.start(ctx)
			if err != nil {
				return err
			}
			clean, info = append(clean, first.Seconds()), append(info, all.Seconds())
		}
		if err := s.daemon.Kill9(); err != nil {
			return err
		}
		killed, _, err := s.start(ctx)
		if err != nil {
			return err
		}
		detail := fmt.Sprintf("submit, from the start of the process; median of %d. After kill -9: %s s. ", tries, brief(killed.Seconds()))
		if s == empty {
			detail += fmt.Sprintf("getinfo: %s s", brief(middle(info)))
		} else {
			detail += fmt.Sprintf("getinfo, which also waits until the wallet is unlocked: %s s", brief(middle(info)))
		}
		b.rows = append(b.rows, row{name: fmt.Sprintf(name, count(s.book.Stored)), ours: middle(clean), unit: "s", target: t, detail: detail})
	}
	b.absent(name, "s", t)
	return empty.close()
}

// start starts the daemon and returns how long it took until it had answered submit, and then
// getinfo.
func (s *site) start(ctx context.Context) (first, info time.Duration, err error) {
	// An old cookie would be tried first, and refused.
	if err := os.Remove(filepath.Join(s.daemon.NetDir(), ".cookie")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, err
	}
	some, err := newSeed()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := s.daemon.Launch(); err != nil {
		return 0, 0, err
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.daemon.Call(ctx, nil, "submit", hex.EncodeToString(some[:]))
		if err == nil {
			first = time.Since(began)
			err = s.daemon.Call(ctx, nil, "getinfo")
			return first, time.Since(began), err
		}
		if !s.daemon.Running() || time.Since(began) > patience {
			return 0, 0, fmt.Errorf("ancred does not answer: %w\n%s", err, s.daemon.Log(10))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
}

// measureMemory measures the daemon's resident memory: some time after a start, and the most while
// it accepts batches and serves proofs.
func (b *bench) measureMemory(ctx context.Context) error {
	const idleName, busyName, unit = "resident memory, idle, %s stored", "resident memory, under load, %s stored", "MB"
	idle, busy := atMost(figure, 150), atMost(figure, 400)
	sites, err := b.filled(ctx)
	if err != nil {
		return err
	}
	for _, s := range sites[1:] {
		if err := s.close(); err != nil {
			return err
		}
		if err := s.daemon.Start(ctx); err != nil {
			return err
		}
		rest, err := idleMemory(ctx, s.daemon.PID(), b.short)
		if err != nil {
			return err
		}
		r := row{name: fmt.Sprintf(idleName, count(s.book.Stored)), ours: float64(rest) / 1e6, unit: unit, target: idle, detail: "the largest of 10 values, some seconds after a start"}
		if rest == 0 {
			r.absent = "not to be seen on " + runtime.GOOS
		}
		b.rows = append(b.rows, r)
		most, err := b.memoryUnderLoad(ctx, s)
		if err != nil {
			return err
		}
		r = row{
			name: fmt.Sprintf(busyName, count(s.book.Stored)), ours: float64(most) / 1e6, unit: unit, target: busy, absent: r.absent,
			detail: fmt.Sprintf("the peak, with submitbatch of 1,000 on %d connections and getproof on %d, together", buildConnections, proofConnections),
		}
		b.rows = append(b.rows, r)
	}
	b.absent(idleName, unit, idle)
	b.absent(busyName, unit, busy)
	return nil
}

func (b *bench) memoryUnderLoad(ctx context.Context, s *site) (uint64, error) {
	if err := resetPeak(s.daemon.PID()); err != nil {
		return 0, err
	}
	g, gctx := errgroup.WithContext(ctx)
	more := lasting(5 * b.time)
	for _, j := range []job{{kind: submit, connections: buildConnections, digests: 1000}, {kind: getProof, connections: proofConnections, digests: 1}} {
		to, err := s.server()
		if err != nil {
			return 0, err
		}
		g.Go(func() error {
			_, err := to.load(gctx, j, more)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return memoryOf(s.daemon.PID(), "VmHWM")
}

// measureDisk computes the disk space of a digest from the built store. It counts all files of the
// daemon.
func (b *bench) measureDisk(ctx context.Context) error {
	const name = "disk, a digest, %s stored"
	t := atMost(figure, 110)
	sites, err := b.filled(ctx)
	if err != nil {
		return err
	}
	for _, s := range sites[1:] {
		b.rows = append(b.rows, row{
			name: fmt.Sprintf(name, count(s.book.Stored)), ours: float64(s.book.Bytes) / float64(s.book.Stored), unit: "bytes", target: t,
			detail: "all files of the daemon (store, chain, wallet), after all batches became final",
		})
	}
	b.absent(name, "bytes", t)
	return nil
}
