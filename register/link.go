package register

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"ancre/register/store"
	"ancre/rpc"
)

// pace is how often and how long the register waits. Tests hurry.
type pace struct {
	retry, longestRetry time.Duration // after a failure: first, and at most
	poll                time.Duration // between looks at the state of the node
	wait                time.Duration // of one waitchanges; whole seconds
	sweep               time.Duration // between looks at all unfinished proofs
	call                time.Duration // how long the node may take for any other call
}

var usualPace = pace{
	retry: time.Second, longestRetry: time.Minute,
	poll: 30 * time.Second, wait: time.Minute, sweep: time.Hour, call: 2 * time.Minute,
}

// What warns.
const (
	warnNode = "node" // the node is away, or is another one
	warnSend = "send" // the node refuses digests

	warnRefused = "refused" // the node refuses another call
	warnProof   = "proof"   // a proof from the node is false
	warnStore   = "store"   // the store, or the files, cannot be written
)

// warn makes a warning hold. The log gets a line if nothing was wrong before, or something else.
func (r *Register) warn(kind, class, message string, err error) {
	r.warnings.Set(kind, "", fmt.Sprintf("%s: %v", message, err))
	r.mu.Lock()
	was := r.conditions[kind]
	r.conditions[kind] = class
	r.mu.Unlock()
	if was != class {
		r.log.Warn(message, "err", err)
	}
}

// over ends a warning. The log gets a line if it held.
func (r *Register) over(kind, message string) {
	r.warnings.Clear(kind, "")
	r.mu.Lock()
	was := r.conditions[kind]
	delete(r.conditions, kind)
	r.mu.Unlock()
	if was != "" {
		r.log.Info(message)
	}
}

// contact asks the node who it is, and remembers its state. It returns an error unless the node
// answers and is of the register's network.
func (r *Register) contact(ctx context.Context) error {
	before := r.outages()
	info, err := r.blockchainInfo(ctx)
	if err != nil {
		r.outage(ctx, err)
		return err
	}
	network := info.Network()
	if err := r.claim(ctx, network); err != nil {
		if ctx.Err() == nil {
			r.setReachable(false, err.Error())
		}
		return err
	}
	if r.outages() != before {
		return errOutdated
	}
	r.setReachable(true, "")
	r.mu.Lock()
	r.status.Network, r.status.Height, r.status.BestBlock, r.status.Synced = network, info.Blocks, info.BestBlockHash, !info.InitialBlockDownload
	r.status.BlockTime = time.Unix(info.Time, 0).UTC()
	r.mu.Unlock()
	r.over(warnNode, "the node is back")
	return nil
}

// errOutdated says that the node was lost after it was asked: its answer is no news.
var errOutdated = errors.New("another call to the node has failed meanwhile")

// outages returns how often the node was lost.
func (r *Register) outages() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

func (r *Register) blockchainInfo(ctx context.Context) (rpc.BlockchainInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, r.pace.call)
	defer cancel()
	return r.node.BlockchainInfo(ctx)
}

// claim ties the register to the network of the node.
func (r *Register) claim(ctx context.Context, network string) error {
	r.mu.Lock()
	known := r.claimed == network
	r.mu.Unlock()
	if known {
		return nil
	}
	err := r.store.Claim(ctx, network)
	switch {
	case errors.Is(err, store.ErrOtherNetwork):
		mine, _ := r.store.Network(ctx)
		err = fmt.Errorf("the node is of %s, and this register of %s: name the right node in register.conf", network, mine)
		r.warn(warnNode, "other network", "the node is of another network: no digest is sent to it", err)
	case err != nil && ctx.Err() == nil:
		r.warn(warnStore, "claim", "the register cannot be written", err)
	case err == nil:
		r.over(warnStore, "the register can be written again")
		r.mu.Lock()
		r.claimed = network
		r.mu.Unlock()
	}
	return err
}

// nodeFailed says what it means that a call to the node failed. A refusal is no outage, except of a
// node that is starting.
func (r *Register) nodeFailed(ctx context.Context, err error) {
	switch {
	case errors.Is(err, errSyncing):
	case isRefusal(err):
		var refused *rpc.Error
		errors.As(err, &refused)
		if ctx.Err() == nil {
			r.warn(warnRefused, fmt.Sprint(refused.Code), "the node refuses a call: proofs are not followed until it answers", err)
		}
	default:
		r.outage(ctx, err)
	}
}

// outage remembers that the node cannot be used, and why.
func (r *Register) outage(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	class, message := "refuses", "the node cannot be used: digests wait until it can"
	switch {
	case errors.Is(err, rpc.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		class, message = "away", "the node is away: digests wait until it is back"
	case rpc.HasCode(err, rpc.CodeStarting):
		class, message = "starting", "the node is starting: digests wait until it has started"
	}
	r.mu.Lock()
	r.lost++
	r.mu.Unlock()
	r.setReachable(false, err.Error())
	r.warn(warnNode, class, message, err)
}

// setReachable remembers whether the node can be used, and since when.
func (r *Register) setReachable(reachable bool, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.Since.IsZero() || r.status.Reachable != reachable {
		r.status.Since = r.now()
	}
	r.status.Reachable, r.status.Err = reachable, reason
}

// ready waits until the node can be used. It returns an error only if ctx has ended, or the store
// has failed.
func (r *Register) ready(ctx context.Context) error {
	if r.NodeStatus().Reachable {
		return ctx.Err()
	}
	for wait := r.retryWait(); ; {
		err := r.contact(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, store.ErrFailed) {
			return err
		}
		if err := wait(ctx, err); err != nil {
			return err
		}
	}
}

// retryWait returns a function that waits after each failure, longer each time, or as long as the
// node asks for. That function returns an error only if ctx has ended.
func (r *Register) retryWait() func(ctx context.Context, err error) error {
	next := r.pace.retry
	return func(ctx context.Context, err error) error {
		wait := next/2 + rand.N(next/2+1)
		if asked, ok := rpc.RetryAfter(err); ok {
			wait = min(max(wait, asked), r.pace.longestRetry)
		}
		next = min(2*next, r.pace.longestRetry)
		return pause(ctx, wait)
	}
}

// pause waits. It returns an error only if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchNode keeps the state of the node, and tells of its warnings, until ctx ends.
func (r *Register) watchNode(ctx context.Context) error {
	for {
		if r.contact(ctx) == nil {
			r.readWarnings(ctx)
		}
		if err := pause(ctx, r.pace.poll); err != nil {
			return err
		}
	}
}

// warnNodeWarns is the kind of a warning that the node itself warns.
const warnNodeWarns = "node_warns"

// readWarnings asks the node what it warns of. A node with a locked or empty wallet takes digests,
// and anchors them later: an operator should know. The names of the warnings need the role read.
func (r *Register) readWarnings(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.pace.call)
	defer cancel()
	var texts []string
	class := ""
	if info, err := r.node.Info(ctx); err == nil {
		for _, w := range info.Details {
			texts, class = append(texts, w.Text), class+w.Kind+" "
		}
	} else if chain, err := r.node.BlockchainInfo(ctx); err == nil {
		if texts = chain.Warnings; len(texts) > 0 {
			class = "some"
		}
	} else {
		return
	}
	r.mu.Lock()
	r.status.Warnings = texts
	r.mu.Unlock()
	if class == "" {
		r.over(warnNodeWarns, "the node warns of nothing any more")
		return
	}
	r.warn(warnNodeWarns, class, "the node warns", errors.New(strings.Join(texts, " ")))
}
