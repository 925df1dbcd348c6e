package wallet

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcwallet/snacl"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/btcsuite/btcwallet/walletdb"
)

// strong stretches more than the public passphrase is stretched, and far less than takes a second.
var strong = waddrmgr.ScryptOptions{N: 64, R: 8, P: 1}

// stretched reads by how much the two passphrases of a wallet file are stretched.
func stretched(t *testing.T, dir string) (public, private int) {
	t.Helper()
	db, err := walletdb.Open("bdb", filepath.Join(dir, databaseName), true, lockTimeout, false)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = walletdb.View(db, func(tx walletdb.ReadTx) error {
		p, err := publicParams(tx)
		if err != nil {
			return err
		}
		var key snacl.SecretKey
		err = key.Unmarshal(tx.ReadBucket(addressBucket).NestedReadBucket(masterBucket).Get([]byte("mpriv")))
		public, private = p.N, key.Parameters.N
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

// withStrongKeys makes a test's wallets stronger than the public passphrase, as real ones are.
func withStrongKeys(t *testing.T) {
	t.Helper()
	was := waddrmgr.DefaultScryptOptions
	waddrmgr.DefaultScryptOptions = strong
	t.Cleanup(func() { waddrmgr.DefaultScryptOptions = was })
}

// Only the private passphrase keeps somebody who has the file from the coins.
func TestOnlyThePrivatePassphraseIsStretched(t *testing.T) {
	withStrongKeys(t)
	dir := t.TempDir()
	var log bytes.Buffer
	w := open(t, dir, &chaincfg.RegressionNetParams, slog.New(slog.NewTextHandler(&log, nil)))
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "older ancre") {
		t.Errorf("a new wallet was made as an older one, and changed at once:\n%s", &log)
	}
	if public, private := stretched(t, dir); public != publicStretch.N || private != strong.N {
		t.Errorf("a new wallet's passphrases are stretched by N = %d (public) and %d (private), want %d and %d",
			public, private, publicStretch.N, strong.N)
	}
	if n := len(publicPassphrase); n >= MinPassphrase {
		t.Errorf("the public passphrase has %d characters: a private one could be the same, and would not be stretched", n)
	}
}

// olderWallet makes a wallet as it was made before the public passphrase was told apart.
func olderWallet(t *testing.T, dir string) (address string) {
	t.Helper()
	was := waddrmgr.SetSecretKeyGen(func(p *[]byte, o *waddrmgr.ScryptOptions) (*snacl.SecretKey, error) {
		return snacl.NewSecretKey(p, strong.N, strong.R, strong.P)
	})
	defer func() { waddrmgr.SetSecretKeyGen(was) }()
	path := filepath.Join(dir, databaseName)
	seed, err := deriveMaster(vectorWords, &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	defer seed.wipe()
	if err := makeVault(path, chaincfg.RegressionNetParams.Name, seed, passphrase, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	if public, private := stretched(t, dir); public != strong.N || private != strong.N {
		t.Fatalf("the older wallet is stretched by N = %d and %d, want %d twice", public, private, strong.N)
	}
	return derive(t, vectorWords, &chaincfg.RegressionNetParams, 1, 0, 0)
}

func TestOlderWalletIsMadeQuickToOpenOnce(t *testing.T) {
	dir := t.TempDir()
	want := olderWallet(t, dir)
	for opening := range 2 {
		var log bytes.Buffer
		w := open(t, dir, &chaincfg.RegressionNetParams, slog.New(slog.NewTextHandler(&log, nil)))
		if told := strings.Contains(log.String(), "later starts will be faster"); told != (opening == 0) {
			t.Errorf("opening %d: the log tells of the change: %v\n%s", opening, told, &log)
		}
		if err := w.Unlock(t.Context(), []byte("something else")); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("opening %d: a wrong passphrase gives %v", opening, err)
		}
		if err := w.Unlock(t.Context(), passphrase); err != nil {
			t.Errorf("opening %d: %v", opening, err)
		}
		if opening == 0 {
			if _, err := w.vault.topUp(); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := w.Address(t.Context()); err != nil || got != want {
			t.Errorf("opening %d: the address is %s (%v), want %s", opening, got, err, want)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if public, private := stretched(t, dir); public != publicStretch.N || private != strong.N {
			t.Errorf("opening %d: stretched by N = %d (public) and %d (private), want %d and %d",
				opening, public, private, publicStretch.N, strong.N)
		}
	}
}

// The conversion saves a second at each start. If it fails, for example on a full disk, the wallet
// pays for anchors nevertheless.
func TestOlderWalletOpensWhereTheChangeFails(t *testing.T) {
	dir := t.TempDir()
	olderWallet(t, dir)
	was := publicStretch
	publicStretch.N = 3 // which scrypt refuses
	t.Cleanup(func() { publicStretch = was })
	var log bytes.Buffer
	w := open(t, dir, &chaincfg.RegressionNetParams, slog.New(slog.NewTextHandler(&log, nil)))
	if err := w.Unlock(t.Context(), passphrase); err != nil {
		t.Errorf("unlock: %v", err)
	}
	if !strings.Contains(log.String(), "the next start will be as slow") {
		t.Errorf("nothing says that the change failed:\n%s", &log)
	}
}

// The conversion writes to the disk in one step. If the step is not finished, the file is as
// before.
func TestOlderWalletOpensAfterACrashInTheChange(t *testing.T) {
	dir := t.TempDir()
	want := olderWallet(t, dir)
	path := filepath.Join(dir, databaseName)
	db, err := walletdb.Open("bdb", path, true, lockTimeout, false)
	if err != nil {
		t.Fatal(err)
	}
	errCrash := errors.New("crash")
	err = walletdb.Update(db, func(tx walletdb.ReadWriteTx) error {
		ns := tx.ReadWriteBucket(addressBucket)
		m, err := waddrmgr.Open(ns, publicPassphrase, &chaincfg.RegressionNetParams)
		if err != nil {
			return err
		}
		defer m.Close()
		if err := m.ChangePassphrase(ns, publicPassphrase, publicPassphrase, false, &publicStretch); err != nil {
			return err
		}
		return errCrash // before the commit
	})
	if !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if public, _ := stretched(t, dir); public != strong.N {
		t.Fatalf("the file is stretched by N = %d, want the older one's %d", public, strong.N)
	}
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if err := w.Unlock(t.Context(), passphrase); err != nil {
		t.Fatal(err)
	}
	if _, err := w.vault.topUp(); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Address(t.Context()); err != nil || got != want {
		t.Errorf("the address is %s (%v), want %s", got, err, want)
	}
	if fi, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		t.Errorf("the file's mode is %v (%v): its 0600 is what keeps the public keys private", fi.Mode(), err)
	}
}
