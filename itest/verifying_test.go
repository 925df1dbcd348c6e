package itest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ancre/itest/harness"
)

// The guides for those who are handed a file, and for the clerk, in the order in which they are
// followed. Their commands are typed in a folder that holds what they were handed.
var handedGuides = []string{"docs/verifying.md", "docs/fr/verifier.md", "docs/fr/convocations.md"}

// handed are the lines that cannot be typed as they are: what is run in their place, and why.
var handed = map[string]struct{ instead, why string }{
	"ancre verify --node 127.0.0.1 convocation.pdf.ots": {"ancre verify --node \"$NODE\" --rpc-user \"$NODE_USER\" convocation.pdf.ots", "the node of the test listens on another port"},
	"ots verify convocation.pdf.ots":                    {"", "it takes a full node of mainnet; TestOtherPeoplesClients runs the client"},
	"ots verify --bitcoin-node \"http://$(cat ~/.ancre/mainnet/.cookie)@127.0.0.1:14780\" convocation.pdf.ots": {"", "as above"},
	"ancre upgrade --calendar https://ots.example.org contract.pdf.ots":                                        {"", "there is no such calendar; TestProofsOfAnotherDaemonAreFollowed has one"},
	"sudo ancre rpc closebatch": {"ancre rpc closebatch", "the daemon of the test is no service"},
}

func TestCommandsOfTheVerifyingGuidesWork(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not on PATH")
	}
	w := newLonelyWorld(t)
	kind := "bitcoind" // --node is about bitcoind
	if _, err := harness.FindBitcoind(); err != nil {
		kind = "btcd"
	}
	w.node = w.newNode(kind)
	w.daemon = w.newDaemon(w.node)
	w.startFunded()
	for _, name := range []string{"convocation.pdf", "convocation.eml", "2026-12-15-conseil/ordre-du-jour.pdf"} {
		w.writeFile(name, "the content of "+name+"\n")
	}
	w.ancre(0, "stamp", filepath.Join(w.daemon.Home, "convocation.pdf"), filepath.Join(w.daemon.Home, "convocation.eml"))
	w.ancre(0, "stamp", "-r", filepath.Join(w.daemon.Home, "2026-12-15-conseil"))
	w.call(nil, "closebatch")
	w.mineUntilFinal()
	w.ancre(0, "upgrade", filepath.Join(w.daemon.Home, "convocation.pdf.ots"), filepath.Join(w.daemon.Home, "convocation.eml.ots"))

	ran, seen := 0, make(map[string]bool)
	for _, guide := range handedGuides {
		w.must(os.RemoveAll(filepath.Join(w.daemon.Home, "bitcoin.headers")))
		w.must(os.RemoveAll(filepath.Join(w.daemon.Home, "convocation.headers")))
		w.ancre(0, "headers", "export", filepath.Join(w.daemon.Home, "bitcoin.headers"))
		for _, b := range blocksOf(readFile(t, "../"+guide)) {
			for _, line := range commandsOf(b.text) {
				typed := line
				if other, ok := handed[line]; ok {
					seen[line] = true
					if typed = other.instead; typed == "" || kind == "btcd" && strings.Contains(typed, "--node") {
						continue
					}
				}
				if strings.Contains(typed, "headers export") {
					w.must(os.Remove(filepath.Join(w.daemon.Home, "bitcoin.headers")))
				}
				res, err := w.handedShell(w.ctx, typed)
				w.must(err)
				if res.Code != 0 || strings.Contains(typed, "verify") && !strings.Contains(res.Stdout, "valid") {
					t.Errorf("%s, the block at line %d: %s: exit status %d\n%s%s", guide, b.line, typed, res.Code, res.Stdout, res.Stderr)
				}
				ran++
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands were run", ran)
	}
	for line := range handed {
		if !seen[line] {
			t.Errorf("no guide shows %q", line)
		}
	}
}

// handedShell is shellIn with the address and the credentials of the node.
func (w *world) handedShell(ctx context.Context, line string) (harness.Result, error) {
	addr, user, password := w.node.RPC()
	return w.shellIn(ctx, line, "NODE="+addr, "NODE_USER="+user, "ANCRE_RPC_PASSWORD="+password)
}
