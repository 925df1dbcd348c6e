package headers

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

func TestAWindowLeadsToTheNextKnownBlock(t *testing.T) {
	mainnet := NetworkOf(&chaincfg.MainNetParams)
	mainnet.Checkpoints = builtIn(&chaincfg.MainNetParams)
	for _, c := range []struct {
		name                    string
		block, tip, first, last int64
	}{
		{"to a known block above", 808_000, 900_000, 808_000, 810_000},
		{"a known block itself, with a day on top", 810_000, 900_000, 810_000, 810_144},
		{"just below a known block, with a day on top", 809_990, 900_000, 809_990, 810_134},
		{"as far as a window reaches", 805_905, 900_000, 805_905, 810_000},
		{"too far below: to the end of the period", 805_904, 900_000, 805_904, 806_400},
		{"from a known block below", 801_000, 900_000, 800_000, 802_368},
		{"as far above a known block as a window reaches", 803_000, 804_095, 800_000, 804_095},
		{"too far above a known block", 803_000, 804_096, 803_000, 804_096},
		{"above all known blocks", 899_000, 976_000, 899_000, 899_144},
		{"at the end of a period, with a day on top", 899_130, 976_000, 899_130, 899_274},
		{"near the newest block", 975_990, 976_000, 975_990, 976_000},
		{"the newest block", 976_000, 976_000, 976_000, 976_000},
		{"a known block that is not there yet", 809_000, 809_500, 809_000, 809_500},
		{"the first block", 0, 10, 0, 10},
		{"from the first block on", 100, 5000, 0, 2016},
	} {
		first, last := mainnet.Span(c.block, c.tip)
		if first != c.first || last != c.last || last-first >= MaxWindow {
			t.Errorf("%s: blocks %d to %d, want %d to %d", c.name, first, last, c.first, c.last)
		}
	}
}

func TestASurveyMakesTheListAnew(t *testing.T) {
	m := newMaker(t, regtest).grow(2*mainnetPeriod+settled+1, time.Minute)
	for _, c := range []struct {
		blocks int
		want   []int64
	}{
		{2*mainnetPeriod + settled + 1, []int64{0, mainnetPeriod, 2 * mainnetPeriod}},
		{2*mainnetPeriod + settled, []int64{0, mainnetPeriod, 2 * mainnetPeriod}},
		{2*mainnetPeriod + settled - 1, []int64{0, mainnetPeriod}},
		{1, []int64{0}},
	} {
		raw := m.raw[:(c.blocks+1)*Size]
		list, chain, err := Survey(t.Context(), bytes.NewReader(raw), regtest, now, nil)
		if err != nil || chain.Height() != int64(c.blocks) || len(list) != len(c.want) {
			t.Fatalf("%d blocks: %v, %v", c.blocks, list, err)
		}
		for i, height := range c.want {
			h := parse(raw[height*Size:])
			if list[i].Height != height || list[i].Hash != h.BlockHash() || list[i].Bits != h.Bits || list[i].Time != h.Timestamp.Unix() {
				t.Errorf("%d blocks: checkpoint %d is %+v", c.blocks, i, list[i])
			}
		}
		if again, err := ParseCheckpoints(FormatCheckpoints("regtest", nil, list), "regtest"); err != nil || len(again) != len(list) {
			t.Errorf("the list cannot be read: %v", err)
		}
	}
	m.raw[100*Size+70] ^= 1
	if _, _, err := Survey(t.Context(), bytes.NewReader(m.raw), regtest, now, nil); err == nil {
		t.Error("a false chain has a list")
	}
}

// A list that was made from a chain must not replace one that it contradicts.
func TestASurveyOfAnotherChainIsRefused(t *testing.T) {
	p := *regtest
	p.Name = "regtest with a known block"
	m := newMaker(t, &p).grow(20, time.Minute)
	listsOnce.Do(readLists)
	other := newMaker(t, &p).grow(20, time.Hour)
	header := parse(other.raw[10*Size:])
	known[p.Name] = append(builtIn(&p), Checkpoint{Height: 10, Hash: header.BlockHash()})
	defer delete(known, p.Name)
	if _, _, err := Survey(t.Context(), bytes.NewReader(m.raw), &p, now, nil); !errors.Is(err, ErrContradicts) || !strings.Contains(err.Error(), "block 10 is ") {
		t.Error(err)
	}
	list, _, err := Survey(t.Context(), bytes.NewReader(other.raw), &p, now, nil)
	if err != nil || len(list) != 2 || !list[1].Dated() {
		t.Errorf("%v, %v", list, err)
	}
}
