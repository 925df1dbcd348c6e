package wallet_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/wallet"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/tyler-smith/go-bip39"
)

// searching is what the wallet logs when it is opened to search for coins. (btcwallet has one
// logger in a process, so what it logs may come from another test.)
const searching = "the wallet is being restored"

func TestTheWordsRestoreTheCoins(t *testing.T) {
	t.Parallel()
	node := startBtcd(t)
	chain := startClient(t, node.P2P())
	r := start(t, node, chain, t.TempDir(), nil)
	words, first := r.create()

	// A life: deposits, an anchor with change, and a second anchor that is on its way when the
	// wallet is lost.
	r.fund(deposit)
	r.awaitBalance(wallet.Balance{Confirmed: deposit, Spendable: deposit})
	one, fee1 := r.anchor(1, 2)
	r.broadcast(one)
	r.mine(1)
	r.fund(30_000)
	r.awaitBalance(wallet.Balance{Confirmed: deposit - fee1 + 30_000, Spendable: deposit - fee1 + 30_000})
	if err := r.Lease(t.Context(), spent(one)); err != nil {
		t.Fatal(err)
	}
	two, fee2 := r.anchor(2, 3)
	was, err := r.Balance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := r.address()
	r.stop()

	// Another directory, and the words.
	dir := t.TempDir()
	r = start(t, node, chain, dir, nil)
	made, address, err := r.Create(t.Context(), passphrase, words, time.Time{})
	if err != nil || made != nil || address != first {
		t.Fatalf("restored: words %d, first address %s, error %v; want none, %s and none", len(made), address, err, first)
	}
	r.awaitBalance(wallet.Balance{Confirmed: was.Confirmed, Spendable: was.Confirmed})
	r.await("the next address", func() string {
		if got := r.address(); got != next {
			return got
		}
		return ""
	})
	if got := r.history(); len(got) != 3 {
		t.Errorf("history %q, want two deposits and an anchor", got)
	}

	// The anchor that was on its way is mined: its change goes to an address that the restored
	// wallet has never given away.
	r.broadcast(two)
	r.mine(1)
	r.awaitBalance(wallet.Balance{Confirmed: was.Confirmed - fee2, Spendable: was.Confirmed - fee2})
	r.await("the search is over", func() string {
		if !strings.Contains(r.log.String(), "the search for coins is done") {
			return "it is not"
		}
		return ""
	})
	if !strings.Contains(r.log.String(), searching) {
		t.Error("the log does not tell of the search")
	}
	r.stop()

	// Later openings search no more, and know the same; locked ones follow the chain too.
	r = start(t, node, chain, dir, nil)
	if got := r.State(); got != wallet.Locked {
		t.Errorf("state %s, want %s", got, wallet.Locked)
	}
	r.awaitBalance(wallet.Balance{Confirmed: was.Confirmed - fee2, Spendable: was.Confirmed - fee2})
	if err := r.Unlock(t.Context(), passphrase); err != nil {
		t.Fatal(err)
	}
	r.await("ready", func() string { return complaint(r.Ready()) })
	if strings.Contains(r.log.String(), searching) {
		t.Error("searches for coins again, though the restore has ended")
	}

	restoreInBitcoind(t, node, words, was.Confirmed-fee2)
}

// A wallet used more addresses than are followed ahead. Only the search finds these coins, even if
// it is interrupted. Beyond the last one that it finds, the wallet again follows as many addresses.
func TestALongLifeIsRestored(t *testing.T) {
	t.Parallel()
	const payments = 24 // lookahead is 20
	node := startBtcd(t)
	chain := startClient(t, node.P2P())
	r := start(t, node, chain, t.TempDir(), nil)
	words, _ := r.create()
	coins := make([]int64, payments)
	for i := range coins {
		coins[i] = 20_000
	}
	r.fund(coins...)
	r.awaitBalance(wallet.Balance{Confirmed: payments * 20_000, Spendable: payments * 20_000})
	var left int64
	for half := range 2 {
		for range payments / 2 { // each leaves its change on another address
			if _, err := r.Send(t.Context(), foreign, 5_000, 1); err != nil {
				t.Fatal(err)
			}
			left += 20_000 - 5_000 - 141
		}
		r.await("the node has the payments", func() string {
			waiting, err := node.Mempool(t.Context())
			if err != nil || len(waiting) != payments/2 {
				return fmt.Sprintf("%d %v", len(waiting), err)
			}
			return ""
		})
		r.mine(1)
		untouched := int64(1-half) * payments / 2 * 20_000
		r.awaitBalance(wallet.Balance{Confirmed: left + untouched, Spendable: left + untouched})
		r.await("more addresses are derived", func() string {
			if !strings.Contains(r.log.String(), "follow new addresses") {
				return "none"
			}
			return ""
		})
	}
	anchor, fee := r.anchor(1, 1)
	r.stop()

	// The process ends before the search has begun.
	dir := t.TempDir()
	w, err := wallet.Open(wallet.Config{Dir: dir, Params: &chaincfg.RegressionNetParams, Chain: chain, RecoveryWindow: recoveryWindow})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Create(t.Context(), passphrase, words, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r = start(t, node, chain, dir, nil)
	r.awaitBalance(wallet.Balance{Confirmed: left, Spendable: left})
	r.broadcast(anchor)
	r.mine(1)
	r.awaitBalance(wallet.Balance{Confirmed: left - fee, Spendable: left - fee})
}

// restoreInBitcoind restores the words in a wallet that shares no code with ours, and compares the
// balance.
func restoreInBitcoind(t *testing.T, from *harness.Node, words []string, want int64) {
	t.Helper()
	exe, err := harness.FindBitcoind()
	if err != nil {
		t.Log(err)
		return
	}
	seed := bip39.NewSeed(strings.Join(words, " "), "")
	master, err := hdkeychain.NewMaster(seed, &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	core := startCore(t, exe)

	// The two kinds of node share the genesis block of regtest.
	height, err := from.Height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for h := int32(1); h <= height; h++ {
		block, err := from.BlockAt(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if err := block.Serialize(&raw); err != nil {
			t.Fatal(err)
		}
		core.call(t, nil, "submitblock", hex.EncodeToString(raw.Bytes()))
	}

	core.call(t, nil, "createwallet", "restored")
	type descriptor struct {
		Desc      string `json:"desc"`
		Timestamp int    `json:"timestamp"`
		Internal  bool   `json:"internal"`
		Active    bool   `json:"active"`
	}
	var imports []descriptor
	for branch := range 2 {
		var info struct{ Checksum string }
		desc := fmt.Sprintf("wpkh(%s/84h/1h/0h/%d/*)", master, branch)
		core.call(t, &info, "getdescriptorinfo", desc)
		imports = append(imports, descriptor{desc + "#" + info.Checksum, 0, branch == 1, true})
	}
	var results []struct {
		Success bool
		Error   any
	}
	core.call(t, &results, "importdescriptors", imports)
	for _, r := range results {
		if !r.Success {
			t.Fatalf("bitcoind refuses a descriptor: %v", r.Error)
		}
	}
	var balance json.Number
	core.call(t, &balance, "getbalance")
	if got, want := balance.String(), fmt.Sprintf("%d.%08d", want/1e8, want%1e8); got != want {
		t.Errorf("bitcoind finds %s BTC, want %s", got, want)
	}
}

// core is a bitcoind with a wallet; it has no peers.
type core struct{ url string }

func startCore(t *testing.T, exe string) *core {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	cmd := exec.Command(exe, "-regtest", "-datadir="+dir, "-listen=0", "-connect=0", "-server", "-rpcbind=127.0.0.1",
		"-rpcallowip=127.0.0.1", "-rpcport="+port, "-rpcuser=test", "-rpcpassword=test", "-printtoconsole=0", "-dbcache=8")
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := &core{"http://test:test@" + addr + "/"}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = harness.Await(ctx, "bitcoind answers", func(context.Context) (bool, string, error) {
		err := c.try(nil, "getblockcount")
		return err == nil, fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *core) call(t *testing.T, result any, method string, params ...any) {
	t.Helper()
	if err := c.try(result, method, params...); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

func (c *core) try(result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"method": method, "params": params})
	if err != nil {
		return err
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Post(c.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var out struct {
		Result json.RawMessage
		Error  any
	}
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {
		return err
	}
	if out.Error != nil {
		return fmt.Errorf("%v", out.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(out.Result, result)
}
