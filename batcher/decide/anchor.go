package decide

import (
	"slices"

	"ancre/batcher/store"

	"github.com/btcsuite/btcd/wire/v2"
)

// IsMined reports whether a version of an anchor is in a block of the active chain.
func IsMined(a store.Anchor) bool { return a.State == store.Mined || a.State == store.Final }

// Current returns the version of an anchor that counts: the mined one, else the newest.
func Current(a store.Anchor) store.Version {
	if IsMined(a) {
		return a.Versions[a.Block.Version]
	}
	return Newest(a)
}

// Newest returns the version of an anchor that was made last.
func Newest(a store.Anchor) store.Version { return a.Versions[len(a.Versions)-1] }

// AllBatches returns every batch that some version of an anchor commits to, by rising ID.
func AllBatches(a store.Anchor) []uint64 {
	var ids []uint64
	for _, v := range a.Versions {
		ids = append(ids, v.Batches...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Inputs returns the coins that the versions of an anchor spend.
func Inputs(a store.Anchor) []wire.OutPoint {
	var out []wire.OutPoint
	for _, v := range a.Versions {
		for _, in := range v.Tx.TxIn {
			if !slices.Contains(out, in.PreviousOutPoint) {
				out = append(out, in.PreviousOutPoint)
			}
		}
	}
	return out
}

// CommonInputs returns the coins that all versions of an anchor spend: those of its first version.
func CommonInputs(a store.Anchor) []wire.OutPoint {
	var out []wire.OutPoint
	for _, in := range a.Versions[0].Tx.TxIn {
		out = append(out, in.PreviousOutPoint)
	}
	return out
}

// Change returns the change output of a version. There is none if it would have been dust.
func Change(v store.Version) (coin wire.OutPoint, out *wire.TxOut, ok bool) {
	const change = 1 // output 0 is the OP_RETURN
	if len(v.Tx.TxOut) <= change {
		return coin, nil, false
	}
	return wire.OutPoint{Hash: v.Tx.TxHash(), Index: change}, v.Tx.TxOut[change], true
}

// Leased returns the coins that the wallet must keep for an anchor: its inputs while it is in
// flight, and [ReservedChange] once it is mined.
func Leased(a store.Anchor) []wire.OutPoint {
	if a.State == store.Broadcast {
		return Inputs(a)
	}
	return ReservedChange(a)
}

// ReservedChange returns the change of a mined version that left batches out. The next payment for
// these batches has to spend it, so that it cannot be mined beside the version that lost.
func ReservedChange(a store.Anchor) []wire.OutPoint {
	if !IsMined(a) || len(AllBatches(a)) == len(Current(a).Batches) {
		return nil
	}
	if change, _, ok := Change(Current(a)); ok {
		return []wire.OutPoint{change}
	}
	return nil
}

// spends reports whether a version spends a coin.
func spends(v store.Version, coin wire.OutPoint) bool {
	return slices.ContainsFunc(v.Tx.TxIn, func(in *wire.TxIn) bool { return in.PreviousOutPoint == coin })
}

// highestFee returns the fee of the version of an anchor that pays most.
func highestFee(a store.Anchor) (sats int64) {
	for _, v := range a.Versions {
		sats = max(sats, v.FeeSats)
	}
	return sats
}
