package itest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ancre/itest/harness"
	"ancre/rpc"

	"golang.org/x/sync/errgroup"
)

// The old machine is gone. A new one goes on where it was, from a backup and the words: with a
// digest in each state, and with blocks that were mined while no daemon ran. The blocks show that
// nothing was paid twice.
func TestRestoreFromBackupAndWordsBringsTheWholeNodeBack(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		const uri = `"https://calendar.invalid"` // the public name, which the new machine takes over
		w.daemon.Set("calendar", "uri", uri)
		w.start()
		var made rpc.CreatedWallet
		w.must(json.Unmarshal([]byte(w.ancre(0, "--json", "wallet", "create").Stdout), &made))
		w.address = made.Address
		w.fund()
		old := w.inEachState()

		file := filepath.Join(w.daemon.Home, "ancre.backup")
		w.ancre(0, "backup", file)
		before := w.proofsOf(old.all())
		w.must(w.daemon.Kill9())
		w.must(w.node.Mine(w.ctx, 3, "")) // what was broadcast is mined meanwhile

		w.daemon = w.newDaemon(w.node)
		w.daemon.Set("calendar", "uri", uri)
		w.restore(file)
		w.start()
		for digest, p := range w.proofsOf(old.all()) { // before there is a wallet or a peer
			if was := before[digest]; p.Batch != was.Batch || p.Index != was.Index || p.Complete != was.Complete ||
				p.Proof != was.Proof && digest != old.broadcast { // that one may already be followed
				t.Errorf("restored: %+v\nwant what the old daemon said: %+v", p, was)
			}
		}
		w.restoreWallet(made.Words)
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		e := w.awaitState(old.broadcast, "mined")
		if e.TxID != before[old.broadcast].TxID {
			t.Errorf("what was in flight is mined as %s, was broadcast as %s", e.TxID, before[old.broadcast].TxID)
		}
		if e := w.submit(old.waiting); e.Batch != before[old.waiting].Batch || e.Index != before[old.waiting].Index {
			t.Errorf("a digest that was submitted again moved to %+v, from %+v", e, before[old.waiting])
		}

		w.call(nil, "closebatch")
		w.mineUntilFinal()
		w.wantFinalWhereTheyWere(before)
		w.wantPaidOnce()
		w.wantBalanceLessFees()
	})
}

// eachState holds a digest in each state.
type eachState struct{ final, mined, broadcast, waiting, open string }

func (s eachState) all() []string {
	return []string{s.final, s.mined, s.broadcast, s.waiting, s.open}
}

// inEachState brings a digest into each state.
func (w *world) inEachState() (s eachState) {
	w.Helper()
	seal := func(state string) string {
		digest := randomDigest()
		w.submit(digest)
		w.call(nil, "closebatch")
		e := w.awaitState(digest, state)
		if e.TxID != "" {
			w.awaitInMempool(e.TxID)
		}
		return digest
	}
	s.final = seal("broadcast")
	w.mine(6)
	w.awaitState(s.final, "final")
	s.mined = seal("broadcast") // from the change of the first
	w.mine(1)
	w.awaitState(s.mined, "mined")
	s.broadcast = seal("broadcast")
	s.waiting = seal("sealed") // one payment is in flight, and no block came since
	s.open = randomDigest()
	w.submit(s.open)
	return s
}

func (w *world) proofsOf(digests []string) map[string]rpc.Proof {
	w.Helper()
	proofs := make(map[string]rpc.Proof)
	for _, digest := range digests {
		var p rpc.Proof
		w.call(&p, "getproof", digest)
		proofs[digest] = p
	}
	return proofs
}

// wantFinalWhereTheyWere wants each digest final in its place, in the transaction it already had.
func (w *world) wantFinalWhereTheyWere(before map[string]rpc.Proof) {
	w.Helper()
	for digest, was := range before {
		e := w.awaitState(digest, "final")
		if e.Batch != was.Batch || e.Index != was.Index || was.TxID != "" && e.TxID != was.TxID {
			w.Errorf("in the end: %+v, was %+v", e, was)
		}
		w.wantValid(digest)
	}
}

// wantBalanceLessFees wants the wallet to hold what it was given, less the fees in the blocks.
func (w *world) wantBalanceLessFees() {
	w.Helper()
	var anchors []rpc.Anchor
	w.call(&anchors, "listanchors")
	want := int64(fundSats)
	for _, a := range anchors {
		want -= a.FeeSats
	}
	_, err := w.daemon.AwaitInfo(w.ctx, fmt.Sprintf("a balance of %d sat", want), func(i rpc.Info) bool { return i.Wallet.ConfirmedSats == want })
	w.must(err)
}

// The old machine went on after the backup: it replaced the payment in flight, and that version is
// mined. If it commits only to batches of the backup, the new daemon recognises it. If it commits
// to a later batch too, the new daemon cannot recognise it. It pays for the batches again once the
// foreign version is deep, and no digest of the backup is lost.
func TestRestoreFromABackupThatIsOlderThanTheLastPayment(t *testing.T) {
	for name, more := range map[string]bool{"of batches that are in it": false, "of a batch that is not": true} {
		t.Run(name, func(t *testing.T) {
			onEachNode(t, func(t *testing.T, w *world) { w.restoreOldBackup(more) })
		})
	}
}

func (w *world) restoreOldBackup(more bool) {
	w.start()
	var made rpc.CreatedWallet
	w.must(json.Unmarshal([]byte(w.ancre(0, "--json", "wallet", "create").Stdout), &made))
	w.address = made.Address
	w.fund()
	seal := func(state string) rpc.Entry {
		e := w.submit(randomDigest())
		w.call(nil, "closebatch")
		return w.awaitState(e.Digest, state)
	}
	first := seal("broadcast")
	w.awaitInMempool(first.TxID)
	joins := seal("sealed")
	file := filepath.Join(w.daemon.Home, "ancre.backup")
	w.ancre(0, "backup", file)
	later := ""
	if more {
		later = seal("sealed").Digest
	}
	w.must(w.node.MineEmpty(w.ctx, 1)) // so the payment is replaced, and what waits joins it
	replaced := w.awaitState(joins.Digest, "broadcast")
	if replaced.TxID == first.TxID {
		w.Fatalf("%s was not replaced", first.TxID)
	}
	w.awaitInMempool(replaced.TxID)
	w.must(w.daemon.Kill9())
	w.must(w.node.Mine(w.ctx, 1, ""))

	w.daemon = w.newDaemon(w.node)
	w.restore(file)
	w.start()
	w.restoreWallet(made.Words)
	w.must(w.daemon.AwaitHeight(w.ctx, w.node))
	payments := 1 // the one that the old daemon made
	if more {
		if err := w.daemon.Call(w.ctx, nil, "getstatus", later); err == nil {
			w.Error("a digest that came after the backup is known")
		}
		w.submit(later) // stamped again
		w.call(nil, "closebatch")
		payments += 2 // that, and what is paid for again
	} else if e := w.awaitState(joins.Digest, "mined"); e.TxID != replaced.TxID {
		w.Errorf("it was mined in %s, and the daemon says in %s", replaced.TxID, e.TxID)
	}
	w.mineUntilFinal()
	for _, digest := range []string{first.Digest, joins.Digest, later} {
		if digest == "" {
			continue
		}
		w.awaitState(digest, "final")
		w.wantValid(digest)
	}
	if n := len(w.payments()); n != payments {
		w.Errorf("the blocks hold %d payments, want %d", n, payments)
	}
}

// restoreWallet enters the words as a person who types them.
func (w *world) restoreWallet(words []string) {
	w.Helper()
	res, err := w.daemon.AncreIn(w.ctx, "", strings.NewReader(strings.Join(words, " ")+"\n"), "--json", "wallet", "create", "--restore")
	w.must(err)
	if res.Code != 0 {
		w.Fatalf("wallet create --restore: exit status %d, %s", res.Code, res.Stderr)
	}
}

// restore fills the data directory of the world's daemon, which does not run.
func (w *world) restore(file string) {
	w.Helper()
	w.must(w.daemon.WriteConfig())
	res, err := w.daemon.RunToEnd(w.ctx, "restore", file)
	w.must(err)
	if res.Code != 0 {
		w.Fatalf("ancred restore: exit status %d, %s", res.Code, res.Stderr)
	}
}

// Backups are taken while clients submit digests. Each backup holds every digest that was
// acknowledged before it began, in its place. Meanwhile the clients go on submitting.
func TestBackupUnderLoadHoldsWhatWasAcknowledgedBefore(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	var mu sync.Mutex
	acked := make(map[string]rpc.Entry)
	var stop atomic.Bool
	clients, ctx := errgroup.WithContext(w.ctx)
	for range 4 {
		clients.Go(func() error {
			for !stop.Load() {
				digests := make([]string, 20)
				for i := range digests {
					digests[i] = randomDigest()
				}
				var entries []rpc.Entry
				if err := w.daemon.Call(ctx, &entries, "submitbatch", digests); err != nil {
					return err
				}
				mu.Lock()
				for _, e := range entries {
					acked[e.Digest] = e
				}
				mu.Unlock()
			}
			return nil
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	var promised map[string]rpc.Entry
	file := filepath.Join(w.daemon.Home, "ancre.backup")
	for round := range 3 {
		enough := count() + 2_000
		w.must(harness.Await(w.ctx, "digests to be accepted", func(context.Context) (bool, string, error) {
			return count() >= enough, fmt.Sprint(count()), nil
		}))
		if round == 1 {
			w.call(nil, "closebatch")
		}
		promised = make(map[string]rpc.Entry)
		mu.Lock()
		for digest, e := range acked {
			promised[digest] = e
		}
		mu.Unlock()
		w.ancre(0, "backup", "--force", file)
	}
	stop.Store(true)
	w.must(clients.Wait())
	w.must(w.daemon.Kill9())

	w.daemon = w.newDaemon(nil)
	w.restore(file)
	w.start()
	for digest, was := range promised {
		if e := w.status(digest); e.Batch != was.Batch || e.Index != was.Index {
			t.Fatalf("%s was acknowledged in batch %d at %d before the backup; restored: %+v", digest, was.Batch, was.Index, e)
		}
	}
	t.Logf("%d digests acknowledged before the last backup, %d in all", len(promised), len(acked))
}

// The daemon is killed while a backup is being taken. The command leaves no file, and says what to
// do.
func TestDaemonKilledDuringABackupLeavesNoFile(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	digests := make([]string, 10_000) // 320 kB
	for i := range digests {
		digests[i] = randomDigest()
	}
	w.call(nil, "submitbatch", digests)

	passed, release := make(chan struct{}), make(chan struct{})
	addr := w.throttle(w.daemon.Addr(), 100_000, passed, release)
	dir := t.TempDir()
	file := filepath.Join(dir, "ancre.backup")
	var command errgroup.Group
	var res harness.Result
	command.Go(func() (err error) {
		res, err = w.daemon.Ancre(w.ctx, "--rpc", "http://"+addr, "backup", file)
		return err
	})
	select {
	case <-passed:
	case <-w.ctx.Done():
		t.Fatal("no backup came")
	}
	w.must(w.daemon.Kill9())
	close(release)
	w.must(command.Wait())
	if res.Code != 1 || !strings.Contains(res.Stderr, "nothing was written to "+file) || !strings.Contains(res.Stderr, "is ancred running?") {
		t.Errorf("exit status %d, %q; want 1, and what to do", res.Code, res.Stderr)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v (%v)", names, err)
	}
	w.start()
	w.ancre(0, "backup", file)
}

// throttle passes connections on to a daemon. When the first connection brings more than limit
// bytes back, throttle closes passed and stops passing bytes. When release is closed, it cuts that
// connection.
func (w *world) throttle(to string, limit int64, passed, release chan struct{}) (addr string) {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer client.Close()
				daemon, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer daemon.Close()
				conns.Go(func() { _, _ = io.Copy(daemon, client) })
				if n, _ := io.CopyN(client, daemon, limit); n == limit {
					close(passed)
					<-release
				}
			})
		}
	})
	w.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}
