package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

// measureMined measures the time from a node's new block until the daemon says that a digest is
// mined. By then the daemon, which hears of the block as from any node, has fetched the block's
// header, its filter and the block itself, and the anchor's new state is on the disk.
func (b *bench) measureMined(ctx context.Context) (err error) {
	s, err := openSite(b.work + "/mined")
	if err != nil {
		return err
	}
	node, err := s.startNode(ctx, b.bins)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Kill9()) }()
	if err := s.prepare(b.bins, node); err != nil {
		return err
	}
	b.others = append(b.others, s)
	if err := s.daemon.Start(ctx); err != nil {
		return err
	}
	if err := s.fund(ctx, node); err != nil {
		return err
	}
	var took []float64
	digests := s.seed()
	for n := range b.rounds {
		digest := digests.digest(uint64(n))
		d, err := s.mineOne(ctx, node, hex.EncodeToString(digest[:]))
		if err != nil {
			return err
		}
		took = append(took, ms(d))
	}
	b.rows = append(b.rows, row{
		name: "new block to the updated anchor", ours: middle(took), unit: "ms",
		detail: fmt.Sprintf("from the block's arrival at a node on this machine until getstatus says mined; median of %d", len(took)),
	})
	return s.close()
}

// mineOne has a digest anchored, mines its anchor, and returns how long the daemon took to know.
func (s *site) mineOne(ctx context.Context, node *harness.Node, digest string) (time.Duration, error) {
	if _, err := s.daemon.AwaitInfo(ctx, "the wallet to be ready", func(i rpc.Info) bool { return i.Wallet.State == "ready" }); err != nil {
		return 0, err
	}
	if err := s.daemon.Call(ctx, nil, "submit", digest); err != nil {
		return 0, err
	}
	if err := s.daemon.Call(ctx, nil, "closebatch"); err != nil {
		return 0, err
	}
	err := harness.Await(ctx, "the anchor to reach the node", func(ctx context.Context) (bool, string, error) {
		txids, err := node.Mempool(ctx)
		return len(txids) > 0, "the mempool is empty", err
	})
	if err != nil {
		return 0, err
	}
	if err := node.Mine(ctx, 1, ""); err != nil {
		return 0, err
	}
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var e rpc.Entry
		if err := s.daemon.Call(ctx, &e, "getstatus", digest); err != nil {
			return 0, err
		}
		if e.State == "mined" {
			return time.Since(began), nil
		}
		if time.Since(began) > patience {
			return 0, fmt.Errorf("%s is %s long after the block", digest, e.State)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
