package money

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const sixHours = 6 * time.Hour

func TestAProposalLasts(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts Facts
		want  string
	}{
		{"nothing is known yet", Facts{AnchorSats: 153, Interval: sixHours}, "50,000 sat (0.0005 BTC): about 80 days at today's price"},
		{"no price is known yet", Facts{Interval: sixHours}, "20,000 sat (0.0002 BTC): about 14 years at today's price"},
		{"a week of few batches", Facts{AnchorSats: 153, Interval: sixHours, Batches: 12, Blocks: 1008}, "20,000 sat (0.0002 BTC): about 75 days at today's price"},
		{"a day of few batches says nothing", Facts{AnchorSats: 153, Interval: sixHours, Batches: 1, Blocks: 144}, "50,000 sat (0.0005 BTC): about 80 days at today's price"},
		{"a month without batches says nothing", Facts{AnchorSats: 153, Interval: sixHours, Blocks: 4320}, "50,000 sat (0.0005 BTC): about 80 days at today's price"},
		{"one batch a month", Facts{AnchorSats: 450, Interval: sixHours, Batches: 1, Blocks: 4320}, "20,000 sat (0.0002 BTC): about 4 years at today's price"},
		{"busy blocks", Facts{AnchorSats: 1_836, Interval: sixHours}, "500,000 sat (0.005 BTC): about 70 days at today's price"},
		{"a spike is not paid for in advance", Facts{AnchorSats: 15_300, Interval: sixHours}, "500,000 sat (0.005 BTC): about 8 days at today's price"},
		{"but for 25 anchors", Facts{AnchorSats: 50_000, Interval: sixHours}, "2,000,000 sat (0.02 BTC): about 10 days at today's price"},
		{"a budget", Facts{AnchorSats: 15_300, Interval: sixHours, BudgetSats: 100_000}, "500,000 sat (0.005 BTC): about 5 months at today's price"},
		{"an interval of a second: a block holds one anchor", Facts{AnchorSats: 153, Interval: time.Second}, "500,000 sat (0.005 BTC): about 20 days at today's price"},
	} {
		if got := Look(c.facts).Proposal(""); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHowLongTheBalanceLasts(t *testing.T) {
	for sats, want := range map[int64]string{
		0:           "enough for 0 more anchors, less than a day",
		-5:          "enough for 0 more anchors, less than a day",
		152:         "enough for 0 more anchors, less than a day",
		700:         "enough for 4 more anchors, about 1 day",
		12_000:      "enough for 78 more anchors, about 19 days",
		20_000:      "enough for 130 more anchors, about 30 days",
		62_000:      "enough for 405 more anchors, about 3 months",
		1_000_000:   "enough for 6,535 more anchors, about 4 years",
		500_000_000: "enough for 3,267,973 more anchors, more than 50 years",
	} {
		if got := Look(Facts{BalanceSats: sats, AnchorSats: 153, Interval: sixHours}).Lasts(); got != want {
			t.Errorf("%d sat: %q, want %q", sats, got, want)
		}
	}
}

// Whatever the facts are, a proposal is an amount that a person sends, ends the warning of a low
// balance, and is no fortune.
func TestEachProposalMakesSense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Facts{
			BalanceSats: rapid.Int64Range(0, 1e9).Draw(t, "balance"),
			AnchorSats:  rapid.Int64Range(0, 10_000_000).Draw(t, "fee"),
			Batches:     rapid.IntRange(0, 10_000).Draw(t, "batches"),
			Blocks:      rapid.Int32Range(0, 4320).Draw(t, "blocks"),
			Interval:    time.Duration(rapid.Int64Range(0, int64(168*time.Hour)).Draw(t, "interval")),
			BudgetSats:  rapid.Int64Range(0, 1e9).Draw(t, "budget"),
		}
		o := Look(f)
		round := o.DepositSats
		for round%10 == 0 {
			round /= 10
		}
		if round != 1 && round != 2 && round != 5 {
			t.Errorf("%+v: nobody sends %d", f, o.DepositSats)
		}
		if o.DepositSats < 20_000 || o.DepositSats < EnoughAnchors*f.AnchorSats {
			t.Errorf("%+v: %d is too little", f, o.DepositSats)
		}
		if o.DepositSats > max(500_000, 50*EnoughAnchors*f.AnchorSats/20) {
			t.Errorf("%+v: %d is too much", f, o.DepositSats)
		}
		if o.AnchorsPerDay <= 0 || o.DaysLeft < 0 || o.DepositDays < 0 || o.AnchorsLeft < 0 {
			t.Errorf("%+v: %+v", f, o)
		}
	})
}

func TestADaemonThatIsTooOldProposesNothing(t *testing.T) {
	if got := (Outlook{}).Proposal("60000 EUR"); got != "" {
		t.Errorf("%q", got)
	}
}
