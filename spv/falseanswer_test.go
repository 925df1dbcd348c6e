package spv

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// falseAnswer is a false answer to a question about one block.
type falseAnswer struct {
	name                 string
	fromNode, fromClient func(f frame) []frame // see newLiar
	ask                  func(ctx context.Context, c *Client) error
	blame                string // what the operator is told that the liar did
}

// falseBlock answers with a block that was changed.
func falseBlock(change func(b *wire.MsgBlock)) func(f frame) []frame {
	return func(f frame) []frame {
		if f.command != wire.CmdBlock {
			return []frame{f}
		}
		var b wire.MsgBlock
		f.decode(&b)
		change(&b)
		return []frame{frameOf(&b)}
	}
}

// instead answers with other messages.
func instead(command string, frames ...frame) func(f frame) []frame {
	return func(f frame) []frame {
		if f.command == command {
			return frames
		}
		return []frame{f}
	}
}

// falseAnswers returns the false answers about a block. Its second transaction has a witness.
func falseAnswers(t *testing.T, hash chainhash.Hash, truth *wire.MsgBlock) []falseAnswer {
	getBlock := func(ctx context.Context, c *Client) error {
		b, err := c.Block(ctx, hash)
		if err == nil && (b.BlockHash() != hash || b.Transactions[0].WitnessHash() != truth.Transactions[0].WitnessHash() ||
			b.Transactions[1].WitnessHash() != truth.Transactions[1].WitnessHash()) {
			t.Error("a false block was taken")
		}
		return err
	}
	touches := func(ctx context.Context, c *Client) error {
		yes, err := c.Touches(ctx, hash, [][]byte{anyoneCanSpend})
		if err == nil && !yes {
			t.Error("a false filter was taken")
		}
		return err
	}
	notFound := wire.NewMsgNotFound()
	_ = notFound.AddInvVect(wire.NewInvVect(wire.InvTypeWitnessBlock, &hash))
	wrong, err := falseFilter(hash).NBytes()
	if err != nil {
		t.Fatal(err)
	}
	filter := func(data []byte) frame { return frameOf(wire.NewMsgCFilter(wire.GCSFilterRegular, &hash, data)) }
	return []falseAnswer{
		{"a block with another output", falseBlock(func(b *wire.MsgBlock) { b.Transactions[1].TxOut[0].Value-- }), nil, getBlock, "invalid block"},
		{"a block with another coinbase", falseBlock(func(b *wire.MsgBlock) { b.Transactions[0].TxOut[0].PkScript = nil }), nil, getBlock, "invalid block"},
		{"a block with another witness", falseBlock(func(b *wire.MsgBlock) { b.Transactions[1].TxIn[0].Witness = wire.TxWitness{{1}, {2}} }), nil, getBlock, "invalid block"},
		{"a block without a transaction", falseBlock(func(b *wire.MsgBlock) { b.Transactions = b.Transactions[:1] }), nil, getBlock, "invalid block"},
		{"a block with a transaction twice", falseBlock(func(b *wire.MsgBlock) { b.Transactions = append(b.Transactions, b.Transactions[1]) }), nil, getBlock, "invalid block"},
		{"a block without witnesses", falseBlock(func(b *wire.MsgBlock) { b.Transactions[1].TxIn[0].Witness = nil }), nil, getBlock, "invalid block"},
		{"another block", falseBlock(func(b *wire.MsgBlock) { b.Header.Nonce++ }), nil, getBlock, ""},
		{"that it has no such block", instead(wire.CmdBlock, frameOf(notFound)), nil, getBlock, ""},
		{"no block", instead(wire.CmdBlock), nil, getBlock, ""},
		{"no ear for questions", nil, instead(wire.CmdGetData), getBlock, ""},
		{"a block that is garbage", instead(wire.CmdBlock, frame{wire.CmdBlock, []byte("garbage")}), nil, getBlock, ""},
		{"a false filter", instead(wire.CmdCFilter, filter(wrong)), nil, touches, ""},
		{"a filter that is garbage", instead(wire.CmdCFilter, filter([]byte{0xff, 1, 2})), nil, touches, ""},
		{"no filter", nil, instead(wire.CmdGetCFilters), touches, ""},
	}
}

// A false answer to a question about one block is no answer. From an honest peer the true one comes
// within seconds, and from the liar alone none comes, for as long as the caller waits.
func TestFalseAnswersAreNotTaken(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(120)
	dir := syncedDir(t, n)
	hash, truth := mineWitness(t, n, dir)
	for _, tt := range falseAnswers(t, hash, truth) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.check(t, n, dir)
		})
	}
}

// mineWitness mines a block with a transaction that has a witness.
func mineWitness(t *testing.T, n *node, dir string) (chainhash.Hash, *wire.MsgBlock) {
	t.Helper()
	c := openClient(t, copyDir(t, dir), n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	if err := c.Broadcast(t.Context(), spend(t, c, 2, 10_000)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the transaction in the mempool", func() bool {
		var ids []string
		n.call("getrawmempool", &ids)
		return len(ids) == 1
	})
	hash := n.mine(1)
	waitAt(t, c, n)
	truth, err := c.Block(t.Context(), hash)
	if err != nil || len(truth.Transactions) != 2 {
		t.Fatalf("block %v, %v", truth, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return hash, truth
}

func (tt falseAnswer) check(t *testing.T, n *node, dir string) {
	liar := newLiar(t, n.p2p, tt.fromNode, tt.fromClient)
	honest := newRelay(t, n.p2p)
	honest.cut()
	c := openClient(t, copyDir(t, dir), liar.addr, honest.addr)
	startClient(t, c)
	waitAt(t, c, n)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	if err := tt.ask(ctx, c); err == nil {
		t.Error("the liar alone gave an answer")
	}
	cancel()
	if tt.blame != "" {
		waitFor(t, "a warning that names the liar and what it did", func() bool { return warned(c, liar.addr, tt.blame) })
	}
	honest.mend()
	waitFor(t, "the honest peer", func() bool {
		return slices.ContainsFunc(c.Status().Peers, func(p Peer) bool { return p.Address == honest.addr })
	})
	start := time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := tt.ask(ctx, c); err != nil {
		t.Errorf("beside an honest peer: %v", err)
	}
	t.Logf("answered after %v", time.Since(start).Round(time.Millisecond))
}
