// Command fees is the study of what anchors cost: it plays fee markets, has the daemon's own policy
// (package batcher/decide) and others pay for the same batches on the same blocks, and writes the
// figures and the plots into docs/fees.md.
//
//	go run ./tools/fees [-docs DIR] [-seeds N]
//
// It reads no clock, and its seeds are fixed: the same program always writes the same files.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	docs := flag.String("docs", "docs", "directory of fees.md and its plots")
	seeds := flag.Int("seeds", 10, "how often each market is played, with other chances each time")
	flag.Parse()
	if err := run(*docs, *seeds); err != nil {
		fmt.Fprintln(os.Stderr, "fees:", err)
		os.Exit(1)
	}
}

func run(docs string, seeds int) error {
	if seeds < 1 {
		return fmt.Errorf("-seeds %d: must be at least 1", seeds)
	}
	results := playAll(seeds)
	for name, plot := range map[string][]byte{"fees-cost.svg": plotCost(results), "fees-week.svg": plotWeek(results)} {
		if err := os.WriteFile(filepath.Join(docs, name), plot, 0o644); err != nil {
			return err
		}
	}
	path := filepath.Join(docs, "fees.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for name, text := range tables(results) {
		if page, err = replaceBlock(page, name, text); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, page, 0o644)
}

// The ways of paying that are compared in each market. The first four can be compared with each
// other; each of the others answers a question of its own.
const (
	byUs = iota
	byOtsd
	byEstimate
	byHindsight
	byUsIn12h
	byUsIn24h
	byOtsdAsShipped
	byUsAmongLiars
	ways
)

var payers = [ways]payer{
	byUs:            ours("Ancre", 6*time.Hour, 0),
	byOtsd:          otsd("otsd", nil),
	byEstimate:      estimateAtOnce,
	byHindsight:     {name: "hindsight"},
	byUsIn12h:       ours("Ancre, target 12 h", 12*time.Hour, 0),
	byUsIn24h:       ours("Ancre, target 24 h", 24*time.Hour, 0),
	byOtsdAsShipped: otsd("otsd, next after 6 to 12 h", pauseOfOtsd),
	byUsAmongLiars:  ours("Ancre, all peers lie", 6*time.Hour, 1000),
}

// result holds the outcomes of one market over all seeds.
type result struct {
	market
	outcomes  [ways]outcome
	marginals []float64 // sat/vB that a bid had to reach, sorted
	estimate  float64   // mean
	week      float64   // mean of bitcoind's estimate for 1008 blocks
	ratios    []float64 // by seed: our cost as a share of otsd's
	example   played    // the first seed, for the plot
}

// played is one seed of a market.
type played struct {
	blocks   []block
	outcomes [ways]outcome
}

func playAll(seeds int) []result {
	all := make([][]played, len(markets))
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i, m := range markets {
		all[i] = make([]played, seeds)
		for seed := range seeds {
			g.Go(func() error {
				p := &all[i][seed]
				p.blocks = m.blocks(uint64(seed))
				for w, payer := range payers {
					if w == byHindsight {
						p.outcomes[w] = hindsight(p.blocks, uint64(seed))
					} else {
						p.outcomes[w] = play(payer, p.blocks, uint64(seed))
					}
				}
				return nil
			})
		}
	}
	g.Wait() // nothing fails
	results := make([]result, len(markets))
	for i, m := range markets {
		results[i] = sum(m, all[i])
	}
	return results
}

func sum(m market, seeds []played) result {
	r := result{market: m, example: seeds[0]}
	blocks := 0.0
	for _, p := range seeds {
		for w := range p.outcomes {
			r.outcomes[w].add(p.outcomes[w])
		}
		r.ratios = append(r.ratios, p.outcomes[byUs].satsADay()/p.outcomes[byOtsd].satsADay())
		for _, b := range studied(p.blocks) {
			r.estimate += float64(b.estimate)
			r.week += float64(b.week)
			blocks++
		}
		r.marginals = append(r.marginals, marginals(p.blocks)...)
	}
	slices.Sort(r.marginals)
	r.estimate /= blocks
	r.week /= blocks
	return r
}
