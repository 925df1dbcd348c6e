package itest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

// awaitExactly waits until the page shows a document in a state, and not in one that is further.
func (c *council) awaitExactly(d *document, state string) {
	c.Helper()
	c.must(harness.Await(c.ctx, d.name+" to be "+state+" on the page", func(ctx context.Context) (bool, string, error) {
		have, _, err := c.lookUp(ctx, d.digest)
		return have.State == state, have.State, err
	}))
}

// wantSameProof wants the proof that the register keeps to be the node's, complete and valid.
func (c *council) wantSameProof(d *document) {
	c.Helper()
	ots, err := os.ReadFile(filepath.Join(c.register.DataDir, "files", d.digest[:2], d.digest+".ots"))
	c.must(err)
	var p rpc.Proof
	c.call(&p, "getproof", d.digest)
	var v rpc.Verification
	c.call(&v, "verifyproof", d.digest, ots)
	if !p.Complete || string(decoded(c.T, p.Proof)) != string(ots) || v.Result != "valid" {
		c.Errorf("the register keeps a proof of %s that is %s, the node has one that is complete: %t", d.name, v.Result, p.Complete)
	}
}

func (c *council) file(name string) *document {
	c.Helper()
	d := &document{kind: "act", title: "Acte " + name, name: name}
	c.add("", []*document{d})
	return d
}

// Bitcoin's chain drops a block in which a proof was final, while the register is stopped. Then the
// register is restored from a backup that still believes in that block.
func TestTheRegisterCatchesUpWithAReorganisationAfterFinal(t *testing.T) {
	w := newWorldFor(t, "btcd", 3*patience)
	f := newFork(w)
	c := &council{world: w, meetings: make(map[string]string)}
	c.newRegister()
	d := c.file("a.pdf")
	c.awaitExactly(d, "pending")
	c.call(nil, "closebatch")
	c.awaitInMempool(c.awaitState(d.digest, "broadcast").TxID)
	f.apart()
	c.mineUntilFinal()
	c.awaitExactly(d, "complete")
	c.wantSameProof(d)
	before := c.status(d.digest)
	saved := filepath.Join(t.TempDir(), "register.tar")
	c.verb("backup", saved)

	c.must(c.register.Stop())
	c.must(f.other.MineEmpty(c.ctx, 12))
	f.together()
	c.awaitState(d.digest, "broadcast")
	c.must(c.register.Start(c.ctx))
	c.awaitExactly(d, "pending")
	if a, err := fetch(c.ctx, c.register.URL(), "/documents/"+d.digest+".receipt.json"); err != nil || a.status != http.StatusNotFound {
		t.Errorf("the receipt of a block that was dropped: %+v, %v", a, err)
	}
	c.mineUntilFinal()
	c.awaitExactly(d, "complete")
	c.wantSameProof(d)
	if after := c.status(d.digest); after.BlockHash == before.BlockHash {
		t.Errorf("%+v, want another block", after)
	}

	c.must(c.register.Stop())
	c.must(os.RemoveAll(c.register.DataDir))
	c.verb("restore", saved)
	c.must(c.register.Start(c.ctx))
	c.must(harness.Await(c.ctx, "the proof to be of the block that counts", func(ctx context.Context) (bool, string, error) {
		have, _, err := c.lookUp(ctx, d.digest)
		return have.State == "complete" && int32(have.Height) == c.status(d.digest).Height, fmt.Sprintf("%+v", have), err
	}))
	c.wantSameProof(d)
}

// The node is away when documents come, and comes back restored from a backup that does not know
// some of those that it had acknowledged.
func TestTheRegisterSendsAgainWhatTheNodeLost(t *testing.T) {
	c := &council{world: newWorldFor(t, "btcd", 3*patience), meetings: make(map[string]string)}
	c.start()
	var made rpc.CreatedWallet
	c.must(json.Unmarshal([]byte(c.ancre(0, "--json", "wallet", "create").Stdout), &made))
	c.address = made.Address
	c.fund()
	c.newRegister()
	done := c.file("complete.pdf")
	c.awaitExactly(done, "pending")
	c.call(nil, "closebatch")
	c.mineUntilFinal()
	c.awaitExactly(done, "complete")
	saved := filepath.Join(t.TempDir(), "ancre.backup")
	c.ancre(0, "backup", saved)
	lost := c.file("lost.pdf")
	c.awaitExactly(lost, "pending")
	c.must(c.daemon.Kill9())
	begin := time.Now()
	waits := c.file("waits.pdf")
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("adding took %v without the node", took)
	}
	c.awaitExactly(waits, "waiting")
	c.must(c.register.Stop())

	c.daemon = c.newDaemon(c.node)
	c.restore(saved)
	c.start()
	c.restoreWallet(made.Words)
	c.register.Set("node", "rpc", fmt.Sprintf("%q", c.daemon.Addr()))
	c.register.Set("node", "cookie", fmt.Sprintf("%q", filepath.Join(c.daemon.NetDir(), ".cookie")))
	c.must(c.register.Start(c.ctx))
	for _, d := range []*document{lost, waits} {
		c.must(harness.Await(c.ctx, d.name+" to reach the node", func(ctx context.Context) (bool, string, error) {
			err := c.daemon.Call(ctx, nil, "getstatus", d.digest)
			return err == nil, fmt.Sprint(err), nil
		}))
		c.awaitExactly(d, "pending")
	}
	c.call(nil, "closebatch")
	c.mineUntilFinal()
	for _, d := range []*document{done, lost, waits} {
		c.awaitExactly(d, "complete")
		c.wantSameProof(d)
	}
}
