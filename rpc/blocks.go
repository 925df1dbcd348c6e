package rpc

import (
	"math"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Difficulty is how many times harder than the easiest target of mainnet a block's target is,
// computed as bitcoind does.
func Difficulty(bits uint32) float64 {
	exponent, mantissa := int(bits>>24), bits&0x00ffffff
	if mantissa == 0 {
		return 0
	}
	// The easiest target is 0x00ffff times 256 to the 26th (0x1d − 3).
	return math.Ldexp(float64(0x0000ffff)/float64(mantissa), 8*(0x1d-exponent))
}

// MedianTime is the median of the times of a block and the ten before it (BIP113), in seconds since 1970.
func MedianTime(chain interface {
	Header(chainhash.Hash) (wire.BlockHeader, int32, error)
}, header wire.BlockHeader) (int64, error) {
	const span = 11
	times := []int64{header.Timestamp.Unix()}
	for len(times) < span && header.PrevBlock != (chainhash.Hash{}) {
		var err error
		if header, _, err = chain.Header(header.PrevBlock); err != nil {
			return 0, err
		}
		times = append(times, header.Timestamp.Unix())
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
