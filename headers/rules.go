package headers

import (
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// kept is how many of the newest headers the rules may look back at: those of a retarget (2016),
// and of the median time (11) before its first.
const kept = 1 << 11

// node is what the rules need of an accepted header. It implements [blockchain.HeaderCtx].
type node struct {
	chain  *Chain
	height int32
	bits   uint32
	time   int64
}

var _ blockchain.HeaderCtx = (*node)(nil)

func (c *Chain) at(height int32) *node { return &c.recent[height%kept] }

func (n *node) Height() int32                { return n.height }
func (n *node) Bits() uint32                 { return n.bits }
func (n *node) Timestamp() int64             { return n.time }
func (n *node) Parent() blockchain.HeaderCtx { return n.RelativeAncestorCtx(1) }

func (n *node) RelativeAncestorCtx(distance int32) blockchain.HeaderCtx {
	height := n.height - distance
	if height < 0 || height <= n.chain.height-kept {
		return nil // an interface without a value: callers compare with nil
	}
	return n.chain.at(height)
}

// rules are a network's, as btcd asks for them. It implements [blockchain.ChainCtx]. The
// checkpoints are compared in check, which has the hash already.
type rules struct{ params *chaincfg.Params }

var _ blockchain.ChainCtx = rules{}

func (r rules) ChainParams() *chaincfg.Params { return r.params }

func (r rules) BlocksPerRetarget() int32 {
	return int32(r.params.TargetTimespan / r.params.TargetTimePerBlock)
}

func (r rules) MinRetargetTimespan() int64 {
	return int64(r.params.TargetTimespan/time.Second) / r.params.RetargetAdjustmentFactor
}

func (r rules) MaxRetargetTimespan() int64 {
	return int64(r.params.TargetTimespan/time.Second) * r.params.RetargetAdjustmentFactor
}

func (rules) VerifyCheckpoint(int32, *chainhash.Hash) bool          { return true }
func (rules) FindPreviousCheckpoint() (blockchain.HeaderCtx, error) { return nil, nil }

// obeys lets btcd check what depends on earlier headers: difficulty (retargets, the minimum after
// 20 minutes on test networks, BIP94), time (median of eleven, time warp) and version (BIP34,
// BIP65, BIP66).
func (c *Chain) obeys(h *wire.BlockHeader) error {
	const skipCheckpoint = true
	err := blockchain.CheckBlockHeaderContext(h, c.at(c.height), blockchain.BFNone, rules{c.params}, skipCheckpoint)
	var broken blockchain.RuleError
	if !errors.As(err, &broken) {
		return err
	}
	switch broken.ErrorCode {
	case blockchain.ErrUnexpectedDifficulty:
		return fmt.Errorf("has the wrong difficulty (bits %08x): %w", h.Bits, err)
	case blockchain.ErrTimeTooOld:
		return fmt.Errorf("is dated too early: %w", err)
	case blockchain.ErrBlockVersionTooOld:
		return fmt.Errorf("has an outdated version: %w", err)
	}
	return fmt.Errorf("breaks a rule: %w", err)
}
