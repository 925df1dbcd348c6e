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

// CompleterConfig says who is asked for the rest of pending proofs.
type CompleterConfig struct {
	Daemon    Daemon     // asked first, for all proofs
	Calendars *Calendars // asked for what the daemon does not have; nil: the daemon is asked alone

	// Headers are compared with the blocks that calendars name, as far as they answer. nil: nothing
	// is compared. A failure of the daemon counts as theirs.
	Headers Source
	Params  *chaincfg.Params // of the network of Headers; nil means mainnet
}

// Completer completes pending proofs. It remembers that the daemon could not be asked: make one for
// each run, or call [Completer.Retry]. Any number of goroutines may use it at once.
type Completer struct {
	daemon    Daemon
	calendars *Calendars
	headers   *cachedSource // nil: none

	mu   sync.Mutex // guards what follows
	down error      // why the daemon could not be asked: it is not asked again for each proof
}

// NewCompleter returns a completer. It asks nobody yet.
func NewCompleter(cfg CompleterConfig) *Completer {
	c := &Completer{daemon: cfg.Daemon, calendars: cfg.Calendars}
	if cfg.Headers != nil {
		c.headers = newCachedSource(cfg.Headers, cfg.Params)
	}
	return c
}

// Completion is what became of a proof that was to be completed. If it is neither complete nor
// waits, nobody could say when it will be complete.
type Completion struct {
	// File is the proof with what was added, without the promises that were kept.
	File *proof.File

	Complete bool // File names a Bitcoin block, which nobody may have verified: see Block
	Waits    bool // the daemon or a calendar has a promise to keep

	// Entry is where the daemon has the digest, if DaemonErr is nil. By is what the daemon knows it
	// by: the digest, or what its calendar promised.
	Entry rpc.Entry
	By    [32]byte

	DaemonErr  error // why nothing came of the daemon; nil when it knows the digest
	DaemonDown bool  // DaemonErr concerns all proofs: the daemon could not be asked

	Answers []Answer // of the calendars, as far as they were asked
}

// Complete adds to a proof what the daemon knows, and unless that completes it, what calendars know
// that it waits for. f is not changed. An error says that ctx has ended, or that what came together
// is no proof.
func (c *Completer) Complete(ctx context.Context, f *proof.File) (Completion, error) {
	// Nobody verified a block that the proof names itself: a calendar may have lied, and another
	// one has the truth.
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

// addFromDaemon returns the proof with what the daemon knows, and the promises that the daemon
// itself answered for.
func (c *Completer) addFromDaemon(ctx context.Context, f *proof.File, done *Completion) (more *proof.File, answered map[promise]bool) {
	answered = make(map[promise]bool)
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

// DaemonFailure returns why the daemon cannot be asked, if it failed to answer.
func (c *Completer) DaemonFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down
}

// Retry forgets that the daemon failed: it may be there again.
func (c *Completer) Retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = nil
}

// Block is the lowest block that calendars named, of those that were checked if one was, and who
// named it. Without an answer of a calendar it is the lowest one that the proof names itself.
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
