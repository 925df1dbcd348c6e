package wallet

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func TestAWalletThatWasNeverUsedIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Replace(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatalf("where there is none: %v", err)
	}
	old, err := w.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Replace(t.Context(), []byte("short"), nil, time.Time{}); err == nil {
		t.Error("replaced with a short passphrase")
	}
	if still, err := w.Address(t.Context()); err != nil || still != old {
		t.Errorf("after a failure the address is %s, %v; want %s", still, err, old)
	}
	words, address, err := w.Replace(t.Context(), []byte("another passphrase"), nil, time.Time{})
	if err != nil || len(words) != 24 || address == old {
		t.Fatalf("%d words, address %s, %v", len(words), address, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, dir, &chaincfg.RegressionNetParams, nil)
	if got, err := w.Address(t.Context()); err != nil || got != address {
		t.Errorf("address %s, %v; want %s", got, err, address)
	}
	if err := w.Unlock(t.Context(), []byte("another passphrase")); err != nil {
		t.Error(err)
	}

	// The old one is kept, and whole.
	kept, err := filepath.Glob(filepath.Join(dir, databaseName+".replaced-*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept: %v, %v", kept, err)
	}
	other := t.TempDir()
	if err := os.Rename(kept[0], filepath.Join(other, databaseName)); err != nil {
		t.Fatal(err)
	}
	w = open(t, other, &chaincfg.RegressionNetParams, nil)
	if got, err := w.Address(t.Context()); err != nil || got != old {
		t.Errorf("the old address is %s, %v; want %s", got, err, old)
	}
	if err := w.Unlock(t.Context(), passphrase); err != nil {
		t.Error(err)
	}
}

func TestAWalletThatWasUsedIsNeverReplaced(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(t *testing.T, w *Wallet, address string){
		"a payment came": func(t *testing.T, w *Wallet, address string) { receive(t, w, address, 1) },
		"a coin is leased": func(t *testing.T, w *Wallet, _ string) {
			if err := w.Lease(t.Context(), []wire.OutPoint{{Index: 1}}); err != nil {
				t.Fatal(err)
			}
		},
		"it is restored, and its coins are searched for": func(_ *testing.T, w *Wallet, _ string) { w.vault.restoring.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, dir, &chaincfg.RegressionNetParams, nil)
			_, address, err := w.Create(t.Context(), passphrase, nil, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			use(t, w, address)
			if _, _, err := w.Replace(t.Context(), passphrase, nil, time.Time{}); !errors.Is(err, ErrUsed) {
				t.Errorf("got %v, want %v", err, ErrUsed)
			}
			if w.State() != Syncing {
				t.Errorf("state %s, want %s", w.State(), Syncing)
			}
			wantFiles(t, dir, databaseName)
		})
	}
}

// At a start, leases end that belong to no stored anchor, and their coins can be spent again. They
// belonged to anchors that are newer than the backup from which the store was restored.
func TestLeasesThatNobodyNeedsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	_, address, err := w.Create(t.Context(), passphrase, nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, w, address, 100_000)
	coins, err := w.vault.coins(&w.leases)
	if err != nil || len(coins) != 1 {
		t.Fatal(coins, err)
	}
	coin, needed := coins[0].OutPoint, wire.OutPoint{Index: 9}
	if err := w.Lease(t.Context(), []wire.OutPoint{coin, needed, {Index: 10}}); err != nil {
		t.Fatal(err)
	}
	reopen := func(spendable int64) {
		t.Helper()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w = open(t, dir, &chaincfg.RegressionNetParams, nil)
		if b, err := w.Balance(t.Context()); err != nil || b.Spendable != spendable || b.Confirmed != 100_000 {
			t.Errorf("balance %+v, %v; want %d spendable", b, err, spendable)
		}
	}
	reopen(0)
	built := wire.OutPoint{Index: 11}
	w.leases.hold([]wire.OutPoint{built}, time.Now().Add(time.Minute)) // for a version that is not stored yet
	if err := w.LeaseOnly(t.Context(), []wire.OutPoint{needed}); err != nil {
		t.Fatal(err)
	}
	if b, err := w.Balance(t.Context()); err != nil || b.Spendable != 100_000 {
		t.Errorf("balance %+v, %v; want all of it spendable", b, err)
	}
	leased := w.leases.snapshot()
	for _, c := range []wire.OutPoint{needed, built} {
		if leased[c].IsZero() {
			t.Errorf("%s is not leased any more", c)
		}
	}
	if len(leased) != 2 {
		t.Errorf("leased: %v", leased)
	}
	reopen(100_000)
	if leased := w.leases.snapshot(); len(leased) != 1 || leased[needed].IsZero() {
		t.Errorf("leased after the next start: %v", leased)
	}
}

// An older ancre encrypted wallets with what JSON made of a passphrase that is not UTF-8. The true
// passphrase opens such a wallet, and from then on no other one does.
func TestAWalletWithAGarbledPassphraseIsRepaired(t *testing.T) {
	const latin1 = "r\xe9sum\xe9 1234"
	var log strings.Builder
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Create(t.Context(), garbled([]byte(latin1)), nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		passphrase string
		wrong      bool
	}{
		{"resume 1234", true},
		{latin1, false}, // here it is repaired
		{"r\xe8sum\xe8 1234", true},
		{"r\ufffdsum\ufffd 1234", true},
		{"r\u00e9sum\u00e9 1234", true},
		{latin1, false},
	} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		w = open(t, dir, &chaincfg.RegressionNetParams, slog.New(slog.NewTextHandler(&log, nil)))
		if err := w.Unlock(t.Context(), []byte(c.passphrase)); errors.Is(err, ErrWrongPassphrase) != c.wrong || !c.wrong && err != nil {
			t.Errorf("passphrase %d, %q: %v", i, c.passphrase, err)
		}
		if told := strings.Contains(log.String(), "garbled"); told != (i == 1) {
			t.Errorf("passphrase %d, %q: that it is repaired is told: %v", i, c.passphrase, told)
		}
	}
	if got := garbled([]byte("correct r\u00e9sum\u00e9")); got != nil {
		t.Errorf("UTF-8 is garbled to %q", got)
	}
}
