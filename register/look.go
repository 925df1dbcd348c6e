package register

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/register/store"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"golang.org/x/sync/errgroup"
)

// falseError says that what the node answered cannot be true. Asking again now is of no use.
type falseError struct{ error }

func (e falseError) Unwrap() error { return e.error }

// filesError says that a file of the register could not be read or written.
type filesError struct{ error }

func (e filesError) Unwrap() error { return e.error }

// States of the node's, as far as the register tells them apart.
const (
	nodeMined = "mined"
	nodeFinal = "final"
)

// look compares the proofs of digests with what the node has. It remembers headers, so make a new
// one for each look at the node.
type look struct {
	*Register

	mu      sync.Mutex // guards what follows
	headers map[uint64]proof.Header
	hashes  map[int32]string // of blocks, by their heights
	later   bool             // a proof could not be judged, because the node has not synced
}

func newLook(r *Register) *look {
	return &look{Register: r, headers: make(map[uint64]proof.Header), hashes: make(map[int32]string)}
}

// lookers is how many proofs are looked at at the same time. Each is synced to disk.
const lookers = 8

// inParallel looks at proofs, a few at the same time, and returns what became of them, in no order.
// It leaves out those of which the node says what cannot be true, and warns, and those that need
// blocks that the node lacks. Another error ends it, and what was looked at so far is returned.
func (r *Register) inParallel(ctx context.Context, was []store.Proof, look func(ctx context.Context, i int) (store.Proof, error)) (all []store.Proof, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookers)
	var mu sync.Mutex // guards all
	for i := range was {
		group.Go(func() error {
			now, err := look(ctx, i)
			switch {
			case errors.As(err, new(falseError)):
				r.proofFailed(was[i].Digest, err)
				return nil
			case errors.Is(err, errSyncing):
				return nil
			case err != nil:
				return err
			}
			r.warnings.Clear(warnProof, was[i].Digest.String())
			mu.Lock()
			defer mu.Unlock()
			all = append(all, now)
			return nil
		})
	}
	err = group.Wait()
	return all, err
}

// skip remembers that a proof could not be judged yet.
func (l *look) skip() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.later = true
}

func (l *look) skipped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.later
}

// Header implements proof.HeaderSource: the headers of the node.
func (l *look) Header(ctx context.Context, height uint64) (proof.Header, error) {
	l.mu.Lock()
	h, ok := l.headers[height]
	l.mu.Unlock()
	if ok {
		return h, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.pace.call)
	defer cancel()
	h, err := l.node.Header(ctx, height)
	if err == nil {
		l.mu.Lock()
		l.headers[height] = h
		l.mu.Unlock()
	}
	return h, err
}

// refresh asks the node for the proof of a digest, checks it, keeps it in the files, and returns
// what the store should have.
func (l *look) refresh(ctx context.Context, was store.Proof) (store.Proof, error) {
	asking, cancel := context.WithTimeout(ctx, l.pace.call)
	defer cancel()
	p, err := l.node.Proof(asking, was.Digest, rpc.FormatOTS)
	if rpc.HasCode(err, rpc.CodeNotFound) {
		return l.unknown(ctx, was)
	}
	if err != nil {
		if _, temporary := rpc.RetryAfter(err); isRefusal(err) && !temporary && !rpc.HasCode(err, rpc.CodeForbidden) {
			err = falseError{fmt.Errorf("the node has no proof to give: %w", err)}
		}
		return was, err
	}
	if p.Digest != was.Digest.String() {
		return was, falseError{fmt.Errorf("the node answers with the proof of %q", humanize.Clip(p.Digest))}
	}
	if p.Complete {
		return l.complete(ctx, was, p.Entry)
	}
	return l.pending(ctx, was, p.Entry)
}

// fromSubmission does the same with the node's answer to a submission.
func (l *look) fromSubmission(ctx context.Context, was store.Proof, e rpc.Entry) (store.Proof, error) {
	if e.State == nodeFinal {
		return l.refresh(ctx, was) // the answer has the pending proof only
	}
	return l.pending(ctx, was, e)
}

// unknown returns what the store should have of a digest that the node does not know: it was
// restored from a backup, or is another one.
func (l *look) unknown(ctx context.Context, was store.Proof) (store.Proof, error) {
	switch kept, mine, err := l.own(ctx, was); {
	case err != nil || mine == holds:
		return kept, err
	case mine == unclear && was.State == store.Complete:
		return was, nil
	}
	return store.Proof{Digest: was.Digest, State: store.Waiting, AddedAt: was.AddedAt}, nil
}

// complete keeps a proof that the node calls complete, if the node's own headers bear it out.
func (l *look) complete(ctx context.Context, was store.Proof, e rpc.Entry) (store.Proof, error) {
	f, ots, err := readProof(was.Digest, e.Proof)
	if err != nil {
		return was, err
	}
	result, err := proof.Verify(ctx, f, was.Digest[:], l)
	switch {
	case err != nil:
		return was, err
	case result.Outcome == proof.OutcomeUnverifiable && result.Missing != 0:
		return was, fmt.Errorf("%w: it lacks block %d, which its own proof of %s names", errSyncing, result.Missing, was.Digest)
	case result.Outcome != proof.OutcomeValid:
		return was, falseError{fmt.Errorf("the node's complete proof is not valid: %s", result.Reason)}
	}
	// A proof from before that reaches an earlier block says more.
	if kept, mine, err := l.own(ctx, was); err != nil || mine == holds && uint64(kept.Height) < result.Header.Height {
		return kept, err
	}
	now := completed(was, result.Header, l.now())
	now.Batch = e.Batch
	return now, l.keepFiles(was.Digest, f, ots)
}

// completed returns the row of a proof that is complete by a block.
func completed(was store.Proof, h proof.Header, at time.Time) store.Proof {
	now := was
	if now.State != store.Complete || now.CompleteAt.IsZero() {
		now.CompleteAt = at
	}
	if now.SubmittedAt.IsZero() {
		now.SubmittedAt = at
	}
	now.State, now.Height, now.BlockTime = store.Complete, int32(h.Height), h.Time.UTC()
	now.BlockHash = chainhash.Hash(h.Hash).String()
	return now
}

// keepFiles keeps a complete proof and its receipt.
func (l *look) keepFiles(d store.Digest, f *proof.File, ots []byte) error {
	digest, nonce, inclusion, err := receipt.InclusionOf(f)
	if err != nil {
		return falseError{fmt.Errorf("no receipt can be made of the node's proof: %w", err)}
	}
	r, err := receipt.NewV2(digest, nonce, inclusion)
	if err != nil {
		return falseError{fmt.Errorf("no receipt can be made of the node's proof: %w", err)}
	}
	text, err := r.Marshal()
	if err != nil {
		return err
	}
	if err := l.files.PutOTS(d, ots); err != nil {
		return filesError{err}
	}
	if err := l.files.PutReceipt(d, text); err != nil {
		return filesError{err}
	}
	return nil
}

// pending keeps a proof that is not complete. A complete one that the files have, and that the
// node's headers bear out, stays.
func (l *look) pending(ctx context.Context, was store.Proof, e rpc.Entry) (store.Proof, error) {
	_, ots, err := readProof(was.Digest, e.Proof)
	if err != nil {
		return was, err
	}
	kept, mine, err := l.own(ctx, was)
	if err != nil {
		return was, err
	}
	if mine == holds || mine == unclear && was.State == store.Complete {
		kept.Batch = e.Batch
		return kept, nil
	}
	now := store.Proof{Digest: was.Digest, State: store.Pending, AddedAt: was.AddedAt, SubmittedAt: was.SubmittedAt, Batch: e.Batch}
	if now.SubmittedAt.IsZero() {
		now.SubmittedAt = l.now()
	}
	if e.State == nodeMined && e.Height > 0 {
		h, err := l.Header(ctx, uint64(e.Height))
		if err != nil && !errors.Is(err, proof.ErrNoHeader) {
			return was, err
		}
		// Another block there means that the chain has changed since. The feed will say so.
		if hash := chainhash.Hash(h.Hash).String(); err == nil && hash == e.BlockHash {
			now.State, now.Height, now.BlockHash, now.BlockTime = store.Mined, e.Height, hash, h.Time.UTC()
		}
	}
	if mine == unclear {
		return now, nil // the complete proof in the files counts once the node has its block
	}
	if have, err := l.files.OTS(was.Digest); err == nil && bytes.Equal(have, ots) {
		return now, nil
	}
	if err := l.files.PutOTS(was.Digest, ots); err != nil {
		return was, filesError{err}
	}
	return now, nil
}

// worth is what a complete proof in the files is worth by the node's headers.
type worth int

const (
	nothing worth = iota // there is none, or it is not true any more
	holds                // it is true: nothing that says less may replace it
	unclear              // the node has not synced as far as its block
)

// own says what a complete proof in the files is worth. If it holds, own returns the row that
// describes it.
func (l *look) own(ctx context.Context, was store.Proof) (store.Proof, worth, error) {
	ots, err := l.files.OTS(was.Digest)
	if errors.Is(err, store.ErrNotFound) {
		return was, nothing, nil
	}
	if err != nil {
		return was, nothing, filesError{err}
	}
	f, err := proof.Parse(ots)
	if err != nil || !f.IsComplete() {
		return was, nothing, nil
	}
	result, err := proof.Verify(ctx, f, was.Digest[:], l)
	switch {
	case err != nil:
		return was, nothing, err
	case result.Outcome == proof.OutcomeValid:
		return completed(was, result.Header, l.now()), holds, nil
	case result.Missing != 0 && !l.NodeStatus().Synced:
		return was, unclear, nil
	}
	return was, nothing, nil
}

// errSyncing is wrapped when the node lacks a block that it must have had.
var errSyncing = errors.New("the node has not synced")

// readProof reads a proof as the node sends it, and checks that it is about the digest.
func readProof(d store.Digest, text string) (*proof.File, []byte, error) {
	ots, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, nil, falseError{fmt.Errorf("the node's proof is not base64: %w", err)}
	}
	f, err := proof.Parse(ots)
	if err != nil {
		return nil, nil, falseError{fmt.Errorf("the node's proof cannot be read: %w", err)}
	}
	if f.HashOp != proof.SHA256 || store.Digest(f.Digest) != d {
		return nil, nil, falseError{fmt.Errorf("the node's proof is about another file: one with the digest %x", f.Digest)}
	}
	return f, ots, nil
}

// proofFailed warns that the node has a false proof of a digest. It is asked for again with the
// next sweep.
func (r *Register) proofFailed(d store.Digest, err error) {
	if r.warnings.Set(warnProof, d.String(), err.Error()) {
		r.log.Warn("a proof from the node is false: the register keeps what it had", "digest", d, "err", err)
	}
}

// lookFailed says what it means that a look at the node could not be finished.
func (r *Register) lookFailed(ctx context.Context, err error) {
	if errors.As(err, new(filesError)) {
		r.storeFailed(ctx, err)
		return
	}
	r.nodeFailed(ctx, err)
}

// blockHash returns the hash of the node's block at a height.
func (l *look) blockHash(ctx context.Context, height int32) (string, error) {
	l.mu.Lock()
	hash, ok := l.hashes[height]
	l.mu.Unlock()
	if ok {
		return hash, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.pace.call)
	defer cancel()
	hash, err := l.node.BlockHash(ctx, height)
	if err == nil {
		l.mu.Lock()
		l.hashes[height] = hash
		l.mu.Unlock()
	}
	return hash, err
}
