package wallet

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/chain"
	"github.com/tyler-smith/go-bip39"
)

// absent is the light client of tests that never use it.
type absent struct{}

var errAbsent = errors.New("no light client in this test")

func (absent) WalletChain() *chain.NeutrinoClient              { panic(errAbsent) }
func (absent) Best() (int32, chainhash.Hash, error)            { return 0, chainhash.Hash{}, errAbsent }
func (absent) Synced() bool                                    { return false }
func (absent) Broadcast(context.Context, *wire.MsgTx) error    { return errAbsent }
func (absent) Changes() (changed <-chan struct{}, stop func()) { return nil, func() {} }

var (
	passphrase = []byte("correct horse")

	// The mnemonic of BIP84's test vectors.
	vectorWords = append(strings.Fields(strings.Repeat("abandon ", 11)), "about")
)

func open(t *testing.T, dir string, params *chaincfg.Params, log *slog.Logger) *Wallet {
	t.Helper()
	w, err := Open(Config{Dir: dir, Params: params, Chain: absent{}, Logger: log, CallTimeout: 30 * time.Second})
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

// The addresses are those of BIP84's test vectors.
func TestKeysAreThoseOfBIP84(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), &chaincfg.MainNetParams, nil)
	made, first, err := w.Create(t.Context(), passphrase, vectorWords, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if made != nil {
		t.Error("a restore returned words")
	}
	if want := "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"; first != want {
		t.Errorf("first address %s, want %s", first, want)
	}
	change, err := w.vault.nextAddress(internal, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"; change != want {
		t.Errorf("first change address %s, want %s", change, want)
	}
}

func TestTestNetworksUseCoinType1(t *testing.T) {
	t.Parallel()
	for _, params := range []*chaincfg.Params{
		&chaincfg.RegressionNetParams, &chaincfg.TestNet4Params, &chaincfg.SigNetParams, &chaincfg.SimNetParams,
	} {
		t.Run(params.Name, func(t *testing.T) {
			w := open(t, t.TempDir(), params, nil)
			words, got, err := w.Create(t.Context(), passphrase, nil, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if want := derive(t, words, params, 1, 0, 0); got != want {
				t.Errorf("first address %s, want m/84'/1'/0'/0/0, which is %s", got, want)
			}
			if n := len(words); n != 24 {
				t.Errorf("%d words, want 24", n)
			}
		})
	}
}

// derive makes an address from words without the wallet's code.
func derive(t *testing.T, words []string, params *chaincfg.Params, coin, branch, index uint32) string {
	t.Helper()
	const hard = hdkeychain.HardenedKeyStart
	key, err := hdkeychain.NewMaster(bip39.NewSeed(strings.Join(words, " "), ""), params)
	for _, i := range []uint32{hard + 84, hard + coin, hard, branch, index} {
		if err == nil {
			key, err = key.Derive(i)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.ECPubKey()
	if err != nil {
		t.Fatal(err)
	}
	a, err := address.NewAddressWitnessPubKeyHash(address.Hash160(pub.SerializeCompressed()), params)
	if err != nil {
		t.Fatal(err)
	}
	return a.EncodeAddress()
}

// btcwallet derives wrong keys from one set of words in 128. Such words must neither be made nor
// accepted.
func TestWordsThatOtherWalletsReadDifferentlyAreRefused(t *testing.T) {
	t.Parallel()
	params := &chaincfg.RegressionNetParams
	refused := 0
	for i := range uint32(1000) {
		entropy := make([]byte, 16)
		binary.BigEndian.PutUint32(entropy, i)
		mnemonic, err := bip39.NewMnemonic(entropy)
		if err != nil {
			t.Fatal(err)
		}
		seed := bip39.NewSeed(mnemonic, "")
		master, err := hdkeychain.NewMaster(seed, params)
		if err != nil {
			t.Fatal(err)
		}
		right, wrong := master, master
		for _, step := range []uint32{84, 1, 0} {
			if right, err = right.Derive(hdkeychain.HardenedKeyStart + step); err != nil {
				t.Fatal(err)
			}
			//lint:ignore SA1019 what btcwallet does is what is compared
			if wrong, err = wrong.DeriveNonStandard(hdkeychain.HardenedKeyStart + step); err != nil {
				t.Fatal(err)
			}
		}
		differ := right.String() != wrong.String()
		if _, err := masterOf(seed, params); errors.Is(err, errNonstandard) != differ {
			t.Fatalf("entropy %x: the keys differ: %t; got %v", entropy, differ, err)
		}
		if differ {
			refused++
			if _, err := deriveMaster(strings.Fields(mnemonic), params); !errors.Is(err, errNonstandard) {
				t.Fatalf("entropy %x: the words give %v, want %v", entropy, err, errNonstandard)
			}
		}
		if refused == 2 {
			return
		}
	}
	t.Fatalf("%d of 1000 sets of words are unusual, expected about 8", refused)
}

func TestWordsAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	got, err := checkWords([]string{"  ABANDON abandon\n", strings.Repeat("Abandon\t", 9), "About"})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(vectorWords, " "); strings.Join(got, " ") != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestWrongWordsAreRefusedWithoutTellingThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		words []string
		want  string
	}{
		"a word that is in no list":  {append(append([]string{}, vectorWords[:6]...), "zebroid", "abandon", "abandon", "abandon", "abandon", "about"), "word 7 of 12"},
		"a wrong checksum":           {strings.Fields(strings.Repeat("abandon ", 12)), "checksum"},
		"too few":                    {vectorWords[1:], "11 words"},
		"too many":                   {strings.Fields(strings.Repeat("abandon ", 25)), "25 words"},
		"none, where some are given": {[]string{}, "0 words"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, dir, &chaincfg.MainNetParams, nil)
			_, _, err := w.Create(t.Context(), passphrase, c.words, time.Time{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one that contains %q", err, c.want)
			}
			for _, secret := range append(c.words, string(passphrase)) {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
			wantFiles(t, dir)
			if got := w.State(); got != None {
				t.Errorf("state %s, want %s", got, None)
			}
		})
	}
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the directory holds %q, want %q", got, want)
	}
}

func TestAWalletIsCreatedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if err := w.Ready(); !errors.Is(err, ErrNoWallet) {
		t.Errorf("ready: %v, want %v", err, ErrNoWallet)
	}
	if _, _, err := w.Create(t.Context(), []byte("1234567"), nil, time.Time{}); err == nil || !strings.Contains(err.Error(), "at least 8") {
		t.Errorf("a short passphrase gives %v", err)
	}
	_, first, err := w.Create(t.Context(), passphrase, nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, databaseName)
	if got := w.State(); got != Syncing {
		t.Errorf("state %s, want %s: a new wallet is unlocked", got, Syncing)
	}
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second creation gives %v, want %v", err, ErrExists)
	}
	if again, err := w.Address(t.Context()); err != nil || again != first {
		t.Errorf("the address is %s (%v), want the unused %s", again, err, first)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	w = open(t, dir, &chaincfg.RegressionNetParams, nil)
	if got := w.State(); got != Locked {
		t.Errorf("state %s, want %s", got, Locked)
	}
	if err := w.Ready(); !errors.Is(err, ErrLocked) {
		t.Errorf("ready: %v, want %v", err, ErrLocked)
	}
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second creation after opening gives %v, want %v", err, ErrExists)
	}
}

func TestAnInterruptedCreationLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	aside := filepath.Join(dir, halfMade+"1")
	if err := os.Mkdir(aside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(aside, databaseName), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	wantFiles(t, dir)

	// The caller has gone before the words could be returned.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.Create(ctx, passphrase, nil, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	wantFiles(t, dir)

	// The caller goes while the wallet, which has its final name already, is opened.
	leaving := &leaves{Context: t.Context(), when: func() bool { return exists(filepath.Join(dir, databaseName)) }}
	if _, _, err := w.Create(leaving, passphrase, nil, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	wantFiles(t, dir)
}

// leaves is the context of a caller that goes as soon as a condition holds.
type leaves struct {
	context.Context
	when func() bool
}

func (l *leaves) Err() error {
	if l.when() {
		return context.Canceled
	}
	return l.Context.Err()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestUnlocking(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if err := w.Unlock(t.Context(), passphrase); !errors.Is(err, ErrNoWallet) {
		t.Errorf("without a wallet: %v, want %v", err, ErrNoWallet)
	}
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	w = open(t, dir, &chaincfg.RegressionNetParams, nil)
	if err := w.Unlock(t.Context(), []byte("wrong horse")); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("a wrong passphrase gives %v, want %v", err, ErrWrongPassphrase)
	}
	if got := w.State(); got != Locked {
		t.Errorf("state %s, want %s", got, Locked)
	}
	if err := w.Unlock(t.Context(), passphrase); err != nil {
		t.Fatal(err)
	}
	// A typing error must not stop the anchors of a wallet that is unlocked.
	if err := w.Unlock(t.Context(), []byte("wrong horse")); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("a wrong passphrase gives %v, want %v", err, ErrWrongPassphrase)
	}
	if got := w.State(); got != Syncing {
		t.Errorf("state %s, want %s", got, Syncing)
	}
	if err := w.Unlock(t.Context(), passphrase); err != nil {
		t.Errorf("unlocking again: %v", err)
	}
}

func TestAWalletOfAnotherNetworkIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir, Params: &chaincfg.MainNetParams, Chain: absent{}}); err == nil {
		t.Error("a wallet that is open was opened a second time")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: dir, Params: &chaincfg.MainNetParams, Chain: absent{}})
	if err == nil || !strings.Contains(err.Error(), "regtest") || !strings.Contains(err.Error(), "mainnet") {
		t.Errorf("got %v, want an error that names both networks", err)
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	var out bytes.Buffer
	w := open(t, t.TempDir(), &chaincfg.RegressionNetParams,
		slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	words, _, err := w.Create(t.Context(), passphrase, nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Unlock(t.Context(), []byte("mistyped horse")); err == nil {
		t.Fatal("unlocked by a wrong passphrase")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	log := out.String()
	if !strings.Contains(log, "wallet created") {
		t.Fatalf("nothing was logged: %q", log)
	}
	for _, secret := range []string{string(passphrase), "horse", strings.Join(words, " "), strings.Join(words[:3], " ")} {
		if strings.Contains(log, secret) {
			t.Errorf("the log tells %q:\n%s", secret, log)
		}
	}
}

func TestLeasesOutlastTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept, given := wire.OutPoint{Hash: chainhash.Hash{1}, Index: 7}, wire.OutPoint{Hash: chainhash.Hash{2}}

	w := open(t, dir, &chaincfg.RegressionNetParams, nil)
	if err := w.Lease(t.Context(), []wire.OutPoint{kept}); err != nil {
		t.Errorf("without a wallet: %v", err)
	}
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Lease(t.Context(), []wire.OutPoint{kept, given}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := w.Release(t.Context(), []wire.OutPoint{given}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	w = open(t, dir, &chaincfg.RegressionNetParams, nil)
	leased := w.leases.snapshot()
	if until, ok := leased[kept]; !ok || time.Until(until) < 365*24*time.Hour {
		t.Errorf("%v is leased until %v, want years", kept, until)
	}
	if _, ok := leased[given]; ok {
		t.Errorf("%v was released and is leased", given)
	}
}

func TestALeaseIsNeverShortened(t *testing.T) {
	t.Parallel()
	l := newLeases()
	coin := []wire.OutPoint{{Index: 1}}
	l.hold(coin, time.Now().Add(time.Hour))
	l.hold(coin, time.Now().Add(time.Minute))
	if left := time.Until(l.snapshot()[coin[0]]); left < 59*time.Minute {
		t.Errorf("%v left, want an hour", left)
	}
	l.release(coin)
	l.hold(coin, time.Now().Add(-time.Second))
	if n := len(l.snapshot()); n != 0 {
		t.Errorf("%d leases after their time", n)
	}
}

func TestTheWatchdog(t *testing.T) {
	t.Parallel()
	start := time.Unix(1e9, 0)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	d := watchdog{since: start}
	for i, step := range []struct {
		minute int
		follow following
		want   bool
		why    string
	}{
		{1, following{height: 5, synced: true, atTip: true}, false, "at the tip"},
		{60, following{height: 5, synced: true, atTip: true}, false, "a chain that stands still"},
		{61, following{height: 5, synced: true}, false, "behind for a minute"},
		{62, following{height: 5, synced: true}, true, "behind for two minutes"},
		{64, following{height: 5, synced: true}, false, "a second revival waits for longer"},
		{66, following{height: 5, synced: true}, true, "four minutes"},
		{70, following{height: 6, synced: true}, false, "moved"},
		{72, following{height: 6, synced: true}, true, "stands again: two minutes are enough"},
		{73, following{height: 6}, false, "the light client is behind itself"},
		{90, following{height: 6}, false, "for long"},
		{91, following{height: 6, synced: true}, false, "it came back a minute ago"},
		{94, following{height: 6, synced: true}, true, "and nothing moves, after a revival before"},
	} {
		if got := d.stalled(step.follow, 2*time.Minute, at(step.minute)); got != step.want {
			t.Fatalf("step %d (%s): %t, want %t", i, step.why, got, step.want)
		}
	}
}

func TestAHangingCallIsGivenUp(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), &chaincfg.RegressionNetParams, nil)
	w.cfg.CallTimeout = 10 * time.Millisecond
	hang := make(chan struct{})
	_, err := withTimeout(t.Context(), w, "hang", func() (int, error) { <-hang; return 0, nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}

	// Close waits for it, for some time.
	w.cfg.StopTimeout = 10 * time.Millisecond
	if err := w.Close(); err == nil {
		t.Error("closed the files under a running call")
	}
	close(hang)
	<-w.calls.idle
	if _, err := withTimeout(t.Context(), w, "late", func() (int, error) { return 0, nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after closing: %v, want %v", err, ErrClosed)
	}
}

func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"another network":      "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
		"another, old style":   "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
		"a wrong checksum":     "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081",
		"a public key":         "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"nothing":              "",
		"something altogether": "the town hall",
	} {
		_, err := w.Send(t.Context(), to, 1000, 1)
		if err == nil || !strings.Contains(err.Error(), `"`+to+`"`) || !strings.Contains(err.Error(), "regtest") {
			t.Errorf("%s: got %v, want an error that names address and network", name, err)
		}
	}
	for _, sats := range []int64{0, 293, -2, 21e14 + 1} {
		_, err := w.Send(t.Context(), "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", sats, 1)
		if err == nil || !strings.Contains(err.Error(), "294") {
			t.Errorf("%d sats: got %v, want an error that names the least", sats, err)
		}
	}
}

func TestOrdersAreChecked(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), &chaincfg.RegressionNetParams, nil)
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	ours, err := w.vault.changeScript(nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign := append([]byte{0, 20}, make([]byte, 20)...)
	one := wire.OutPoint{Hash: chainhash.Hash{1}, Index: 1}
	out := wire.NewTxOut(1000, ours)
	many := AnchorOrder{Coins: make([]wire.OutPoint, maxInputs+1), Prevouts: make([]*wire.TxOut, maxInputs+1)}
	for name, c := range map[string]struct {
		order AnchorOrder
		want  string
	}{
		"a coin without its output":  {AnchorOrder{Coins: []wire.OutPoint{one}}, "1 coins to spend, but 0 outputs"},
		"an output without its coin": {AnchorOrder{Prevouts: []*wire.TxOut{out}}, "0 coins to spend, but 1 outputs"},
		"a coin twice":               {AnchorOrder{Coins: []wire.OutPoint{one, one}, Prevouts: []*wire.TxOut{out, out}}, one.String() + " is to be spent twice"},
		"an output that is nil":      {AnchorOrder{Coins: []wire.OutPoint{one}, Prevouts: []*wire.TxOut{nil}}, one.String()},
		"an output of nothing":       {AnchorOrder{Coins: []wire.OutPoint{one}, Prevouts: []*wire.TxOut{{PkScript: ours}}}, one.String()},
		"more than nodes relay":      {many, "1001 coins"},
	} {
		c.order.SatPerVByte = 1
		if _, _, err := w.BuildAnchor(t.Context(), c.order); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that contains %q", name, err, c.want)
		}
	}

	// What can only be checked with the wallet's keys and history.
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{})
	tx.AddTxOut(out)
	if err := w.vault.storePayment(tx); err != nil {
		t.Fatal(err)
	}
	known := wire.OutPoint{Hash: tx.TxHash()}
	beyond := wire.OutPoint{Hash: tx.TxHash(), Index: 1}
	for name, c := range map[string]struct {
		order order
		want  []string
	}{
		"unknown coins of ours":     {order{given: []coin{{OutPoint: one, out: out}, {OutPoint: known, out: out}}, change: ours}, nil},
		"the coin of somebody else": {order{given: []coin{{OutPoint: known, out: out}, {OutPoint: one, out: wire.NewTxOut(1000, foreign)}}}, []string{one.String(), hex.EncodeToString(foreign)}},
		"a script that is none":     {order{given: []coin{{OutPoint: one, out: wire.NewTxOut(1000, []byte{1, 2})}}}, []string{one.String(), "0102"}},
		"another amount":            {order{given: []coin{{OutPoint: known, out: wire.NewTxOut(999, ours)}}}, []string{known.String(), "1000 sats", "999"}},
		"an output too many":        {order{given: []coin{{OutPoint: beyond, out: out}}}, []string{beyond.String(), "1 outputs"}},
		"change to somebody else":   {order{change: foreign}, []string{"change", hex.EncodeToString(foreign)}},
		"change to nowhere":         {order{change: []byte{}}, []string{"change"}},
	} {
		err := w.vault.checkOurs(c.order)
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s: got %v, want an error that contains %q", name, err, want)
			}
		}
	}
}

func TestWhatIsGoneIsNotToldByAWalletThatIsBehind(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), &chaincfg.RegressionNetParams, nil)
	if _, err := w.Gone(t.Context(), nil); !errors.Is(err, ErrNoWallet) {
		t.Errorf("without a wallet: %v, want %v", err, ErrNoWallet)
	}
	if _, _, err := w.Create(t.Context(), passphrase, nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.cfg.CallTimeout = 10 * time.Millisecond
	if _, err := w.Gone(t.Context(), []wire.OutPoint{{Index: 1}}); !errors.Is(err, ErrSyncing) {
		t.Errorf("behind: %v, want %v", err, ErrSyncing)
	}
}
