package register

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ancre/register/store"
	"ancre/register/store/sqlitestore"
	"ancre/rpc"
)

func TestDigestsAreSentAndFollowedToTheEnd(t *testing.T) {
	w := newWorld(t)
	w.run()
	all := w.addMany(5)
	w.awaitState(store.Pending, all...)
	w.node.mine(0)
	w.awaitState(store.Mined, all...)
	w.node.mine(6)
	w.awaitState(store.Complete, all...)
	w.wantValid(all...)
}

// backup returns a copy of the database.
func (w *world) backup() []byte {
	w.Helper()
	var b bytes.Buffer
	w.must(w.store.Backup(w.ctx, func(_ int64, r io.Reader) error { _, err := io.Copy(&b, r); return err }))
	return b.Bytes()
}

// restore puts a copy in the place of the database. The files stay.
func (w *world) restore(backup []byte) {
	w.Helper()
	w.close()
	path := filepath.Join(w.dir, sqlitestore.File)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		w.must(os.RemoveAll(name))
	}
	w.must(os.WriteFile(path, backup, 0o600))
	w.open()
	w.run()
}

func TestARegisterThatIsRestoredFromABackupCatchesUp(t *testing.T) {
	w := newWorld(t)
	waits := w.add("not sent before the backup")
	unsent := w.backup()
	w.run()
	w.awaitState(store.Pending, waits)
	pending := w.backup()
	w.node.mine(0)
	w.awaitState(store.Mined, waits)
	mined := w.backup()
	w.node.mine(6)
	w.awaitState(store.Complete, waits)
	for _, b := range [][]byte{mined, pending, unsent} {
		w.restore(b)
		w.awaitState(store.Complete, waits)
		w.wantValid(waits)
	}
	if n := len(w.node.backup().digests); n != 1 {
		t.Errorf("the node has %d digests", n)
	}
}

func TestAnOldRegisterAndAnOldNodeCatchUpTogether(t *testing.T) {
	w := newWorld(t)
	early := w.node.backup()
	w.run()
	first := w.add("first")
	w.awaitState(store.Pending, first)
	old := w.backup()
	second := w.add("second")
	w.awaitState(store.Pending, second)
	w.node.mine(6)
	w.awaitState(store.Complete, first, second)
	w.close()
	w.node.restore(early)
	w.open()
	w.restore(old)
	second = w.add("second") // it came after the backup
	w.awaitNot(store.Waiting, first, second)
	w.node.mine(6)
	w.awaitState(store.Complete, first, second)
	w.wantValid(first, second)
}

func TestANodeThatWasRestoredGetsItsDigestsAgain(t *testing.T) {
	w := newWorld(t)
	early := w.node.backup()
	w.run()
	done := w.add("complete before the node lost it")
	w.awaitState(store.Pending, done)
	w.node.mine(6)
	w.awaitState(store.Complete, done)
	lost := w.addMany(3)
	w.awaitState(store.Pending, lost...)
	w.node.mine(0)
	w.awaitState(store.Mined, lost[0])

	w.node.restore(early)
	w.await("the node has them again", func() bool { return len(w.node.backup().digests) == len(lost) })
	w.node.mine(6)
	w.awaitState(store.Complete, lost...)
	w.wantValid(append(lost, done)...)
	if w.log.count("All proofs are looked at again") == 0 {
		t.Error("the log does not tell of the node's other memory")
	}
	if _, again := w.node.backup().digests[done]; again {
		t.Error("a digest whose complete proof is true was sent again")
	}
}

func TestReorganisationsAreFollowed(t *testing.T) {
	w := newWorld(t)
	w.run()
	d := w.add("a")
	w.awaitState(store.Pending, d)
	w.node.mine(0)
	w.awaitState(store.Mined, d)
	w.node.reorganise(1)
	w.awaitState(store.Pending, d)
	if p := w.proof(d); p.Height != 0 || p.BlockHash != "" || !p.BlockTime.IsZero() {
		t.Errorf("a pending proof names a block: %+v", p)
	}
	w.node.mine(6)
	w.awaitState(store.Complete, d)
	w.wantValid(d)

	// Deeper than final.
	before := w.proof(d)
	w.node.reorganise(1)
	w.awaitState(store.Pending, d)
	if w.log.count("proofs went back") != 2 {
		t.Errorf("the log tells of %d reorganisations, want 2", w.log.count("proofs went back"))
	}
	w.node.mine(6)
	w.awaitState(store.Complete, d)
	w.wantValid(d)
	if p := w.proof(d); p.BlockHash == before.BlockHash || p.AddedAt != before.AddedAt || p.SubmittedAt != before.SubmittedAt {
		t.Errorf("%+v, before %+v", p, before)
	}

	// While nobody looks.
	w.close()
	w.node.reorganise(1)
	w.node.mine(6)
	w.open()
	w.run()
	w.await("the proof is of the new chain", func() bool { p := w.proof(d); return p.State == store.Complete && p.BlockHash != before.BlockHash })
	w.await("the proof is true", func() bool {
		hash, err := w.node.BlockHash(w.ctx, w.proof(d).Height)
		return err == nil && hash == w.proof(d).BlockHash
	})
	w.wantValid(d)
}

func TestACompleteProofThatHoldsIsNotReplaced(t *testing.T) {
	w := newWorld(t)
	early := w.node.backup()
	d := w.add("a")
	old := w.backup()
	w.run()
	w.awaitState(store.Pending, d)
	w.node.mine(6)
	w.awaitState(store.Complete, d)
	ots, err := w.files.OTS(d)
	w.must(err)
	was := w.proof(d)

	// The row is older than the files, and the node does not know the digest.
	w.close()
	w.node.restore(early)
	w.open()
	w.restore(old)
	w.awaitState(store.Complete, d)
	w.wantValid(d)
	if now, err := w.files.OTS(d); err != nil || !bytes.Equal(now, ots) {
		t.Errorf("the complete proof was replaced, %v", err)
	}
	// The node anchors the digest again, in a later block. The earlier one says more.
	w.node.mine(6)
	w.await("the register heard of it", w.cursorIsAtTheEnd)
	if now := w.proof(d); now.Height != was.Height || now.State != store.Complete {
		t.Errorf("%+v, want the block of %+v", now, was)
	}
	w.wantValid(d)

	// A node that has not synced lacks the block: that says nothing about the proof.
	w.close()
	blocks := w.node.backup().blocks
	w.node.do(func() { w.node.synced, w.node.state.blocks = false, w.node.state.blocks[:1] })
	w.node.restore(early)
	w.open()
	w.run()
	asked := w.node.count("waitchanges")
	w.await("the register looked", func() bool { return w.node.count("waitchanges") > asked+1 })
	if p := w.proof(d); p.State != store.Complete {
		t.Errorf("%+v", p)
	}
	w.node.do(func() { w.node.synced, w.node.state.blocks = true, blocks })
	w.wantValid(d)
}

func TestFalseProofsAreRefused(t *testing.T) {
	other := newFakeNode(t)
	for name, lie := range map[string]func(w *world, p *rpc.Proof){
		"not base64":        func(_ *world, p *rpc.Proof) { p.Proof = "%" },
		"not a proof":       func(_ *world, p *rpc.Proof) { p.Proof = base64.StdEncoding.EncodeToString([]byte("x")) },
		"of another digest": func(w *world, p *rpc.Proof) { p.Proof = w.node.ots(store.Digest{1}, false) },
		"the answer is of another digest": func(_ *world, p *rpc.Proof) {
			p.Digest = store.Digest{1}.String()
		},
		"pending, and called complete": func(w *world, p *rpc.Proof) {
			d, _ := store.ParseDigest(p.Digest)
			p.Proof = w.node.ots(d, false)
		},
		"of another chain": func(w *world, p *rpc.Proof) {
			d, _ := store.ParseDigest(p.Digest)
			if len(other.state.batches) == 0 {
				if _, err := other.SubmitBatch(context.Background(), [][32]byte{{9}, d}); err != nil {
					panic(err)
				}
				other.mine(6)
			}
			p.Proof = other.ots(d, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pace.sweep = 20 * time.Millisecond
			w.close()
			w.open()
			w.run()
			d := w.add("a")
			w.awaitState(store.Pending, d)
			ots, err := w.files.OTS(d)
			w.must(err)
			w.node.do(func() { w.node.lie = func(p *rpc.Proof) { lie(w, p) } })
			w.node.mine(6)
			w.await("a warning", func() bool {
				return len(w.Warnings().List()) == 1 && w.Warnings().List()[0].Subject == d.String()
			})
			w.await("the feed goes on", w.cursorIsAtTheEnd)
			if now, err := w.files.OTS(d); err != nil || !bytes.Equal(now, ots) {
				t.Errorf("a false proof was kept, %v", err)
			}
			if p := w.proof(d); p.State != store.Pending {
				t.Errorf("%+v", p)
			}
			if n := w.log.count("is false: the register keeps"); n != 1 {
				t.Errorf("the log tells it %d times", n)
			}
			w.node.do(func() { w.node.lie = nil })
			w.awaitState(store.Complete, d)
			w.wantValid(d)
			w.await("the warning is over", func() bool { return len(w.Warnings().List()) == 0 })
		})
	}
}

// The batch of a digest becomes final between the node's answer to its submission and the row.
func TestAChangeThatOvertakesTheAnswerIsNotMissed(t *testing.T) {
	w := newWorld(t)
	w.node.onSend = func() {
		w.node.onSend = nil
		w.node.mine(6)
		end := len(w.node.backup().feed)
		for begin := time.Now(); time.Since(begin) < 200*time.Millisecond && !w.cursorIsAtTheEnd(); {
		} // a follower that does not wait for the answer is done by then
		if end == 0 {
			t.Error("no change overtook the answer")
		}
	}
	w.run()
	d := w.add("a")
	w.awaitState(store.Complete, d)
	w.wantValid(d)
}
