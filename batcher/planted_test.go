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

// plantedSeeds is how many lives the simulation may take to find a fault.
const plantedSeeds = 10_000

// planted is a bug that somebody could write: a change of one place of the package's own source.
type planted struct {
	name string
	file string
	old  string // occurs exactly once in the file
	new  string
}

// faults are those of the services that came before, and those that a change of this package could bring. None of them makes
// a difference while nothing goes wrong.
var faults = []planted{
	{
		name: "a version is offered before it is stored",
		file: "pay.go",
		old:  "\tif err := b.apply(ctx, &u); err != nil {\n\t\t// Not released",
		new:  "\tb.offer(ctx, a, len(a.Versions)-1)\n\tif err := b.apply(ctx, &u); err != nil {\n\t\t// Not released",
	},
	{
		name: "only the newest version is recognised in a block",
		file: "look.go",
		old:  "return v.Tx.TxHash() == txid })",
		new:  "return v.Tx.TxHash() == txid && txid == c.anchor.Versions[len(c.anchor.Versions)-1].Tx.TxHash() })",
	},
	{
		name: "blocks are searched for txids, not for coins that are spent",
		file: "look.go",
		old:  "\t\t\ttxid := tx.TxHash()\n\t\t\tbranch, err",
		new: "\t\t\ttxid := tx.TxHash()\n\t\t\tif !slices.ContainsFunc(c.anchor.Versions, func(v store.Version) bool { return v.Tx.TxHash() == txid }) {\n" +
			"\t\t\t\tcontinue\n\t\t\t}\n\t\t\tbranch, err",
	},
	{
		name: "a replacement is paid from other coins",
		file: "decide_pay.go",
		old:  "r.Coins, r.Prevouts = append(r.Coins, in.PreviousOutPoint), append(r.Prevouts, newest.Prevouts[i])",
		new:  "_, _ = i, in",
	},
	{
		name: "a replacement forgets the version that it replaces",
		file: "pay.go",
		old:  "a.Versions = append(slices.Clone(a.Versions), v)",
		new:  "a.Versions = []store.Version{v}",
	},
	{
		name: "only the first anchor in a block is seen",
		file: "look.go",
		old:  "func(s Spend) bool { return s.Anchor == c.anchor.ID }",
		new:  "func(s Spend) bool { return s.Anchor != 0 }",
	},
	{
		name: "only the first batch of what changed is assigned",
		file: "decide.go",
		old:  "\t\t\td.do(Assign{Batch: b.ID, Anchor: owner})\n",
		new:  "\t\t\td.do(Assign{Batch: b.ID, Anchor: owner})\n\t\t\treturn\n",
	},
	{
		name: "blocks that leave the chain are ignored",
		file: "decide.go",
		old:  "if a.Block == nil || a.Block.Height <= fork {\n\t\t\t\tcontinue",
		new:  "if a.Block == nil || fork >= 0 {\n\t\t\t\tcontinue",
	},
	{
		name: "a final anchor is not watched",
		file: "decide.go",
		old:  "if a.State == store.Final && depth >= d.p.Confirmations+WatchDepth {",
		new:  "if a.State == store.Final {",
	},
	{
		name: "final comes one block early",
		file: "decide.go",
		old:  "if a.State == store.Mined && depth >= d.p.Confirmations {",
		new:  "if a.State == store.Mined && depth >= d.p.Confirmations-1 {",
	},
	{
		name: "batches that the mined version left out stay with it",
		file: "decide.go",
		old:  "if rank == none || !slices.Contains(Paid(a).Batches, b.ID) {",
		new:  "if rank == none || !slices.Contains(committed(a), b.ID) {",
	},
	{
		name: "what was left out is paid from any coin",
		file: "decide_pay.go",
		old:  "\t\tcoin, out, ok := d.heir(a)\n",
		new:  "\t\tif true {\n\t\t\tcontinue\n\t\t}\n\t\tcoin, out, ok := d.heir(a)\n",
	},
	{
		name: "what is lost is given up while a reorganisation could bring it back",
		file: "decide.go",
		old:  "return max(2*p.Confirmations, leastBury)",
		new:  "return p.Confirmations",
	},
	{
		name: "a vanished coin is given up while it may come back",
		file: "decide.go",
		old:  "d.tip.Height-d.f.Missing[a.ID].Since < WatchDepth",
		new:  "d.tip.Height-d.f.Missing[a.ID].Since < 5",
	},
	{
		name: "a vanished coin is waited for for ever",
		file: "decide.go",
		old:  "d.tip.Height-d.f.Missing[a.ID].Since < WatchDepth",
		new:  "true",
	},
	{
		name: "max_feerate does not hold for replacements",
		file: "fees.go",
		old:  "rate = min(max(want, last+1), p.MaxFeeRate)",
		new:  "rate = max(want, last+1)",
	},
	{
		name: "the budget counts what is mined alone",
		file: "decide_pay.go",
		old:  "\t\t\tsats += dearest(a)\n",
		new:  "\t\t\t_ = dearest(a)\n",
	},
	{
		name: "the evicted children of a replaced version are not paid for",
		file: "decide_pay.go",
		old:  "newest.FeeSats+d.evicted(a)",
		new:  "newest.FeeSats",
	},
	{
		name: "coins in flight are not leased at the start",
		file: "coins.go",
		old:  "func (b *Batcher) leaseAll(ctx context.Context) error {\n",
		new:  "func (b *Batcher) leaseAll(ctx context.Context) error {\n\tif true {\n\t\treturn nil\n\t}\n",
	},
	{
		name: "a version is replaced before a block had its chance",
		file: "decide_pay.go",
		old:  "if d.tip.Height <= int32(newest.Tx.LockTime) ||",
		new:  "if",
	},
	{
		name: "the first version is offered for ever",
		file: "decide_pay.go",
		old:  "OfferAnchor{Anchor: a, Version: d.current(a)}",
		new:  "OfferAnchor{Anchor: a, Version: 0}",
	},
	{
		name: "a proof is built from the newest version, not the mined one",
		file: "prove.go",
		old:  "version := anchor.Versions[anchor.Block.Version]",
		new:  "version := anchor.Versions[len(anchor.Versions)-1]",
	},
	{
		name: "the cursor is stored before what its blocks showed",
		file: "loop.go",
		old:  "\t\t\tu.Cursor = &action.Cursor\n",
		new:  "\t\t\tif err := b.apply(ctx, &store.Update{Cursor: &action.Cursor}); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n",
	},
	{
		name: "digests are acknowledged before they are written",
		file: "submit.go",
		old:  "c.finish(group, err)\n\t\tfor",
		new:  "c.finish(group, nil)\n\t\tfor",
	},
	{
		name: "a digest that comes again gets another place",
		file: "submit.go",
		old:  "if found[i].Batch != 0 {\n",
		new:  "if false {\n",
	},
}

// TestSimulationFindsPlantedFaults plants one fault at a time in a copy of the source, and lets the simulation find it: a check that
// finds nothing is not known to look. No fault needs a hook in the package: the compiler takes the changed file for the real one.
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

// simulate builds the package with the fault and lives lives until one breaks a promise.
func (f *planted) simulate(t *testing.T) (out string, err error) {
	t.Helper()
	source, err := os.ReadFile(f.file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), f.old); n != 1 {
		t.Fatalf("%s has changed: it holds %d times, not once, what this fault replaces:\n%s", f.file, n, f.old)
	}
	dir := t.TempDir()
	real, err := filepath.Abs(f.file)
	if err != nil {
		t.Fatal(err)
	}
	changed, overlay, binary := filepath.Join(dir, f.file), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "batcher.test")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {real: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{changed: []byte(strings.Replace(string(source), f.old, f.new, 1)), overlay: replace} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := run(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, "."); err != nil {
		t.Fatalf("the fault does not compile: %v\n%s", err, out)
	}
	return run(t.Context(), binary, "-test.run", "^TestSimulation$", "-seeds", fmt.Sprint(plantedSeeds))
}

func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}
