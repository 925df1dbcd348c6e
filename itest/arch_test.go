package itest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what the go command tells of a package.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string // outside of tests
	Deps       []string // direct and indirect
	GoFiles    []string
}

// listPackages asks the go command; patterns are as it knows them.
func listPackages(t *testing.T, flags ...string) (list []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Doc,Imports,Deps,GoFiles"}, flags...)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// isUnder reports whether an import path is root or below it.
func isUnder(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") })
}

const (
	neutrino  = "github.com/lightninglabs/neutrino"
	btcwallet = "github.com/btcsuite/btcwallet"
	monitor   = "github.com/prometheus"
	pebble    = "github.com/cockroachdb/pebble"
)

// The rooms and the arrows between them: who may import what, directly, outside of tests.
func TestForbiddenImports(t *testing.T) {
	rooms := []string{"batcher", "calendar", "config", "daemon", "internal", "proof", "rpc", "spv", "wallet", "cmd", "tools", "headers", "itest", "metrics"}
	all := listPackages(t, "ancre/...")
	if len(all) < len(rooms) {
		t.Fatalf("go list knows %d packages, want at least the %d rooms", len(all), len(rooms))
	}
	seen := make(map[string]bool)
	for _, p := range all {
		room, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, "ancre/"), "/")
		seen[room] = true
		if !slices.Contains(rooms, room) {
			t.Errorf("%s is in no room that is known here: add it, with what it may import", p.ImportPath)
		}
		for _, path := range p.Imports {
			if why := forbidden(p.ImportPath, path); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, path, why)
			}
		}
	}
	for _, room := range rooms {
		if !seen[room] && room != "internal" {
			t.Errorf("there is no room %s any more: this test holds nothing of it", room)
		}
	}
}

// forbidden says why a package must not import another one, or nothing.
func forbidden(from, path string) string {
	ours, std := isUnder(path, "ancre"), !strings.Contains(strings.SplitN(path, "/", 2)[0], ".")
	switch {
	case isUnder(from, "ancre/proof/receipt") && (isUnder(path, "github.com/btcsuite/btcd/btcec/v2") || path == "github.com/btcsuite/btcd/address/v2/base58"): // signatures of seals, and who made them
	case isUnder(from, "ancre/proof"):
		if ours && !isUnder(path, "ancre/proof") || !ours && !std && !isUnder(path, "golang.org/x/crypto") {
			return "proof stands alone, on the standard library and golang.org/x/crypto"
		}
	case isUnder(from, "ancre/batcher"):
		if isUnder(path, "ancre/spv", "ancre/wallet", "ancre/rpc", "ancre/daemon", "ancre/config") {
			return "the batcher declares what it needs of other rooms, and imports proof alone"
		}
	case isUnder(from, "ancre/rpc", "ancre/calendar"):
		if isUnder(path, "ancre/spv", "ancre/wallet", "ancre/daemon", "ancre/config") {
			return "rpc and calendar are given what they speak for"
		}
	case isUnder(from, "ancre/headers"):
		if ours || isUnder(path, neutrino, btcwallet) || slices.Contains([]string{"os", "net", "net/http"}, path) {
			return "headers checks what it is given: no file, no peer, no other room"
		}
	case isUnder(from, "ancre/metrics"):
		if ours && !isUnder(path, "ancre/metrics", "ancre/internal") {
			return "metrics is told everything: what it tells of is read by the daemon"
		}
	case isUnder(from, "ancre/spv"), isUnder(from, "ancre/wallet"), isUnder(from, "ancre/config"):
		if ours && !isUnder(path, from, "ancre/internal") && !isUnder(path, strings.Join(strings.SplitN(from, "/", 3)[:2], "/")) {
			return "the lower rooms import no other"
		}
	}
	switch {
	case isUnder(path, neutrino) && !isUnder(from, "ancre/spv", "ancre/tools/bench"):
		return "neutrino is hidden in spv"
	case isUnder(path, btcwallet) && !isUnder(from, "ancre/wallet", "ancre/spv", "ancre/tools/bench"):
		return "btcwallet is hidden in wallet"
	case isUnder(path, pebble) && !isUnder(from, "ancre/batcher/store/pebblestore", "ancre/tools/bench"):
		return "Pebble is hidden in its store"
	case isUnder(path, monitor) && !isUnder(from, "ancre/metrics"):
		return "Prometheus is known to metrics alone: a room counts in plain numbers, and observes through an interface of its own"
	case isUnder(path, "ancre/daemon") && !isUnder(from, "ancre/cmd/ancred", "ancre/daemon"):
		return "only the daemon's main wires the rooms together"
	case isUnder(path, "ancre/itest") && !isUnder(from, "ancre/itest", "ancre/tools"):
		return "what tests stand on is no part of the programs"
	}
	return ""
}

func TestForbiddenKnowsGoodFromBad(t *testing.T) {
	for _, c := range []struct {
		from, path string
		bad        bool
	}{
		{"ancre/proof", "crypto/sha256", false},
		{"ancre/proof", "golang.org/x/crypto/ripemd160", false},
		{"ancre/proof", "github.com/btcsuite/btcd/wire/v2", true},
		{"ancre/proof", "ancre/rpc", true},
		{"ancre/batcher", "ancre/proof", false},
		{"ancre/batcher", "ancre/batcher/store", false},
		{"ancre/batcher/store/pebblestore", "ancre/spv", true},
		{"ancre/batcher", neutrino, true},
		{"ancre/headers", "ancre/proof", true},
		{"ancre/headers", "os", true},
		{"ancre/headers", "github.com/btcsuite/btcd/blockchain", false},
		{"ancre/spv", neutrino + "/headerfs", false},
		{"ancre/spv", btcwallet + "/walletdb", false},
		{"ancre/spv", "ancre/internal/btclogslog", false},
		{"ancre/spv", "ancre/wallet", true},
		{"ancre/wallet", neutrino, true},
		{"ancre/rpc", "ancre/batcher", false},
		{"ancre/rpc", "ancre/wallet", true},
		{"ancre/rpc", monitor + "/client_golang/prometheus", true},
		{"ancre/metrics", monitor + "/client_golang/prometheus", false},
		{"ancre/metrics", "ancre/internal/httpserve", false},
		{"ancre/metrics", "ancre/batcher", true},
		{"ancre/daemon", btcwallet + "/wallet", true},
		{"ancre/daemon", "ancre/wallet", false},
		{"ancre/cmd/ancre", "ancre/daemon", true},
		{"ancre/cmd/ancre", "ancre/batcher/store/pebblestore", false},
		{"ancre/cmd/ancre", "ancre/spv", false},
		{"ancre/cmd/ancre", neutrino, true},
		{"ancre/cmd/ancre", pebble + "/v2", true},
	} {
		if got := forbidden(c.from, c.path); (got != "") != c.bad {
			t.Errorf("%s imports %s: %q, want it forbidden: %t", c.from, c.path, got, c.bad)
		}
	}
}

// The command runs on machines that only verify: it must not carry the daemon's weight. Of that it
// has the light client, with which it verifies while there is no daemon, and the store's engine,
// because a restore fills a store while there is none. Neutrino comes with the light client, and
// hides there (see forbidden).
func TestCommandLinksNoDaemonAndNoWallet(t *testing.T) {
	list := listPackages(t, "ancre/cmd/ancre")
	if len(list) != 1 || len(list[0].Deps) < 50 {
		t.Fatalf("go list tells %d packages, want the command with its dependencies", len(list))
	}
	for _, dep := range list[0].Deps {
		if isUnder(dep, btcwallet+"/wallet", "ancre/wallet", "ancre/daemon") {
			t.Errorf("cmd/ancre links %s", dep)
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range listPackages(t, "ancre/...") {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
