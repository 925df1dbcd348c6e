package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ancre/headers"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// WindowSource is a window of block headers: a part of the chain. All headers were checked when it
// was opened. What they are worth depends on the block, so each verdict says what it rests upon. It
// needs no network.
type WindowSource struct {
	// Name is how a person knows the window.
	Name string

	// Newer says how to get another window; it may be empty.
	Newer string

	window *headers.CheckedWindow
}

var _ Source = (*WindowSource)(nil)

// OpenWindow reads and checks a window. Errors do not name the file. A caller may look for
// [headers.ErrOtherNetwork].
func OpenWindow(data []byte, params *chaincfg.Params) (*WindowSource, error) {
	w, err := headers.ParseWindow(data)
	if err != nil {
		return nil, err
	}
	checked, err := w.Check(headers.NetworkOf(params), time.Now())
	if err != nil {
		return nil, err
	}
	return &WindowSource{window: checked}, nil
}

// Header implements [proof.HeaderSource]. A header that the window does not vouch for is treated as
// missing: it must not contradict a proof.
func (s *WindowSource) Header(_ context.Context, height uint64) (proof.Header, error) {
	if _, err := s.window.Judge(height); err != nil && !errors.Is(err, headers.ErrFewBlocks) {
		return proof.Header{}, fmt.Errorf("%w: %w", proof.ErrNoHeader, err)
	}
	h, err := s.window.Header(height)
	if err != nil {
		return proof.Header{}, err
	}
	return rpc.ProofHeader(height, &h), nil
}

// Tip implements [Source].
func (s *WindowSource) Tip(context.Context) (int64, error) { return s.window.Last(), nil }

// Trust implements [Source].
func (s *WindowSource) Trust() Trust {
	return Trust{
		Source: "window", From: s.Name,
		Words: "headers of " + s.Name + " checked here",
		Warning: fmt.Sprintf("The headers in %s are those of blocks %s to %s. Their word is a block that is known to this program, or the work of the blocks on top, which costs as much to forge as it cost to do.",
			s.Name, humanize.Count(s.window.First), humanize.Count(s.window.Last())),
	}
}

// Lacks implements [Source]: it says why the window does not vouch for the block.
func (s *WindowSource) Lacks(_ context.Context, height uint64) (why, remedy string) {
	_, err := s.window.Judge(height)
	switch {
	case errors.Is(err, headers.ErrLittleWork):
		return fmt.Sprintf("the headers in %s do not vouch for it: %v", s.Name, err), s.Newer
	case errors.Is(err, headers.ErrNoBlock):
		return fmt.Sprintf("the headers in %s are those of blocks %s to %s", s.Name, humanize.Count(s.window.First), humanize.Count(s.window.Last())), s.Newer
	}
	return "", s.Newer
}

// partialSource is a source that has a part of the chain, whose headers are not all worth the same.
type partialSource interface {
	// judge adds to a valid verdict what it rests upon, and returns how many blocks of work are on
	// top of the block at height. If these are too few, it makes the verdict pending.
	judge(height uint64, verdict *Verdict) (onTop int64, err error)
}

var _ partialSource = (*WindowSource)(nil)

func (s *WindowSource) judge(height uint64, verdict *Verdict) (onTop int64, err error) {
	t, err := s.window.Judge(height)
	if errors.Is(err, headers.ErrFewBlocks) {
		verdict.Outcome = proof.OutcomePending
		verdict.Reason = fmt.Sprintf("%v%s", err, hint(": ", s.Newer))
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	trust := verdict.Trust
	if t.Base >= 0 {
		trust.Base = &t.Base
	}
	if t.Checkpoint >= 0 {
		trust.Checkpoint = &t.Checkpoint
		trust.Words += " up to block " + humanize.Count(t.Checkpoint) + ", which is known to this program"
	} else {
		trust.LeastDifficulty = headers.Difficulty(t.Least)
		trust.Words += fmt.Sprintf(", whose work vouches for it: %s of a difficulty of %s or more",
			humanize.Plural(t.Blocks, "block", "blocks"), humanize.Difficulty(trust.LeastDifficulty))
	}
	if t.Base < 0 && t.Checkpoint < 0 {
		verdict.Warnings = append(verdict.Warnings,
			fmt.Sprintf("that the block has the height %s is only what %s claims: no block that is known to this program is among its headers", humanize.Count(int64(height)), s.Name))
	}
	return max(t.Blocks-1, 0), nil
}
