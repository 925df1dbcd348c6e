package itest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms are the folders at the top of the module. A new room is added here, and below with what it
// must not import.
var rooms = []string{
	"batcher",
	"calendar",
	"cmd",
	"config",
	"daemon",
	"headers",
	"internal",
	"itest",
	"metrics",
	"notify",
	"proof",
	"register",
	"rpc",
	"spv",
	"tools",
	"verify",
	"wallet",
}

const (
	btcwallet  = "github.com/btcsuite/btcwallet"
	neutrino   = "github.com/lightninglabs/neutrino"
	pebble     = "github.com/cockroachdb/pebble"
	prometheus = "github.com/prometheus"
	sqlite     = "modernc.org/sqlite"
)

// Names for many packages at once, in the fields of an arrow.
const (
	anything = "anything"             // every package, ours too
	ours     = "ancre"                // every package of this module
	std      = "the standard library" // every package of it
)

// An arrow is a forbidden import: from the packages at or below from, to the packages at or below
// to.
type arrow struct {
	from   string
	except []string // packages at or below from that may
	to     []string // import paths, or anything, ours, std
	but    []string // packages at or below to that are allowed
	uses   []string // functions that must not be used: "time.Now"
	linked bool     // indirect imports count too: what ends up in the program

	why   string    // told to the person whose import is refused
	plant [2]string // an import that this arrow refuses: its own test
}

// forbidden holds every arrow that must not be. An import is refused if one of them refuses it.
// Tests may import what they like.
var forbidden = []arrow{
	// proof
	{
		from: "ancre/proof", except: []string{"ancre/proof/receipt"},
		to: []string{anything}, but: []string{std, "ancre/proof", "golang.org/x/crypto"},
		why:   "proof could be published alone: it needs the standard library and golang.org/x/crypto",
		plant: [2]string{"ancre/proof", "github.com/btcsuite/btcd/wire/v2"},
	},
	{
		from:  "ancre/proof/receipt",
		to:    []string{anything},
		but:   []string{std, "ancre/proof", "golang.org/x/crypto", "github.com/btcsuite/btcd/btcec/v2", "github.com/btcsuite/btcd/address/v2/base58"},
		why:   "receipt needs what proof needs, and beyond it only the signatures of seals and the addresses that made them",
		plant: [2]string{"ancre/proof/receipt", "ancre/rpc"},
	},

	// headers
	{
		from: "ancre/headers",
		to:   []string{ours, neutrino, btcwallet, "os", "net"}, but: []string{"ancre/headers", "ancre/internal/humanize"},
		why:   "headers checks what it is given: no file, no peer, no other room but words for numbers",
		plant: [2]string{"ancre/headers", "net/http"},
	},

	// batcher
	{
		from: "ancre/batcher",
		to:   []string{ours}, but: []string{"ancre/batcher", "ancre/proof", "ancre/internal"},
		why:   "the batcher declares the interfaces that it needs, and imports no other room but proof",
		plant: [2]string{"ancre/batcher", "ancre/spv"},
	},
	{
		from: "ancre/batcher", except: []string{"ancre/batcher/store/pebblestore"},
		to:    []string{"ancre/batcher/store/pebblestore"},
		why:   "the batcher works with every engine: the daemon chooses one",
		plant: [2]string{"ancre/batcher", "ancre/batcher/store/pebblestore"},
	},
	{
		from: "ancre/batcher/store/pebblestore/leafindex",
		to:   []string{ours, pebble}, but: []string{
			"ancre/batcher/store", "ancre/internal", pebble + "/v2/vfs",
		},
		why:   "leafindex finds leaves in memory and in files: its owner keeps the list of segments in Pebble",
		plant: [2]string{"ancre/batcher/store/pebblestore/leafindex", pebble + "/v2"},
	},
	{
		from: "ancre/batcher/decide",
		to:   []string{anything}, but: []string{
			std, "ancre/batcher/store", "github.com/btcsuite/btcd/chainhash/v2", "github.com/btcsuite/btcd/wire/v2",
			"ancre/internal/warning", "ancre/internal/txsize", "ancre/internal/humanize",
		},
		why:   "decide is pure: it knows what is stored, seen and allowed, and nothing that could act on it",
		plant: [2]string{"ancre/batcher/decide", "ancre/batcher"},
	},
	{
		from: "ancre/batcher/decide",
		to: []string{
			"context", "crypto/rand", "database", "io", "log", "math/rand", "net", "os", "path/filepath", "runtime", "sync", "syscall",
		},
		uses:  []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick"},
		why:   "decide is pure: what it returns depends on its arguments alone, so that simulation and tests drive the same function as the daemon",
		plant: [2]string{"ancre/batcher/decide", "log/slog"},
	},

	// rpc, calendar
	{
		from: "ancre/rpc", except: []string{"ancre/rpc/server"}, linked: true,
		to: []string{ours}, but: []string{"ancre/rpc", "ancre/proof", "ancre/headers", "ancre/internal"},
		why:   "rpc is the contract and the client: programs without a store, such as the register, import it",
		plant: [2]string{"ancre/rpc", "ancre/batcher"},
	},
	{
		from: "ancre/rpc", except: []string{"ancre/rpc/server"}, linked: true,
		to:    []string{"ancre/rpc/server", "ancre/internal/httpserve", "ancre/internal/quota", "ancre/internal/budget"},
		why:   "rpc is the contract and the client: the server knows it, and it does not know the server",
		plant: [2]string{"ancre/rpc", "ancre/rpc/server"},
	},
	{
		from: "ancre/calendar", except: []string{"ancre/calendar/server"}, linked: true,
		to: []string{ours}, but: []string{"ancre/calendar", "ancre/proof", "ancre/internal"},
		why:   "calendar is the client and the list of calendars: it asks with nothing of the node",
		plant: [2]string{"ancre/calendar", "ancre/rpc"},
	},
	{
		from: "ancre/calendar", except: []string{"ancre/calendar/server"}, linked: true,
		to:    []string{"ancre/calendar/server", "ancre/internal/httpserve", "ancre/internal/quota"},
		why:   "calendar is the client: the server knows it, and it does not know the server",
		plant: [2]string{"ancre/calendar", "ancre/calendar/server"},
	},
	{
		from:  "ancre/rpc/server",
		to:    []string{"ancre/spv", "ancre/wallet", "ancre/daemon", "ancre/config", "ancre/calendar"},
		why:   "the server is given what its methods serve",
		plant: [2]string{"ancre/rpc/server", "ancre/wallet"},
	},
	{
		from:  "ancre/calendar/server",
		to:    []string{"ancre/spv", "ancre/wallet", "ancre/daemon", "ancre/config", "ancre/rpc/server"},
		why:   "the calendar is given what it serves",
		plant: [2]string{"ancre/calendar/server", "ancre/spv"},
	},
	{
		from: ours, except: []string{"ancre/daemon", "ancre/rpc/server", "ancre/calendar/server"},
		to:    []string{"ancre/rpc/server", "ancre/calendar/server"},
		why:   "the daemon alone runs the servers: everything else asks them through rpc and calendar",
		plant: [2]string{"ancre/tools/demo", "ancre/rpc/server"},
	},

	// verify
	{
		from: "ancre/verify", except: []string{"ancre/verify/lightclient"},
		to: []string{ours}, but: []string{"ancre/verify", "ancre/proof", "ancre/headers", "ancre/rpc", "ancre/calendar", "ancre/internal"},
		why:   "verify asks daemons and calendars as their clients do, and knows no room behind them",
		plant: [2]string{"ancre/verify", "ancre/batcher"},
	},
	{
		from: "ancre/verify", except: []string{"ancre/verify/lightclient"}, linked: true,
		to:    []string{"ancre/verify/lightclient", "ancre/spv", "ancre/wallet", "ancre/batcher", "ancre/daemon", "ancre/config", neutrino, btcwallet, pebble},
		why:   "a program that verifies with a daemon, a node or a file links no light client (only verify/lightclient does), and no part of the daemon",
		plant: [2]string{"ancre/verify", "ancre/verify/lightclient"},
	},
	{
		from: "ancre/verify", except: []string{"ancre/verify/lightclient"},
		to:    []string{"os", "log", "github.com/spf13"},
		why:   "verify is given what it verifies: flags, files and printing are its caller's",
		plant: [2]string{"ancre/verify", "os"},
	},
	{
		from: "ancre/verify/lightclient",
		to:   []string{ours}, but: []string{"ancre/verify", "ancre/spv", "ancre/headers", "ancre/internal"},
		why:   "the light client's headers are a source for verify, and no more",
		plant: [2]string{"ancre/verify/lightclient", "ancre/config"},
	},

	// spv, wallet, config, metrics, internal
	{
		from: "ancre/spv",
		to:   []string{ours}, but: []string{"ancre/spv", "ancre/internal"},
		why:   "the light client knows nothing of those who use it",
		plant: [2]string{"ancre/spv", "ancre/wallet"},
	},
	{
		from: "ancre/wallet",
		to:   []string{ours}, but: []string{"ancre/wallet", "ancre/internal"},
		why:   "the wallet knows nothing of those who use it",
		plant: [2]string{"ancre/wallet", "ancre/batcher"},
	},
	{
		from: "ancre/config",
		to:   []string{ours}, but: []string{"ancre/config", "ancre/internal"},
		why:   "config reads a file into values: the rooms do not know it, and it does not know them",
		plant: [2]string{"ancre/config", "ancre/rpc"},
	},
	{
		from: "ancre/metrics",
		to:   []string{ours}, but: []string{"ancre/metrics", "ancre/internal"},
		why:   "the daemon reads the figures and hands them to metrics",
		plant: [2]string{"ancre/metrics", "ancre/batcher"},
	},
	{
		from: "ancre/notify",
		to:   []string{ours}, but: []string{"ancre/notify", "ancre/internal"},
		why:   "notify is shown warnings, and knows nothing of the rooms that raise them",
		plant: [2]string{"ancre/notify", "ancre/batcher"},
	},
	{
		from: "ancre/internal",
		to:   []string{ours}, but: []string{"ancre/internal"},
		why:   "every room may use internal: it uses none of them",
		plant: [2]string{"ancre/internal/atomicfile", "ancre/config"},
	},

	// register
	{
		from: "ancre/register",
		to:   []string{ours}, but: []string{
			"ancre/register", "ancre/rpc", "ancre/proof", "ancre/headers",
			"ancre/internal", "ancre/config", "ancre/metrics", "ancre/notify",
		},
		why:   "the register is a client of the node, like any script: of the node's rooms it knows the client alone",
		plant: [2]string{"ancre/register", "ancre/batcher"},
	},
	{
		from:  "ancre/register",
		to:    []string{"ancre/rpc/server", "ancre/verify/lightclient"},
		why:   "the register runs neither a node nor a light client",
		plant: [2]string{"ancre/register", "ancre/rpc/server"},
	},
	{
		from: "ancre/register/store",
		to:   []string{ours}, but: []string{"ancre/register/store", "ancre/internal"},
		why:   "the store keeps rows: it knows no node, no file and no page",
		plant: [2]string{"ancre/register/store/sqlitestore", "ancre/rpc"},
	},
	{
		from: "ancre/register/law",
		to:   []string{ours}, but: []string{"ancre/register/law", "ancre/register/store"},
		why:   "law is a pure function of what the store keeps, which the page and the verbs share",
		plant: [2]string{"ancre/register/law", "ancre/register"},
	},
	{
		from: "ancre/register/page",
		to:   []string{ours}, but: []string{
			"ancre/register/page", "ancre/register/store", "ancre/proof", "ancre/internal",
		},
		why:   "the page shows what it is given, which is what is published: it asks neither the engine nor the node",
		plant: [2]string{"ancre/register/page", "ancre/rpc"},
	},
	{
		from: ours, except: []string{"ancre/register/daemon", "ancre/register/store/sqlitestore"},
		to:    []string{"ancre/register/store/sqlitestore"},
		why:   "the register works with every engine: its daemon chooses one",
		plant: [2]string{"ancre/register/page", "ancre/register/store/sqlitestore"},
	},

	{
		from: ours, except: []string{"ancre/register/store/sqlitestore"},
		to:    []string{sqlite},
		why:   "SQLite is hidden in its store",
		plant: [2]string{"ancre/register", sqlite},
	},

	// What one room hides from all others
	{
		from: ours, except: []string{"ancre/spv", "ancre/tools/bench"},
		to:    []string{neutrino},
		why:   "neutrino is hidden in spv",
		plant: [2]string{"ancre/wallet", neutrino},
	},
	{
		from: ours, except: []string{"ancre/wallet", "ancre/spv", "ancre/tools/bench"},
		to:    []string{btcwallet},
		why:   "btcwallet is hidden in wallet (spv stores neutrino's headers with its walletdb)",
		plant: [2]string{"ancre/daemon", btcwallet + "/wallet"},
	},
	{
		from: ours, except: []string{"ancre/batcher/store/pebblestore", "ancre/tools/bench"},
		to:    []string{pebble},
		why:   "Pebble is hidden in its store",
		plant: [2]string{"ancre/cmd/ancre", pebble + "/v2"},
	},
	{
		from: ours, except: []string{"ancre/metrics"},
		to:    []string{prometheus},
		why:   "only metrics knows Prometheus: a room counts in plain numbers, and observes through an interface of its own",
		plant: [2]string{"ancre/rpc", prometheus + "/client_golang/prometheus"},
	},

	// Programs
	{
		from: ours, except: []string{"ancre/cmd/ancred", "ancre/daemon"},
		to:    []string{"ancre/daemon"},
		why:   "only the daemon's main wires the rooms together",
		plant: [2]string{"ancre/cmd/ancre", "ancre/daemon"},
	},
	{
		from: "ancre/cmd/ancre", linked: true,
		to:    []string{"ancre/rpc/server", "ancre/calendar/server"},
		why:   "the command asks servers and runs none",
		plant: [2]string{"ancre/cmd/ancre", "ancre/rpc/server"},
	},
	{
		from: "ancre/cmd/ancre", linked: true,
		to:    []string{"ancre/wallet", "ancre/daemon", "ancre/batcher/store/pebblestore", btcwallet + "/wallet", pebble},
		why:   "the command runs on machines that only verify: it must not carry the daemon's weight, and only ancred opens a store",
		plant: [2]string{"ancre/cmd/ancre", "ancre/batcher/store/pebblestore"},
	},

	// Tests and tools
	{
		from: ours, except: []string{"ancre/itest", "ancre/tools"},
		to:    []string{"ancre/itest", "ancre/tools"},
		why:   "tests and tools are no part of the programs",
		plant: [2]string{"ancre/daemon", "ancre/itest/harness"},
	},
	{
		from: "ancre/tools/fees",
		to:   []string{ours}, but: []string{"ancre/batcher/decide", "ancre/tools", "ancre/internal"},
		why:   "the fee study plays the policy alone: it needs the pure core and neither store nor chain",
		plant: [2]string{"ancre/tools/fees", "ancre/batcher"},
	},
	{
		from: ours, except: []string{"ancre/itest/harness/browser"},
		to:    []string{"github.com/chromedp"},
		why:   "only the harness of the browser drives one: the demo and the benchmark build without it",
		plant: [2]string{"ancre/itest/harness", "github.com/chromedp/chromedp"},
	},
	{
		from: "ancre/itest",
		to:   []string{ours}, but: []string{"ancre/itest", "ancre/rpc", "ancre/internal"},
		why:   "the harness speaks to the programs as their users do",
		plant: [2]string{"ancre/itest/harness", "ancre/daemon"},
	},
}

// refuses reports whether a may not import path (or may not use it: a function, "time.Now").
func (a arrow) refuses(from, path string) bool {
	if !isUnder(from, a.from) || isUnder(from, a.except...) {
		return false
	}
	return slices.Contains(a.uses, path) || isUnder(path, a.to...) && !isUnder(path, a.but...)
}

// reached returns what a package imports, in the sense of the arrow.
func (a arrow) reached(t *testing.T, p pkg) []string {
	t.Helper()
	reached := p.Imports
	if a.linked {
		reached = p.Deps
	}
	if len(a.uses) > 0 {
		reached = slices.Concat(reached, used(t, p))
	}
	return reached
}

// isUnder reports whether an import path is one of roots or below it.
func isUnder(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		switch root {
		case anything:
			return true
		case std:
			host, _, _ := strings.Cut(path, "/")
			return !strings.Contains(host, ".") && host != ours
		}
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

func TestForbiddenImports(t *testing.T) {
	all := listPackages(t, "ancre/...")
	for _, p := range all {
		if !slices.Contains(rooms, room(p)) {
			t.Errorf("%s is in no room that this test knows: add the room, and what it must not import", p.ImportPath)
		}
		for _, a := range forbidden {
			if !isUnder(p.ImportPath, a.from) {
				continue
			}
			for _, path := range a.reached(t, p) {
				if a.refuses(p.ImportPath, path) {
					t.Errorf("%s must not use %s: %s", p.ImportPath, path, a.why)
				}
			}
		}
	}
	for _, r := range rooms {
		if !slices.ContainsFunc(all, func(p pkg) bool { return room(p) == r }) {
			t.Errorf("there is no room %s any more: remove it here", r)
		}
	}
	for _, a := range forbidden {
		if !slices.ContainsFunc(all, func(p pkg) bool { return isUnder(p.ImportPath, a.from) }) {
			t.Errorf("%s does not exist any more: the arrow from it holds nothing (%s)", a.from, a.why)
		}
	}
}

// Each arrow refuses the import that is planted beside it.
func TestEachForbiddenArrowRefusesAPlantedImport(t *testing.T) {
	for _, a := range forbidden {
		from, path := a.plant[0], a.plant[1]
		if a.why == "" {
			t.Errorf("the arrow from %s to %v does not say why", a.from, a.to)
		}
		if !a.refuses(from, path) {
			t.Errorf("the arrow from %s to %v does not refuse that %s imports %s", a.from, a.to, from, path)
		}
		for _, function := range a.uses {
			if !a.refuses(a.from, function) {
				t.Errorf("the arrow from %s does not refuse %s", a.from, function)
			}
		}
	}
}

// An exception that no package needs any more would let the next one through.
func TestEachExceptionIsNeeded(t *testing.T) {
	all := listPackages(t, "ancre/...")
	// needed reports whether a package within from imports something below to.
	needed := func(a arrow, from string, to []string) bool {
		return slices.ContainsFunc(all, func(p pkg) bool {
			return isUnder(p.ImportPath, from) && slices.ContainsFunc(a.reached(t, p), func(path string) bool { return isUnder(path, to...) })
		})
	}
	for _, a := range forbidden {
		for _, from := range a.except {
			// A part of a room may be excepted from what holds the rest, and what is hidden from
			// itself.
			if a.from == ours && !isUnder(from, a.to...) && !needed(a, from, a.to) {
				t.Errorf("%s is excepted from the arrow to %v and imports nothing there: %s", from, a.to, a.why)
			}
		}
		for _, to := range a.but {
			if !isUnder(to, a.from) && to != "ancre/internal" && !needed(a, a.from, []string{to}) {
				t.Errorf("%s may import %s, and does not: %s", a.from, to, a.why)
			}
		}
	}
}

func TestNoArrowRefusesWhatIsAllowed(t *testing.T) {
	for _, edge := range [][2]string{
		{"ancre/proof", "crypto/sha256"},
		{"ancre/proof", "golang.org/x/crypto/ripemd160"},
		{"ancre/proof/receipt", "ancre/proof"},
		{"ancre/batcher", "ancre/proof"},
		{"ancre/batcher", "ancre/batcher/store"},
		{"ancre/batcher", "ancre/batcher/decide"},
		{"ancre/batcher/decide", "ancre/batcher/store"},
		{"ancre/batcher/decide", "ancre/internal/warning"},
		{"ancre/batcher/decide", "time"},
		{"ancre/tools/fees", "ancre/batcher/decide"},
		{"ancre/headers", "github.com/btcsuite/btcd/blockchain"},
		{"ancre/spv", neutrino + "/headerfs"},
		{"ancre/spv", btcwallet + "/walletdb"},
		{"ancre/spv", "ancre/internal/btclogslog"},
		{"ancre/rpc", "ancre/proof"},
		{"ancre/verify", "ancre/rpc"},
		{"ancre/verify", "ancre/calendar"},
		{"ancre/verify/lightclient", "ancre/spv"},
		{"ancre/rpc", "ancre/internal/atomicfile"},
		{"ancre/rpc/server", "ancre/batcher"},
		{"ancre/calendar/server", "ancre/internal/httpserve"},
		{"ancre/daemon", "ancre/rpc/server"},
		{"ancre/metrics", prometheus + "/client_golang/prometheus"},
		{"ancre/metrics", "ancre/internal/httpserve"},
		{"ancre/daemon", "ancre/wallet"},
		{"ancre/cmd/ancred", "ancre/daemon"},
		{"ancre/cmd/ancre", "ancre/spv"},
		{"ancre/tools/demo", "ancre/itest/harness"},
	} {
		for _, a := range forbidden {
			if a.refuses(edge[0], edge[1]) {
				t.Errorf("%s may import %s, and is refused: %s", edge[0], edge[1], a.why)
			}
		}
	}
}

func TestUsedFindsFunctionsUnderEveryName(t *testing.T) {
	dir := t.TempDir()
	source := "package a\nimport (\n\"time\"\nlog \"log/slog\"\n)\nvar _, _ = time.Now, log.Info\n"
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	got := used(t, pkg{Dir: dir, GoFiles: []string{"a.go"}})
	if want := []string{"time.Now", "log/slog.Info"}; !slices.Equal(got, want) {
		t.Errorf("used %v, want %v", got, want)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range listPackages(t, "ancre/...") {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// pkg is what go list reports of a package.
type pkg struct {
	Dir        string
	ImportPath string
	Doc        string
	Imports    []string // outside of tests
	Deps       []string // direct and indirect
	GoFiles    []string
}

// room is the folder at the top of the module in which p lies.
func room(p pkg) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, "ancre/"), "/")
	return name
}

// listPackages returns the packages that match a pattern.
func listPackages(t *testing.T, pattern string) (list []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,Doc,Imports,Deps,GoFiles", pattern)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
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

// used returns the names from other packages that p's files use: "time.Now".
func used(t *testing.T, p pkg) (names []string) {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		paths := make(map[string]string)
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			local := path[strings.LastIndex(path, "/")+1:]
			if spec.Name != nil {
				local = spec.Name.Name
			}
			paths[local] = path
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && paths[x.Name] != "" {
					names = append(names, paths[x.Name]+"."+sel.Sel.Name)
				}
			}
			return true
		})
	}
	return names
}
