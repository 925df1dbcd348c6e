// Package txsize holds the sizes of transactions by which fees are computed, in virtual bytes
// (BIP141), and the smallest output that nodes relay.
package txsize

import "github.com/btcsuite/btcd/wire/v2"

// Sizes in vB, each rounded up.
const (
	// Anchor is the usual anchor: one P2WPKH input, an OP_RETURN of 32 bytes, P2WPKH change.
	Anchor = 153

	// SmallestAnchor is an anchor of one input and no change. At 1 sat/vB this is also the least
	// that an anchor costs, in satoshi.
	SmallestAnchor = 122

	// Input is what a P2WPKH input adds: 41 vB without its witness, which weighs 108 units.
	Input = 68

	// Change is what a P2WPKH output adds.
	Change = 31
)

// DustLimit is the smallest P2WPKH output that nodes relay, in satoshi: its creation and its
// spending take 98 vB, at 3 sat/vB.
const DustLimit = 294

// VSize returns the virtual size of a signed transaction: a quarter of its weight, rounded up.
// A byte of a witness weighs one unit, every other byte four.
func VSize(tx *wire.MsgTx) int64 {
	weight := 3*tx.SerializeSizeStripped() + tx.SerializeSize()
	return int64(weight+3) / 4
}
