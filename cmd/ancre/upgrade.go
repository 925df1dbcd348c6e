package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/proof"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

// askers is how many proofs are asked for at once.
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
		Long: `Ask for the complete proof of each FILE.ots, and put it in its place: first the daemon, if it runs, then the calendars that
the proof waits for. What else the proof holds is kept; the file as it was is kept as FILE.ots.bak, unless there is one.

A proof may come from a stranger and name any address: asked are only OpenTimestamps' well-known public calendars, the one of
calendar.uri in the configuration, and those that --calendar allows. URL is https://HOST, with :PORT where it has one; http:// is
for this machine only. All of it goes through spv.proxy, if that is set.

The daemon is asked by the hash, and by what each calendar promised: so it completes proofs that other clients stamped at its
calendar as well. It also checks the blocks that calendars name, if it runs: a false one is refused. Without a daemon the answer
says "not checked", and "ancre verify" checks it.

The exit status is 3 as long as a proof is pending, also when no answer says when it will be complete. It is 4 when a proof cannot
be completed here, and 1 when a file cannot be read or written. FILE means FILE.ots where there is one. "-" reads a proof from
standard input and writes it, complete or not, to standard output.`,
		Example: `  ancre upgrade report.pdf.ots
  ancre upgrade --calendar https://ots.example.org contract.pdf.ots
  ancre upgrade -r /srv/documents
  ancre stamp report.pdf && ancre upgrade --wait report.pdf.ots`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("upgrade what? Name proofs (FILE.ots)")
			}
			if countOf(args, "-") > 1 {
				return errors.New("standard input can be read once only")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.upgrade(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "upgrade all FILE.ots in directories, and in those below")
	f.BoolVarP(&o.wait, "wait", "w", false, "wait until the proofs are complete")
	o.calendars.addTo(f)
	return cmd
}

func (a *app) upgrade(ctx context.Context, args []string, o upgradeOptions) error {
	if slices.Contains(args, "-") && a.outTerm && !a.json {
		return usagef("refusing to write a binary proof to the terminal: redirect standard output")
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	others, err := a.openCalendars(o.calendars)
	if err != nil {
		return err
	}
	defer others.close()
	if others.headers, err = a.daemonSource(ctx); err != nil {
		return err
	}
	bar := a.startProgress("upgrading proofs", 0, false)
	defer bar.Finish()

	u := newUpgrader(a, client, others)
	exit, told := exitDone, 0
	var waiting []*waiter
	results := inOrder(ctx, askers, walk(args, o.recursive, hasProofSuffix), u.one)
	for w := range results {
		told++
		bar.AddFile()
		if err := ctx.Err(); err != nil {
			return err // what failed may have failed by it
		}
		if o.wait && w.Result == pending && !w.silent {
			waiting = append(waiting, w)
			continue
		}
		bar.Above(func() { exit = worse(exit, u.tell(w)) })
	}
	bar.Finish()
	if err := ctx.Err(); err != nil {
		return err
	}
	if told == 0 {
		a.note("Nothing was upgraded: there is no proof (FILE.ots) there.")
	}
	if err := u.missed(); err != nil && !a.json {
		a.complain("%v", err)
	}
	return finish(worse(exit, u.completeAll(ctx, waiting)))
}

// waiter is a proof that is to be completed.
type waiter struct {
	fileResult
	file   *proof.File
	digest [32]byte // by which the daemon knows it: the digest, or what its calendar promised
	where  string   // where the daemon has the digest, in words
	errors []string // of calendars that failed, when others did not
	silent bool     // nobody could say when it will be complete: it is not waited for
}

// upgrader completes proofs, with the daemon's help and that of calendars.
type upgrader struct {
	*app
	daemon    *rpc.Client
	calendars *calendars // nil: the daemon is asked alone

	every, seldom time.Duration // between rounds of calendars, at first and in the end

	mu     sync.Mutex // guards the two below
	down   error      // why the daemon could not be asked: it is not tried again for each proof
	needed bool       // a proof failed, and the daemon might have had it
}

func newUpgrader(a *app, daemon *rpc.Client, others *calendars) *upgrader {
	return &upgrader{app: a, daemon: daemon, calendars: others, every: calendarsEvery, seldom: calendarsSeldom}
}

// missed returns why the daemon could not be asked, if that mattered.
func (u *upgrader) missed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.needed {
		return nil
	}
	return u.down
}

// one completes one proof, if it can be completed now.
func (u *upgrader) one(ctx context.Context, t target) *waiter {
	w := &waiter{}
	w.ProofFile = t.path
	err := u.target(ctx, t, w)
	var silence silenceError
	switch {
	case err == nil:
	case errors.As(err, &silence) && len(promises(w.file, make(map[promise]bool))) > 0:
		w.Result, w.Reason, w.silent = pending, err.Error(), true
	case errors.As(err, &silence):
		w.unverifiable(err.Error(), newerProgram)
	default:
		w.settle(err)
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

// upgradeFile puts the complete proof, if there is one, into the place of w.ProofFile.
func (u *upgrader) upgradeFile(ctx context.Context, w *waiter) error {
	f, before, err := w.tree.readProof(w.ProofFile)
	if err != nil {
		return plainError(err)
	}
	w.file = f
	var was []byte // the proof, if it was complete, without the promises that were kept
	if f.IsComplete() {
		if w.file, err = dropFulfilled(f); err != nil {
			return err
		}
		if was, err = w.file.Marshal(); err != nil {
			return err
		}
		if len(promises(w.file, make(map[promise]bool))) == 0 {
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
	return replaceProof(w.tree, w.ProofFile, before, after, "the file was changed while its proof was being completed: upgrade it once more")
}

// replaceProof puts a proof into the place of the one that was read, and keeps that one as
// FILE.ots.bak unless there is one. Calendars may have taken minutes to answer. What somebody put
// there meanwhile may say more than what was read, so it stays: that is the error changed.
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

// wasComplete says that nobody has anything to add.
func (w *waiter) wasComplete() {
	w.about(w.file.HashOp, w.file.Digest)
	w.Result, w.Complete, w.Reason, w.errors = complete, true, "was complete already", nil
}

// dropFulfilled leaves out of a proof the promises that calendars kept.
func dropFulfilled(f *proof.File) (*proof.File, error) {
	t, err := proof.DropFulfilled(f.Timestamp)
	return &proof.File{HashOp: f.HashOp, Digest: f.Digest, Timestamp: t}, err
}

// advance merges into w.file what the daemon knows, and unless that completes it, what the
// calendars know that it waits for. An error says that nobody could, or would, say when it will be
// complete.
func (u *upgrader) advance(ctx context.Context, w *waiter) error {
	w.about(w.file.HashOp, w.file.Digest)
	w.Calendars, w.errors = nil, nil
	// A block that the file names itself was verified by nobody: a calendar may have lied, and
	// another one has the truth.
	was := w.file.IsComplete()
	f, seen, missing := u.askDaemon(ctx, w)
	u.shareDown(ctx)
	if was || !f.IsComplete() {
		f, w.Calendars = u.calendars.follow(ctx, f, seen)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if w.file, err = dropFulfilled(f); err != nil {
		return err
	}

	waits := missing == nil || slices.ContainsFunc(w.Calendars, func(t calendarTold) bool { return t.Result == pending })
	switch {
	case w.file.IsComplete():
		w.Result, w.Complete = complete, true
		if w.State != stateFinal {
			// The block is that of a calendar, or of the file: what the daemon has of another one
			// is not told with it.
			w.Height, _, _ = w.block()
			w.TxID, w.BlockHash, w.BlockTime, w.Confirmations = "", "", nil, 0
		}
		for _, t := range w.Calendars {
			if t.Result == failed {
				w.errors = append(w.errors, fmt.Sprintf("the calendar at %s: %s", clip(t.Calendar), t.Reason))
			}
		}
		return nil
	case waits:
		w.Result = pending
		var where []string
		if missing == nil {
			where = append(where, w.where)
		}
		if said := sayTold(w.Calendars, pending, failed, skipped); said != "" {
			where = append(where, said)
		}
		w.Reason = strings.Join(where, "; ")
		return nil
	}
	return u.silence(w, missing)
}

// silenceError says that neither the daemon nor a calendar could say when a proof will be complete.
type silenceError struct{ error }

func (e silenceError) Unwrap() error { return e.error }

// silence says why that is.
func (u *upgrader) silence(w *waiter, missing error) error {
	if u.calendars == nil {
		return silenceError{missing}
	}
	said := sayTold(w.Calendars, failed, skipped)
	if said == "" {
		said = "the proof names no calendar that could complete it"
	}
	if isFatal(missing) {
		u.mu.Lock()
		u.needed = true
		u.mu.Unlock()
		if !u.json {
			missing = errors.New("the daemon could not be asked") // why is told once, in the end
		}
	}
	return silenceError{fmt.Errorf("%w; %s", missing, said)}
}

// askDaemon returns w.file with what the daemon knows, and the promises that the daemon itself
// answered for. The error says why it does not know of the digest; it concerns all proofs when it
// is fatal.
func (u *upgrader) askDaemon(ctx context.Context, w *waiter) (f *proof.File, seen map[promise]bool, missing error) {
	f, seen = w.file, make(map[promise]bool)
	u.mu.Lock()
	down := u.down
	u.mu.Unlock()
	if down != nil {
		return f, seen, down
	}
	got, err := fromDaemon(ctx, u.daemon, f, seen)
	if rpc.HasCode(err, rpc.CodeNotFound) {
		if f.HashOp != proof.SHA256 {
			return f, seen, fmt.Errorf("is about %s: the daemon has SHA-256 only", f.HashOp)
		}
		return f, seen, errors.New("this digest was never handed in to the daemon")
	}
	if isFatal(err) && ctx.Err() == nil {
		u.mu.Lock()
		u.down = err
		u.mu.Unlock()
	}
	if err != nil {
		return f, seen, err
	}
	w.at(got.Entry)
	w.digest = got.by
	w.where = whereabouts(got.Entry)
	return got.file, seen, nil
}

// daemonKnows is what the daemon has of a proof.
type daemonKnows struct {
	rpc.Entry
	by       [32]byte    // what the daemon was asked by: the digest, or what its calendar promised
	file     *proof.File // with all that was in it before
	complete bool        // the daemon's part of it names a block
}

// fromDaemon asks the daemon for the proof of f, and merges both: by its digest, if that is a
// SHA-256, and by what each calendar promised, since a client that stamped at the daemon's calendar
// blinded the digest. It adds to seen the promises that the daemon answered for.
func fromDaemon(ctx context.Context, client *rpc.Client, f *proof.File, seen map[promise]bool) (k daemonKnows, err error) {
	k.file = f
	found, unknown := false, error(&rpc.Error{Code: rpc.CodeNotFound, Message: "not known to the daemon"})
	ask := func(by [32]byte) error {
		p, err := client.Proof(ctx, by, rpc.FormatOTS)
		if rpc.HasCode(err, rpc.CodeNotFound) {
			return nil
		}
		if err != nil {
			return callError(err)
		}
		if !found {
			k.Entry, k.by, found = p.Entry, by, true
		}
		return k.take(by, p, seen)
	}
	if f.HashOp == proof.SHA256 {
		if err := ask([32]byte(f.Digest)); err != nil {
			return k, err
		}
	}
	for _, by := range commitments(k.file, seen) {
		if k.complete {
			break
		}
		if err := ask(by); err != nil {
			return k, err
		}
	}
	if !found {
		return k, unknown
	}
	return k, nil
}

// commitments are what the promises of a proof hang on that are not in seen, as far as a daemon of
// ours may have made them: the first few.
func commitments(f *proof.File, seen map[promise]bool) [][32]byte {
	var list [][32]byte
	looked := make(map[promise]bool) // seen stays as it is
	maps.Copy(looked, seen)
	for _, p := range promises(f, looked) {
		if len(p.msg) == 32 && !slices.Contains(list, [32]byte([]byte(p.msg))) && len(list) < maxPromises {
			list = append(list, [32]byte([]byte(p.msg)))
		}
	}
	return list
}

// take merges what the daemon answered about by. A pending answer about a commitment holds no
// proof.
func (k *daemonKnows) take(by [32]byte, p rpc.Proof, seen map[promise]bool) error {
	answered := map[string]bool{string(by[:]): true}
	if len(p.Proof) > 0 {
		got, err := decodeProof(p.Proof, by[:])
		if err != nil {
			return err
		}
		if k.file, err = graft(k.file, got.Timestamp); err != nil {
			return err
		}
		for _, a := range got.Attestations() {
			answered[string(a.Msg)] = true
		}
		if got.IsComplete() {
			k.Entry, k.by, k.complete = p.Entry, by, true
		}
	}
	for _, a := range k.file.Attestations() {
		if uri, ok := a.URI(); ok && answered[string(a.Msg)] {
			seen[promise{uri, string(a.Msg)}] = true
		}
	}
	return nil
}

// shareDown tells the check of calendars' blocks when the daemon cannot be asked.
func (u *upgrader) shareDown(ctx context.Context) {
	if u.calendars == nil || u.calendars.headers == nil {
		return
	}
	u.mu.Lock()
	down := u.down
	u.mu.Unlock()
	u.calendars.headers.setDown(ctx, down)
}

// block is the lowest block that calendars named, of those that were checked if one was, and who
// named it. Without an answer of a calendar it is the lowest one that the file names.
func (w *waiter) block() (height uint64, by string, checked bool) {
	checked = slices.ContainsFunc(w.Calendars, func(t calendarTold) bool { return t.Checked })
	var uris []string
	for _, t := range w.Calendars {
		if t.Result != complete || t.Checked != checked || len(uris) > 0 && t.Height > height {
			continue
		}
		if t.Height < height {
			uris = nil
		}
		if height = t.Height; !slices.Contains(uris, clip(t.Calendar)) {
			uris = append(uris, clip(t.Calendar))
		}
	}
	if len(uris) == 0 {
		return lowestBlock(w.file.Timestamp), "the file", false
	}
	return height, few(uris), checked
}

// words says that the proof is complete, and by whose word.
func (w *waiter) words() string {
	if w.State == stateFinal {
		return "complete, in Bitcoin block " + humanize.Count(w.Height)
	}
	height, by, checked := w.block()
	trust := `not checked, "ancre verify" checks it`
	if checked {
		trust = "checked against the daemon's headers"
	}
	return fmt.Sprintf("complete, in Bitcoin block %s (says %s; %s)", humanize.Count(height), by, trust)
}

// tell says what became of a proof and returns the exit status that it calls for.
func (u *upgrader) tell(w *waiter) int {
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
		u.complain("%s: %s", w.name(), e)
	}
	return w.exit()
}
