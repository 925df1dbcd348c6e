package wallet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcwallet/walletdb"
)

// other is another passphrase than the one of these tests' wallets.
var other = []byte("another horse")

// opensWith says which of some passphrases unlock the wallet in a directory.
func opensWith(t *testing.T, dir string, passphrases ...[]byte) (opens []string) {
	t.Helper()
	for _, p := range passphrases {
		w := open(t, dir, &chaincfg.RegressionNetParams, nil)
		switch err := w.Unlock(t.Context(), p); {
		case err == nil:
			opens = append(opens, string(p))
		case !errors.Is(err, ErrWrongPassphrase):
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return opens
}

func wantOpens(t *testing.T, dir string, want []byte) {
	t.Helper()
	if got := opensWith(t, dir, passphrase, other); len(got) != 1 || got[0] != string(want) {
		t.Errorf("the wallet opens with %q, want %q alone", got, want)
	}
}

func TestThePassphraseIsChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log bytes.Buffer
	w := open(t, dir, &chaincfg.RegressionNetParams, slog.New(slog.NewTextHandler(&log, nil)))
	if err := w.ChangePassphrase(t.Context(), passphrase, other); !errors.Is(err, ErrNoWallet) {
		t.Errorf("without a wallet: %v", err)
	}
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		old, next []byte
		want      error
	}{
		{"from a wrong one", []byte("wrong horse"), other, ErrWrongPassphrase},
		{"from the new one", other, passphrase, ErrWrongPassphrase},
		{"to a short one", passphrase, []byte("horse"), ErrPassphrase},
		{"to the same one", passphrase, passphrase, ErrPassphrase},
	} {
		if err := w.ChangePassphrase(t.Context(), c.old, c.next); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if err := w.ChangePassphrase(t.Context(), passphrase, other); err != nil {
		t.Fatal(err)
	}
	// It stays open, and the old passphrase is wrong at once.
	if w.vault.locked() {
		t.Error("the wallet is locked")
	}
	if err := w.Unlock(t.Context(), passphrase); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("the old passphrase: %v", err)
	}
	if err := w.Unlock(t.Context(), other); err != nil {
		t.Errorf("the new passphrase: %v", err)
	}
	if b := w.vault.balanceMeanwhile.Load(); b != nil {
		t.Error("the balance is still that of before")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, dir, other)

	// A locked one stays locked.
	w = open(t, dir, &chaincfg.RegressionNetParams, nil)
	if err := w.ChangePassphrase(t.Context(), passphrase, other); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("a wrong passphrase of a locked wallet: %v", err)
	}
	if err := w.ChangePassphrase(t.Context(), other, passphrase); err != nil || !w.vault.locked() {
		t.Errorf("locked: %t, %v", w.vault.locked(), err)
	}
	if err := w.Unlock(t.Context(), passphrase); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, dir, passphrase)
	if s := log.String(); strings.Contains(s, string(other)) || strings.Contains(s, string(passphrase)) {
		t.Errorf("a passphrase is logged: %s", s)
	}
}

// failingDB is a wallet file whose writes fail after they were prepared, as on a full disk.
type failingDB struct {
	walletdb.DB
	fails bool
}

var errFull = errors.New("no space left on device")

func (f *failingDB) Update(change func(walletdb.ReadWriteTx) error, reset func()) error {
	if !f.fails {
		return f.DB.Update(change, reset)
	}
	f.fails = false
	return f.DB.Update(func(tx walletdb.ReadWriteTx) error { return errors.Join(change(tx), errFull) }, reset)
}

// If the disk does not take the change, the old passphrase stays right: on the disk and in memory.
func TestAPassphraseThatIsNotStoredIsNotChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	db := &failingDB{w.vault.db, true}
	w.vault.db = db
	if err := w.ChangePassphrase(t.Context(), passphrase, other); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "is not changed") || db.fails {
		t.Fatalf("got %v", err)
	}
	if err := w.Unlock(t.Context(), passphrase); err != nil {
		t.Errorf("the old passphrase: %v", err)
	}
	if err := w.ChangePassphrase(t.Context(), other, []byte("a third horse")); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("from the one that was not stored: %v", err)
	}
	if err := w.ChangePassphrase(t.Context(), passphrase, other); err != nil { // the disk has space again
		t.Errorf("once more: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, dir, other)
}

// These name the wallet whose passphrase a process changes until it is killed, and the number of
// the passphrase that opens it.
const (
	killedDir   = "ANCRE_TEST_CHANGE_PASSPHRASE"
	killedFirst = "ANCRE_TEST_CHANGE_PASSPHRASE_FROM"
)

func numbered(n int) []byte { return fmt.Appendf(nil, "horse number %d", n) }

// TestHelperChangesPassphrases is the process that TestThePassphraseOutlastsKills kills.
func TestHelperChangesPassphrases(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		return // this is an ordinary run of all tests
	}
	n, err := strconv.Atoi(os.Getenv(killedFirst))
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	for ; ; n++ {
		if err := w.ChangePassphrase(t.Context(), numbered(n), numbered(n+1)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("now: %d\n", n+1)
	}
}

// Whenever the process is killed, the wallet opens with the last passphrase that was acknowledged,
// or with the one that was being set.
func TestThePassphraseOutlastsKills(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Create(t.Context(), numbered(0), nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const kills = 20
	now, unacknowledged := 0, 0
	for range kills {
		cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestHelperChangesPassphrases$")
		cmd.Env = append(os.Environ(), killedDir+"="+dir, killedFirst+"="+strconv.Itoa(now))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := now
		killAfter := now + 1 + rand.IntN(5)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "now: %d", &last); err == nil && last == killAfter {
				time.AfterFunc(rand.N(5*time.Millisecond), func() { _ = cmd.Process.Kill() }) // somewhere in a change
			}
		}
		if err := cmd.Wait(); err == nil || last < killAfter {
			t.Fatalf("the process ended by itself (%v) after %d of %d changes", err, last-now, killAfter-now)
		}
		switch opens := opensWith(t, dir, numbered(last), numbered(last+1)); {
		case len(opens) != 1:
			t.Fatalf("%d was acknowledged, and the wallet opens with %q", last, opens)
		case opens[0] == string(numbered(last)):
			now = last
		default:
			now = last + 1
			unacknowledged++
		}
	}
	t.Logf("killed %d times, after %d changes, of which %d were not acknowledged", kills, now, unacknowledged)
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("files %q (%v), want the wallet's alone", left, err)
	}
}
