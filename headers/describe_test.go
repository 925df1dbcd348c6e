package headers

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func TestDifficultyIsBitcoinds(t *testing.T) {
	for bits, want := range map[uint32]float64{
		0x1d00ffff: 1,                  // the first block of mainnet
		0x1b0404cb: 16307.420938523983, // the example of Bitcoin's wiki
		0x207fffff: 4.6565423739069247e-10,
		0x1d000000: 0,
	} {
		if got := Difficulty(bits); math.Abs(got-want) > want*1e-12 {
			t.Errorf("bits %08x: %v, want %v", bits, got, want)
		}
	}
}

// listed is a chain that knows a few headers by their hash.
type listed map[chainhash.Hash]wire.BlockHeader

func (l listed) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	h, ok := l[hash]
	if !ok {
		return h, 0, ErrNotFound
	}
	return h, 0, nil
}

func TestMedianTimeIsOfElevenBlocks(t *testing.T) {
	chain := make(listed)
	var tip wire.BlockHeader
	for i, minute := range []int64{1000, 0, 30, 10, 20, 50, 40, 60, 90, 70, 80, 100} { // the first one is the twelfth from the end
		tip = wire.BlockHeader{PrevBlock: tip.BlockHash(), Timestamp: time.Unix(minute*60, 0)}
		if i == 0 {
			tip.PrevBlock = chainhash.Hash{}
		}
		chain[tip.BlockHash()] = tip
		if i == 2 { // a young chain: the median of all it has
			if got, err := MedianTime(chain, tip); err != nil || got != 30*60 {
				t.Errorf("of three blocks: %d, %v; want %d", got, err, 30*60)
			}
		}
	}
	if got, err := MedianTime(chain, tip); err != nil || got != 50*60 {
		t.Errorf("of eleven blocks: %d, %v; want %d", got, err, 50*60)
	}
	delete(chain, tip.PrevBlock)
	if _, err := MedianTime(chain, tip); !errors.Is(err, ErrNotFound) {
		t.Errorf("with a block missing: %v", err)
	}
}
