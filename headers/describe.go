package headers

import (
	"errors"
	"math"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// ErrNotFound is wrapped when a chain has no block with the hash that was asked for.
var ErrNotFound = errors.New("block not found")

// Difficulty returns how many times harder a block's target is to meet than the easiest target of
// mainnet. It is computed as bitcoind computes it.
func Difficulty(bits uint32) float64 {
	exponent, mantissa := int(bits>>24), bits&0x00ffffff
	if mantissa == 0 {
		return 0
	}
	// The easiest target is 0x00ffff · 256^26; 26 is 0x1d − 3.
	return math.Ldexp(float64(0x0000ffff)/float64(mantissa), 8*(0x1d-exponent))
}

// MedianTime returns the median of the times of a block and the ten before it (BIP113), in seconds
// since 1970. The chain returns the header and the height of the block with a hash.
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
