package main

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

func (a *app) batchesCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "batches [ID]",
		Short: "List batches, newest first, or show one and its anchor",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listBatches(cmd.Context(), limit)
			}
			id, err := strconv.ParseUint(args[0], 10, 63)
			if err != nil || id == 0 {
				return command.Usagef("batch %q: must be a number, from 1", humanize.Clip(args[0]))
			}
			return a.showBatch(cmd.Context(), id)
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "list this many at most")
	return cmd
}

func (a *app) listBatches(ctx context.Context, limit int) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	batches, err := client.Batches(ctx, 0, limit)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(batches, false)
	}
	if len(batches) == 0 {
		a.note("There is no batch yet: \"ancre stamp\" opens the first.")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BATCH\tSTATE\tDIGESTS\tOPENED\tBLOCK\tCONFIRMATIONS\tTRANSACTION")
	for _, b := range batches {
		block, confirmations, txid := "-", "-", "-"
		if b.Height > 0 {
			block, confirmations = strconv.Itoa(int(b.Height)), strconv.Itoa(int(b.Confirmations))
		}
		if b.TxID != "" {
			txid = b.TxID
		}
		row(w, "%d\t%s\t%d\t%s\t%s\t%s\t%s\n", b.ID, b.State, b.Digests, humanize.Local(b.Opened), block, confirmations, txid)
	}
	return w.Flush()
}

func (a *app) showBatch(ctx context.Context, id uint64) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	b, err := client.Batch(ctx, id)
	if err != nil {
		return err
	}
	// The anchor belongs to it for a person; for a program it is there too.
	both := struct {
		rpc.Batch
		Payment *rpc.Anchor `json:"payment,omitempty"`
	}{Batch: b}
	if b.Anchor != 0 {
		anchor, err := client.Anchor(ctx, b.Anchor)
		if err != nil {
			return err
		}
		both.Payment = &anchor
	}
	if a.json {
		return a.printJSON(both, false)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row(w, "batch\t%d, %s, %s\n", b.ID, b.State, humanize.Plural(b.Digests, "digest", "digests"))
	if words := stateWords[b.State]; words != "" {
		row(w, "\t(%s: %s)\n", b.State, words)
	}
	row(w, "opened\t%s\n", humanize.Local(b.Opened))
	if b.Closes != nil {
		row(w, "sealed at\t%s at the latest\n", humanize.Local(*b.Closes))
	}
	if b.Closed != nil {
		row(w, "closed\t%s\n", humanize.Local(*b.Closed))
	}
	if b.Root != "" {
		row(w, "root\t%s\n", b.Root)
	}
	if p := both.Payment; p != nil {
		row(w, "anchor\t%d, %s\n", p.ID, p.State)
		for i, v := range p.Versions {
			row(w, "version %d\t%s, %s, %s at %.1f sat/vB, %s, made %s\n", i+1, v.TxID, v.State, a.price().Sats(v.FeeSats), v.SatPerVByte,
				humanize.Plural(len(v.Batches), "batch", "batches"), humanize.Local(v.Created))
		}
		if p.Height > 0 {
			row(w, "mined\tin block %s, %s, %s\n", humanize.Count(p.Height), p.BlockHash, humanize.Plural(p.Confirmations, "confirmation", "confirmations"))
		}
	}
	return w.Flush()
}
