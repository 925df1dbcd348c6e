package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"

	"golang.org/x/sync/errgroup"
)

const (
	// bytesADigest is the disk space that a build needs for a digest: the target of the store, and
	// space for a compaction.
	bytesADigest = 150

	// buriedUnder is the number of blocks on top of the last anchor of a build: so many that the
	// daemon no longer follows any anchor. A daemon that has run for years follows only its newest
	// ones. Short runs save this time.
	buriedUnder, years = 110, 1_000_000

	// fundSats pays for an anchor a batch.
	fundSats = 10_000_000

	// buildConnections submit 1,000 digests a call.
	buildConnections = 16

	// stretches of a build are measured apart: each a hundredth, so that a plot shows whether it
	// stays as fast.
	stretches = 100
)

// build fills the site until it holds a number of digests. They all go through the daemon's
// JSON-RPC, into batches that seal by themselves and are anchored in a private chain. After an
// interruption build resumes where it was.
func (s *site) build(ctx context.Context, bins harness.Binaries, want uint64) (err error) {
	if s.book.Final && s.book.Stored >= want {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	free, err := freeBytes(s.dir)
	if err != nil {
		return err
	}
	if need := (want-min(want, s.book.Stored))*bytesADigest + 1<<30; free < need {
		return fmt.Errorf("%s has %.1f GB free, and %s digests need %.1f GB: name another disk with -dir or -store, or build fewer",
			s.dir, float64(free)/1e9, count(want), float64(need)/1e9)
	}
	s.book.Want, s.book.Final = want, false
	if err := s.save(); err != nil {
		return err
	}
	fmt.Printf("Building a store of %s digests in %s: %s are stored already, %.0f GB are free.\n", count(want), s.dir, count(s.book.Stored), float64(free)/1e9)

	node, err := s.startNode(ctx, bins)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Kill9()) }()
	if err := s.prepare(bins, node); err != nil {
		return err
	}
	if err := s.daemon.Start(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.daemon.Abort())
		}
	}()
	if err := s.fund(ctx, node); err != nil {
		return err
	}
	if err := s.fill(ctx, node, want); err != nil {
		return err
	}
	if err := s.daemon.Call(ctx, nil, "closebatch"); err != nil {
		return err
	}
	if err := s.finish(ctx, node); err != nil {
		return err
	}
	to, err := s.server()
	if err != nil {
		return err
	}
	if err := rest(ctx, to); err != nil {
		return err
	}
	if err := s.daemon.Stop(); err != nil {
		return err
	}
	s.book.Final = true
	if s.book.Bytes, err = bytesIn(s.daemon.NetDir()); err != nil {
		return err
	}
	return s.save()
}

// startNode starts a node with the site's chain, or with a new one.
func (s *site) startNode(ctx context.Context, bins harness.Binaries) (*harness.Node, error) {
	dir, chain := s.path("node"), s.path(chainFile)
	if _, err := os.Stat(chain); err == nil {
		return harness.KeepOn(ctx, bins.Btcd, dir, chain)
	}
	n, err := harness.StartBtcd(ctx, bins.Btcd, dir, false)
	if err != nil {
		return nil, err
	}
	return n, n.Keep(chain)
}

// fund makes a wallet that can pay for all anchors.
func (s *site) fund(ctx context.Context, node *harness.Node) error {
	if err := s.daemon.AwaitHeight(ctx, node); err != nil {
		return err
	}
	var info rpc.Info
	if err := s.daemon.Call(ctx, &info, "getinfo"); err != nil {
		return err
	}
	if info.Wallet.State == "none" {
		if err := os.WriteFile(s.path(passphraseFile), []byte("not worth anything: the coins are on a private chain\n"), 0o600); err != nil {
			return err
		}
		res, err := s.daemon.Ancre(ctx, "--json", "wallet", "create", "--passphrase-file", s.path(passphraseFile))
		if err != nil {
			return err
		}
		if res.Code != 0 {
			return fmt.Errorf("ancre wallet create: status %d: %s", res.Code, res.Stderr)
		}
		var made rpc.CreatedWallet
		if err := json.Unmarshal([]byte(res.Stdout), &made); err != nil {
			return err
		}
		if err := node.Fund(ctx, made.Address, fundSats); err != nil {
			return err
		}
		if err := node.Keep(s.path(chainFile)); err != nil {
			return err
		}
	}
	_, err := s.daemon.AwaitInfo(ctx, "the wallet to be ready and to have coins", func(i rpc.Info) bool {
		return i.Wallet.State == "ready" && (i.Wallet.ConfirmedSats > 0 || i.Anchors.Broadcast > 0)
	})
	return err
}

// fill submits the missing digests and records its progress, while blocks are mined for the
// anchors.
func (s *site) fill(ctx context.Context, node *harness.Node, want uint64) error {
	to, err := s.server()
	if err != nil {
		return err
	}
	to.fresh, to.next, to.limit = s.seed(), s.book.Stored, want
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	filled := make(chan struct{})
	g.Go(func() error {
		defer close(filled)
		if to.next >= want {
			return nil
		}
		_, err := to.load(ctx, job{kind: submit, connections: buildConnections, digests: 1000}, always)
		return err
	})
	g.Go(func() error { return s.keepBook(ctx, to, filled) })
	g.Go(func() error {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-filled:
				return nil
			case <-tick.C:
				if err := s.mineWaiting(ctx, node); err != nil {
					return err
				}
			}
		}
	})
	return g.Wait()
}

// keepBook records what is acknowledged and how fast, every second and at the end, and prints it
// now and then.
func (s *site) keepBook(ctx context.Context, to *server, filled <-chan struct{}) error {
	step := max(s.book.Want/stretches, 1)
	began, from := time.Now(), s.book.Stored
	told, stretch, at := began, began, from
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		last := false
		select {
		case <-ctx.Done():
			last = true
		case <-filled:
			last = true
		case <-tick.C:
		}
		now := time.Now()
		s.book.Stored = to.acknowledged()
		if s.book.Stored >= at+step || last && s.book.Stored > at {
			s.book.Pace = append(s.book.Pace, pace{Stored: s.book.Stored, PerSecond: float64(s.book.Stored-at) / now.Sub(stretch).Seconds()})
			stretch, at = now, s.book.Stored
			if err := s.save(); err != nil {
				return err
			}
		}
		if now.Sub(told) >= 10*time.Second || last {
			told = now
			speed := float64(s.book.Stored-from) / now.Sub(began).Seconds()
			left := time.Duration(float64(s.book.Want-min(s.book.Want, s.book.Stored)) / max(speed, 1) * float64(time.Second))
			fmt.Printf("  %s stored, %.0f a second, %s left\n", count(s.book.Stored), speed, left.Round(time.Second))
		}
		if last {
			return errors.Join(ctx.Err(), s.save())
		}
	}
}

// mineWaiting mines a block when an anchor waits for one.
func (s *site) mineWaiting(ctx context.Context, node *harness.Node) error {
	waiting, err := node.Mempool(ctx)
	if err != nil || len(waiting) == 0 {
		return err
	}
	if err := node.Mine(ctx, 1, ""); err != nil {
		return err
	}
	return node.Keep(s.path(chainFile))
}

// finish mines until every batch is final, and its anchor so deep that the daemon no longer follows
// it.
func (s *site) finish(ctx context.Context, node *harness.Node) error {
	for {
		done, err := s.awaitBlockWanted(ctx, node)
		if err != nil {
			return err
		}
		if done {
			if s.book.Want < years {
				return nil
			}
			return s.mine(ctx, node, buriedUnder)
		}
		if err := s.mine(ctx, node, 1); err != nil {
			return err
		}
	}
}

// awaitBlockWanted waits until the daemon has done all that it can do before the next block. It
// reports whether all batches are final already.
func (s *site) awaitBlockWanted(ctx context.Context, node *harness.Node) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	err = harness.Await(ctx, "anchors of all batches to reach the node", func(ctx context.Context) (bool, string, error) {
		var info rpc.Info
		if err := s.daemon.Call(ctx, &info, "getinfo"); err != nil {
			return false, "", err
		}
		state := fmt.Sprintf("%+v", info)
		if info.Wallet.State != "ready" {
			return false, state, nil
		}
		if info.Anchors.Broadcast > 0 {
			txids, err := node.Mempool(ctx)
			return len(txids) > 0, state, err
		}
		done = info.Waiting == 0 && info.Anchors.Mined == 0
		return info.Waiting == 0, state, nil // else an anchor is about to be made
	})
	return done, err
}

func (s *site) mine(ctx context.Context, node *harness.Node, blocks int) error {
	if err := node.Mine(ctx, blocks, ""); err != nil {
		return err
	}
	if err := node.Keep(s.path(chainFile)); err != nil {
		return err
	}
	return s.daemon.AwaitHeight(ctx, node)
}
