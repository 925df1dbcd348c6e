package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"ancre/headers"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/printable"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/cobra"
)

// headersMode is before the umask: what is in every block explorer is no secret.
const headersMode = 0o644

func (a *app) headersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "headers",
		Short: "Export Bitcoin's block headers, to verify proofs offline",
		Args:  cobra.ArbitraryArgs,
		RunE:  command.NeedVerb,
	}
	cmd.AddCommand(a.headersExportCommand(), a.headersWindowCommand(), a.headersCheckpointsCommand())
	return cmd
}

func (a *app) headersExportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write all block headers to a file",
		Long: `Write the headers of all blocks to FILE, for "ancre verify --headers FILE" on a machine without a network. They are
the daemon's, or with --spv those of a light client of this program's own. "-" is standard output.

FILE holds the plain headers, 80 bytes each from the first block on, and a checksum (SHA-256, 32 bytes) at the end. Each header is
checked while it is written: links, proof of work, difficulty, times. FILE is there whole or not at all. It takes 80 bytes a
block, some 75 MB for mainnet, and verifies proofs of all blocks that it reaches, for ever: keep it with them.`,
		Example: "  ancre headers export bitcoin.headers\n  ancre headers export --spv --force bitcoin.headers\n  ancre verify --headers bitcoin.headers report.pdf.ots",
		Args: func(cmd *cobra.Command, args []string) error {
			if o.spv && (a.rpcURL != "" || a.rpcUser != "" || a.rpcCookie != "") {
				return errors.New("--spv asks no daemon: leave out --rpc, --rpc-user and --rpc-cookie")
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.exportHeaders(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.spv, "spv", false, "take them from Bitcoin's peers with the built-in light client, which needs no daemon")
	f.BoolVar(&o.force, "force", false, "replace FILE if it is there")
	a.addQuiet(f)
	return cmd
}

type exportOptions struct{ spv, force bool }

// exportResult is what is told of an export with --json.
type exportResult struct {
	File      string    `json:"file"`
	FileBytes string    `json:"file_bytes,omitempty"` // the exact name in base64, when it is no UTF-8
	Network   string    `json:"network"`
	Height    int64     `json:"height"` // of the newest header
	BlockHash string    `json:"blockhash"`
	BlockTime time.Time `json:"blocktime"`
	Bytes     int64     `json:"bytes"`
}

func (r *exportResult) fillNames() { fillName(&r.File, &r.FileBytes) }

func (a *app) exportHeaders(ctx context.Context, path string, o exportOptions) error {
	if path == "-" {
		if a.outTerm {
			return command.Usagef("refusing to write binary headers to the terminal: name a file, or redirect standard output")
		}
		_, err := a.copyHeaders(ctx, printable.Raw(a.out), o)
		return err
	}
	if err := mayWrite(path, o.force); err != nil { // before anybody is asked for megabytes
		return err
	}
	var chain *headers.Chain
	err := writeWhole(path, o.force, headersMode, func(w io.Writer) (err error) {
		chain, err = a.copyHeaders(ctx, w, o)
		return err
	})
	if err != nil {
		return err
	}
	_, params, err := a.network()
	if err != nil {
		return err
	}
	hash := chain.Hash()
	slices.Reverse(hash[:]) // as it is displayed
	r := exportResult{
		File: path, Network: params.Name, Height: chain.Height(), BlockHash: hex.EncodeToString(hash[:]), BlockTime: chain.Time(),
		Bytes: headers.FileSize(chain.Height()),
	}
	if a.json {
		return a.printJSON(&r, false)
	}
	a.say("Exported the headers of %s up to block %s of %s to %s (%s).\n", r.Network, humanize.Count(r.Height), humanize.Time(r.BlockTime), path, humanize.Bytes(r.Bytes))
	return nil
}

// copyHeaders writes a file of headers to w, each checked.
func (a *app) copyHeaders(ctx context.Context, w io.Writer, o exportOptions) (*headers.Chain, error) {
	_, params, err := a.network()
	if err != nil {
		return nil, err
	}
	if o.spv {
		return a.copyOwnHeaders(ctx, w, params)
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return nil, err
	}
	height, err := client.BlockCount(ctx)
	if err != nil {
		return nil, err
	}
	var body io.ReadCloser
	err = patiently(ctx, func() error { // others may be ending
		body, err = client.Headers(ctx)
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	progress := a.startProgress("Exporting block headers", int64(height)+1, false)
	defer progress.Finish()
	chain, err := headers.Copy(ctx, w, body, params, time.Now(), progress.SetDone)
	switch {
	case errors.Is(err, headers.ErrOtherNetwork):
		return nil, fmt.Errorf("the headers of the daemon at %s: %w: name its network with --network", client.URL(), err)
	case errors.Is(err, headers.ErrLittleWork):
		return nil, fmt.Errorf("%w; the daemon may be syncing still: see \"ancre status\"", err)
	}
	return chain, err
}

func (a *app) copyOwnHeaders(ctx context.Context, w io.Writer, params *chaincfg.Params) (_ *headers.Chain, err error) {
	cfg, err := a.configuration()
	if err != nil {
		return nil, err
	}
	src, err := a.openLightClient(ctx, cfg, params)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if behind := src.Behind(); behind != nil {
		return nil, fmt.Errorf("the headers are not up to date: %w", behind)
	}
	raw := src.Raw()
	progress := a.startProgress("Exporting block headers", raw.Size()/headers.Size, false)
	defer progress.Finish()
	return headers.Copy(ctx, w, raw, params, time.Now(), progress.SetDone)
}
