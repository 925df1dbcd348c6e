package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// CompleterConfig says who is asked to complete proofs.
type CompleterConfig struct {
	Daemon    Daemon     // asked first, for all proofs; nil: calendars are asked alone
	Calendars *Calendars // asked for what the daemon does not have; nil: the daemon is asked alone

	// Headers are compared with the blocks that calendars name. If they do not answer, or are nil,
	// nothing is compared. They come from the daemon: if it fails, they are not asked.
	Headers Source
	Params  *chaincfg.Params // of the network of Headers; nil means mainnet
}

// Completer completes pending proofs. It remembers that the daemon failed, so make a new Completer
// for each run, or call [Completer.Retry]. It is safe for concurrent use.
type Completer struct {
	daemon    Daemon
	calendars *Calendars
	headers   *cachedSource // nil: none

	mu   sync.Mutex // guards what follows
	down error      // why the daemon could not be asked: it is not asked again for each proof
}

// NewCompleter returns a completer. It sends nothing yet.
func NewCompleter(cfg CompleterConfig) *Completer {
	c := &Completer{daemon: cfg.Daemon, calendars: cfg.Calendars}
	if cfg.Headers != nil {
		c.headers = newCachedSource(cfg.Headers, cfg.Params)
	}
	return c
}

// Completion is the result of completing a proof. If it is neither Complete nor Waits, no one could
// say when the proof will be complete.
type Completion struct {
	// File is the proof with everything that was added, and without the promises that were kept.
	File *proof.File

	Complete bool // File names a Bitcoin block, which may be unverified: see Block
	Waits    bool // the daemon or a calendar has a promise to keep

	// Entry is where the daemon has the digest, if DaemonErr is nil. By is how the daemon knows it:
	// by the digest, or by what its calendar promised.
	Entry rpc.Entry
	By    [32]byte

	DaemonErr  error // why nothing came of the daemon; nil when it knows the digest
	DaemonDown bool  // DaemonErr concerns all proofs: the daemon could not be asked

	Answers []Answer // of the calendars, as far as they were asked
}

// Complete adds to a proof what the daemon has, and if that does not complete it, what calendars
// have. It does not change f. It returns an error if ctx has ended, or if the merged proof cannot
// be written.
func (c *Completer) Complete(ctx context.Context, f *proof.File) (Completion, error) {
	// A block that the proof names itself is not verified here. A calendar may have lied, and
	// another one has the truth.
	named := f.IsComplete()
	var done Completion
	f, answered := c.addFromDaemon(ctx, f, &done)
	if named || !f.IsComplete() {
		var headers proof.HeaderSource
		if c.headers != nil {
			c.headers.setFailure(ctx, c.DaemonFailure())
			headers = c.headers
		}
		f, done.Answers = c.calendars.follow(ctx, f, answered, headers)
	}
	if err := ctx.Err(); err != nil {
		return done, err
	}
	var err error
	if done.File, err = DropFulfilled(f); err != nil {
		return done, err
	}
	done.Complete = done.File.IsComplete()
	done.Waits = !done.Complete && (done.DaemonErr == nil || slices.ContainsFunc(done.Answers, func(a Answer) bool { return a.Result == AnswerPending }))
	return done, nil
}

// addFromDaemon returns the proof with what the daemon has, and the promises that the daemon
// answered for.
func (c *Completer) addFromDaemon(ctx context.Context, f *proof.File, done *Completion) (more *proof.File, answered map[promise]bool) {
	answered = make(map[promise]bool)
	if c.daemon == nil {
		done.DaemonErr = errors.New("no daemon was asked")
		return f, answered
	}
	if done.DaemonErr = c.DaemonFailure(); done.DaemonErr != nil {
		done.DaemonDown = true
		return f, answered
	}
	known, err := askDaemon(ctx, c.daemon, f, answered)
	switch {
	case errors.Is(err, errUnknown) && f.HashOp != proof.SHA256:
		done.DaemonErr = fmt.Errorf("the proof is about %s, and the daemon knows only SHA-256", f.HashOp)
	case errors.Is(err, errUnknown):
		done.DaemonErr = errors.New("the daemon does not know this digest")
	case err != nil:
		done.DaemonErr, done.DaemonDown = err, !isRefusal(err)
		if done.DaemonDown && ctx.Err() == nil {
			c.mu.Lock()
			c.down = err
			c.mu.Unlock()
		}
	default:
		done.Entry, done.By = known.Entry, known.by
		return known.file, answered
	}
	return f, answered
}

// DaemonFailure returns why the daemon cannot be asked, or nil if it has not failed.
func (c *Completer) DaemonFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down
}

// Retry forgets that the daemon failed: it may be back.
func (c *Completer) Retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = nil
}

// Block returns the lowest block that calendars named, and who named it. If a block was checked,
// only checked ones count. Without an answer of a calendar it is the lowest block that the proof
// names itself.
func (c Completion) Block() (height uint64, by string, checked bool) {
	checked = slices.ContainsFunc(c.Answers, func(a Answer) bool { return a.Checked })
	var uris []string
	for _, a := range c.Answers {
		if a.Result != AnswerComplete || a.Checked != checked || len(uris) > 0 && a.Height > height {
			continue
		}
		if a.Height < height {
			uris = nil
		}
		if height = a.Height; !slices.Contains(uris, humanize.Clip(a.Calendar)) {
			uris = append(uris, humanize.Clip(a.Calendar))
		}
	}
	if len(uris) == 0 {
		return lowestBlock(c.File.Timestamp), "the file", false
	}
	return height, humanize.Few(uris), checked
}
