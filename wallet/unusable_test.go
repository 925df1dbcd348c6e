package wallet

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcwallet/walletdb"
)

// openOrReport opens a wallet whatever is wrong with it.
func openOrReport(t *testing.T, dir string) *Wallet {
	t.Helper()
	w, err := OpenOrReport(Config{Dir: dir, Params: &chaincfg.RegressionNetParams, Chain: absent{}, CallTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return w
}

// aWalletFile makes a wallet with a coin, and returns its file.
func aWalletFile(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	_, first, err := w.Create(t.Context(), passphrase, vectorWords, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, w, first, 70_000)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// otherDatabase writes a database that is no wallet.
func otherDatabase(path string) error {
	db, err := walletdb.Create("bdb", path, true, lockTimeout, false)
	if err != nil {
		return err
	}
	return db.Close()
}

// Whatever is in the place of the wallet's file, the wallet opens, or the error says which file it
// is, what is wrong, and what to do. Once the file is moved away, the wallet can be restored
// without a restart.
func TestAWalletThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	t.Parallel()
	whole := aWalletFile(t)
	write := func(data []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, data, 0o600) }
	}
	for name, c := range map[string]struct {
		put  func(path string) error
		says string
	}{
		"an empty file":              {write(nil), "the file is empty"},
		"zeros":                      {write(make([]byte, len(whole))), "not a database"},
		"zeros behind the beginning": {write(append(whole[:8192:8192], make([]byte, len(whole)-8192)...)), "damaged"},
		"a part of it":               {write(whole[:5*4096+100]), "should have"},
		"one byte":                   {write(whole[:1]), "not a database"},
		"text":                       {write([]byte(strings.Repeat("no wallet ", 10_000))), "not a database"},
		"a directory":                {func(path string) error { return os.Mkdir(path, 0o700) }, "a directory"},
		"a link to itself":           {func(path string) error { return os.Symlink(databaseName, path) }, databaseName},
		"a link to nowhere":          {func(path string) error { return os.Symlink("nowhere", path) }, "no such file"},
		"another program's database": {otherDatabase, "another program wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(name, "link") {
				t.Skip("no links")
			}
			dir := t.TempDir()
			path := filepath.Join(dir, databaseName)
			if err := c.put(path); err != nil {
				t.Fatal(err)
			}
			w := openOrReport(t, dir)
			if w.State() != Unusable {
				t.Fatalf("state %s, want %s", w.State(), Unusable)
			}
			err := w.Ready()
			if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), c.says) || strings.Count(err.Error(), path) != 1 || !strings.Contains(err.Error(), "move this file") {
				t.Errorf("it says %v", err)
			}
			if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); !errors.Is(err, ErrUnusable) {
				t.Errorf("a creation over it gives %v, want %v", err, ErrUnusable)
			}
			if err := w.LeaseOnly(t.Context(), nil); err != nil {
				t.Errorf("leasing coins of what is not there: %v", err)
			}
			if err := os.Rename(path, filepath.Join(dir, "moved away")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := w.Create(t.Context(), passphrase, vectorWords, time.Time{}); err != nil || w.State() != Syncing {
				t.Errorf("restored once it was moved away: %v, state %s", err, w.State())
			}
		})
	}
}

func TestAWalletDirectoryThatIsNone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "wallet")
	if err := os.WriteFile(dir, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := openOrReport(t, dir)
	if err := w.Ready(); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), dir) {
		t.Errorf("it says %v", err)
	}
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); !errors.Is(err, ErrUnusable) {
		t.Errorf("a creation gives %v, want %v", err, ErrUnusable)
	}
	if _, err := Open(Config{Dir: dir, Params: &chaincfg.RegressionNetParams, Chain: absent{}}); !errors.Is(err, ErrUnusable) {
		t.Errorf("Open gives %v, want %v", err, ErrUnusable)
	}
}

// A flipped bit anywhere in the file of a closed wallet is found, or changes nothing.
func TestAFlippedBitInTheWalletIsFoundOrDoesNoHarm(t *testing.T) {
	t.Parallel()
	whole := aWalletFile(t)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	found := 0
	for range 40 {
		dir := t.TempDir()
		at := rnd.IntN(len(whole) * 8)
		data := append([]byte(nil), whole...)
		data[at/8] ^= 1 << (at % 8)
		if err := os.WriteFile(filepath.Join(dir, databaseName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("seed %d, bit %d", seed, at)
		w := openOrReport(t, dir)
		if w.State() == Unusable {
			found++
			continue
		}
		balance, err := w.Balance(t.Context())
		if err != nil || balance.Confirmed != 70_000 {
			t.Errorf("%s: balance %+v, %v", what, balance, err)
		}
		if err := w.Unlock(t.Context(), passphrase); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Logf("seed %d: %d of 40 were found", seed, found)
}

// A bit in a value, such as an amount, does not change the structure of the file. The checksum of
// an orderly end finds it. After a crash there is no checksum, and if another version of the
// program wrote to the file in between, the checksum does not count.
func TestAFlippedBitInAValueIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, databaseName)
	flip := func() {
		t.Helper()
		db, err := walletdb.Open("bdb", path, true, lockTimeout, false)
		if err != nil {
			t.Fatal(err)
		}
		var at []byte
		err = walletdb.View(db, func(tx walletdb.ReadTx) error {
			at = append(at, tx.ReadBucket(ourBucket).Get(networkKey)...)
			return nil
		})
		if err = errors.Join(err, db.Close()); err != nil || string(at) != "regtest" {
			t.Fatal(err, at)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// The name of a bucket of the wallet's own, in all pages in which it is.
		changed := strings.ReplaceAll(string(data), "syncedto", "syncedtn")
		if changed == string(data) {
			t.Fatal("nothing to change")
		}
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, aWalletFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	flip()
	w := openOrReport(t, dir)
	if err := w.Ready(); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "not those that ancred wrote") {
		t.Errorf("it says %v", err)
	}

	// A transaction after the sum makes it void.
	if err := os.WriteFile(path, aWalletFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := walletdb.Open("bdb", path, true, lockTimeout, false)
	if err != nil {
		t.Fatal(err)
	}
	err = walletdb.Update(db, func(tx walletdb.ReadWriteTx) error {
		return tx.ReadWriteBucket(ourBucket).Put([]byte("later"), []byte("x"))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if w := openOrReport(t, dir); w.State() != Locked {
		t.Errorf("state %s, want %s: %v", w.State(), Locked, w.Ready())
	}
}

// If the library panics because of damage while the wallet is open, payments end, but not the
// process.
func TestADamageThatShowsLaterEndsNoProcess(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	_, err := withTimeout(t.Context(), w, "read", func() (int, error) { panic("page 7 is freed twice") })
	if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "page 7") || !strings.Contains(err.Error(), "24 words") {
		t.Errorf("it says %v", err)
	}
	if w.State() != Unusable {
		t.Errorf("state %s, want %s", w.State(), Unusable)
	}
	if _, err := w.Address(t.Context()); !errors.Is(err, ErrUnusable) {
		t.Errorf("an address: %v", err)
	}
}

func TestAWalletThatMayNotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	if os.Getuid() <= 0 {
		t.Skip("may read everything")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, databaseName)
	if err := os.WriteFile(path, aWalletFile(t), 0o000); err != nil {
		t.Fatal(err)
	}
	w := openOrReport(t, dir)
	if err := w.Ready(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "readable and writable") {
		t.Errorf("it says %v", err)
	}
}
