package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ancre/config"
	"ancre/internal/datadir"
	"ancre/internal/money"
	"ancre/internal/version"
	"ancre/rpc"
	rpcserver "ancre/rpc/server"

	"rsc.io/qr"
)

func TestWrongUsageIsStatus2(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{
		{}, {"bogus"}, {"wallet"}, {"wallet", "bogus"}, {"--bogus"}, {"--network", "mainet", "status"}, {"status", "a", "b"},
		{"batches", "x"}, {"batches", "0"}, {"rpc"}, {"auth", "name"}, {"auth", "name", "king"}, {"auth", "na:me", "admin"},
		{"--config", r.path("none"), "status"}, {"status", "--watch"}, {"status", "no such file"}, {"info"}, {"upgrade"},
		{"--rpc", "ftp://x", "status"}, {"--rpc", "http://x:1", "status"}, {"--rpc-user", "a", "--rpc-cookie", "b", "status"},
		{"wallet", "send", testAddress, "0.5", "--yes"}, {"wallet", "send", testAddress, "-5", "--yes"}, {"wallet", "send", testAddress, "5"},
		{"wallet", "create", "--birthday", "2020-01-01"}, {"wallet", "create", "--restore", "--birthday", "1.1.20"}, {"wallet", "create"},
	} {
		a := r.ancre(args...).is(t, exitUsage)
		if a.out != "" || a.err == "" {
			t.Errorf("%q: out %q, err %q", args, a.out, a.err)
		}
		a = r.ancre(append([]string{"--json"}, args...)...).is(t, exitUsage)
		var said struct {
			Error string
			Exit  int
		}
		if err := json.Unmarshal([]byte(a.err), &said); err != nil || said.Error == "" || said.Exit != exitUsage {
			t.Errorf("%q: %v in %s", args, err, a.err)
		}
	}
}

func TestHelpAndVersionAreResults(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"--version"}, {"stamp", "--help"}, {"help", "wallet", "send"}} {
		if a := call(session{}, args...).is(t, exitDone); a.out == "" || a.err != "" {
			t.Errorf("%q: out %q, err %q", args, a.out, a.err)
		}
	}
}

// Every verb says what it does in one line that fits, and none that comes later is there yet.
func TestVerbs(t *testing.T) {
	var got []string
	root := (&app{terminal: systemTerminal()}).command()
	for _, cmd := range root.Commands() {
		got = append(got, cmd.Name())
		if len(cmd.Short) == 0 || len(cmd.Short) > 70 {
			t.Errorf("%s is explained in %d letters", cmd.Name(), len(cmd.Short))
		}
	}
	if want := "auth backup batches doctor headers info prune receipt restore rpc stamp status upgrade verify version wallet"; strings.Join(got, " ") != want {
		t.Errorf("verbs %q, want %q", got, want)
	}
}

func TestADaemonThatDoesNotRun(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	pendings := []string{r.write("b", "b"), r.write("c", "c"), r.write("d", "d")}
	r.ancre(append([]string{"stamp"}, pendings...)...).is(t, exitDone)
	r.http.Close()
	a := r.ancre(append([]string{"upgrade"}, pendings...)...).is(t, exitPending, "is ancred running?")
	if n := strings.Count(a.err, "is ancred running?"); n != 1 {
		t.Errorf("what to do is said %d times:\n%s", n, a.err)
	}
	r.ancre(append([]string{"verify"}, pendings...)...).is(t, exitPending, "d: pending: waiting for the calendar") // as much as can be known
	a = r.ancre("--network", "regtest", "stamp", file).is(t, exitFailed, "is ancred running? Start it with `ancred --datadir "+r.data+" --network regtest`")
	if n := strings.Count(a.err, "ancre: "); n != 1 {
		t.Errorf("%d errors:\n%s", n, a.err)
	}
	r.ancre("--json", "stamp", file).is(t, exitFailed, `"exit":1`)
	if err := os.Remove(filepath.Join(r.data, "regtest", datadir.Cookie)); err != nil {
		t.Fatal(err)
	}
	r.ancre("status").is(t, exitFailed, "the daemon does not seem to run")
	r.ancre("info", file).is(t, exitFailed, "this is not a proof") // needs no daemon
	if exists(file + proofSuffix) {
		t.Error("a proof was made")
	}
}

func TestCredentials(t *testing.T) {
	r := newRig(t)
	url := r.http.URL
	line, password, err := rpc.NewUser("alice", rpc.RoleSubmit)
	if err != nil {
		t.Fatal(err)
	}
	user, err := rpc.ParseUser(line)
	if err != nil {
		t.Fatal(err)
	}
	server := rpcserver.New(rpcserver.Config{Users: []rpc.User{user}})
	server.Provide(rpcserver.Services{Batcher: r.daemon, Chain: r.daemon, Wallet: &r.daemon.wallet, Node: r.daemon})
	r.http.Config.Handler = server
	file := r.write("a", "content")

	t.Setenv(passwordVariable, "")
	r.ancre("--rpc", url, "stamp", file).is(t, exitFailed, "refuses the credentials")
	r.ancre("--rpc", url, "--rpc-user", "alice", "stamp", file).is(t, exitUsage, passwordVariable)
	r.with(session{person: true, secrets: []string{password}}, "--rpc", url, "--rpc-user", "alice", "stamp", file).is(t, exitDone, "Password of alice")
	t.Setenv(passwordVariable, password)
	r.ancre("--rpc", strings.TrimPrefix(url, "http://"), "--rpc-user", "alice", "upgrade", file).is(t, exitPending)
	r.ancre("--rpc-user", "alice", "status").is(t, exitFailed, "alice")
	a := r.ancre("--rpc", "http://alice:s3cret@127.0.0.1:1", "status").is(t, exitUsage, "--rpc-user")
	if strings.Contains(a.err, "s3cret") {
		t.Errorf("the password is told: %s", a.err)
	}
	t.Setenv(passwordVariable, "wrong")
	r.ancre("--rpc-user", "alice", "stamp", file).is(t, exitFailed, "refuses the credentials")
}

func TestAuthLinesAreAcceptedByTheDaemon(t *testing.T) {
	var got struct{ Line, Password string }
	if err := json.Unmarshal([]byte(call(session{}, "--json", "auth", "alice", "submit").is(t, exitDone).out), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.ParseUser(got.Line); err != nil || got.Password == "" {
		t.Errorf("%+v: %v", got, err)
	}
	a := call(session{}, "auth", "alice", "submit").is(t, exitDone)
	line := regexp.MustCompile(`(?m)^  auth = .*$`).FindString(a.out)
	path := filepath.Join(t.TempDir(), config.FileName)
	if err := os.WriteFile(path, []byte("[rpc]\n"+line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := config.Load(path); err != nil || len(c.RPC.Auth) != 1 {
		t.Errorf("%q in the configuration: %v", line, err)
	}

	// With users there already, the entry that is printed has them all.
	for _, more := range []struct {
		name, roles string
		users       []string
		words       string
	}{
		{"bob", "submit,read", []string{"alice", "bob"}, "in place of the entry auth"},
		{"alice", "verify", []string{"alice", "bob"}, "alice gets a new password and the old one ends"},
	} {
		out := call(session{}, "--config", path, "auth", more.name, more.roles).is(t, exitDone, more.words).out
		entry := regexp.MustCompile(`(?ms)^  auth = \[$.*?^  \]$`).FindString(out)
		if err := os.WriteFile(path, []byte("[rpc]\n"+entry+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path)
		if err != nil || len(c.RPC.Auth) != len(more.users) {
			t.Fatalf("%q in the configuration: %q, %v", out, c.RPC.Auth, err)
		}
		for i, line := range c.RPC.Auth {
			if u, err := rpc.ParseUser(line); err != nil || u.Name != more.users[i] || u.Name == more.name && u.Roles.String() != more.roles {
				t.Errorf("entry %d: %+v, %v", i+1, u, err)
			}
		}
	}
}

func TestStatusInWords(t *testing.T) {
	closes := testTime.Add(90 * time.Minute)
	synced := rpc.Info{
		Version: "0.1", Network: "signet", DataDir: "/d", UptimeSeconds: 7200, Digests: 12345, Waiting: 1,
		Chain:    rpc.ChainInfo{Synced: true, Height: 234567, BlockTime: &testTime, Peers: make([]rpc.Peer, 1)},
		Batch:    &rpc.Batch{ID: 7, Digests: 2, Closes: &closes},
		Anchors:  rpc.AnchorCounts{Broadcast: 1, Mined: 2, Total: 1003},
		Spending: rpc.Spending{PaidSats: 9876, Blocks: 4320},
		Wallet: rpc.WalletInfo{State: "ready", Balance: rpc.Balance{ConfirmedSats: 50_000, SpendableSats: 40_000, PendingSats: 1007,
			Outlook: money.Outlook{AnchorSats: 153, AnchorsLeft: 326, DaysLeft: 81}}},
		Calendar: rpc.CalendarInfo{Listen: "127.0.0.1:14788", URI: "https://calendar.example"},
		Warnings: []string{"the wallet is nearly empty"},

		LastBackup: &rpc.LastBackup{Taken: testTime.Add(-24 * time.Hour), Digests: 12300},
	}
	const want = `ancred    0.1 on signet, up for 2 hours, data in /d
chain     synced to block 234,567 of 2026-01-02 03:04 UTC, 1 peer
batch     7 is open with 2 digests, sealed at 2026-01-02 04:34 UTC, in 90 minutes
digests   12,345 so far
backup    2026-01-01 03:04 UTC, 24 hours ago, 45 digests came later
anchors   1 waiting to be mined, 2 mined and not yet final, 1,003 ever; 1 sealed batch without one
fees      9,876 sat (≈ 5.93 EUR) paid in the last 30 days
wallet    ready, 40,000 sat (≈ 24.00 EUR) to spend (of 50,000 sat confirmed), 1,007 sat unconfirmed, enough for 326 more anchors, about 80 days
calendar  listens on 127.0.0.1:14788, proofs point to https://calendar.example

WARNING: the wallet is nearly empty
`
	if got := overviewText(synced, testTime.Add(time.Second), "60000 EUR", 0); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	syncing := rpc.Info{Version: "0.1", Network: "mainnet", Chain: rpc.ChainInfo{Progress: 0.432, HeadersHeight: 500_000, FiltersHeight: 400_000,
		TargetHeight: 900_000, BlocksPerSecond: 2300.7, RemainingSeconds: 200}, Wallet: rpc.WalletInfo{State: "none"}}
	const wantSyncing = `ancred    0.1 on mainnet, up for 0 seconds, data in 
chain     syncing [############..................] 43.2%, 3 minutes left, 0 peers
          headers 500,000 and filters 400,000 of 900,000, 2,300 blocks/s
batch     none is open: the next digest opens one
digests   0 so far
backup    none yet: "ancre backup FILE" takes one
anchors   0 waiting to be mined, 0 mined and not yet final, 0 ever; 0 sealed batches without one
wallet    none: "ancre wallet create" makes one
calendar  off: proofs are completed with "ancre upgrade" alone
`
	if got := overviewText(syncing, testTime, "", 0); got != wantSyncing {
		t.Errorf("\n got %s\nwant %s", got, wantSyncing)
	}
}

func TestStatusAndBatches(t *testing.T) {
	r := newRig(t)
	r.ancre("batches").is(t, exitDone, "There is no batch yet")
	r.ancre("status").is(t, exitDone, "on regtest", "synced to block 0", "fees      12,345 sat paid in the last 30 days, of a budget of 60,000 sat\n")
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.ancre("batches").is(t, exitDone, "BATCH", "open")
	r.ancre("batches", "1").is(t, exitDone, "1, open, 1 digest")
	r.ancre("batches", "2").is(t, exitFailed, "there is no batch 2")
	r.daemon.mine()
	txid := r.daemon.tx.TxHash().String()
	r.ancre("batches", "1").is(t, exitDone, "1, final, 1 digest", "version 1", txid+", mined, 306 sat at 3.3 sat/vB, 1 batch,", "in block 1")
	r.ancre("status", file).is(t, exitDone, "final in Bitcoin block 1", "ancre upgrade")
	r.ancre("status", file+".ots").is(t, exitDone, "final in Bitcoin block 1")

	var batch struct {
		ID      int
		Payment struct{ TxID string }
	}
	if err := json.Unmarshal([]byte(r.ancre("--json", "batches", "1").out), &batch); err != nil || batch.ID != 1 || batch.Payment.TxID != txid {
		t.Errorf("%+v, %v", batch, err)
	}
	var info rpc.Info
	if err := json.Unmarshal([]byte(r.ancre("status", "--json").out), &info); err != nil || info.Network != "regtest" {
		t.Errorf("%+v, %v", info, err)
	}
	var entry rpc.Entry
	if err := json.Unmarshal([]byte(r.ancre("status", "--json", file).out), &entry); err != nil || entry.State != "final" {
		t.Errorf("%+v, %v", entry, err)
	}
}

func TestWatchEndsWithAnInterrupt(t *testing.T) {
	r := newRig(t)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	r.write("a", "content")
	r.ancre("stamp", r.path("a")).is(t, exitDone)
	r.daemon.onStatus = interrupt
	r.with(session{ctx: ctx, terminal: true}, "status", "--watch", r.path("a")).is(t, exitDone)
}

func TestRawCalls(t *testing.T) {
	r := newRig(t)
	if a := r.ancre("rpc", "getblockcount").is(t, exitDone); a.out != "0\n" {
		t.Errorf("got %q", a.out)
	}
	hash := r.daemon.headers[0].BlockHash().String()
	if a := r.ancre("rpc", "getblockhash", "0").is(t, exitDone); a.out != hash+"\n" {
		t.Errorf("got %q", a.out)
	}
	if a := r.ancre("--json", "rpc", "getblockhash", "0").is(t, exitDone); a.out != `"`+hash+"\"\n" {
		t.Errorf("got %q", a.out)
	}
	r.ancre("rpc", "getblockheader", hash, "false").is(t, exitDone, "0100000000")
	r.ancre("rpc", "help").is(t, exitDone, "submitbatch")
	r.ancre("rpc", "getblockhash", "-1").is(t, exitFailed, "error code") // no flag
	r.ancre("rpc", "nomethod").is(t, exitFailed, "(error code -32601)")
	r.ancre("--json", "rpc", "nomethod").is(t, exitFailed, `"code":-32601`)
	if a := r.ancre("rpc", "closebatch").is(t, exitDone); a.out != "null\n" {
		t.Errorf("got %q", a.out)
	}
}

func TestWalletIsMadeWithAPersonsPassphrase(t *testing.T) {
	r := newRig(t)
	a := r.with(session{person: true, terminal: true, secrets: []string{"correct horse", "correct horse"}, answer: knowsWords}, "wallet", "create").
		is(t, exitDone, "   1 worda        7 wordg       13 wordm       19 words\n", "  24 wordx", testAddress, "█▀")
	if r.daemon.wallet.asked != `create "correct horse" 0 words 0001-01-01` {
		t.Errorf("the daemon was asked to %s", r.daemon.wallet.asked)
	}
	if strings.Contains(a.out+a.err, "correct horse") {
		t.Error("the passphrase is shown")
	}
	r.with(session{person: true, secrets: []string{"one", "two"}}, "wallet", "create").is(t, exitFailed, "differ")
	r.with(session{person: true, secrets: []string{""}}, "wallet", "create").is(t, exitFailed, "empty passphrase")
	r.ancre("wallet", "create").is(t, exitUsage, "--passphrase-file")
	r.daemon.wallet.state = "ready"
	r.with(session{person: true}, "wallet", "create").is(t, exitFailed, "has a wallet already")
}

func TestWalletIsMadeByAScript(t *testing.T) {
	r := newRig(t)
	file := r.write("pass", "from a file\n")
	a := r.ancre("wallet", "create", "--passphrase-file", file).is(t, exitDone, "worda")
	if strings.Contains(a.out, "█") || r.daemon.wallet.asked != `create "from a file" 0 words 0001-01-01` {
		t.Errorf("asked to %s, out:\n%s", r.daemon.wallet.asked, a.out)
	}
	var made rpc.CreatedWallet
	var deposit money.Outlook
	answer := []byte(r.ancre("--json", "wallet", "create", "--passphrase-file", file).out)
	if err := json.Unmarshal(answer, &made); err != nil || len(made.Words) != 24 {
		t.Errorf("%+v, %v", made, err)
	}
	if err := json.Unmarshal(answer, &deposit); err != nil || deposit != testOutlook {
		t.Errorf("%+v, %v", deposit, err)
	}
	words := strings.Repeat("1. Abandon\n", 23) + "24. art\n"
	r.with(session{in: words}, "wallet", "create", "--restore", "--birthday", "2024-05-06", "--passphrase-file", file).is(t, exitDone, "restored", testAddress)
	if r.daemon.wallet.asked != `create "from a file" 24 words 2024-05-06` {
		t.Errorf("asked to %s", r.daemon.wallet.asked)
	}
	a = r.with(session{in: "only three words"}, "wallet", "create", "--restore", "--passphrase-file", file).is(t, exitUsage, "3 words")
	if strings.Contains(a.err, "three") {
		t.Errorf("words are told: %s", a.err)
	}
	r.ancre("wallet", "create", "--passphrase-file", r.write("empty", "")).is(t, exitFailed, "is empty")

	// The file that the daemon is configured with serves as well.
	conf := filepath.Join(r.data, config.FileName)
	data := string(r.read(conf)) + "[wallet]\npassphrase_file = \"pass\"\n"
	if err := os.WriteFile(conf, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.data, "pass"), []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ancre("wallet", "unlock").is(t, exitDone, "as the daemon takes it", "is open until")
}

func TestWallet(t *testing.T) {
	r := newRig(t)
	r.with(session{person: true, secrets: []string{"wrong"}}, "wallet", "unlock").is(t, exitFailed, "wrong passphrase")
	r.with(session{person: true, secrets: []string{"right"}}, "wallet", "unlock").is(t, exitDone)
	a := r.ancre("wallet", "balance").is(t, exitDone, "confirmed  50,000  sat", "7  sat", "40,000  sat",
		"That is enough for 326 more anchors, about 80 days at today's price of 153 sat.", "once a block has it: usually within an hour")
	if strings.Contains(a.err, "Send it") || strings.Contains(a.out, "EUR") {
		t.Errorf("there is enough, and no price: %s%s", a.out, a.err)
	}
	var balance rpc.Balance
	if err := json.Unmarshal([]byte(r.ancre("--json", "wallet", "balance").is(t, exitDone).out), &balance); err != nil || balance.DepositSats != 50_000 || balance.DaysLeft != 81 {
		t.Errorf("for a script: %+v, %v", balance, err)
	}
	var deposit rpc.Address
	if err := json.Unmarshal([]byte(r.ancre("--json", "wallet", "address").is(t, exitDone).out), &deposit); err != nil || deposit.Address != testAddress || deposit.DepositDays != 81 {
		t.Errorf("for a script: %+v, %v", deposit, err)
	}
	r.ancre("wallet", "address").is(t, exitDone, "Send it 50,000 sat (0.0005 BTC): about 80 days at today's price. A payment shows up")
	r.ancre("wallet", "fees").is(t, exitDone, "estimate  40 sat/vB  the median of 2 blocks, the newest ", "floor     2 sat/vB   the median of what 5 peers say",
		"anchor    12 sat/vB  at once, 1,836 sat", "1,836 sat\n          47 sat/vB  after 6h, 7,191 sat", "1001  2026-01-02 03:04 UTC  100 %         3,000           41      41", "1 %             7            9       1")
	if a := r.ancre("wallet", "fees", "--json").is(t, exitDone); !strings.Contains(a.out, `"counts_sat_per_vbyte":1`) && !strings.Contains(a.out, `"counts_sat_per_vbyte": 1`) {
		t.Errorf("for a script: %s", a.out)
	}
	r.ancre("wallet", "history").is(t, exitDone, "anchor", "-306", strings.Repeat("ab", 32))
	if a := r.ancre("wallet", "address").is(t, exitDone); a.out != testAddress+"\n" {
		t.Errorf("for a script: %q", a.out)
	}
	if a := r.with(session{terminal: true}, "wallet", "address", "--no-qr").is(t, exitDone); a.out != testAddress+"\n" {
		t.Errorf("without QR code: %q", a.out)
	}
	r.with(session{terminal: true}, "wallet", "address").is(t, exitDone, testAddress, "█")

	r.with(session{person: true, in: "n\n"}, "wallet", "send", testAddress, "25000").is(t, exitFailed, "to       "+testAddress,
		"amount   25,000 sat\nfee      282 sat, at 2 sat/vB\nrest     24,718 sat, enough for 161 more anchors, about 40 days\n", "of which 10,000 sat is held for anchors in flight",
		"of which 7 sat is in no block yet", "of which 200 sat is in coins that cost more", "Send it?", "nothing was sent")
	r.with(session{person: true, in: "n\n"}, "wallet", "send", testAddress, "all").is(t, exitFailed, "amount   39,718 sat", "Send everything that can be sent?", "nothing was sent")
	r.with(session{person: true, in: "\n"}, "wallet", "send", testAddress, "25000").is(t, exitFailed, "nothing was sent")
	if strings.Contains(r.daemon.wallet.asked, "send") {
		t.Fatalf("asked to %s", r.daemon.wallet.asked)
	}
	r.with(session{person: true, in: "y\n"}, "wallet", "send", testAddress, "25000").is(t, exitDone, strings.Repeat("cd", 32))
	if want := "send " + testAddress + " 25000 2"; r.daemon.wallet.asked != want { // the rate that was shown
		t.Errorf("asked to %s, want %s", r.daemon.wallet.asked, want)
	}
	r.ancre("wallet", "send", testAddress, "all", "--yes").is(t, exitDone)
	if want := "send " + testAddress + " -1 0"; r.daemon.wallet.asked != want {
		t.Errorf("asked to %s, want %s", r.daemon.wallet.asked, want)
	}
	r.ancre("wallet", "send", testAddress, "25,000", "--yes").is(t, exitUsage, "whole number of satoshi")
	r.ancre("wallet", "send", testAddress, "25000").is(t, exitUsage, "--yes")
	var paid rpc.Payment
	if err := json.Unmarshal([]byte(r.ancre("--json", "wallet", "send", testAddress, "25000", "--yes").is(t, exitDone).out), &paid); err != nil || paid.FeeSats != 282 || paid.TxID == "" {
		t.Errorf("for a script: %+v, %v", paid, err)
	}
	if a := r.ancre("wallet", "send", testAddress, "25000", "--yes", "--feerate", "3").is(t, exitDone, "rest     24,718 sat"); a.out != strings.Repeat("cd", 32)+"\n" {
		t.Errorf("for a script: %q", a.out)
	}
	if want := "send " + testAddress + " 25000 3"; r.daemon.wallet.asked != want {
		t.Errorf("asked to %s, want %s", r.daemon.wallet.asked, want)
	}
}

// What is drawn is read back module by module.
func TestQRCodeInHalfBlocks(t *testing.T) {
	text := "bitcoin:" + testAddress
	drawn, err := qrText(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	const quiet = 2
	lines := strings.Split(strings.TrimSuffix(regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(drawn, ""), "\n"), "\n")
	if want := (code.Size + 2*quiet + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for row, line := range lines {
		runes := []rune(line)
		if len(runes) != code.Size+2*quiet {
			t.Fatalf("line %d has %d columns", row, len(runes))
		}
		for column, r := range runes {
			x, y := column-quiet, 2*row-quiet
			top, bottom := r == '█' || r == '▀', r == '█' || r == '▄'
			if top == code.Black(x, y) || bottom == code.Black(x, y+1) {
				t.Fatalf("column %d, line %d is %q", column, row, r)
			}
		}
	}
}

// All that names a version names the same.
func TestVersion(t *testing.T) {
	want := "ancre " + version.Text() + "\n"
	for _, arg := range []string{"version", "--version"} {
		if a := call(session{}, arg).is(t, exitDone); a.out != want || a.err != "" {
			t.Errorf("%s: %q, %q; want %q", arg, a.out, a.err, want)
		}
	}
	if a := call(session{}, "--json", "version").is(t, exitDone); !strings.Contains(a.out, `"version": "`+version.Text()+`"`) {
		t.Errorf("--json version: %q", a.out)
	}
}

// At a terminal a warning is broken between words, and times have the zone of this machine.
func TestStatusAtATerminal(t *testing.T) {
	defer func(zone *time.Location) { time.Local = zone }(time.Local)
	time.Local = time.FixedZone("CET", 3600)
	closes := testTime.Add(90 * time.Minute)
	i := rpc.Info{Batch: &rpc.Batch{ID: 7, Closes: &closes}, Warnings: []string{"the wallet has 3,000 sats, enough for 19 more anchors: send bitcoin"}}
	got := overviewText(i, testTime, "", 40)
	if want := "\nWARNING: the wallet has 3,000 sats,\n         enough for 19 more anchors:\n         send bitcoin\n"; !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant at the end%s", got, want)
	}
	if !strings.Contains(got, "          sealed at 2026-01-02 05:34\n          CET, in 2 hours\n") {
		t.Errorf("no local time:\n%s", got)
	}
	raw, err := json.Marshal(i)
	if err != nil || !strings.Contains(string(raw), `"closes":"2026-01-02T04:34:05Z"`) {
		t.Errorf("JSON is in UTC: %s, %v", raw, err)
	}
}
