package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ancre/proof"
	"ancre/proof/receipt"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// Source is where block headers come from. It must be safe for concurrent use. If it is a
// [receipt.TxSource] too, it is asked for the transactions of receipts that do not contain them.
type Source interface {
	proof.HeaderSource

	// Tip returns the height of the newest block.
	Tip(ctx context.Context) (int64, error)

	// Trust says whose word the headers are, without the Tip.
	Trust() Trust

	// Lacks says why the source has no block at height although there may be one, and what to do
	// about it. Both may be empty.
	Lacks(ctx context.Context, height uint64) (why, remedy string)
}

// Trust says whose word the headers of a source are.
type Trust struct {
	// Source is the kind of source, for programs: daemon, spv, node, file or window.
	Source string `json:"source"`

	// From is where the source is: an address, or the name of a file.
	From string `json:"from,omitempty"`

	// Tip is the height of its newest block.
	Tip int64 `json:"tip"`

	// Of a window: the known block above to which its headers lead, the known block below from
	// which they come, and without the first one the easiest difficulty of the headers from the
	// block on.
	Checkpoint      *int64  `json:"checkpoint,omitempty"`
	Base            *int64  `json:"base,omitempty"`
	LeastDifficulty float64 `json:"least_difficulty,omitempty"`

	// Words say what a verdict relies on. They end the sentence "valid, existed before Bitcoin
	// block N, …".
	Words string `json:"trusted"`

	// Warning says in sentences what a person should know who relies on that.
	Warning string `json:"-"`
}

// FailedSource returns a source that could not be opened. It answers every question with err.
// Proofs that need no header get their verdict all the same.
func FailedSource(kind string, err error) Source { return failedSource{kind, err} }

type failedSource struct {
	kind string
	err  error
}

func (s failedSource) Header(context.Context, uint64) (proof.Header, error) {
	return proof.Header{}, s.err
}
func (s failedSource) Tip(context.Context) (int64, error)                        { return 0, s.err }
func (s failedSource) Trust() Trust                                              { return Trust{Source: s.kind} }
func (s failedSource) Lacks(context.Context, uint64) (why string, remedy string) { return "", "" }

// cachedSource asks a source, and remembers its newest block and its failure for one run. It also
// knows which blocks cannot exist yet.
type cachedSource struct {
	Source
	part   partialSource // Source, if it has a part of the chain only; else nil
	params *chaincfg.Params

	mu      sync.Mutex // guards what follows
	tip     int64      // the newest block, when the source was asked last; 0: it was not
	tipTime time.Time  // of the newest block, when mayExist looked; zero: it did not
	down    error      // why the source could not be asked: it is not asked again for each proof
}

var _ proof.HeaderSource = (*cachedSource)(nil)

func newCachedSource(s Source, params *chaincfg.Params) *cachedSource {
	if params == nil {
		params = &chaincfg.MainNetParams
	}
	part, _ := s.(partialSource)
	return &cachedSource{Source: s, part: part, params: params}
}

// Header implements [proof.HeaderSource].
func (s *cachedSource) Header(ctx context.Context, height uint64) (proof.Header, error) {
	if err := s.failure(); err != nil {
		return proof.Header{}, err
	}
	h, err := s.Source.Header(ctx, height)
	if errors.Is(err, proof.ErrNoHeader) && !s.mayExist(ctx, height) {
		return h, fmt.Errorf("%w: %d", proof.ErrTooHigh, height)
	}
	return h, s.remember(ctx, err)
}

// mayExist reports whether a block at height may exist by now, although the source does not have
// it.
func (s *cachedSource) mayExist(ctx context.Context, height uint64) bool {
	if s.params.GenerateSupported {
		return true // developers make blocks at will
	}
	if s.part != nil {
		return true // the height of its newest block may be no more than a claim
	}
	_, tip, err := s.onTop(ctx, 0)
	if err != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tipTime.IsZero() {
		h, err := s.Source.Header(ctx, uint64(tip))
		if err != nil {
			return true
		}
		s.tipTime = h.Time
	}
	return proof.MayExist(height, uint64(tip), s.tipTime, time.Now())
}

// onTop returns how many blocks are on top of the one at height, and the height of the newest.
func (s *cachedSource) onTop(ctx context.Context, height int64) (onTop, tip int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tip == 0 || s.tip < height { // the block came while we were verifying
		if s.tip, err = s.Source.Tip(ctx); err != nil {
			return 0, 0, err
		}
	}
	return max(s.tip-height, 0), s.tip, nil
}

// failure returns why the source cannot be asked, if it has failed.
func (s *cachedSource) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// setFailure says why the source cannot be asked. nil means that it is worth another try.
func (s *cachedSource) setFailure(ctx context.Context, err error) {
	s.mu.Lock()
	s.down = nil
	s.mu.Unlock()
	_ = s.remember(ctx, err)
}

// remember keeps an error that the next question would meet too, and returns it.
func (s *cachedSource) remember(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, proof.ErrNoHeader) || isRefusal(err) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
	return err
}

// isRefusal reports whether a server refused this one call. The next call would meet any other
// error too.
func isRefusal(err error) bool {
	var refused *rpc.Error
	return errors.As(err, &refused)
}

// withTransactions is the source for receipts. It finds transactions if the source does.
func (s *cachedSource) withTransactions() proof.HeaderSource {
	if txs, ok := s.Source.(receipt.TxSource); ok {
		return txSource{s, txs}
	}
	return s
}

// txSource is a cached source that finds transactions.
type txSource struct {
	*cachedSource
	txs receipt.TxSource
}

// Transaction implements [receipt.TxSource].
func (s txSource) Transaction(ctx context.Context, txid [32]byte) (receipt.Tx, error) {
	if err := s.failure(); err != nil {
		return receipt.Tx{}, err
	}
	tx, err := s.txs.Transaction(ctx, txid)
	if errors.Is(err, receipt.ErrNoTx) || errors.Is(err, receipt.ErrUnmined) {
		return tx, err
	}
	if err != nil {
		err = transactionError{s.remember(ctx, err)}
	}
	return tx, err
}

// transactionError says that a source could not tell of a transaction.
type transactionError struct{ error }

func (e transactionError) Unwrap() error { return e.error }
