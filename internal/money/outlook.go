package money

import (
	"fmt"
	"math"
	"time"

	"ancre/internal/humanize"
)

const (
	// FewAnchors is how many more anchors the wallet should be able to pay for: with four a day,
	// that is five days. Below it, the daemon warns until the wallet pays for EnoughAnchors,
	// because prices vary.
	FewAnchors    = 20
	EnoughAnchors = 25

	// leastDeposit is the smallest proposal. Exchanges hardly send less, and the fee for sending
	// would be a large part of it.
	leastDeposit = 20_000

	// mostDeposit is the largest proposal, unless EnoughAnchors need more. A wallet on a server
	// should hold what some months cost and no more, and a high price today says little about
	// prices in a month.
	mostDeposit = 500_000

	// lastsDays is how long a proposal lasts at least, within these bounds.
	lastsDays = 60

	// blocksPerDay is how many blocks Bitcoin finds on average. A block holds one anchor at most.
	blocksPerDay = 144

	// budgetDays is the period of anchor.monthly_budget.
	budgetDays = 30

	// knownBlocks is how much past it takes to count the anchors of a day: a week of blocks.
	knownBlocks = 7 * blocksPerDay

	// longest bounds the days that an outlook tells: nobody knows prices that far ahead.
	longest = 36_500
)

// Facts is what an outlook is made from.
type Facts struct {
	BalanceSats int64         // confirmed
	AnchorSats  int64         // today's price of an anchor; 0: not known yet
	Batches     int           // that were anchored in the last Blocks blocks
	Blocks      int32         // how far back the first of them is, at most some months
	Interval    time.Duration // batch.interval: an anchor pays for at least one batch
	BudgetSats  int64         // what anchors may pay in 30 days; 0: no such bound
}

// Outlook is how long money lasts at today's price, and how much somebody should send. Days are
// rounded down.
type Outlook struct {
	AnchorSats    int64   `json:"anchor_sats"`     // today's price of an anchor
	AnchorsPerDay float64 `json:"anchors_per_day"` // as in the last 30 days or, while less than a week is known, as many as batch.interval allows
	AnchorsLeft   int64   `json:"anchors_left"`    // what the confirmed balance pays for
	DaysLeft      int64   `json:"days_left"`       // how long it lasts
	DepositSats   int64   `json:"deposit_sats"`    // a round amount to send that lasts
	DepositDays   int64   `json:"deposit_days"`    // how long that lasts by itself
}

// Look computes the outlook.
func Look(f Facts) Outlook {
	fee := max(f.AnchorSats, 1)
	o := Outlook{AnchorSats: fee, AnchorsPerDay: perDay(f)}
	daily := float64(fee) * o.AnchorsPerDay
	if f.BudgetSats > 0 {
		daily = min(daily, float64(f.BudgetSats)/budgetDays)
	}
	o.AnchorsLeft, o.DaysLeft = f.BalanceSats/fee, days(f.BalanceSats, daily)
	o.DepositSats = deposit(fee, daily)
	o.DepositDays = days(o.DepositSats, daily)
	return o
}

// perDay returns how many anchors a day the daemon pays for. Each batch counts as one: after an
// empty wallet an anchor pays for many, and that is not how it goes on.
func perDay(f Facts) float64 {
	if f.Blocks >= knownBlocks && f.Batches > 0 {
		return math.Round(float64(f.Batches)*blocksPerDay/float64(f.Blocks)*100) / 100
	}
	if f.Interval <= 0 {
		return blocksPerDay
	}
	return min(float64(24*time.Hour)/float64(f.Interval), blocksPerDay)
}

func days(sats int64, daily float64) int64 {
	return int64(min(float64(max(sats, 0))/max(daily, 1e-9), longest))
}

// deposit returns the smallest amount of the series 1, 2, 5 that lasts, within the bounds. After
// it, the wallet is no longer low.
func deposit(fee int64, daily float64) int64 {
	want := min(max(lastsDays*daily, leastDeposit), mostDeposit)
	want = max(want, float64(EnoughAnchors*fee))
	for power := int64(leastDeposit / 2); ; power *= 10 {
		for _, n := range []int64{1, 2, 5} {
			if float64(n*power) >= want {
				return n * power
			}
		}
	}
}

// Lasts says how long the balance lasts: "enough for 120 more anchors, about 30 days".
func (o Outlook) Lasts() string {
	return fmt.Sprintf("enough for %s, %s", humanize.Plural(o.AnchorsLeft, "more anchor", "more anchors"), about(o.DaysLeft))
}

// Proposal says how much to send, and how long that lasts: "20,000 sat (0.0002 BTC): about 80 days
// at today's price". It is empty if the daemon is too old to propose anything.
func (o Outlook) Proposal(p Price) string {
	if o.DepositSats <= 0 {
		return ""
	}
	worth := BTC(o.DepositSats)
	if w := p.Worth(o.DepositSats); w != "" {
		worth += ", " + w
	}
	return fmt.Sprintf("%s (%s): %s at today's price", humanize.Sats(o.DepositSats), worth, about(o.DepositDays))
}

// about writes a number of days as precisely as it can be known.
func about(days int64) string {
	const month, year = 30.44, 365.25
	switch d := float64(days); {
	case days < 1:
		return "less than a day"
	case days < 20:
		return "about " + humanize.Plural(days, "day", "days")
	case days < 100:
		return fmt.Sprintf("about %d days", int64(math.Round(d/5))*5)
	case d < 2*year:
		return fmt.Sprintf("about %d months", int64(math.Round(d/month)))
	case d < 50*year:
		return fmt.Sprintf("about %d years", int64(math.Round(d/year)))
	}
	return "more than 50 years"
}
