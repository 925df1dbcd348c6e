package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"ancre/config"
	"ancre/internal/humanize"
	"ancre/internal/money"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

func (a *app) walletFeesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fees",
		Short: "Show what block space costs now, and what an anchor would pay",
		Long: `Show what block space costs now, how the daemon learned that from blocks and peers alone, and what a new anchor would pay. An
anchor pays little at first, and more with each block that leaves it out, within the caps of the configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			f, err := client.EstimateFee(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(f, false)
			}
			return a.showFees(f, time.Now())
		},
	}
}

func (a *app) showFees(f rpc.FeeEstimate, now time.Time) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	from := "there is no block to look at"
	if len(f.Blocks) > 0 {
		from = "the median of " + humanize.Plural(len(f.Blocks), "block", "blocks")
	}
	if f.AsOf != nil && now.After(*f.AsOf) {
		from += ", the newest " + humanize.Duration(now.Sub(*f.AsOf)) + " old"
	}
	row(w, "estimate\t%s sat/vB\t%s\n", humanize.Count(f.SatPerVByte), from)
	said := "no peer names one"
	if f.FloorPeers > 0 {
		said = "the median of what " + humanize.Plural(f.FloorPeers, "peer says", "peers say")
	}
	row(w, "floor\t%s sat/vB\t%s\n", humanize.Count(f.FloorSatPerVByte), said)
	for i, s := range f.NextAnchor {
		label, when := "anchor", "at once"
		if i > 0 {
			if s.SatPerVByte == f.NextAnchor[i-1].SatPerVByte {
				continue
			}
			label, when = "", "after "+config.Brief(time.Duration(s.AfterSeconds)*time.Second)
		}
		row(w, "%s\t%s sat/vB\t%s, %s\n", label, humanize.Count(s.SatPerVByte), when, a.price().Sats(s.AnchorSats))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if f.Problem != "" {
		a.say("\nWARNING: %s\n", f.Problem)
	}
	if len(f.Blocks) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	w = tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "BLOCK\tTIME\tFULL\tTRANSACTIONS\tPAID SAT/VB\tCOUNTS\t")
	for _, b := range f.Blocks {
		at := "-"
		if b.BlockTime != nil {
			at = humanize.Local(*b.BlockTime)
		}
		row(w, "%d\t%s\t%.0f %%\t%s\t%s\t%s\t\n", b.Height, at, 100*b.Fullness, humanize.Count(b.Transactions), humanize.Count(b.AverageSatPerVByte), humanize.Count(b.CountsSatPerVByte))
	}
	return w.Flush()
}

// spendingText puts into words what anchors cost.
func spendingText(s rpc.Spending, price money.Price) string {
	text := price.Sats(s.PaidSats) + " paid in the last 30 days"
	if s.BudgetSats > 0 {
		text += ", of a budget of " + price.Sats(s.BudgetSats)
	}
	return text
}
