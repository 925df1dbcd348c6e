package wallet

import (
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// A restored wallet is searched for from its birthday on, but never later than now, and from no
// earlier than there can be coins.
func TestTheBirthdayIsWhereTheSearchBegins(t *testing.T) {
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	now := time.Now()
	main, test4, reg := &chaincfg.MainNetParams, &chaincfg.TestNet4Params, &chaincfg.RegressionNetParams
	for _, c := range []struct {
		name      string
		params    *chaincfg.Params
		restoring bool
		birthday  time.Time
		want      time.Time // zero: now
	}{
		{"a new wallet", main, false, time.Time{}, time.Time{}},
		{"a restore without a birthday", main, true, time.Time{}, segwitActivation},
		{"a birthday before there can be coins", main, true, day("2012-01-01"), segwitActivation},
		{"a birthday", main, true, day("2026-01-31"), day("2026-01-31")},
		{"a birthday to come", main, true, now.Add(240 * time.Hour), time.Time{}},
		{"a test network without a birthday", test4, true, time.Time{}, test4.GenesisBlock.Header.Timestamp},
		{"a test network", test4, true, day("2026-01-31"), day("2026-01-31")},
		{"a private network, whose miner chooses the time", reg, true, day("2026-01-31"), reg.GenesisBlock.Header.Timestamp},
	} {
		got := birthdayOf(c.params, c.restoring, c.birthday)
		if c.want.IsZero() {
			if d := got.Sub(now); d < 0 || d > time.Minute {
				t.Errorf("%s: %v, want now", c.name, got)
			}
		} else if !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
