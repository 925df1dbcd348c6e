package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"ancre/headers"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/proof"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/cobra"
)

func (a *app) headersWindowCommand() *cobra.Command {
	var o windowOptions
	cmd := &cobra.Command{
		Use:   "window BLOCK FILE",
		Short: "Write the block headers around one block, to verify its proofs offline",
		Long: `Write the headers around BLOCK to FILE, a window for "ancre verify --headers FILE" on a machine without a network. It has some
12 to 330 kB, where the headers of all blocks have 75 MB: keep it with a proof, or hand it on with one. BLOCK is the height of a
block, or a complete proof (FILE.ots), which means the lowest block that it names. "-" is standard output.

The headers lead from BLOCK to the next block that is known to this program, if there is one in reach: then the verdict is as sure
as that block. Otherwise they lead to the end of the period of difficulty, or to the newest block, and the verdict rests upon their
work. If fewer than 5 blocks are on top of BLOCK, nothing is written, and the exit status is 3. FILE is there whole or not at all.

The headers are the daemon's, or with --spv those of a light client of this program's own, or with --headers those of a file of all
headers. They are checked before they are written.`,
		Example: "  ancre headers window 850000 850000.headers\n  ancre headers window report.pdf.ots report.pdf.headers\n  ancre verify --headers report.pdf.headers report.pdf.ots",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := o.check(a); err != nil {
				return err
			}
			return cobra.ExactArgs(2)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.writeWindow(cmd.Context(), args[0], args[1], o)
		},
	}
	f := cmd.Flags()
	o.addTo(f)
	f.BoolVar(&o.force, "force", false, "replace FILE if it is there")
	a.addQuiet(f)
	return cmd
}

type windowOptions struct {
	chainOptions
	force bool
}

// windowResult is what is told of a window with --json.
type windowResult struct {
	File            string  `json:"file"`
	FileBytes       string  `json:"file_bytes,omitempty"` // the exact name in base64, when it is no UTF-8
	Network         string  `json:"network"`
	Height          uint64  `json:"height"` // of the block that the window is about
	First           int64   `json:"first"`  // of the headers in it
	Last            int64   `json:"last"`
	Bytes           int     `json:"bytes"`
	Checkpoint      *int64  `json:"checkpoint,omitempty"`
	Base            *int64  `json:"base,omitempty"`
	LeastDifficulty float64 `json:"least_difficulty,omitempty"`
}

func (r *windowResult) fillNames() { fillName(&r.File, &r.FileBytes) }

func (a *app) writeWindow(ctx context.Context, block, path string, o windowOptions) (err error) {
	height, err := a.blockOf(block)
	if err != nil {
		return err
	}
	switch {
	case path == "-" && a.outTerm:
		return command.Usagef("refusing to write binary headers to the terminal: name a file, or redirect standard output")
	case path != "-":
		if err := mayWrite(path, o.force); err != nil {
			return err
		}
	}
	_, params, err := a.network()
	if err != nil {
		return err
	}
	w, trust, err := a.makeWindow(ctx, height, params, o.chainOptions)
	if err != nil {
		return err
	}
	data := w.Encode()
	if path == "-" {
		_, err := printable.Raw(a.out).Write(data)
		return err
	}
	err = writeWhole(path, o.force, headersMode, func(to io.Writer) error {
		_, err := to.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	r := windowResult{File: path, Network: params.Name, Height: height, First: w.First, Last: w.Last(), Bytes: len(data)}
	if trust.Base >= 0 {
		r.Base = &trust.Base
	}
	if trust.Checkpoint >= 0 {
		r.Checkpoint = &trust.Checkpoint
	} else {
		r.LeastDifficulty = headers.Difficulty(trust.Least)
	}
	if a.json {
		return a.printJSON(&r, false)
	}
	a.say("Wrote the headers of blocks %s to %s of %s to %s (%s). They verify proofs of block %s by %s.\n",
		humanize.Count(r.First), humanize.Count(r.Last), r.Network, path, humanize.Bytes(int64(r.Bytes)), humanize.Count(height), r.by(trust))
	return nil
}

// by says what a verdict will rest upon.
func (r *windowResult) by(t headers.Trust) string {
	if r.Checkpoint != nil {
		return fmt.Sprintf("block %s, which is known to this program", humanize.Count(t.Checkpoint))
	}
	return fmt.Sprintf("the work of %s", humanize.Plural(t.Blocks, "block", "blocks"))
}

// blockOf returns the height of the block that an argument means: a height, or a proof.
func (a *app) blockOf(arg string) (uint64, error) {
	if height, err := strconv.ParseUint(arg, 10, 64); err == nil {
		if height > proof.MaxHeight {
			return 0, command.Usagef("block %s: no block can be that high", arg)
		}
		return height, nil
	}
	if !hasProofSuffix(arg) {
		return 0, command.Usagef("%q: name a block by its height, or by a proof (FILE.ots)", humanize.Clip(arg))
	}
	f, _, err := readProof(arg)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", shown(arg), plainError(err))
	}
	lowest, found := uint64(proof.MaxHeight+1), false
	for _, at := range f.Attestations() {
		if height, ok := at.Height(); ok && at.Kind() == proof.KindBitcoin && height < lowest {
			lowest, found = height, true
		}
	}
	if !found {
		return 0, command.Exit(exitPending, fmt.Errorf(`%s: the proof names no Bitcoin block yet: "ancre upgrade" completes it`, shown(arg)))
	}
	return lowest, nil
}

// makeWindow reads the headers for a window about the block at height, checks them, and says what a
// verdict will rest upon.
func (a *app) makeWindow(ctx context.Context, height uint64, params *chaincfg.Params, o chainOptions) (_ *headers.CheckedWindow, t headers.Trust, err error) {
	chain, err := a.openChain(ctx, params, o)
	if err != nil {
		return nil, t, err
	}
	defer func() { err = errors.Join(err, chain.close()) }()
	tip, err := chain.tip(ctx)
	if err != nil {
		return nil, t, err
	}
	if height > uint64(tip) {
		return nil, t, command.Exit(exitPending, fmt.Errorf("block %s is not there yet: %s is at block %s", humanize.Count(height), chain.name, humanize.Count(tip)))
	}
	network := headers.NetworkOf(params)
	first, last := network.Span(int64(height), tip)
	raw, err := chain.read(ctx, first, int(last-first+1))
	if err != nil {
		return nil, t, err
	}
	w := &headers.Window{Genesis: network.Genesis, First: first, Raw: raw}
	checked, err := w.Check(network, time.Now())
	if err != nil {
		return nil, t, fmt.Errorf("the headers of %s cannot be used: %w", chain.name, err)
	}
	t, err = checked.Judge(height)
	switch {
	case errors.Is(err, headers.ErrFewBlocks):
		return nil, t, command.Exit(exitPending, fmt.Errorf("nothing was written: %w: try again later", err))
	case errors.Is(err, headers.ErrLittleWork):
		return nil, t, command.Exit(exitUnverifiable, fmt.Errorf("nothing was written: %w: use a newer version of ancre, or a file of all headers (\"ancre headers export\")", err))
	}
	return checked, t, err
}
