package batcher

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var plantedFlag = flag.Bool("planted", false, "run TestSimulationFindsPlantedFaults, which builds the package once for each fault")

// plantedSeeds is the number of lives in which the simulation has to find a fault.
const plantedSeeds = 10_000

// planted is a bug that somebody could write: some changes of the source of the batcher or of its
// package decide.
type planted struct {
	name  string
	edits []edit
}

// edit changes one place.
type edit struct {
	file string // relative to the batcher's folder
	old  string // occurs exactly once in the file
	new  string
}

// faults are bugs that earlier services had, and bugs that a change here could bring. None of them
// shows while nothing goes wrong.
var faults = []planted{
	{"a reorganisation is not in the feed of changes", []edit{{
		file: "store/changes.go",
		old:  "\t\tif now != was {\n",
		new:  "\t\tif now != was && now.AnchorState != Broadcast {\n",
	}}},
	{"the same anchor in another block is not in the feed of changes", []edit{{
		file: "store/changes.go",
		old:  "p.AnchorState, p.Height, p.Block = a.State, a.Block.Height, a.Block.Hash",
		new:  "p.AnchorState, p.Height = a.State, a.Block.Height",
	}}},
	{"a store that was restored takes cursors of what it lost", []edit{{
		file: "changes.go",
		old:  "answer.Reset, after = true, store.Mark{}",
		new:  "after = store.Mark{}",
	}}},
	{"a version is offered before it is stored", []edit{{
		file: "pay.go",
		old:  "\tif err := b.apply(ctx, &u); err != nil {\n\t\t// Its coins stay leased",
		new:  "\tb.offer(ctx, a, len(a.Versions)-1)\n\tif err := b.apply(ctx, &u); err != nil {\n\t\t// Its coins stay leased",
	}}},
	{"only the newest version is recognised in a block", []edit{{
		file: "look.go",
		old:  "return v.Tx.TxHash() == txid })",
		new:  "return v.Tx.TxHash() == txid && txid == c.anchor.Versions[len(c.anchor.Versions)-1].Tx.TxHash() })",
	}}},
	{"blocks are searched for txids, not for coins that are spent", []edit{{
		file: "look.go",
		old:  "\t\t\ttxid := tx.TxHash()\n\t\t\tbranch, err",
		new: "\t\t\ttxid := tx.TxHash()\n\t\t\tif !slices.ContainsFunc(c.anchor.Versions, func(v store.Version) bool { return v.Tx.TxHash() == txid }) {\n" +
			"\t\t\t\tcontinue\n\t\t\t}\n\t\t\tbranch, err",
	}}},
	{"a replacement is paid from other coins", []edit{{
		file: "decide/pay.go",
		old:  "r.Coins, r.Prevouts = append(r.Coins, in.PreviousOutPoint), append(r.Prevouts, newest.Prevouts[i])",
		new:  "_, _ = i, in",
	}}},
	{"a replacement forgets the version that it replaces", []edit{{
		file: "pay.go",
		old:  "a.Versions = append(slices.Clone(a.Versions), v)",
		new:  "a.Versions = []store.Version{v}",
	}}},
	{"only the first anchor in a block is seen", []edit{{
		file: "look.go",
		old:  "func(s decide.Spend) bool { return s.Anchor == c.anchor.ID }",
		new:  "func(s decide.Spend) bool { return s.Anchor != 0 }",
	}}},
	{"only the first batch of what changed is assigned", []edit{{
		file: "decide/follow.go",
		old:  "\t\t\td.do(Assign{Batch: b.ID, Anchor: owner})\n",
		new:  "\t\t\td.do(Assign{Batch: b.ID, Anchor: owner})\n\t\t\treturn\n",
	}}},
	{"blocks that leave the chain are ignored", []edit{{
		file: "decide/follow.go",
		old:  "if a.Block == nil || a.Block.Height <= fork {\n\t\t\tcontinue",
		new:  "if a.Block == nil || fork >= 0 {\n\t\t\tcontinue",
	}}},
	{"a final anchor is not watched", []edit{{
		file: "decide/follow.go",
		old:  "if a.State == store.Final && depth >= d.p.Confirmations+WatchDepth {",
		new:  "if a.State == store.Final {",
	}}},
	{"final comes one block early", []edit{{
		file: "decide/follow.go",
		old:  "if a.State == store.Mined && depth >= d.p.Confirmations {",
		new:  "if a.State == store.Mined && depth >= d.p.Confirmations-1 {",
	}}},
	{"batches that the mined version left out stay with it", []edit{{
		file: "decide/follow.go",
		old:  "if rank == none || !slices.Contains(Current(a).Batches, b.ID) {",
		new:  "if rank == none || !slices.Contains(AllBatches(a), b.ID) {",
	}}},
	{"what was left out is paid from any coin", []edit{{
		file: "decide/pay.go",
		old:  "\t\tcoin, out, ok := d.changeTip(a)\n",
		new:  "\t\tif true {\n\t\t\tcontinue\n\t\t}\n\t\tcoin, out, ok := d.changeTip(a)\n",
	}}},
	{"what is lost is given up while a reorganisation could bring it back", []edit{{
		file: "decide/policy.go",
		old:  "return max(2*p.Confirmations, minAbandonDepth)",
		new:  "return p.Confirmations",
	}}},
	{"a vanished coin is given up while it may come back", []edit{{
		file: "decide/follow.go",
		old:  "d.tip.Height-d.f.Missing[a.ID].Since < WatchDepth",
		new:  "d.tip.Height-d.f.Missing[a.ID].Since < 5",
	}}},
	{"a vanished coin is waited for for ever", []edit{{
		file: "decide/follow.go",
		old:  "d.tip.Height-d.f.Missing[a.ID].Since < WatchDepth",
		new:  "true",
	}}},
	{"a replacement knows no max_feerate", []edit{
		{"decide/fees.go", "rate = min(max(want, last+1), p.MaxFeeRate)", "rate = max(want, last+1)"},
		{"pay.go", "most := min(b.policy.MaxFeeRate, max(p.MaxFeeSats/expected, least))", "most := max(p.MaxFeeSats/expected, least)"},
		{"pay.go", "allowed := min(p.MaxFeeSats, b.policy.MaxFeeRate*size)", "allowed := p.MaxFeeSats"},
	}},
	{"a replacement knows no max_fee", []edit{{
		file: "decide/pay.go",
		old:  "r.MinFeeSats, r.MaxFeeSats = newest.FeeSats+d.evicted(a), d.allowed(a.ID)",
		new:  "r.MinFeeSats, r.MaxFeeSats = newest.FeeSats+d.evicted(a), 1<<40",
	}}},
	{"what would be dust as change is not counted against max_feerate", []edit{{
		file: "pay.go",
		old:  "allowed := min(p.MaxFeeSats, b.policy.MaxFeeRate*size)",
		new:  "allowed := p.MaxFeeSats",
	}}},
	{"the budget counts what is mined alone", []edit{{
		file: "decide/pay.go",
		old:  "\t\t\tsats += highestFee(a)\n",
		new:  "\t\t\t_ = highestFee(a)\n",
	}}},
	{"the evicted children of a replaced version are not paid for", []edit{{
		file: "decide/pay.go",
		old:  "newest.FeeSats+d.evicted(a)",
		new:  "newest.FeeSats",
	}}},
	{"coins in flight are not leased at the start", []edit{{
		file: "coins.go",
		old:  "func (b *Batcher) leaseAll(ctx context.Context) error {\n",
		new:  "func (b *Batcher) leaseAll(ctx context.Context) error {\n\tif true {\n\t\treturn nil\n\t}\n",
	}}},
	{"a version is replaced before a block had its chance", []edit{{
		file: "decide/pay.go",
		old:  "if d.tip.Height <= int32(Newest(a).Tx.LockTime) {",
		new:  "if false {",
	}}},
	{"the first version is offered for ever", []edit{{
		file: "decide/offer.go",
		old:  "OfferAnchor{Anchor: a, Version: d.current(a)}",
		new:  "OfferAnchor{Anchor: a, Version: 0}",
	}}},
	{"a proof is built from the newest version, not the mined one", []edit{{
		file: "batchinfo.go",
		old:  "version := decide.Current(*anchor)\n",
		new:  "version := anchor.Versions[len(anchor.Versions)-1]\n",
	}}},
	{"the cursor is stored before what its blocks showed", []edit{{
		file: "perform.go",
		old:  "\t\tu.Cursor = &action.Cursor\n",
		new:  "\t\tif err := b.apply(ctx, &store.Update{Cursor: &action.Cursor}); err != nil {\n\t\t\treturn err\n\t\t}\n",
	}}},
	{"digests are acknowledged though their write failed", []edit{{
		file: "committer.go",
		old:  "if err := c.b.store.Append(ctx, a); err != nil {\n\t\t\treturn c.failed(fmt.Errorf(\"write digests: %w\", err))\n\t\t}",
		new:  "_ = c.b.store.Append(ctx, a)",
	}}},
	{"a digest that comes again gets another place", []edit{{
		file: "committer.go",
		old:  "if found[i].Batch != 0 {\n",
		new:  "if false {\n",
	}}},
	{"coins are looked for once and never again", []edit{{
		file: "coins.go",
		old:  "if b.missingAt == tip {",
		new:  "if b.missingAt.Height != 0 {",
	}}},
}

// TestSimulationFindsPlantedFaults plants one fault at a time in a copy of the source, and lets the
// simulation find it. Only a check that has found something is known to work. The faults need no
// hooks in the package: the compiler reads the changed file in place of the real one.
func TestSimulationFindsPlantedFaults(t *testing.T) {
	if !*plantedFlag {
		t.Skip("run with -planted: it builds the package once for each fault")
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			out, err := f.simulate(t)
			if err == nil {
				t.Fatalf("%d lives did not find it:\n%s", plantedSeeds, out)
			}
			found := regexp.MustCompile(`-seed=(\d+): (.*)`).FindStringSubmatch(out)
			if found == nil {
				t.Fatalf("the simulation did not fail but broke: %v\n%s", err, out)
			}
			t.Logf("found by seed %s: %s", found[1], found[2])
		})
	}
}

// TestPlantedFaultsFitTheSource takes no time. It tells the author of a change to a quoted line
// before the simulation does.
func TestPlantedFaultsFitTheSource(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { f.plant(t) })
	}
}

// plant returns the changed files of a fault.
func (f *planted) plant(t *testing.T) map[string]string {
	t.Helper()
	changed := make(map[string]string)
	for _, e := range f.edits {
		source, ok := changed[e.file]
		if !ok {
			data, err := os.ReadFile(e.file)
			if err != nil {
				t.Fatal(err)
			}
			source = string(data)
		}
		if n := strings.Count(source, e.old); n != 1 {
			t.Fatalf("%s has changed: it holds %d times, not once, what this fault replaces:\n%s", e.file, n, e.old)
		}
		changed[e.file] = strings.Replace(source, e.old, e.new, 1)
	}
	return changed
}

// simulate builds the package with the fault, and lives lives until one breaks a promise.
func (f *planted) simulate(t *testing.T) (out string, err error) {
	t.Helper()
	dir := t.TempDir()
	replace := make(map[string]string) // a file by the one that the compiler takes for it
	for file, source := range f.plant(t) {
		real, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		replace[real] = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(replace[real]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(replace[real], []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The tests of package batcher_test import rooms that would be built anew for each fault, and
	// the simulation is not among them: they are left out.
	external, err := run(t.Context(), "go", "list", "-f", `{{range .XTestGoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}`, ".")
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, external)
	}
	for _, file := range strings.FieldsFunc(external, func(r rune) bool { return r == '\n' }) {
		replace[file] = ""
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "batcher.test")
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, "."); err != nil {
		t.Fatalf("the fault does not compile: %v\n%s", err, out)
	}
	return run(t.Context(), binary, "-test.run", "^TestSimulation$", "-seeds", fmt.Sprint(plantedSeeds))
}

func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}
