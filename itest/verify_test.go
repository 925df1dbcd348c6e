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

// verifier is a machine with the command and no daemon: a home of its own, in which nothing is but
// a configuration that names a node.
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

// ancre runs the command there, and says how long it took.
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

// wants checks what was said.
func (v *verifier) wants(res harness.Result, texts ...string) {
	v.Helper()
	for _, text := range texts {
		if !strings.Contains(res.Stdout+res.Stderr, text) {
			v.Errorf("nothing is said of %q:\n%s%s", text, res.Stdout, res.Stderr)
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

// Whoever has a file and its proof needs nobody's daemon: Bitcoin's peers are enough, or a file of
// headers, or a node that is trusted.
func TestProofsVerifyWithoutADaemon(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		file := w.writeFile("convocation.txt", "The council meets on Monday.\n")
		w.ancre(0, "stamp", file)
		w.call(nil, "closebatch")
		w.mineUntilFinal()
		w.ancre(0, "upgrade", file)
		out := w.ancre(0, "verify", file).Stdout
		if !strings.Contains(out, "headers checked by the daemon at http://"+w.daemon.Addr()) {
			t.Errorf("the daemon's word: %s", out)
		}
		t.Run("a daemon elsewhere is a node", func(t *testing.T) {
			v := w.in(t).newVerifier(nil)
			cookie := filepath.Join(w.daemon.NetDir(), ".cookie")
			res, _ := v.ancre(0, "--rpc-cookie", cookie, "verify", "--node", w.daemon.Addr(), file)
			v.wants(res, ": valid, existed before Bitcoin block ", "headers from the node at http://"+w.daemon.Addr())
		})
		exported := filepath.Join(w.daemon.Home, "young.headers")
		w.ancre(0, "headers", "export", exported)

		w.must(w.daemon.Stop()) // nobody asks it from here on
		began, longChain := time.Now(), longChain(w.node.Kind)
		w.must(w.node.Grow(w.ctx, longChain))
		t.Logf("%s made %d blocks in %v", w.node.Kind, longChain, time.Since(began).Round(time.Millisecond))
		v := w.newVerifier(w.node)
		own := filepath.Join(v.home.Home, "own.headers")

		t.Run("by peers alone", func(t *testing.T) {
			v := &verifier{w.in(t), v.home}
			res, first := v.ancre(0, "verify", "--spv", file)
			v.wants(res, ": valid, existed before Bitcoin block ", " blocks of work on top, headers checked by our own light client\n")
			_, second := v.ancre(0, "verify", "--spv", file)
			t.Logf("%s: %d headers: the first run took %v, the second %v", v.node.Kind, longChain, first.Round(time.Millisecond), second.Round(time.Millisecond))

			var all sync.WaitGroup
			for range 3 { // at once: each waits for its turn
				all.Go(func() {
					if res, err := v.home.Ancre(v.ctx, "verify", "--spv", file); err != nil || res.Code != 0 {
						t.Errorf("one of three: exit status %d, %v\n%s", res.Code, err, res.Stderr)
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
			v.must(v.node.Reorg(v.ctx, 3)) // while nobody looked
			res, _ = v.ancre(0, "--json", "verify", "--spv", file)
			v.must(json.Unmarshal([]byte(res.Stdout), &told))
			if told.Headers.Source != "spv" || told.Headers.Tip != int64(longChain)+1 || told.Confirmations < longChain-500 {
				t.Errorf("after a reorganisation: %s", res.Stdout)
			}
			if entries, err := os.ReadDir(v.home.NetDir()); err != nil || len(entries) != 1 || entries[0].Name() != "verify" {
				t.Errorf("in the network's directory is %v, %v", entries, err)
			}
			_, took := v.ancre(0, "headers", "export", "--spv", own)
			t.Logf("%s: exported in %v", v.node.Kind, took.Round(time.Millisecond))
		})
		t.Run("offline", func(t *testing.T) {
			v := w.in(t).newVerifier(nil)
			_, took := v.ancre(0, "verify", "--headers", own, file)
			t.Logf("%s: %d headers of a file: %v", v.node.Kind, longChain, took.Round(time.Millisecond))
			v.ancre(0, "verify", "--headers", exported, file) // the daemon's
			v.wantChangedHeadersRefused(own, file)
		})
		t.Run("by a node that is trusted", func(t *testing.T) {
			v := w.in(t).newVerifier(nil)
			addr, user, password := v.node.RPC()
			cookie := v.writeFile("node.cookie", user+":"+password)
			res, _ := v.ancre(0, "--rpc-cookie", cookie, "verify", "--node", "http://"+addr, file)
			v.wants(res, ": valid, existed before Bitcoin block ", "headers from the node at http://"+addr)
			wrong := v.writeFile("wrong.cookie", user+":guess")
			res, _ = v.ancre(4, "--rpc-cookie", wrong, "verify", "--node", "http://"+addr, file)
			v.wants(res, "refuses the credentials", wrong)
			res, _ = v.ancre(4, "--network", "signet", "--rpc-cookie", cookie, "verify", "--node", "http://"+addr, file)
			v.wants(res, "is of regtest, and headers of signet are wanted")
		})
		t.Run("with nobody there", func(t *testing.T) {
			kept, v := v.home, w.in(t).newVerifier(nil)
			res, _ := v.ancre(2, "verify", "--spv", "--headers", own, file)
			v.wants(res, "exclude each other")
			kept.Set("spv", "connect", `["127.0.0.1:9"]`)
			v.must(kept.WriteConfig())
			// Both take the time that slow peers are given, so they run at once.
			var all sync.WaitGroup
			for _, c := range []struct {
				home  *harness.Daemon
				code  int
				texts []string
			}{
				{v.home, 4, []string{"no peer is connected", "127.0.0.1:9", "no headers were kept"}},
				{kept, 0, []string{"the headers are not up to date: no peer is connected", "headers checked by our own light client, up to "}},
			} {
				all.Go(func() {
					res, err := c.home.Ancre(v.ctx, "verify", "--spv", file)
					if err != nil || res.Code != c.code {
						t.Errorf("exit status %d, %v, want %d\n%s%s", res.Code, err, c.code, res.Stdout, res.Stderr)
					}
					v.wants(res, c.texts...)
				})
			}
			all.Wait()
		})
	})
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
