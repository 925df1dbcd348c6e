package headers

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// Mainnet's first 14,131 blocks, with their real retargets and times, and btcd's checkpoint 11,111.
func TestRealWindows(t *testing.T) {
	raw := mainnetHeaders(t)
	n := NetworkOf(&chaincfg.MainNetParams)
	window := func(first, last, claimed int) *Window {
		return &Window{Genesis: n.Genesis, First: int64(claimed), Raw: raw[first*Size : (last+1)*Size]}
	}
	for first := 0; first+MaxWindow < len(raw)/Size; first += 1009 {
		if _, err := window(first, first+MaxWindow-1, first).Check(n, now); err != nil {
			t.Errorf("from block %d on: %v", first, err)
		}
	}
	for _, c := range []struct {
		name                       string
		first, last, claimed, show int
		trust                      int64 // the checkpoint
		err                        error
	}{
		{"to block 11,111", 9000, 11_111, 9000, 9500, 11_111, nil},
		{"to the block before", 9000, 11_110, 9000, 9500, 0, ErrLittleWork},
		{"from block 11,111 on", 11_111, 14_000, 11_111, 12_000, 0, ErrLittleWork},
		{"the first block", 0, 10, 0, 0, 0, nil},
		{"cheap headers at a height of today", 9000, 9100, 900_000, 900_010, 0, ErrLittleWork},
	} {
		checked, err := window(c.first, c.last, c.claimed).Check(n, now)
		if err != nil {
			var broken *RuleError
			if !errors.As(err, &broken) || broken.Rule != RuleTime || c.claimed == c.first {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		trust, err := checked.Judge(uint64(c.show))
		if !errors.Is(err, c.err) || err == nil && trust.Checkpoint != c.trust {
			t.Errorf("%s: %+v, %v", c.name, trust, err)
		}
	}
}
