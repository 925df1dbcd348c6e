package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"ancre/config"
	"ancre/proof"
	"ancre/rpc"
	"ancre/spv"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/pflag"
)

// source is where the block headers come from that proofs are verified against: one for each run, and each says of itself what whoever
// believes its answers trusts. Its methods may be called from several goroutines at once.
type source struct {
	proof.HeaderSource

	// kind is the source's name for scripts: daemon, spv, node or file. from is where that is: an address, or a file's name.
	kind, from string

	// trusted is what stands behind an answer, in words that end the sentence "valid, existed before Bitcoin block N, …".
	trusted string

	// caution is what a person should know who relies on that, in a sentence.
	caution string

	// tip returns the height of the newest block.
	tip func(context.Context) (int64, error)

	// behind says in words why the source may lack the block of that height though there is one, or nothing. It may be nil.
	behind func(ctx context.Context, height uint64) string

	// daemon is set when the source is the daemon, which also knows of pending digests.
	daemon *rpc.Client

	// close lets go of what the source holds. It may be nil.
	close func() error

	mu     sync.Mutex
	newest int64 // what tip returned last; 0: it was not asked
}

// trustTold is what --json tells of the source of a valid answer.
type trustTold struct {
	Source  string `json:"source"`         // daemon, spv, node or file
	From    string `json:"from,omitempty"` // its address, or the file
	Tip     int64  `json:"tip"`            // the height of its newest block
	Trusted string `json:"trusted"`        // the same as a person is told
}

// fewOnTop is how many blocks of work a block should have on top, before nobody needs to think of reorganisations: those that make, with its own, the
// six confirmations that the daemon waits for unless configured.
const fewOnTop = 5

// sourceOptions are the flags that choose the source. None of them: the daemon.
type sourceOptions struct {
	spv     bool
	node    string
	headers string

	given func(name string) bool // whether a flag was
}

func (o *sourceOptions) addTo(f *pflag.FlagSet) {
	o.given = f.Changed
	f.BoolVar(&o.spv, "spv", false, "verify with a light client of its own: no daemon is needed, only Bitcoin's peers")
	f.StringVar(&o.headers, "headers", "", "verify offline, against the block headers in `FILE`, which \"ancre headers export\" makes")
	f.StringVar(&o.node, "node", "", "verify against the block headers of the bitcoind at `URL`, without user and password")
}

// check refuses more than one source. The daemon is named by --rpc, and wanted when nothing else is.
func (o *sourceOptions) check(a *app) error {
	var named []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"--spv", o.spv}, {"--node", o.node != ""}, {"--headers", o.headers != ""}, {"--rpc", a.rpcURL != ""}} {
		if f.set {
			named = append(named, f.name)
		}
	}
	// Without a value the daemon would be asked, which nobody meant.
	for name, value := range map[string]string{"node": o.node, "headers": o.headers} {
		if o.given(name) && value == "" {
			return fmt.Errorf("--%s has no value: name where the block headers are, or leave it out", name)
		}
	}
	if len(named) > 1 {
		return fmt.Errorf("%s and %s exclude each other: each says where the block headers come from", named[0], named[1])
	}
	if (o.spv || o.headers != "") && (a.rpcUser != "" || a.rpcCookie != "") {
		return fmt.Errorf("--rpc-user and --rpc-cookie are for --rpc and --node: %s asks nobody that wants credentials", named[0])
	}
	return nil
}

// openSource makes the source that the flags name ready to answer. Whoever opens it ends with done.
func (a *app) openSource(ctx context.Context, o sourceOptions) (*source, error) {
	src, err := a.namedSource(ctx, o)
	if err != nil {
		return nil, err
	}
	if cfg, err := a.configuration(); err == nil && cfg.Network != config.Default().Network {
		src.caution += " " + cfg.Network + " is a test network, and proves nothing outside of tests."
	}
	return src, nil
}

func (a *app) namedSource(ctx context.Context, o sourceOptions) (*source, error) {
	switch {
	case o.spv:
		return a.spvSource(ctx)
	case o.headers != "":
		return a.fileSource(ctx, o.headers)
	case o.node != "":
		return a.nodeSource(ctx, o.node)
	}
	return a.daemonSource(ctx)
}

// done lets go of what the source holds.
func (s *source) done() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// onTop returns how many blocks are on top of the one at height.
func (s *source) onTop(ctx context.Context, height int64) (onTop, tip int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == 0 || s.newest < height { // it came while we were verifying
		if s.newest, err = s.tip(ctx); err != nil {
			return 0, 0, callError(err)
		}
	}
	return max(s.newest-height, 0), s.newest, nil
}

// vouch makes r valid: what it is about existed before the block with header h, which the source gave. A reason that is there stays: it tells
// what the file lacks all the same.
func (s *source) vouch(ctx context.Context, h proof.Header, r *fileResult) error {
	onTop, tip, err := s.onTop(ctx, int64(h.Height))
	if err != nil {
		return err
	}
	slices.Reverse(h.Hash[:]) // as it is displayed
	when := h.Time.UTC()
	r.Result, r.Complete, r.Height, r.BlockHash, r.BlockTime = valid, !r.blockless, int64(h.Height), hex.EncodeToString(h.Hash[:]), &when
	r.Confirmations = int32(onTop + 1)
	r.Headers = &trustTold{Source: s.kind, From: s.from, Tip: tip, Trusted: s.trusted}
	if onTop < fewOnTop {
		if r.Reason != "" {
			r.Reason += "; "
		}
		r.Reason += fmt.Sprintf("few blocks are on top, so a reorganisation could still undo it: verify again when there are %d", fewOnTop)
	}
	return nil
}

// block is the block that a valid result names, and what stands behind it.
func (r *fileResult) block() string {
	return fmt.Sprintf("Bitcoin block %s, mined about %s, %s of work on top, %s",
		count(r.Height), clock(*r.BlockTime), plural(r.Confirmations-1, "block", "blocks"), r.Headers.Trusted)
}

// locate says where a pending digest stands, if the source is a daemon that knows it. It is pending all the same.
func (s *source) locate(ctx context.Context, digest [32]byte, r *fileResult) {
	if s.daemon == nil {
		return
	}
	if e, err := s.daemon.Status(ctx, digest); err == nil {
		r.at(e)
		r.Reason = whereabouts(e)
		if e.State == stateFinal {
			r.Reason += "; \"ancre upgrade\" completes the proof"
		}
	}
}

// doubt makes an invalid proof a pending one when nothing is wrong with it but that its block is not here yet.
func (s *source) doubt(ctx context.Context, result proof.Result, r *fileResult) {
	ahead, lowest := false, uint64(0) // the lowest of the blocks that are not here; 0: it is not known
	for _, c := range result.Checks {
		if c.Outcome == proof.OutcomeInvalid {
			return
		}
		if c.Outcome == proof.OutcomeNoBlock {
			height, _ := c.Height()
			if !ahead || height < lowest {
				lowest = height
			}
			ahead = true
		}
	}
	if !ahead || s.behind == nil {
		return
	}
	if why := s.behind(ctx, lowest); why != "" {
		r.Result = pending
		r.Reason += "; " + why
	}
}

// daemonSource is the daemon that the flags and the configuration name: the default. It is asked for nothing yet.
func (a *app) daemonSource(ctx context.Context) (*source, error) {
	client, err := a.daemon(ctx)
	if err != nil {
		return nil, err
	}
	return &source{
		HeaderSource: client,
		kind:         "daemon",
		from:         client.URL(),
		trusted:      "headers checked by the daemon at " + client.URL(),
		caution:      "Whoever runs that daemon is trusted to have the true chain.",
		tip:          tipOf(client),
		daemon:       client,
		behind: func(ctx context.Context, _ uint64) string {
			info, err := client.Info(ctx)
			if err != nil || info.Chain.Synced {
				return ""
			}
			return fmt.Sprintf("the daemon is still syncing (block %s of %s)", count(info.Chain.Height), count(info.Chain.TargetHeight))
		},
	}, nil
}

// tipOf returns the height of a node's newest block.
func tipOf(client *rpc.Client) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		height, err := client.BlockCount(ctx)
		return int64(height), err
	}
}

// network returns the configuration, and the rules of the network that it names.
func (a *app) network() (config.Config, *chaincfg.Params, error) {
	cfg, err := a.configuration()
	if err != nil {
		return cfg, nil, err
	}
	params, err := spv.Params(cfg.Network)
	return cfg, params, err
}
