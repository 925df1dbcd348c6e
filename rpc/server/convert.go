package server

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/internal/txsize"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// From the batcher's words to the answers': hashes as text, absent things absent.

func entryOf(st *batcher.Status, proof []byte) rpc.Entry {
	return rpc.Entry{
		Digest:        hex.EncodeToString(st.Digest[:]),
		State:         string(st.Progress.State),
		Batch:         st.Position.Batch,
		Index:         st.Position.Index,
		TxID:          hashText(st.Progress.TxID),
		Height:        st.Progress.Height,
		BlockHash:     hashText(st.Progress.BlockHash),
		BlockTime:     timeOf(st.Progress.BlockTime),
		Confirmations: st.Progress.Confirmations,
		Proof:         base64.StdEncoding.EncodeToString(proof),
	}
}

// BatchOf makes the answer of getbatch. The daemon needs it for getinfo.
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

// anchorOf makes the answer of getanchor; without the transactions, that of listanchors.
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
		if st.Anchor.State == store.Mined || st.Anchor.State == store.Final { // else the block holds what spent its coin
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
		v.Tx.Serialize(&b) // a bytes.Buffer takes everything
		out.Hex = hex.EncodeToString(b.Bytes())
	}
	return out
}

func hashText(h chainhash.Hash) string {
	if h == (chainhash.Hash{}) {
		return ""
	}
	return h.String()
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
