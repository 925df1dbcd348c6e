package decide

import "time"

// Policy is what the operator wants. The zero value is not useful: see [DefaultPolicy].
type Policy struct {
	Interval      time.Duration // a batch is closed this long after its first digest
	MaxDigests    uint64        // or when it holds this many
	Confirmations int32         // an anchor is final under this many blocks, its own included
	Target        time.Duration // an anchor should be mined this long after its oldest batch was closed
	MaxFeeRate    int64         // sat/vB that a version pays at most
	MaxFeeSats    int64         // satoshi that a version pays at most
	BudgetSats    int64         // satoshi that anchors pay at most within BudgetBlocks; 0: no such bound
	Rebroadcast   time.Duration // an anchor in flight is offered again after this long, and at each block
}

// DefaultPolicy is what an operator gets who configures nothing.
func DefaultPolicy() Policy {
	return Policy{
		Interval:      6 * time.Hour,
		MaxDigests:    1 << 20,
		Confirmations: 6,
		Target:        6 * time.Hour,
		MaxFeeRate:    100,
		MaxFeeSats:    50_000,
		Rebroadcast:   time.Minute, // a restarted peer has forgotten the transaction; an inv costs 36 bytes
	}
}

const (
	// WatchDepth is how many blocks past final an anchor is still watched for reorganisations. It
	// is also the number of blocks for which a coin that a reorganisation removed may come back.
	WatchDepth = 100

	// BudgetBlocks is the period of Policy.BudgetSats: the blocks of 30 days. Blocks are counted,
	// not days, so that a wrong clock cannot shorten it.
	BudgetBlocks = 30 * 144

	// minAbandonDepth is the least that AbandonDepth returns: a reorganisation of ten blocks must
	// not bring back an anchor that was abandoned.
	minAbandonDepth = 12
)

// AbandonDepth is how many blocks deep the loss of a coin must be before its anchor is abandoned
// and its batches are paid for again. It is twice as deep as final. An anchor that is abandoned
// earlier could return, and the batches would be paid for twice.
func (p Policy) AbandonDepth() int32 { return max(2*p.Confirmations, minAbandonDepth) }
