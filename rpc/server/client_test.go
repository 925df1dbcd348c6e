package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/proof"
	"ancre/rpc"
)

func (r *rig) client(t testing.TB, role rpc.Role) *rpc.Client {
	t.Helper()
	c, err := rpc.NewClient(r.http.URL, string(role), r.pass[role])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// must fails the test if a call of the client failed or returned something unexpected.
func must(t *testing.T, method string, err error, ok bool, got any) {
	t.Helper()
	if err != nil || !ok {
		t.Errorf("%s: %+v, %v", method, got, err)
	}
}

// The client has a function for each method, and what it returns is what the server answered.
func TestTheClientSpeaksEveryMethod(t *testing.T) {
	spoken := make(map[string]bool)
	for group, speak := range map[string]func(*testing.T, *rig){
		"digests": speakDigests, "batches": speakBatches, "wallet": speakWallet, "chain": speakChain, "control": speakControl,
	} {
		t.Run(group, func(t *testing.T) {
			r := newRig(t)
			speak(t, r)
			for _, c := range r.server.Counts().Calls {
				spoken[c.Method] = spoken[c.Method] || c.Code == 0 && c.Calls > 0
			}
		})
	}
	for _, m := range rpc.Methods() {
		if !spoken[m.Name] {
			t.Errorf("no function of the client calls %s", m.Name)
		}
	}
}

func speakDigests(t *testing.T, r *rig) {
	c, ctx := r.client(t, rpc.RoleAdmin), t.Context()
	digest := [32]byte(mustHex(someDigest))
	ots, _ := r.batcher.Pending(batcher.Status{Digest: digest})

	e, err := c.Submit(ctx, digest)
	must(t, "submit", err, e.Digest == someDigest && e.State == "open" && e.Batch == 1 && e.Proof != "", e)
	list, err := c.SubmitBatch(ctx, [][32]byte{digest, {1}})
	must(t, "submitbatch", err, len(list) == 2 && list[0] == e && list[1].Index == 1, list)
	e, err = c.Status(ctx, digest)
	must(t, "getstatus", err, e.Digest == someDigest && e.Proof == "", e)
	p, err := c.Proof(ctx, digest, "")
	must(t, "getproof", err, p.Format == "ots" && !p.Complete && p.Digest == someDigest && p.Proof != "", p)
	v, err := c.VerifyProof(ctx, digest[:], ots)
	must(t, "verifyproof", err, v.Result == "pending", v)
}

func speakBatches(t *testing.T, r *rig) {
	r.withAnchor()
	c, ctx := r.client(t, rpc.RoleAdmin), t.Context()

	none, err := c.CloseBatch(ctx)
	must(t, "closebatch of nothing", err, none == nil, none)
	_, err = c.Submit(ctx, [32]byte(mustHex(someDigest)))
	must(t, "submit", err, true, nil)
	b, err := c.Batch(ctx, 1)
	must(t, "getbatch", err, b.ID == 1 && b.Closes != nil && b.Opened.Equal(testTime), b)
	changes, err := c.WaitChanges(ctx, "", time.Minute, 5)
	must(t, "waitchanges", err, len(changes.Changes) == 1 && changes.Changes[0].BlockHash == strings.Repeat("0", 62)+"01" && changes.Cursor == "1", changes)
	changes, err = c.WaitChanges(ctx, "1", 0, 5)
	must(t, "waitchanges without a change", err, len(changes.Changes) == 0 && changes.Cursor == "1", changes)
	_, err = c.WaitChanges(ctx, "x", 0, 5)
	must(t, "waitchanges of a wrong cursor", nil, rpc.HasCode(err, rpc.CodeInvalidParameter), err)
	bs, err := c.Batches(ctx, 0, 3)
	must(t, "listbatches", err, len(bs) == 1, bs)
	closed, err := c.CloseBatch(ctx)
	must(t, "closebatch", err, closed != nil && closed.State == "sealed" && closed.Root != "", closed)
	a, err := c.Anchor(ctx, 1)
	must(t, "getanchor", err, a.ID == 1 && a.TxID == a.Versions[0].TxID && a.Versions[1].Hex != "", a)
	as, err := c.Anchors(ctx, 0, 3)
	must(t, "listanchors", err, len(as) == 1 && as[0].Versions[1].Hex == "", as)
}

func speakWallet(t *testing.T, r *rig) {
	c, ctx := r.client(t, rpc.RoleAdmin), t.Context()

	f, err := c.EstimateFee(ctx)
	must(t, "estimatefee", err, f.SatPerVByte == 3 && f.AnchorSats == 459 && f.FloorSatPerVByte == 1, f)
	w, err := c.CreateWallet(ctx, "a b", "one two", testTime)
	must(t, "createwallet", err, w.Address == "bcrt1qq" && r.wallet.asked == "create a b [one two] 2026-01-02", r.wallet.asked)
	must(t, "unlockwallet", c.UnlockWallet(ctx, "a b"), r.wallet.asked == "unlock a b", r.wallet.asked)
	changed, err := c.ChangePassphrase(ctx, "a b", "c\xe9")
	must(t, "changepassphrase", err, changed.UpdateFile && r.wallet.asked == `change "a b" to "c\xe9"`, r.wallet.asked)
	changed, err = c.ChangePassphrase(ctx, "c\u00e9", "d")
	must(t, "changepassphrase", err, changed.UnlockFile == "/pass" && r.wallet.asked == `change "cé" to "d"`, r.wallet.asked)
	address, err := c.NewAddress(ctx)
	must(t, "getnewaddress", err, address == "bcrt1qq", address)
	deposit, err := c.Deposit(ctx)
	must(t, "getnewaddress", err, deposit.Address == "bcrt1qq" && deposit.DepositSats == 50_000, deposit)
	balance, err := c.Balance(ctx)
	must(t, "getbalance", err, balance.ConfirmedSats == 3, balance)
	_, err = c.Transactions(ctx, 5, 1)
	must(t, "listtransactions", err, r.wallet.asked == "transactions 5 1", r.wallet.asked)
	_, err = c.Send(ctx, "x", 7, 0)
	must(t, "sendtoaddress", err, r.wallet.asked == "send x 7 0", r.wallet.asked)
	_, err = c.Send(ctx, "x", 7, 2)
	must(t, "sendtoaddress", err, r.wallet.asked == "send x 7 2", r.wallet.asked)
	p, err := c.Pay(ctx, "x", rpc.All, 0, true)
	must(t, "sendtoaddress", err, r.wallet.asked == "would send x -1 0" && p.TxID == "" && p.FeeSats == 141, r.wallet.asked)
	p, err = c.Pay(ctx, "x", 9, 3, false)
	must(t, "sendtoaddress", err, r.wallet.asked == "send x 9 3" && p.TxID != "" && p.AmountSats == 9, r.wallet.asked)
}

func speakChain(t *testing.T, r *rig) {
	c, ctx := r.client(t, rpc.RoleAdmin), t.Context()

	n, err := c.BlockCount(ctx)
	must(t, "getblockcount", err, n == 19, n)
	best, err := c.BestBlockHash(ctx)
	must(t, "getbestblockhash", err, best == r.chain[19].BlockHash().String(), best)
	first, err := c.BlockHash(ctx, 1)
	must(t, "getblockhash", err, first == r.chain[1].BlockHash().String(), first)
	h, err := c.BlockHeader(ctx, best)
	must(t, "getblockheader", err, h.Height == 19 && h.Confirmations == 1 && h.NextBlockHash == "" && h.MedianTime == r.chain[14].Timestamp.Unix(), h)
	info, err := c.BlockchainInfo(ctx)
	must(t, "getblockchaininfo", err, info.Blocks == 19 && info.Pruned, info)
	network, err := c.NetworkInfo(ctx)
	must(t, "getnetworkinfo", err, network.Version == 100 && network.NetworkActive, network)
}

func speakControl(t *testing.T, r *rig) {
	c, ctx := r.client(t, rpc.RoleAdmin), t.Context()

	info, err := c.Info(ctx)
	must(t, "getinfo", err, info.Network == "regtest", info)
	done := rpc.LastBackup{Taken: testTime, Digests: 3, File: "a", Rehearsed: true, Copied: true}
	must(t, "backupdone", c.BackupDone(ctx, done), r.backups.done == done, r.backups.done)
	must(t, "backupfailed", c.BackupFailed(ctx, "no space"), r.backups.failed == "no space", r.backups.failed)
	test, err := c.TestNotify(ctx)
	must(t, "testnotify", err, !test.OK && test.Error == "exit status 1", test)
	_, err = c.Uptime(ctx)
	must(t, "uptime", err, true, nil)
	text, err := c.Help(ctx, "")
	must(t, "help", err, strings.HasPrefix(text, "== "), text)
	text, err = c.Help(ctx, "stop")
	must(t, "help", err, strings.HasPrefix(text, "stop\n"), text)
	must(t, "stop", c.Stop(ctx), true, nil)
	<-r.stopped
}

func TestARefusalKeepsItsCodeOnTheWayToTheCaller(t *testing.T) {
	r := newRig(t)
	_, err := r.client(t, rpc.RoleRead).Batch(t.Context(), 9)
	var e *rpc.Error
	if !errors.As(err, &e) || e.Code != rpc.CodeNotFound || !rpc.HasCode(fmt.Errorf("x: %w", err), rpc.CodeNotFound) {
		t.Errorf("%v", err)
	}
	r.pass[rpc.RoleRead] = "wrong"
	_, err = r.client(t, rpc.RoleRead).Batch(t.Context(), 9)
	if err == nil || errors.As(err, &e) && e == err || !strings.Contains(err.Error(), "refuses the credentials (401)") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong credentials: %v", err)
	}
}

func TestTheCookieIsReadAgainAfterTheServerStartedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".cookie")
	r := newRig(t)
	start := func() {
		u, err := rpc.WriteCookie(path)
		if err != nil {
			t.Fatal(err)
		}
		r.server.users = users{u}
	}
	start()
	c, err := rpc.NewCookieClient(r.http.URL, path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Info(t.Context()); err != nil {
			t.Error(err)
		}
		start()
	}
}

func TestHeadersOfAServerAreCheckedAgainstTheirHash(t *testing.T) {
	r := newRig(t)
	c := r.client(t, rpc.RoleRead)
	for _, src := range []proof.HeaderSource{c, chainHeaders{r.chain, func(context.Context) bool { return false }}} {
		h, err := src.Header(t.Context(), 5)
		want := r.chain[5]
		if err != nil || h.Height != 5 || h.Hash != want.BlockHash() || h.MerkleRoot != want.MerkleRoot || !h.Time.Equal(want.Timestamp) || h.Time.Location() != time.UTC {
			t.Errorf("%T: %+v, %v", src, h, err)
		}
		for _, height := range []uint64{20, 1 << 31, 1 << 40, 1 << 63} {
			if _, err := src.Header(t.Context(), height); !errors.Is(err, proof.ErrNoHeader) {
				t.Errorf("%T, height %d: %v", src, height, err)
			}
		}
	}

	good := r.chain[5].BlockHash().String()
	var raw string
	if err := c.Call(t.Context(), "getblockheader", &raw, r.chain[6].BlockHash().String(), false); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, hash, header, words string }{
		{"another block's header", good, raw, "header of block " + r.chain[6].BlockHash().String()},
		{"a short header", good, raw[2:], "80 bytes"},
		{"no hexadecimal", good, "xx" + raw[2:], "80 bytes"},
		{"no hash", "xx", raw, `block hash "xx"`},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := make([]byte, r.ContentLength)
			r.Body.Read(body)
			if strings.Contains(string(body), "getblockhash") {
				fmt.Fprintf(w, `{"result":%q,"id":1}`, c.hash)
			} else {
				fmt.Fprintf(w, `{"result":%q,"id":2}`, c.header)
			}
		}))
		client, err := rpc.NewClient(s.URL, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Header(t.Context(), 5); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
		client.Close()
		s.Close()
	}
}

func TestAProofIsVerifiedAgainstTheChain(t *testing.T) {
	r := newRig(t)
	c := r.client(t, rpc.RoleRead)
	// A proof whose digest is the Merkle root of block 7 itself: no operation, one attestation.
	root := r.chain[7].MerkleRoot
	ots := append([]byte("\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08"), root[:]...)
	ots = append(ots, "\x00\x05\x88\x96\x0d\x73\xd7\x19\x01\x01\x07"...)
	v, err := c.VerifyProof(t.Context(), root[:], ots)
	if err != nil || v.Result != "valid" || v.Height != 7 || v.BlockHash != r.chain[7].BlockHash().String() || v.BlockTime == nil || v.Reason != "" {
		t.Errorf("the right digest: %+v, %v", v, err)
	}
	for _, c2 := range []struct {
		name   string
		digest []byte
		ots    []byte
	}{
		{"another file", make([]byte, 32), ots},
		{"another block", root[:], append(ots[:len(ots)-1:len(ots)-1], 8)},
		{"a truncated proof", root[:], ots[:len(ots)-1]},
		{"bytes after the proof", root[:], append(ots[:len(ots):len(ots)], 0)},
		{"no proof", root[:], nil},
		{"a proof nested without end", root[:], append(ots[:len(ots)-11:len(ots)-11], strings.Repeat("\x08", 100_000)...)},
	} {
		v, err := c.VerifyProof(t.Context(), c2.digest, c2.ots)
		if c2.ots == nil {
			v, err = c.VerifyProof(t.Context(), c2.digest, []byte{})
		}
		if err != nil || v.Result != "invalid" || v.Reason == "" || v.Height != 0 {
			t.Errorf("%s: %+v, %v", c2.name, v, err)
		}
	}
}

func TestServeEndsAfterTheCallsThatRun(t *testing.T) {
	r := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ctx, ln) }()

	entered, leave := make(chan struct{}), make(chan struct{})
	r.batcher.onCall = sync.OnceFunc(func() { close(entered); <-leave })
	c, err := rpc.NewClient(ln.Addr().String(), string(rpc.RoleAdmin), r.pass[rpc.RoleAdmin])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Submit(context.WithoutCancel(ctx), [32]byte(mustHex(someDigest)))
		answered <- err
	}()
	<-entered
	cancel()
	// The listener closes before the call ends.
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("connections are still taken")
		}
	}
	select {
	case err := <-served:
		t.Fatalf("Serve returned before the call ended: %v", err)
	default:
	}
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the call that ran: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := r.batcher.Status(t.Context(), [32]byte(mustHex(someDigest))); err != nil {
		t.Errorf("the digest of the call that ran: %v", err)
	}
}

func TestAFailedListenerIsToldByServe(t *testing.T) {
	r := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := r.server.Serve(t.Context(), ln); err == nil {
		t.Error("no error of a closed listener")
	}
}
