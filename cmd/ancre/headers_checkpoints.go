package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ancre/headers"
	"ancre/internal/humanize"

	"github.com/spf13/cobra"
)

func (a *app) headersCheckpointsCommand() *cobra.Command {
	var o windowOptions
	cmd := &cobra.Command{
		Use:   "checkpoints FILE",
		Short: "Write the list of blocks that later versions of this program will know",
		Long: `Write the list of checkpoints to FILE: the first block of each period of difficulty (2,016 blocks) that has 144 blocks on top, and
those that this program knows already. "-" is standard output. It is for those who release Ancre: the list is compiled into later
versions, and docs/windows.md says how.

The headers are the daemon's, or with --spv those of a light client of this program's own, or with --headers those of a file of all
headers. All of them are checked. If the chain contradicts a block that this program knows, nothing is written.`,
		Example: "  ancre headers checkpoints --force headers/checkpoints/mainnet.txt",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := o.check(a); err != nil {
				return err
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.writeCheckpoints(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	o.addTo(f)
	f.BoolVar(&o.force, "force", false, "replace FILE if it is there")
	a.addQuiet(f)
	return cmd
}

// checkpointsResult is what is told of a list with --json.
type checkpointsResult struct {
	File        string `json:"file"`
	FileBytes   string `json:"file_bytes,omitempty"` // the exact name in base64, when it is no UTF-8
	Network     string `json:"network"`
	Checkpoints int    `json:"checkpoints"` // how many are in the list
	Added       int    `json:"added"`       // how many of them this program does not know
	Height      int64  `json:"height"`      // of the newest one
}

func (r *checkpointsResult) fillNames() { fillName(&r.File, &r.FileBytes) }

func (a *app) writeCheckpoints(ctx context.Context, path string, o windowOptions) (err error) {
	if path != "-" {
		if err := mayWrite(path, o.force); err != nil { // before anybody is asked for megabytes
			return err
		}
	}
	_, params, err := a.network()
	if err != nil {
		return err
	}
	chain, err := a.openChain(ctx, params, o.chainOptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, chain.close()) }()
	body, count, err := chain.whole(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	bar := a.startProgress("Checking block headers", count, false)
	list, _, err := headers.Survey(ctx, body, params, time.Now(), bar.SetDone)
	bar.Finish()
	switch {
	case errors.Is(err, headers.ErrOtherNetwork):
		return fmt.Errorf("the headers of %s: %w: name their network with --network", chain.name, err)
	case err != nil:
		return fmt.Errorf("the headers of %s: %w", chain.name, err)
	}
	text := headers.FormatCheckpoints(params.Name, []string{"Known blocks: height, hash, bits, time. docs/windows.md explains the format and how to make a new list."}, list)
	if path == "-" {
		_, err := io.WriteString(a.out, text)
		return err
	}
	err = writeWhole(path, o.force, headersMode, func(to io.Writer) error {
		_, err := io.WriteString(to, text)
		return err
	})
	if err != nil {
		return err
	}
	r := checkpointsResult{File: path, Network: params.Name, Checkpoints: len(list), Added: len(list) - len(headers.Checkpoints(params)), Height: list[len(list)-1].Height}
	if a.json {
		return a.printJSON(&r, false)
	}
	a.say("Wrote %s of %s up to block %s to %s; %s new.\n", humanize.Plural(r.Checkpoints, "checkpoint", "checkpoints"), r.Network,
		humanize.Count(r.Height), path, humanize.Plural(r.Added, "is", "are"))
	return nil
}
