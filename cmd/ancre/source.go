package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ancre/config"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"
	"ancre/spv"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/pflag"
)

// source is where the block headers come from that proofs are verified against: one for each run,
// and each says of itself what whoever believes its answers trusts. Its methods may be called from
// several goroutines at once.
type source struct {
	proof.HeaderSource

	// kind is the source's name for scripts: daemon, spv, node or file. from is where that is: an
	// address, or a file's name.
	kind, from string

	// trusted is what stands behind an answer, in words that end the sentence "valid, existed
	// before Bitcoin block N, …".
	trusted string

	// caution is what a person should know who relies on that, in a sentence.
	caution string

	// tip returns the height of the newest block.
	tip func(context.Context) (int64, error)

	// lacks says why the source has no block of that height although there may be one, and what to
	// do about it. Both may be empty, and lacks may be nil.
	lacks func(ctx context.Context, height uint64) (why, needed string)

	// madeAtWill is set on networks of developers, on which any number of blocks may be made at any
	// time.
	madeAtWill bool

	// daemon is set when the source is the daemon, which also knows of pending digests.
	daemon *rpc.Client

	// close lets go of what the source holds. It may be nil.
	close func() error

	mu      sync.Mutex // guards what follows
	newest  int64      // what tip returned last; 0: it was not asked
	tipTime time.Time  // of the newest block, when mayExist looked; zero: it did not
	down    error      // why the source could not be asked: it is not asked again for each file
}

var _ proof.HeaderSource = (*source)(nil)

// Header implements [proof.HeaderSource]. It tells a block that may exist from one that cannot be
// there yet, and gives the same answer to all questions once the source has failed.
func (s *source) Header(ctx context.Context, height uint64) (proof.Header, error) {
	if err := s.failed(); err != nil {
		return proof.Header{}, err
	}
	h, err := s.HeaderSource.Header(ctx, height)
	if errors.Is(err, proof.ErrNoHeader) && !s.mayExist(ctx, height) {
		return h, fmt.Errorf("%w: %d", proof.ErrTooHigh, height)
	}
	return h, s.note(ctx, err)
}

// mayExist reports whether there may be a block of that height by now, which the source has not.
func (s *source) mayExist(ctx context.Context, height uint64) bool {
	if s.madeAtWill {
		return true
	}
	_, tip, err := s.onTop(ctx, 0)
	if err != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tipTime.IsZero() {
		h, err := s.HeaderSource.Header(ctx, uint64(tip))
		if err != nil {
			return true
		}
		s.tipTime = h.Time
	}
	return proof.MayExist(height, uint64(tip), s.tipTime, time.Now())
}

// failed returns why the source cannot be asked, if it is known that it cannot.
func (s *source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// note keeps an error that the next question would meet as well.
func (s *source) note(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, proof.ErrNoHeader) || !isFatal(callError(err)) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
	return err
}

// setDown says why the source cannot be asked, or with nil that it is worth another try.
func (s *source) setDown(ctx context.Context, down error) {
	s.mu.Lock()
	s.down = nil
	s.mu.Unlock()
	_ = s.note(ctx, down)
}

// forReceipts is the source for receipts: it finds transactions too, where the source can.
func (s *source) forReceipts() proof.HeaderSource {
	if txs, ok := s.HeaderSource.(receipt.TxSource); ok {
		return txSource{s, txs}
	}
	return s
}

// txSource is a source that finds transactions.
type txSource struct {
	*source
	txs receipt.TxSource
}

// Transaction implements [receipt.TxSource].
func (s txSource) Transaction(ctx context.Context, txid [32]byte) (receipt.Tx, error) {
	if err := s.failed(); err != nil {
		return receipt.Tx{}, err
	}
	tx, err := s.txs.Transaction(ctx, txid)
	if errors.Is(err, receipt.ErrNoTx) || errors.Is(err, receipt.ErrUnmined) {
		return tx, err
	}
	if err != nil {
		err = transactionError{s.note(ctx, err)}
	}
	return tx, err
}

// transactionError says that a source could not tell of a transaction.
type transactionError struct{ error }

func (e transactionError) Unwrap() error { return e.error }

// trustTold is what --json tells of the source of a valid answer.
type trustTold struct {
	Source  string `json:"source"`         // daemon, spv, node or file
	From    string `json:"from,omitempty"` // its address, or the file
	Tip     int64  `json:"tip"`            // the height of its newest block
	Trusted string `json:"trusted"`        // the same as a person is told
}

// fewOnTop is how many blocks of work a block should have on top, before nobody needs to think of
// reorganisations: those that make, with its own, the six confirmations that the daemon waits for
// unless configured.
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

// check refuses more than one source. The daemon is named by --rpc, and wanted when nothing else
// is.
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

// otherSources are what a person may name when a source cannot answer.
const otherSources = `use --spv (Bitcoin's own peers), --headers FILE (a file, offline) or --node URL (a bitcoind)`

// brokenSource is a source that could not be opened. It answers every question with the reason, so
// that what needs no header is told all the same.
func brokenSource(kind string, err error) *source {
	return &source{kind: kind, down: err}
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

// vouch makes r valid: what it is about existed before the block with header h, which the source
// gave. A reason that is there stays: it tells what the file lacks all the same.
func (s *source) vouch(ctx context.Context, h proof.Header, r *fileResult) error {
	onTop, tip, err := s.onTop(ctx, int64(h.Height))
	if err != nil {
		return err
	}
	slices.Reverse(h.Hash[:]) // as it is displayed
	when := h.Time.UTC()
	r.Result, r.Complete, r.Height, r.BlockHash, r.BlockTime = valid, !r.blockless, h.Height, hex.EncodeToString(h.Hash[:]), &when
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
		humanize.Count(r.Height), humanize.Time(*r.BlockTime), humanize.Plural(r.Confirmations-1, "block", "blocks"), r.Headers.Trusted)
}

// locate says where the digest of a pending proof is, if the source is a daemon that knows it, or
// knows what a calendar promised in it. The proof is pending all the same.
func (s *source) locate(ctx context.Context, f *proof.File, r *fileResult) {
	if s.daemon == nil {
		return
	}
	asked := commitments(f, nil)
	if f.HashOp == proof.SHA256 {
		asked = slices.Insert(asked, 0, [32]byte(f.Digest))
	}
	for _, by := range asked {
		e, err := s.daemon.Status(ctx, by)
		if rpc.HasCode(err, rpc.CodeNotFound) {
			continue
		}
		if err == nil {
			r.at(e)
			r.Reason = whereabouts(e)
			if e.State == stateFinal {
				r.Reason += "; \"ancre upgrade\" completes the proof"
			}
		}
		return
	}
}

// unanswered says of r that the source could not answer.
func (s *source) unanswered(r *fileResult, err error) {
	r.unverifiable(err.Error(), "block headers from a source that answers: "+otherSources)
	r.unanswered = true
}

// missing says of r that the block at height is not here. Nothing else is wrong with the proof.
func (s *source) missing(ctx context.Context, height uint64, reason, needed string, r *fileResult) {
	if s.lacks != nil {
		why, do := s.lacks(ctx, height)
		if why != "" {
			reason += "; " + why
		}
		if do != "" {
			needed += ": " + do
		}
	}
	r.unverifiable(reason, needed)
}

// daemonSource is the daemon that the flags and the configuration name: the default. It is asked
// for nothing yet.
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
		madeAtWill:   a.madeAtWill(),
		lacks: func(ctx context.Context, _ uint64) (why, needed string) {
			info, err := client.Info(ctx)
			switch {
			case err != nil:
				return "", otherSources
			case !info.Chain.Synced:
				return fmt.Sprintf("the daemon is still syncing (block %s of %s)", humanize.Count(info.Chain.Height), humanize.Count(info.Chain.TargetHeight)), "wait for the daemon, or " + otherSources
			}
			return fmt.Sprintf("the daemon's newest block is %s", humanize.Count(info.Chain.Height)), otherSources
		},
	}, nil
}

// madeAtWill reports whether the network is one on which developers make blocks at will.
func (a *app) madeAtWill() bool {
	_, params, err := a.network()
	return err == nil && params.GenerateSupported
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
