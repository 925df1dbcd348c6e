package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ancre/internal/money"
	"ancre/internal/warning"
)

// One figure says when the wallet is low: in the daemon, in the table of warnings and in the alert.
func TestTheWalletIsLowBelowOneFigure(t *testing.T) {
	alert := fmt.Sprintf(`ancre_wallet_balance_sats{kind="confirmed"} < ignoring (kind) %d * ancre_anchor_fee_sats`, money.FewAnchors)
	if !strings.Contains(string(readFile(t, alertsFile)), alert) {
		t.Errorf("no alert has %s", alert)
	}
	if want := fmt.Sprintf("fewer than %d more anchors", money.FewAnchors); !strings.Contains(warning.BalanceLow.Says(), want) {
		t.Errorf("the table says %q, want %q", warning.BalanceLow.Says(), want)
	}
}

// Before anything is anchored, the interval says how many anchors a day there are.
func TestAFreshDaemonProposesWhatTheIntervalAllows(t *testing.T) {
	c := testConfig(t)
	c.Batch.Interval = 12 * time.Hour
	log, _ := starts(t, c)
	w := info(t, c, log).Wallet
	if w.AnchorsPerDay != 2 || w.AnchorSats != 153 || w.DepositSats != 20_000 || w.DepositDays != 65 || w.AnchorsLeft != 0 {
		t.Errorf("%+v", w)
	}
}
