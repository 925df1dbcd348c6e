package itest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/itest/harness"
	"ancre/rpc"
)

// A file goes all the way from its stamp to the proof, as a user would do it. Each command's exit
// status is checked.
func TestStampedFilesBecomeFinalAndVerify(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		convocation := w.writeFile("council/convocation.txt", "The council meets on Monday.\n")
		minutes := w.writeFile("council/annex/minutes.txt", strings.Repeat("Nothing was decided.\n", 10_000))

		w.ancre(0, "stamp", "-r", filepath.Join(w.daemon.Home, "council"))
		w.ancre(3, "verify", convocation+".ots")
		w.ancre(3, "upgrade", convocation+".ots")
		digest := w.digestOf(convocation)
		if e := w.status(digest); e.State != "open" || e.Batch != 1 {
			t.Fatalf("after stamping: %+v, want the open batch 1", e)
		}

		w.call(nil, "closebatch")
		e := w.awaitState(digest, "broadcast")
		w.awaitInMempool(e.TxID)
		w.wantAnchorTransaction(e.TxID)

		w.mine(1)
		e = w.awaitState(digest, "mined")
		if e.Confirmations != 1 || e.BlockTime == nil {
			t.Fatalf("mined: %+v, want 1 confirmation and the block's time", e)
		}
		// Mined is not final: a short reorganisation could undo it, so the proof is not complete.
		w.ancre(3, "upgrade", convocation+".ots")
		w.ancre(3, "verify", convocation+".ots")

		w.mine(5)
		final := w.awaitState(digest, "final")
		if final.TxID != e.TxID || final.BlockHash != e.BlockHash || final.Confirmations != 6 {
			t.Fatalf("final: %+v, want what was mined, %+v, under 6 blocks", final, e)
		}
		w.ancre(0, "upgrade", "-r", filepath.Join(w.daemon.Home, "council"))
		w.ancre(0, "verify", convocation+".ots", minutes+".ots")
		w.ancre(0, "verify", "-f", convocation, convocation+".ots")
		w.ancre(0, "verify", "--digest", digest, convocation+".ots")
		w.ancre(0, "info", convocation+".ots")
		w.ancre(0, "status", convocation)
		if out := w.ancre(0, "status").Stdout; !strings.Contains(out, harness.Network) {
			t.Errorf("status does not name the network:\n%s", out)
		}
		w.wantPaidOnce()

		t.Run("a changed file", func(t *testing.T) {
			w := w.in(t)
			changed := w.writeFile("changed.txt", "The council meets on Tuesday.\n")
			w.ancre(1, "verify", "-f", changed, convocation+".ots")
		})
		t.Run("the proof of another file", func(t *testing.T) {
			w := w.in(t)
			w.ancre(1, "verify", "-f", minutes, convocation+".ots")
		})
		t.Run("a changed proof", func(t *testing.T) { w.in(t).wantChangedProofRefused(convocation) })
		t.Run("wrong usage", func(t *testing.T) {
			w := w.in(t)
			w.ancre(2, "verify")
			w.ancre(2, "verify", "--no-such-flag")
			w.ancre(2, "no-such-verb")
		})
	})
}

func (w *world) digestOf(file string) string {
	w.Helper()
	var explained struct {
		Digest string `json:"digest"`
	}
	w.must(json.Unmarshal([]byte(w.ancre(0, "--json", "info", file+".ots").Stdout), &explained))
	if len(explained.Digest) != 64 {
		w.Fatalf("info --json names the digest %q, want 64 digits", explained.Digest)
	}
	return explained.Digest
}

// wantAnchorTransaction wants the shape of transaction that verifiers of proofs and receipts
// expect.
func (w *world) wantAnchorTransaction(txid string) {
	w.Helper()
	tx, err := w.node.MempoolTx(w.ctx, txid)
	w.must(err)
	if _, ok := harness.AnchorRoot(tx); !ok || tx.TxOut[0].Value != 0 {
		w.Errorf("output 0 holds %d sats and script %x, want 0 and OP_RETURN <32 bytes>", tx.TxOut[0].Value, tx.TxOut[0].PkScript)
	}
	if len(tx.TxOut) > 2 {
		w.Errorf("%d outputs, want the root and change", len(tx.TxOut))
	}
	for i, in := range tx.TxIn {
		if in.Sequence != 0xfffffffd {
			w.Errorf("input %d has sequence %x, want fffffffd (BIP125)", i, in.Sequence)
		}
	}
	height, err := w.node.Height(w.ctx)
	w.must(err)
	if int64(tx.LockTime) != int64(height) {
		w.Errorf("lock time %d, want the height, %d", tx.LockTime, height)
	}
}

// wantChangedProofRefused changes a complete proof, one part at a time: no changed proof may
// verify.
func (w *world) wantChangedProofRefused(file string) {
	w.Helper()
	whole, err := os.ReadFile(file + ".ots")
	w.must(err)
	const digest, nonce = 33, 33 + 32 + 2
	for _, at := range []int{0, digest, nonce, len(whole) / 2, len(whole) - 1} {
		changed := append([]byte(nil), whole...)
		changed[at] ^= 1
		name := w.writeFile("changed.ots", string(changed))
		if at != len(whole)/2 {
			w.ancre(1, "verify", "-f", file, name)
			continue
		}
		// The part that is changed depends on the proof. An unknown operation may be one of a later
		// version.
		res, err := w.daemon.Ancre(w.ctx, "verify", "-f", file, name)
		w.must(err)
		if res.Code != 1 && res.Code != 4 {
			w.Errorf("a proof with a changed byte %d: exit status %d\n%s%s", at, res.Code, res.Stdout, res.Stderr)
		}
	}
	short := w.writeFile("short.ots", string(whole[:len(whole)-5]))
	w.ancre(1, "verify", "-f", file, short)
}

// A complete proof is valid in every verifier: the command, the daemon, and the reference library,
// which gets the block's header from the Bitcoin node itself.
func TestP4CompleteProofVerifiesInEveryVerifier(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		var digests []string
		for range 5 { // an odd number: the last node is carried up
			digests = append(digests, randomDigest())
			w.submit(digests[len(digests)-1])
		}
		w.call(nil, "closebatch")
		w.mineUntilFinal()

		for _, digest := range digests {
			var p rpc.Proof
			w.call(&p, "getproof", digest)
			if !p.Complete || p.State != "final" {
				t.Fatalf("proof of a final digest: %+v, want it complete", p)
			}
			var v rpc.Verification
			w.call(&v, "verifyproof", digest, p.Proof)
			if v.Result != "valid" || v.Height != p.Height {
				t.Errorf("verifyproof: %+v, want valid at height %d", v, p.Height)
			}
			w.call(&v, "verifyproof", randomDigest(), p.Proof)
			if v.Result != "invalid" {
				t.Errorf("verifyproof with another digest: %+v, want invalid", v)
			}
			w.wantReadByPython(digest, p)
		}
	})
}

// A reorganisation drops a mined anchor, which is then mined in another block. No proof is complete
// before it is final.
func TestP4ReorganisationOfThreeBlocksLeavesNoWrongProof(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		digest := randomDigest()
		w.submit(digest)
		w.call(nil, "closebatch")
		e := w.awaitState(digest, "broadcast")
		w.awaitInMempool(e.TxID)
		w.mine(3)
		before := w.awaitState(digest, "mined")

		w.must(w.node.Reorg(w.ctx, 3))
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		dropped := w.awaitState(digest, "broadcast")
		if dropped.Height != 0 || dropped.BlockHash != "" {
			t.Errorf("dropped by a reorganisation: %+v, want no block", dropped)
		}
		if n := len(w.payments()); n != 0 {
			t.Fatalf("the reorganisation left %d payments in the chain, want none", n)
		}
		w.awaitInMempool(dropped.TxID)
		w.mine(1)
		after := w.awaitState(digest, "mined")
		if after.BlockHash == before.BlockHash {
			t.Errorf("mined again in %s, which is not in the chain any more", after.BlockHash)
		}
		w.mineUntilFinal()

		var p rpc.Proof
		w.call(&p, "getproof", digest)
		if p.BlockHash != after.BlockHash || p.Height != after.Height {
			t.Errorf("the proof names block %d %s, want %d %s", p.Height, p.BlockHash, after.Height, after.BlockHash)
		}
		var v rpc.Verification
		w.call(&v, "verifyproof", digest, p.Proof)
		if v.Result != "valid" || v.Height != after.Height {
			t.Errorf("verifyproof: %+v, want valid at height %d", v, after.Height)
		}
		w.wantReadByPython(digest, p)
		w.wantPaidOnce()
	})
}
