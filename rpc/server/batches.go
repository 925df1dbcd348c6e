package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/internal/txsize"
	"ancre/rpc"
)

func listBatches(c *call) (any, error) {
	list, err := c.Batcher.Batches(c.ctx, uint64(c.get("before").number), int(c.get("limit").number))
	if err != nil {
		return nil, err
	}
	out := make([]rpc.Batch, len(list))
	for i := range list {
		out[i] = BatchOf(&list[i])
	}
	return out, nil
}

func getBatch(c *call) (any, error) {
	id := uint64(c.get("id").number)
	st, err := c.Batcher.Batch(c.ctx, id)
	if errors.Is(err, batcher.ErrUnknown) {
		return nil, errorf(rpc.CodeNotFound, "there is no batch %d; listbatches lists all batches", id)
	}
	if err != nil {
		return nil, err
	}
	return BatchOf(&st), nil
}

func closeBatch(c *call) (any, error) {
	st, closed, err := c.Batcher.CloseBatch(c.ctx)
	if err != nil || !closed {
		return nil, err
	}
	return BatchOf(&st), nil
}

// BatchOf is the answer of getbatch. The daemon puts it into getinfo too.
func BatchOf(st *batcher.BatchStatus) rpc.Batch {
	b := rpc.Batch{
		ID:            st.Batch.ID,
		State:         string(st.Progress.State),
		Digests:       st.Batch.Count,
		Opened:        st.Batch.Opened.UTC(),
		Closes:        timeOf(st.Closes),
		Closed:        timeOf(st.Batch.Closed),
		Anchor:        st.Progress.Anchor,
		TxID:          hashText(st.Progress.TxID),
		Height:        st.Progress.Height,
		BlockHash:     hashText(st.Progress.BlockHash),
		Confirmations: st.Progress.Confirmations,
	}
	if st.Batch.Root != ([32]byte{}) {
		b.Root = hex.EncodeToString(st.Batch.Root[:])
	}
	return b
}

func listAnchors(c *call) (any, error) {
	list, err := c.Batcher.Anchors(c.ctx, uint64(c.get("before").number), int(c.get("limit").number))
	if err != nil {
		return nil, err
	}
	out := make([]rpc.Anchor, len(list))
	for i := range list {
		out[i] = anchorOf(&list[i], false)
	}
	return out, nil
}

func getAnchor(c *call) (any, error) {
	id := uint64(c.get("id").number)
	st, err := c.Batcher.Anchor(c.ctx, id)
	if errors.Is(err, batcher.ErrUnknown) {
		return nil, errorf(rpc.CodeNotFound, "there is no anchor %d; listanchors lists all anchors", id)
	}
	if err != nil {
		return nil, err
	}
	return anchorOf(&st, true), nil
}

// anchorOf is the answer of getanchor. Without the transactions it is that of listanchors.
func anchorOf(st *batcher.AnchorStatus, transactions bool) rpc.Anchor {
	a := rpc.Anchor{
		ID:            st.Anchor.ID,
		State:         string(st.Anchor.State),
		Created:       st.Anchor.Created.UTC(),
		Confirmations: st.Confirmations,
		Batches:       []uint64{},
		Versions:      make([]rpc.Version, len(st.Anchor.Versions)),
	}
	current, is := len(st.Anchor.Versions)-1, rpc.VersionNewest
	if st.Anchor.Block != nil {
		a.Height = st.Anchor.Block.Height
		a.BlockHash = hashText(st.Anchor.Block.Hash)
		if st.Anchor.State == store.Mined || st.Anchor.State == store.Final { // otherwise the block is the one that spent its coin
			current, is = st.Anchor.Block.Version, rpc.VersionMined
		}
	}
	for i := range st.Anchor.Versions {
		a.Versions[i] = versionOf(&st.Anchor.Versions[i], transactions)
		a.Versions[i].State = rpc.VersionReplaced
	}
	if current >= 0 && current < len(a.Versions) {
		v := &a.Versions[current]
		v.State = is
		a.TxID, a.FeeSats, a.Batches = v.TxID, v.FeeSats, v.Batches
	}
	return a
}

func versionOf(v *store.Version, transaction bool) rpc.Version {
	vsize := txsize.VSize(v.Tx)
	out := rpc.Version{
		TxID:        v.Tx.TxHash().String(),
		Root:        hex.EncodeToString(v.Root[:]),
		Batches:     append([]uint64{}, v.Batches...),
		FeeSats:     v.FeeSats,
		VSize:       vsize,
		SatPerVByte: math.Round(float64(v.FeeSats)/float64(vsize)*100) / 100,
		Created:     v.Created.UTC(),
	}
	if transaction {
		var b bytes.Buffer
		v.Tx.Serialize(&b) // writing to a bytes.Buffer never fails
		out.Hex = hex.EncodeToString(b.Bytes())
	}
	return out
}
