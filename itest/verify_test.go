package itest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/itest/harness"
)

// verifier is a machine with the command and without a daemon. Its home holds only a configuration
// that names a node.
type verifier struct {
	*world
	home *harness.Daemon // never started
}

func (w *world) newVerifier(node *harness.Node) *verifier {
	w.Helper()
	v := &verifier{w, w.newDaemon(node)}
	w.must(v.home.WriteConfig())
	return v
}

// ancre runs the command there, wants an exit status, and returns how long it took.
func (v *verifier) ancre(want int, args ...string) (harness.Result, time.Duration) {
	v.Helper()
	began := time.Now()
	res, err := v.home.Ancre(v.ctx, args...)
	took := time.Since(began)
	v.must(err)
	if res.Code != want {
		v.Fatalf("ancre %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), res.Code, want, res.Stdout, res.Stderr)
	}
	return res, took
}

// wants checks that each text was printed.
func (v *verifier) wants(res harness.Result, texts ...string) {
	v.Helper()
	for _, text := range texts {
		if !strings.Contains(res.Stdout+res.Stderr, text) {
			v.Errorf("the output does not hold %q:\n%s%s", text, res.Stdout, res.Stderr)
		}
	}
}

// longChain is how many blocks a node makes; bitcoind takes minutes for so many.
func longChain(kind string) int32 {
	if kind == "btcd" {
		return 20_000
	}
	return 2_500
}

// Somebody who has a file and its proof needs no daemon: Bitcoin's peers are enough, or a file of
// headers, or a node that they trust.
func TestProofsVerifyWithoutADaemon(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		p := w.newProven()
		t.Run("by a daemon elsewhere", func(t *testing.T) { p.in(t).byAnotherDaemon() })
		w.must(w.daemon.Stop()) // it is not asked from here on
		p.growChain()
		t.Run("by peers alone", func(t *testing.T) { p.in(t).byPeers() })
		t.Run("offline", func(t *testing.T) { p.in(t).byHeaders() })
		t.Run("by a node that is trusted", func(t *testing.T) { p.in(t).byTrustedNode() })
		t.Run("without peers", func(t *testing.T) { p.in(t).withoutPeers() })
	})
}

// proven is a file with its complete proof, and a chain that holds it.
type proven struct {
	*world
	file     string          // its proof is beside it
	exported string          // headers that the daemon exported while the chain was short
	home     *harness.Daemon // where the command keeps the headers of its light client
	own      string          // headers that byPeers exports from there
	grown    int32           // blocks that growChain added
}

func (p proven) in(t *testing.T) proven {
	p.world = p.world.in(t)
	return p
}

// newProven has the daemon stamp a file and follow its proof to the end.
func (w *world) newProven() proven {
	w.Helper()
	w.startFunded()
	p := proven{world: w, file: w.writeFile("convocation.txt", "The council meets on Monday.\n")}
	w.ancre(0, "stamp", p.file)
	w.call(nil, "closebatch")
	w.mineUntilFinal()
	w.ancre(0, "upgrade", p.file)
	out := w.ancre(0, "verify", p.file).Stdout
	if !strings.Contains(out, "headers checked by the daemon at http://"+w.daemon.Addr()) {
		w.Errorf("the daemon's word: %s", out)
	}
	p.exported = filepath.Join(w.daemon.Home, "young.headers")
	w.ancre(0, "headers", "export", p.exported)
	p.home = w.newVerifier(w.node).home
	p.own = filepath.Join(p.home.Home, "own.headers")
	return p
}

func (p *proven) growChain() {
	p.Helper()
	p.grown = longChain(p.node.Kind)
	began := time.Now()
	p.must(p.node.Grow(p.ctx, p.grown))
	p.Logf("%s made %d blocks in %v", p.node.Kind, p.grown, time.Since(began).Round(time.Millisecond))
}

// byAnotherDaemon verifies with the daemon as a machine elsewhere sees it: it is a node.
func (p proven) byAnotherDaemon() {
	v := p.newVerifier(nil)
	cookie := filepath.Join(p.daemon.NetDir(), ".cookie")
	res, _ := v.ancre(0, "--rpc-cookie", cookie, "verify", "--node", p.daemon.Addr(), p.file)
	v.wants(res, ": valid, existed before Bitcoin block ", "headers from the node at http://"+p.daemon.Addr())
}

// byPeers verifies with the command's own light client, which keeps its headers from run to run.
func (p proven) byPeers() {
	v := &verifier{p.world, p.home}
	res, first := v.ancre(0, "verify", "--spv", p.file)
	v.wants(res, ": valid, existed before Bitcoin block ", " blocks of work on top, headers checked by our own light client\n")
	_, second := v.ancre(0, "verify", "--spv", p.file)
	v.Logf("%s: %d headers: the first run took %v, the second %v", v.node.Kind, p.grown, first.Round(time.Millisecond), second.Round(time.Millisecond))

	var all sync.WaitGroup
	for range 3 { // at once: each waits for its turn
		all.Go(func() {
			if res, err := v.home.Ancre(v.ctx, "verify", "--spv", p.file); err != nil || res.Code != 0 {
				v.Errorf("one of three: exit status %d, %v\n%s", res.Code, err, res.Stderr)
			}
		})
	}
	all.Wait()

	var told struct {
		Confirmations int32
		Headers       struct {
			Source string
			Tip    int64
		}
	}
	v.must(v.node.Reorg(v.ctx, 3)) // while no light client was looking
	res, _ = v.ancre(0, "--json", "verify", "--spv", p.file)
	v.must(json.Unmarshal([]byte(res.Stdout), &told))
	if told.Headers.Source != "spv" || told.Headers.Tip != int64(p.grown)+1 || told.Confirmations < p.grown-500 {
		v.Errorf("after a reorganisation: %s", res.Stdout)
	}
	if entries, err := os.ReadDir(v.home.NetDir()); err != nil || len(entries) != 1 || entries[0].Name() != "verify" {
		v.Errorf("in the network's directory is %v, %v", entries, err)
	}
	_, took := v.ancre(0, "headers", "export", "--spv", p.own)
	v.Logf("%s: exported in %v", v.node.Kind, took.Round(time.Millisecond))
}

// byHeaders verifies with files of headers, and without any network.
func (p proven) byHeaders() {
	v := p.newVerifier(nil)
	_, took := v.ancre(0, "verify", "--headers", p.own, p.file)
	v.Logf("%s: %d headers of a file: %v", v.node.Kind, p.grown, took.Round(time.Millisecond))
	v.ancre(0, "verify", "--headers", p.exported, p.file)
	v.wantChangedHeadersRefused(p.own, p.file)
}

func (p proven) byTrustedNode() {
	v := p.newVerifier(nil)
	addr, user, password := v.node.RPC()
	cookie := v.writeFile("node.cookie", user+":"+password)
	res, _ := v.ancre(0, "--rpc-cookie", cookie, "verify", "--node", "http://"+addr, p.file)
	v.wants(res, ": valid, existed before Bitcoin block ", "headers from the node at http://"+addr)
	wrong := v.writeFile("wrong.cookie", user+":guess")
	res, _ = v.ancre(4, "--rpc-cookie", wrong, "verify", "--node", "http://"+addr, p.file)
	v.wants(res, "refuses the credentials", wrong)
	res, _ = v.ancre(4, "--network", "signet", "--rpc-cookie", cookie, "verify", "--node", "http://"+addr, p.file)
	v.wants(res, "is of regtest, and headers of signet are wanted")
}

// withoutPeers verifies while no peer can be reached: with the headers of earlier runs, and on a
// machine that has none.
func (p proven) withoutPeers() {
	v := p.newVerifier(nil)
	res, _ := v.ancre(2, "verify", "--spv", "--headers", p.own, p.file)
	v.wants(res, "exclude each other")
	p.home.Set("spv", "connect", `["127.0.0.1:9"]`)
	v.must(p.home.WriteConfig())
	// Both take the time that slow peers are given, so they run at once.
	var all sync.WaitGroup
	for _, c := range []struct {
		home  *harness.Daemon
		code  int
		texts []string
	}{
		{v.home, 4, []string{"no peer is connected", "127.0.0.1:9", "no headers were kept"}},
		{p.home, 0, []string{"the headers are not up to date: no peer is connected", "headers checked by our own light client, up to "}},
	} {
		all.Go(func() {
			res, err := c.home.Ancre(v.ctx, "verify", "--spv", p.file)
			if err != nil || res.Code != c.code {
				v.Errorf("exit status %d, %v, want %d\n%s%s", res.Code, err, c.code, res.Stdout, res.Stderr)
			}
			v.wants(res, c.texts...)
		})
	}
	all.Wait()
}

// wantChangedHeadersRefused changes one byte of each kind: of the first header, in the middle, of
// the last, of the checksum.
func (v *verifier) wantChangedHeadersRefused(headers, file string) {
	v.Helper()
	whole, err := os.ReadFile(headers)
	v.must(err)
	last := len(whole) - 32 - 80
	const mid = 80 * 1500
	for _, at := range []int{0, mid + 4, mid + 36, mid + 68, mid + 72, mid + 76, last, last + 36, last + 68, last + 79, len(whole) - 32, len(whole) - 1} {
		changed := append([]byte(nil), whole...)
		changed[at] ^= 1
		name := v.writeFile("changed.headers", string(changed))
		res, _ := v.ancre(1, "verify", "--headers", name, file)
		v.wants(res, "the headers in "+name+" cannot be used", "ancre headers export")
	}
	for _, size := range []int{0, 79, len(whole) - 1, len(whole) - 33, len(whole) / 2} {
		name := v.writeFile("short.headers", string(whole[:size]))
		res, _ := v.ancre(1, "verify", "--headers", name, file)
		v.wants(res, fmt.Sprintf("the headers in %s cannot be used", name))
	}
}
