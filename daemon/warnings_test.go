package daemon

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/money"
	"ancre/internal/warning"
	"ancre/spv"
	"ancre/wallet"
)

// well returns the looks of a daemon on which nothing is wrong.
func well() looks {
	return looks{
		now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		chain:   spv.Status{Synced: true},
		over:    batcher.Overview{BudgetSats: 1000, PaidSats: 500},
		balance: wallet.Balance{Confirmed: 100_000},
		disk:    diskLook{Disk: pebblestore.Disk{FreeBytes: 1 << 30, ReserveBytes: 64 << 20}},
	}
}

// fee is what an anchor costs in these tests.
const fee = 153

// lookedAhead adds the outlook of the balance.
func (l looks) lookedAhead() looks {
	l.outlook = money.Look(money.Facts{BalanceSats: l.balance.Confirmed, AnchorSats: fee, Interval: 6 * time.Hour})
	return l
}

func kindsOf(all []warning.Warning) (out []*warning.Kind) {
	for _, w := range all {
		out = append(out, w.Kind)
	}
	return out
}

// What the page of the calendar says does not depend on what holds no anchor up.
func TestWhichWarningsHoldNoAnchorUp(t *testing.T) {
	var got []string
	for _, k := range warning.Table() {
		if !k.HoldsAnchors() {
			got = append(got, k.Name())
		}
	}
	if want := []string{"disk_low", "backup_old", "backup_failed", "balance_low", "budget_low", "calendar_uri", "calendar_proxy", "rpc_listen", "metrics_listen", "calendar_budget", "max_digests", "notify"}; !slices.Equal(got, want) {
		t.Errorf("no anchor is held up by %q, want %q", got, want)
	}
}

func TestWhatIsWrongIsTold(t *testing.T) {
	riddle := errors.New("a riddle")
	of := func(k *warning.Kind) []warning.Warning { return []warning.Warning{warning.New(k, "said")} }
	for _, tt := range []struct {
		name   string
		change func(*looks)
		want   []*warning.Kind
		words  string // of the last
	}{
		{"nothing", func(*looks) {}, nil, ""},
		{"what the rooms say", func(l *looks) {
			l.chain.Warnings, l.over.Warnings = of(warning.NoPeers), of(warning.FeeCap)
		}, []*warning.Kind{warning.NoPeers, warning.FeeCap}, "said"},
		{"no wallet", func(l *looks) { l.ready = wallet.ErrNoWallet }, []*warning.Kind{warning.Wallet}, "wallet create`, and send it 50,000 sat (0.0005 BTC): about 80 days at today's price"},
		{"a locked wallet", func(l *looks) { l.ready = wallet.ErrLocked }, []*warning.Kind{warning.Wallet}, "wallet unlock"},
		{"a wallet that cannot be opened", func(l *looks) { l.ready = riddle }, []*warning.Kind{warning.Wallet}, "a riddle"},
		{"a wallet that a batch waits for is told of once", func(l *looks) {
			l.ready, l.over.Warnings = wallet.ErrLocked, of(warning.Wallet)
		}, []*warning.Kind{warning.Wallet}, "said"},
		{"a wallet that follows a new block", func(l *looks) {
			l.ready, l.over.Warnings = wallet.ErrSyncing, of(warning.Wallet)
		}, nil, ""},
		{"a wallet that does while a batch is late", func(l *looks) {
			l.ready, l.over.Warnings = wallet.ErrSyncing, slices.Concat(of(warning.Wallet), of(warning.Overdue))
		}, []*warning.Kind{warning.Wallet, warning.Overdue}, "said"},
		{"an empty wallet", func(l *looks) { l.balance = wallet.Balance{} }, []*warning.Kind{warning.BalanceLow}, "the wallet has 0 sat: enough for 0 more anchors, less than a day at today's price of 153 sat. Send it 50,000 sat (0.0005 BTC): about 80 days"},
		{"a deposit that is not mined yet", func(l *looks) { l.balance = wallet.Balance{Pending: 100_000} }, []*warning.Kind{warning.BalanceLow}, "more is unconfirmed"},
		{"a price", func(l *looks) { l.balance, l.price = wallet.Balance{Confirmed: 1000}, "60000 EUR" }, []*warning.Kind{warning.BalanceLow},
			"has 1,000 sat (≈ 0.60 EUR): enough for 6 more anchors, about 1 day at today's price of 153 sat (≈ 0.09 EUR). Send it 50,000 sat (0.0005 BTC, ≈ 30.00 EUR): about 80 days at today's price."},
		{"a price in the words of a room", func(l *looks) {
			l.price, l.over.Warnings = "60000 EUR", []warning.Warning{warning.New(warning.FeeCap, "it pays 50 sat/vB, and 10,000 sat are allowed")}
		}, []*warning.Kind{warning.FeeCap}, "50 sat/vB, and 10,000 sat (≈ 6.00 EUR) are allowed"},
		{"19 anchors", func(l *looks) { l.balance.Confirmed = 19 * 153 }, []*warning.Kind{warning.BalanceLow}, "19 more anchors"},
		{"20 anchors", func(l *looks) { l.balance.Confirmed = 20 * 153 }, nil, ""},
		{"too little for one anchor is told once", func(l *looks) {
			l.balance, l.over.Warnings = wallet.Balance{}, of(warning.WalletShort)
		}, []*warning.Kind{warning.WalletShort}, "said, for example 50,000 sat (0.0005 BTC): about 80 days at today's price"},
		{"a balance that cannot be read", func(l *looks) { l.balanceErr = riddle }, []*warning.Kind{warning.BalanceUnreadable}, "a riddle"},
		{"a disk that is nearly full", func(l *looks) { l.disk.FreeBytes = 500 << 20 }, []*warning.Kind{warning.DiskLow}, "500 MB left"},
		{"a full disk", func(l *looks) { l.disk.FreeBytes, l.disk.ReadOnly = 1, true }, []*warning.Kind{warning.Store}, "will refuse the next digest"},
		{"a full disk that refused a digest", func(l *looks) {
			l.disk.FreeBytes, l.disk.ReadOnly, l.over.Warnings = 1, true, of(warning.Store)
		}, []*warning.Kind{warning.Store}, "said"},
		{"a system that does not tell what is free", func(l *looks) { l.disk.FreeBytes = 0 }, nil, ""},
		{"a disk that cannot be read", func(l *looks) { l.disk.err = riddle }, []*warning.Kind{warning.DiskUnreadable}, "a riddle"},
		{"a disk that is busy", func(l *looks) { l.disk.Waits, l.disk.File = 9*time.Second, "000007.log" }, nil, ""},
		{"a disk that does not answer", func(l *looks) {
			l.disk.Waits, l.disk.File = 12*time.Second, "000007.log"
		}, []*warning.Kind{warning.DiskSlow}, "not completed a write to 000007.log for 12 seconds"},
		{"nine tenths of the budget", func(l *looks) { l.over.PaidSats = 901 }, []*warning.Kind{warning.BudgetLow}, "901 sat of the 1,000 sat"},
		{"a budget that holds an anchor", func(l *looks) { l.over.PaidSats, l.over.Warnings = 1000, of(warning.Budget) }, []*warning.Kind{warning.Budget}, "said"},
		{"no budget", func(l *looks) { l.over.BudgetSats = 0 }, nil, ""},
		{"a loop that stands still", func(l *looks) { l.stalled = riddle }, []*warning.Kind{warning.Stalled}, "a riddle: restart ancred"},
		{"a quota that is used up", func(l *looks) { l.exposed = of(warning.MaxDigests) }, []*warning.Kind{warning.MaxDigests}, "said"},
		{"proofs that point to this machine", func(l *looks) { l.calendar = "said" }, []*warning.Kind{warning.CalendarURI}, "said"},
	} {
		l := well()
		tt.change(&l)
		got := new(levels).warnings(l.lookedAhead())
		if !slices.Equal(kindsOf(got), tt.want) || len(got) > 0 && !strings.Contains(got[len(got)-1].Text, tt.words) {
			t.Errorf("%s: %q, want %d warnings, the last with %q", tt.name, got, len(tt.want), tt.words)
		}
	}
}

// A wallet that stays behind the chain is told of after a while, for as long as it does.
func TestAWalletThatStaysBehindIsToldOf(t *testing.T) {
	var s levels
	l := well()
	l.ready = wallet.ErrSyncing
	look := func(after time.Duration, want ...*warning.Kind) {
		t.Helper()
		l.now = l.now.Add(after)
		if got := s.warnings(l); !slices.Equal(kindsOf(got), want) {
			t.Errorf("%q", got)
		}
	}
	look(0)
	look(walletWait - time.Second)
	look(time.Second, warning.WalletSyncing)
	look(time.Hour, warning.WalletSyncing)
	l.ready = nil
	look(0)
	l.ready = wallet.ErrSyncing
	look(0)
	l.chain.Synced = false // then the chain is what it waits for
	look(2 * walletWait)
	l.chain.Synced = true
	look(0)
}

// A figure that goes up and down around a mark does not make a warning come and go.
func TestWarningsOfFiguresDoNotComeAndGo(t *testing.T) {
	var s levels
	for i, tt := range []struct {
		anchors int64
		free    uint64 // in the store's reserve
		paid    int64
		low     bool
	}{
		{21, 9, 890, false},
		{19, 7, 910, true},
		{21, 9, 890, true},
		{24, 9, 860, true},
		{25, 10, 850, false},
		{21, 9, 890, false},
	} {
		l := well()
		l.balance.Confirmed, l.over.PaidSats, l.disk.FreeBytes = tt.anchors*fee, tt.paid, tt.free*l.disk.ReserveBytes
		want := []*warning.Kind(nil)
		if tt.low {
			want = []*warning.Kind{warning.BalanceLow, warning.DiskLow, warning.BudgetLow}
		}
		if got := s.warnings(l.lookedAhead()); !slices.Equal(kindsOf(got), want) {
			t.Errorf("look %d: %q", i, got)
		}
	}
}

func TestAWarningIsLoggedWhenItBeginsAndWhenItEnds(t *testing.T) {
	log := new(output)
	d := &node{log: slog.New(slog.NewTextHandler(log, nil))}
	tip := func(text string) warning.Warning { return warning.New(warning.StaleTip, "%s", text) }
	few := warning.New(warning.FewPeers, "one")
	var before []warning.Warning
	for _, now := range [][]warning.Warning{nil, {tip("91 minutes")}, {tip("92 minutes")}, {tip("93 minutes"), few}, {few}} {
		d.logChanges(before, now)
		before = now
	}
	var lines []string
	for line := range strings.Lines(log.String()) {
		_, line, _ = strings.Cut(line, "level=")
		lines = append(lines, strings.TrimSpace(line))
	}
	want := []string{
		`WARN msg="91 minutes" warning=stale_tip`,
		`WARN msg=one warning=few_peers`,
		`INFO msg="a warning is over" warning=stale_tip`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("logged %q\nwant %q", lines, want)
	}
}

// What a person can see in getinfo is in the metrics under its name, and in the log.
func TestAWarningIsInTheMetricsAndTheLog(t *testing.T) {
	c := testConfig(t)
	c.Metrics = config.Metrics{Listen: "127.0.0.1:0"}
	log, _ := starts(t, c)
	i := info(t, c, log)
	if !slices.ContainsFunc(i.Warnings, func(w string) bool { return strings.Contains(w, "ancre wallet create") }) {
		t.Errorf("getinfo warns of %q, and there is no wallet", i.Warnings)
	}
	if _, scrape := get(t, i.Metrics.Listen, "/metrics"); !strings.Contains(scrape, `ancre_warnings{name="wallet"} 1`) {
		t.Error("the metrics do not tell of the wallet")
	}
	awaitLog(t, log, "warning=wallet")
}
