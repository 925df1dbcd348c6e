package register

import (
	"context"
	"errors"
	"fmt"

	"ancre/internal/humanize"
	"ancre/register/store"
	"ancre/rpc"
)

// sendGroup is how many digests go to the node at once.
const sendGroup = 256

// send sends digests that wait to the node, those that wait longest first, until ctx ends or the
// store has failed.
func (r *Register) send(ctx context.Context) error {
	wait, group := r.retryWait(), sendGroup
	for {
		if err := r.ready(ctx); err != nil {
			return err
		}
		sent, err := r.sendSome(ctx, group)
		switch {
		case ctx.Err() != nil, errors.Is(err, store.ErrFailed):
			return err
		case err != nil:
			// A limit of the node may be lower than the group.
			if _, temporary := rpc.RetryAfter(err); !temporary && isRefusal(err) {
				group = max(group/2, 1)
			}
			if err := wait(ctx, err); err != nil {
				return err
			}
		case sent > 0:
			wait, group = r.retryWait(), min(2*group, sendGroup)
		default:
			select {
			case <-r.digestWaits:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// sendSome sends up to limit digests, and stores what the node answers. It returns how many it
// sent.
func (r *Register) sendSome(ctx context.Context, limit int) (sent int, err error) {
	waiting, err := r.store.Waiting(ctx, limit)
	if err != nil {
		r.storeFailed(ctx, err)
		return 0, err
	}
	if len(waiting) == 0 {
		return 0, nil
	}
	r.answering.RLock()
	defer r.answering.RUnlock()
	entries, err := r.submit(ctx, waiting)
	if err != nil {
		r.sendFailed(ctx, err)
		return 0, err
	}
	r.over(warnSend, "the node takes digests again")
	was, err := r.store.Proofs(ctx, waiting)
	if err == nil {
		err = r.storeAnswers(ctx, was, entries)
	}
	if err != nil {
		return 0, err
	}
	r.log.Info("digests sent to the node", "digests", len(waiting))
	return len(waiting), nil
}

// submit submits digests, and checks the form of the answer.
func (r *Register) submit(ctx context.Context, digests []store.Digest) ([]rpc.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, r.pace.call)
	defer cancel()
	raw := make([][32]byte, len(digests))
	for i, d := range digests {
		raw[i] = d
	}
	entries, err := r.node.SubmitBatch(ctx, raw)
	if err != nil {
		return nil, err
	}
	if len(entries) != len(digests) {
		return nil, falseError{fmt.Errorf("the node answers with %d digests when it was given %d", len(entries), len(digests))}
	}
	for i, e := range entries {
		if e.Digest != digests[i].String() {
			return nil, falseError{fmt.Errorf("the node answers with the digest %q when it was given %s", humanize.Clip(e.Digest), digests[i])}
		}
	}
	return entries, nil
}

// storeAnswers stores what the node answered to a submission.
func (r *Register) storeAnswers(ctx context.Context, was []store.Proof, entries []rpc.Entry) error {
	look := newLook(r)
	changed, failure := r.inParallel(ctx, was, func(ctx context.Context, i int) (store.Proof, error) {
		return look.fromSubmission(ctx, was[i], entries[i])
	})
	if len(changed) > 0 {
		if err := r.store.Follow(ctx, changed, ""); err != nil {
			r.storeFailed(ctx, err)
			return err
		}
	}
	if failure != nil {
		r.lookFailed(ctx, failure)
		return failure
	}
	if len(changed) == 0 {
		return errors.New("the node sent no proof that is true")
	}
	r.over(warnStore, "the register can be written again")
	return nil
}

// sendFailed says what it means that a submission failed.
func (r *Register) sendFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	var refused *rpc.Error
	if errors.As(err, &refused) {
		r.warn(warnSend, fmt.Sprint(refused.Code), "the node takes no digests: they wait", err)
		return
	}
	if errors.As(err, new(falseError)) {
		r.warn(warnSend, "false", "the node's answer cannot be right: digests wait", err)
		return
	}
	r.nodeFailed(ctx, err)
}

// storeFailed says that the store or the files failed.
func (r *Register) storeFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	class := "failed"
	if errors.Is(err, store.ErrFull) {
		class = "full"
	}
	r.warn(warnStore, class, "the register cannot be written: it tries again", err)
}

// isRefusal reports whether the node answered, and refused the call.
func isRefusal(err error) bool {
	var refused *rpc.Error
	return errors.As(err, &refused) && refused.Code != rpc.CodeStarting
}
