package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/proof"
	"ancre/rpc"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/cobra"
)

// askers is how many proofs are verified or completed at once.
const askers = 8

type upgradeOptions struct {
	recursive bool
	wait      bool
	calendars calendarOptions
}

func (a *app) upgradeCommand() *cobra.Command {
	var o upgradeOptions
	cmd := &cobra.Command{
		Use:   "upgrade FILE.ots…",
		Short: "Complete pending proofs, once Bitcoin has confirmed them",
		Long: `Complete each FILE.ots. ancre asks the daemon first, if it runs, and then the calendars that the proof waits for. It keeps
everything else that the proof holds. It keeps the old file as FILE.ots.bak, unless that exists. FILE means FILE.ots if that
exists.

A proof may come from a stranger and name any address. ancre contacts only OpenTimestamps' public calendars, your own
(calendar.uri in the configuration), and those you allow with --calendar. URL is https://HOST, with :PORT if needed; http:// is
for this machine only. All connections go through spv.proxy, if that is set.

The daemon knows a proof by the hash, and by what each calendar promised. So it also completes proofs that other clients stamped
at its calendar. If the daemon runs, it checks the blocks that calendars name, and ancre refuses a false one. Without a daemon the
answer says "not checked", and "ancre verify" checks the block.

The exit status is 3 while a proof is pending, even if no answer says when it will be complete. It is 4 if a proof cannot be completed
here, and 1 if a file cannot be read or written. "-" reads a proof from standard input and writes it to standard output, complete
or not.`,
		Example: `  ancre upgrade report.pdf.ots
  ancre upgrade --calendar https://ots.example.org contract.pdf.ots
  ancre upgrade -r /srv/documents
  ancre stamp report.pdf && ancre upgrade --wait report.pdf.ots`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("upgrade what? Name proofs (FILE.ots)")
			}
			if countOf(args, "-") > 1 {
				return errors.New("standard input can be read only once")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.upgrade(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "upgrade all FILE.ots in directories, and in those below")
	f.BoolVarP(&o.wait, "wait", "w", false, "wait until the proofs are complete")
	a.addQuiet(f)
	o.calendars.addTo(f)
	return cmd
}

func (a *app) upgrade(ctx context.Context, args []string, o upgradeOptions) error {
	if slices.Contains(args, "-") && a.outTerm && !a.json {
		return command.Usagef("refusing to write a binary proof to the terminal: redirect standard output")
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	calendars, closeCalendars, err := a.openCalendars(o.calendars)
	if err != nil {
		return err
	}
	defer closeCalendars()
	_, params, err := a.network()
	if err != nil {
		return err
	}
	bar := a.startProgress("upgrading proofs", 0, false)
	defer bar.Finish()

	u := newUpgrader(a, client, calendars, params)
	exit, silent := exitDone, 0
	var counts tally
	var waiting []*waiter
	results := inOrder(ctx, askers, walker{recursive: o.recursive, want: hasProofSuffix}.files(args), u.one)
	for w := range results {
		bar.AddFile()
		if err := ctx.Err(); err != nil {
			return err // the interrupt may be why it failed
		}
		if w.Result == pending && w.silent {
			silent++
		}
		if o.wait && w.Result == pending && !w.silent {
			waiting = append(waiting, w)
			continue
		}
		counts.add(&w.fileResult, w.counted())
		bar.Above(func() { exit = worse(exit, u.print(w)) })
	}
	bar.Finish()
	if err := ctx.Err(); err != nil {
		return err
	}
	if counts.results == nil && len(waiting) == 0 {
		a.note("Nothing was upgraded: there is no proof (FILE.ots) there.")
	}
	if err := u.missed(); err != nil {
		a.complain("%v", err)
	} else if silent > 0 && a.quiet {
		a.complain("nobody can say when %s will be complete: the same command without -q says why", humanize.Plural(silent, "proof", "proofs"))
	}
	exit = worse(exit, u.completeAll(ctx, waiting))
	if o.recursive {
		for _, w := range waiting {
			counts.add(&w.fileResult, w.counted())
		}
		a.summary(&counts, []outcome{completed, already, pending, unverifiable, failed}, map[outcome]string{already: "complete before", unverifiable: "that cannot be completed here"})
	}
	return command.Finish(exit)
}

// counted is what a tally counts the result as.
func (w *waiter) counted() outcome {
	switch {
	case w.Result == complete && w.before:
		return already
	case w.Result == complete:
		return completed
	}
	return w.Result
}

// waiter is a proof that is to be completed.
type waiter struct {
	fileResult
	file   *proof.File
	last   verify.Completion // what was answered last
	digest [32]byte          // by which the daemon knows it: the digest, or what its calendar promised
	where  string            // where the daemon has the digest, in words
	before bool              // it was complete before
	errors []string          // of calendars that failed, when others did not
	silent bool              // no one could say when it will be complete: --wait does not wait for it
}

// upgrader completes the proofs of files.
type upgrader struct {
	*app
	daemon    *rpc.Client
	completer *verify.Completer
	alone     bool // the daemon is asked alone

	every, seldom time.Duration // between rounds of calendars, at first and in the end

	mu     sync.Mutex // guards what follows
	needed bool       // a proof failed, and the daemon might have had it
}

// newUpgrader returns an upgrader that asks the daemon, and calendars unless they are nil. It
// compares the blocks that calendars name with the daemon's headers, of the network of params.
func newUpgrader(a *app, daemon *rpc.Client, calendars *verify.Calendars, params *chaincfg.Params) *upgrader {
	c := verify.CompleterConfig{Daemon: daemon, Calendars: calendars, Params: params}
	if calendars != nil {
		c.Headers = verify.DaemonSource{Client: daemon}
	}
	return &upgrader{app: a, daemon: daemon, completer: verify.NewCompleter(c), alone: calendars == nil, every: calendarsEvery, seldom: calendarsSeldom}
}

// missed returns why the daemon could not be asked, if a proof needed it.
func (u *upgrader) missed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.needed {
		return nil
	}
	return u.completer.DaemonFailure()
}

// one completes one proof, if that is possible now.
func (u *upgrader) one(ctx context.Context, t target) *waiter {
	w := &waiter{}
	if t.left != "" {
		w.leaveOut(t)
		return w
	}
	w.ProofFile = t.path
	err := u.target(ctx, t, w)
	var unanswered unansweredError
	switch {
	case err == nil:
	case errors.As(err, &unanswered) && verify.IsPending(w.file):
		w.Result, w.Reason, w.silent = pending, err.Error(), true
	case errors.As(err, &unanswered):
		w.unverifiable(err.Error(), newerProgram)
	case t.tree.isDocument(w.ProofFile):
		w.leaveOutDocument()
	default:
		w.setError(err)
	}
	return w
}

func (u *upgrader) target(ctx context.Context, t target, w *waiter) error {
	if t.path == "-" {
		var err error
		if w.file, _, err = parseProof(u.in); err != nil {
			return err
		}
		return u.advance(ctx, w)
	}
	w.ProofFile, w.tree = proofPath(t.path), t.tree
	if t.err != nil && w.ProofFile == t.path {
		return t.err
	}
	return u.upgradeFile(ctx, w)
}

// upgradeFile replaces w.ProofFile with the complete proof, if there is one.
func (u *upgrader) upgradeFile(ctx context.Context, w *waiter) error {
	f, before, err := w.tree.readProof(w.ProofFile)
	if err != nil {
		return plainError(err)
	}
	w.file = f
	var was []byte // the proof, if it was complete, without the promises that were kept
	if f.IsComplete() {
		if w.file, err = verify.DropFulfilled(f); err != nil {
			return err
		}
		if was, err = w.file.Marshal(); err != nil {
			return err
		}
		if !verify.IsPending(w.file) {
			w.wasComplete()
			return nil
		}
	}
	if err := u.advance(ctx, w); err != nil || !w.Complete {
		return err
	}
	after, err := w.file.Marshal()
	if err != nil {
		return err
	}
	if bytes.Equal(after, was) {
		w.wasComplete()
		return nil
	}
	return replaceProof(w.tree, w.ProofFile, before, after, "the file was changed while its proof was being completed: upgrade it again")
}

// replaceProof replaces the proof that was read, and keeps it as FILE.ots.bak unless that exists.
// Calendars may have taken minutes to answer. If the file changed meanwhile, it stays, and the
// error is changed: it may hold more than what was read.
func replaceProof(t *tree, path string, before, after []byte, changed string) error {
	err := t.replace(path, before, after, true)
	var notKept *backupError
	switch {
	case errors.Is(err, atomicfile.ErrChanged), errors.Is(err, fs.ErrNotExist):
		return errors.New(changed)
	case errors.As(err, &notKept):
		return notKept
	case err != nil:
		return fmt.Errorf("the new proof cannot be written: %w", plainError(err))
	}
	return nil
}

// wasComplete says that there was nothing to add.
func (w *waiter) wasComplete() {
	w.before = true
	w.about(w.file.HashOp, w.file.Digest)
	w.Result, w.Complete, w.Reason, w.errors = complete, true, "was complete already", nil
}

// advance adds to w.file what the daemon and calendars have. An unansweredError means that neither
// could say when the proof will be complete.
func (u *upgrader) advance(ctx context.Context, w *waiter) error {
	w.about(w.file.HashOp, w.file.Digest)
	done, err := u.completer.Complete(ctx, w.file)
	if err != nil {
		return err
	}
	w.file, w.last, w.Calendars, w.errors = done.File, done, done.Answers, nil
	if done.DaemonErr == nil {
		w.at(done.Entry)
		w.digest, w.where = done.By, verify.StatusText(done.Entry)
	}
	switch {
	case done.Complete:
		w.Result, w.Complete = complete, true
		if w.State != verify.StateFinal {
			// The block is the one that a calendar or the file names. The daemon's transaction
			// belongs to another block, and is not printed with it.
			w.Height, _, _ = done.Block()
			w.TxID, w.BlockHash, w.BlockTime, w.Confirmations = "", "", nil, 0
		}
		for _, a := range done.Answers {
			if a.Result == verify.AnswerFailed {
				w.errors = append(w.errors, fmt.Sprintf("the calendar at %s: %s", humanize.Clip(a.Calendar), a.Reason))
			}
		}
		return nil
	case done.Waits:
		w.Result = pending
		var where []string
		if done.DaemonErr == nil {
			where = append(where, w.where)
		}
		if said := verify.SummarizeAnswers(done.Answers, verify.AnswerPending, verify.AnswerFailed, verify.AnswerSkipped); said != "" {
			where = append(where, said)
		}
		w.Reason = strings.Join(where, "; ")
		return nil
	}
	return u.unanswered(done)
}

// unansweredError says that neither the daemon nor a calendar could say when a proof will be
// complete.
type unansweredError struct{ error }

func (e unansweredError) Unwrap() error { return e.error }

// unanswered returns the reason as an unansweredError.
func (u *upgrader) unanswered(done verify.Completion) error {
	err := done.DaemonErr
	if u.alone {
		return unansweredError{err}
	}
	said := verify.SummarizeAnswers(done.Answers, verify.AnswerFailed, verify.AnswerSkipped)
	if said == "" {
		said = "the proof names no calendar that could complete it"
	}
	if done.DaemonDown {
		u.mu.Lock()
		u.needed = true
		u.mu.Unlock()
		if !u.json {
			err = errors.New("the daemon could not be asked") // why is printed once, at the end
		}
	}
	return unansweredError{fmt.Errorf("%w; %s", err, said)}
}

// words says that the proof is complete, and by whose word.
func (w *waiter) words() string {
	if w.State == verify.StateFinal {
		return "complete, in Bitcoin block " + humanize.Count(w.Height)
	}
	height, by, checked := w.last.Block()
	trust := `not checked, "ancre verify" checks it`
	if checked {
		trust = "checked against the daemon's headers"
	}
	return fmt.Sprintf("complete, in Bitcoin block %s (says %s; %s)", humanize.Count(height), by, trust)
}

// print writes the result of a proof and returns its exit status.
func (u *upgrader) print(w *waiter) int {
	toOut := w.ProofFile == "-" && w.Result != failed && w.file != nil
	if toOut {
		if data, err := w.file.Marshal(); err != nil {
			w.fail(err)
		} else if u.json {
			w.Proof = data
		} else if _, err := printable.Raw(u.out).Write(data); err != nil {
			w.fail(err)
		}
	}
	switch {
	case u.json:
		u.printJSON(&w.fileResult, true)
	case w.Result == skipped:
	case w.Result == failed:
		u.complain("%s: %s", w.name(), w.Reason)
	case w.Result == unverifiable:
		u.complain("%s: cannot be completed here: %s; needed: %s", w.name(), w.Reason, w.Needed)
	case toOut && w.Result == pending:
		u.note("%s: pending, %s", w.name(), w.Reason)
	case toOut:
	case w.Result == pending:
		u.say("%s: pending, %s\n", w.name(), w.Reason)
	case w.Reason != "":
		u.say("%s: %s\n", w.name(), w.Reason)
	default:
		u.say("%s: %s\n", w.name(), w.words())
	}
	for _, e := range w.errors {
		if !u.quiet { // the proof is complete without that calendar
			u.complain("%s: %s", w.name(), e)
		}
	}
	return w.exit()
}
