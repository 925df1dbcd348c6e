package batcher

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/txsize"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// lookAtChain compares the chain with the cursor and examines the new blocks. It returns nil while
// the light client is not synced.
func (b *Batcher) lookAtChain(ctx context.Context, s decide.Stored) (*decide.ChainFacts, error) {
	if !b.chain.Synced() {
		return nil, nil
	}
	height, hash, err := b.chain.Best()
	if err != nil {
		return nil, fmt.Errorf("newest block: %w", err)
	}
	facts := &decide.ChainFacts{Tip: store.Point{Height: height, Hash: hash}}
	points := s.Cursor.Points
	if facts.Active, err = b.activePoints(points, height); err != nil {
		return nil, err
	}
	if facts.Active > 0 && points[facts.Active-1] == facts.Tip && facts.Active < len(points) {
		// The client is not on another branch but behind where it was before: it syncs headers
		// again.
		return nil, nil
	}

	// Nothing of ours can be in blocks older than the store, but a reorganisation may replace some
	// of those.
	from := max(height-b.policy.AbandonDepth(), 0)
	fork := height
	if len(points) > 0 {
		fork = points[0].Height - 1
		if facts.Active > 0 {
			fork = points[facts.Active-1].Height
		}
		from = fork + 1
	}
	watch := watched(s.Anchors, fork)
	limit := scanBlocks
	if len(watch) == 0 { // nothing to look for: only remember the blocks
		from = max(from, height-store.CursorDepth+1)
		limit = store.CursorDepth
	}
	if facts.Next, err = b.lookAtBlocks(ctx, from, min(height, from+int32(limit)-1), watch, sealedBatches(s)); err != nil {
		return nil, err
	}
	return facts, nil
}

// activePoints returns how many points, from the oldest, are on the active chain.
func (b *Batcher) activePoints(points []store.Point, height int32) (int, error) {
	for n := len(points); n > 0; n-- {
		p := points[n-1]
		if p.Height > height {
			continue
		}
		at, err := b.chain.HashAt(p.Height)
		if err != nil {
			return 0, fmt.Errorf("block at height %d: %w", p.Height, err)
		}
		if at == p.Hash {
			return n, nil
		}
	}
	return 0, nil
}

// sealedBatches returns the sealed batches of unfinished work, by rising ID.
func sealedBatches(s decide.Stored) []store.Batch {
	sealed := slices.DeleteFunc(slices.Concat(s.Batches, s.Owned), func(x store.Batch) bool { return x.State != store.Sealed })
	slices.SortFunc(sealed, func(a, b store.Batch) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(sealed, func(a, b store.Batch) bool { return a.ID == b.ID })
}

// lookAtBlocks examines the blocks from one height to another. It may return fewer.
func (b *Batcher) lookAtBlocks(ctx context.Context, from, to int32, watch map[wire.OutPoint]coin, sealed []store.Batch) ([]decide.BlockSeen, error) {
	var blocks []decide.BlockSeen
	for h := from; h <= to; h++ {
		seen, err := b.lookAtBlock(ctx, h, watch, sealed)
		if err != nil {
			if len(blocks) > 0 {
				b.log.Warn("stopped following for now", "height", h, "err", err)
				break // the blocks examined so far are progress
			}
			return nil, err
		}
		blocks = append(blocks, seen)
	}
	// The blocks were read one by one. Those that a reorganisation removed meanwhile must not be
	// stored as a chain.
	for i, seen := range blocks {
		if at, err := b.chain.HashAt(seen.Height); err != nil || at != seen.Hash {
			return blocks[:i], nil
		}
	}
	return blocks, nil
}

// watched returns the common inputs of anchors that are not mined at or below the fork. Every
// version spends them, and so does every transaction that excludes the anchor.
func watched(anchors []store.Anchor, fork int32) map[wire.OutPoint]coin {
	watch := make(map[wire.OutPoint]coin)
	for _, a := range anchors {
		if a.Block != nil && a.Block.Height <= fork {
			continue
		}
		for i, at := range decide.CommonInputs(a) {
			watch[at] = coin{anchor: a, script: a.Versions[0].Prevouts[i].PkScript}
		}
	}
	return watch
}

// coin is an output that all versions of an anchor spend.
type coin struct {
	anchor store.Anchor
	script []byte
}

// lookAtBlock finds the transactions of a block that spend watched coins. It goes by the coin,
// never by the txid.
func (b *Batcher) lookAtBlock(ctx context.Context, height int32, watch map[wire.OutPoint]coin, sealed []store.Batch) (decide.BlockSeen, error) {
	hash, err := b.chain.HashAt(height)
	if err != nil {
		return decide.BlockSeen{}, fmt.Errorf("block at height %d: %w", height, err)
	}
	seen := decide.BlockSeen{Point: store.Point{Height: height, Hash: hash}}
	if len(watch) == 0 {
		return seen, nil
	}
	ctx, cancel := context.WithTimeout(ctx, blockTimeout)
	defer cancel()
	scripts := make([][]byte, 0, len(watch))
	for _, c := range watch {
		scripts = append(scripts, c.script)
	}
	touched, err := b.chain.Touches(ctx, hash, scripts)
	if err != nil {
		return decide.BlockSeen{}, fmt.Errorf("filter of block %d: %w", height, err)
	}
	if !touched {
		return seen, nil
	}
	block, err := b.chain.Block(ctx, hash)
	if err != nil {
		return decide.BlockSeen{}, fmt.Errorf("block %d: %w", height, err)
	}
	if seen.Spends, err = spends(block, height, watch); err != nil {
		return decide.BlockSeen{}, err
	}
	for i, s := range seen.Spends {
		if s.Version >= 0 {
			continue
		}
		seen.Spends[i].Adopted = b.adopt(block.Transactions[s.Block.TxIndex], watch, s.Anchor, sealed)
	}
	return seen, nil
}

// adopt returns a version for a transaction that spends an anchor's coin and commits to stored
// batches, but is not a stored version. The daemon made it after the backup from which this store
// was restored. It must be ours, as only our wallet can sign for the coin. For any other
// transaction adopt returns nil.
func (b *Batcher) adopt(tx *wire.MsgTx, watch map[wire.OutPoint]coin, anchor uint64, sealed []store.Batch) *store.Version {
	root, err := proof.Commitment(stripped(tx))
	if err != nil {
		return nil
	}
	var a store.Anchor
	for _, c := range watch {
		if c.anchor.ID == anchor {
			a = c.anchor
		}
	}
	known := make(map[wire.OutPoint]*wire.TxOut)
	var batches []uint64
	for _, base := range a.Versions {
		for i, in := range base.Tx.TxIn {
			known[in.PreviousOutPoint] = base.Prevouts[i]
		}
		for _, more := range joined(a, base, sealed) {
			if some := prefix(base.Batches, more, sealed, root); some != nil {
				batches = some
			}
		}
	}
	if batches == nil {
		return nil
	}
	v := &store.Version{Tx: tx, Batches: batches, Root: root, Created: b.now().UTC()}
	for _, in := range tx.TxIn {
		out := known[in.PreviousOutPoint]
		if out == nil {
			return nil // its fee is unknown
		}
		v.Prevouts = append(v.Prevouts, out)
		v.FeeSats += out.Value
	}
	for _, out := range tx.TxOut {
		v.FeeSats -= out.Value
	}
	v.SatPerVByte = max(v.FeeSats/txsize.VSize(tx), 1)
	b.log.Info("found a version of an anchor that this store did not know", "anchor", anchor, "txid", tx.TxHash(), "batches", batches)
	return v
}

// joined returns the batches that may have joined an anchor after the version base was made, in
// their order. There are two possibilities: the batches that are known to have joined, and then
// those that wait here; or all batches that were sealed later, whatever their anchor is now.
func joined(a store.Anchor, base store.Version, sealed []store.Batch) [][]uint64 {
	knownTo, later := slices.Clone(decide.Newest(a).Batches), []uint64(nil)
	for _, batch := range sealed {
		if batch.Anchor == 0 && !slices.Contains(knownTo, batch.ID) {
			knownTo = append(knownTo, batch.ID)
		}
		if batch.ID > slices.Max(base.Batches) {
			later = append(later, batch.ID)
		}
	}
	return [][]uint64{knownTo, later}
}

// prefix returns base with the first batches of more, as many as together have the root, or nil.
func prefix(base, more []uint64, sealed []store.Batch, root [32]byte) []uint64 {
	var ids []uint64
	var nodes [][32]byte
	for _, id := range slices.Concat(base, more) {
		i := slices.IndexFunc(sealed, func(batch store.Batch) bool { return batch.ID == id })
		if i < 0 || slices.Contains(ids, id) {
			continue
		}
		ids, nodes = append(ids, id), append(nodes, sealed[i].Root)
		if len(ids) >= len(base) && proof.Root(nodes) == root {
			return ids
		}
	}
	return nil
}

// spends returns the transactions of a block that spend watched coins, at most one for each anchor.
func spends(block *wire.MsgBlock, height int32, watch map[wire.OutPoint]coin) ([]decide.Spend, error) {
	var out []decide.Spend
	for i, tx := range block.Transactions {
		for _, in := range tx.TxIn {
			c, ok := watch[in.PreviousOutPoint]
			if !ok || slices.ContainsFunc(out, func(s decide.Spend) bool { return s.Anchor == c.anchor.ID }) {
				continue
			}
			txid := tx.TxHash()
			branch, err := branchOf(block, i)
			if err != nil {
				return nil, fmt.Errorf("block %d: %w", height, err)
			}
			out = append(out, decide.Spend{
				Anchor:  c.anchor.ID,
				Version: slices.IndexFunc(c.anchor.Versions, func(v store.Version) bool { return v.Tx.TxHash() == txid }),
				Block: store.Block{
					Height:  height,
					Hash:    block.BlockHash(),
					Header:  block.Header,
					TxIndex: uint32(i),
					Branch:  branch,
				},
			})
		}
	}
	return out, nil
}

// branchOf returns the siblings from a transaction up to the Merkle root of the header. It checks
// that they lead there.
func branchOf(block *wire.MsgBlock, index int) ([]chainhash.Hash, error) {
	txids := make([][32]byte, len(block.Transactions))
	for i, tx := range block.Transactions {
		txids[i] = tx.TxHash()
	}
	siblings := proof.BlockBranch(txids, index)
	if root := proof.BlockRootFromBranch(txids[index], siblings, uint32(index)); root != block.Header.MerkleRoot {
		return nil, fmt.Errorf("its transactions have the Merkle root %s, its header %s", chainhash.Hash(root), block.Header.MerkleRoot)
	}
	branch := make([]chainhash.Hash, len(siblings))
	for i, s := range siblings {
		branch[i] = s
	}
	return branch, nil
}
