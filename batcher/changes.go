package batcher

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ancre/batcher/store"
)

// ErrCursor is wrapped if a cursor of the feed of changes cannot be read.
var ErrCursor = errors.New("not a cursor")

// BatchChange is one entry of the feed of changes: from then on, the batch was this far. Of the
// progress it has the state, the anchor and the block.
type BatchChange struct {
	Batch    uint64
	Progress Progress
}

// Changes is a piece of the feed of changes, which has each change of the state of each batch in
// the order in which they were stored.
type Changes struct {
	List []BatchChange

	// Cursor is where the next piece begins. Its owner stores it together with what he made of the
	// list: then he misses nothing, however often he and the daemon are stopped, and hears some
	// changes a second time at worst.
	Cursor string

	// Reset says that the store does not know the cursor that was given: it was restored from a
	// backup, or is another one. The list begins with the first change of all. Its owner must take
	// what he heard before as a memory of another store.
	Reset bool
}

// WaitChanges returns the changes behind a cursor, oldest first; "" stands for the beginning. If
// there are none, it waits until there are, or the timeout is over, and then returns an empty list.
// The changes of one write are not divided, so there may be more than limit.
func (b *Batcher) WaitChanges(ctx context.Context, cursor string, limit int, timeout time.Duration) (Changes, error) {
	after, err := parseCursor(cursor)
	if err != nil {
		return Changes{}, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var answer Changes
	for {
		changed := b.store.Changed()
		changes, end, err := b.store.Changes(ctx, after, limit)
		if errors.Is(err, store.ErrUnknownMark) {
			answer.Reset, after = true, store.Mark{}
			continue
		}
		if err != nil {
			return answer, fmt.Errorf("read the feed of changes: %w", err)
		}
		answer.Cursor = formatCursor(end)
		if len(changes) > 0 || answer.Reset {
			for i := range changes {
				answer.List = append(answer.List, batchChange(&changes[i]))
			}
			return answer, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return answer, nil
		case <-ctx.Done():
			return answer, ctx.Err()
		}
	}
}

// batchChange is how others see an entry of the feed.
func batchChange(c *store.Change) BatchChange {
	p := Progress{State: Open, Anchor: c.Anchor, Height: c.Height, BlockHash: c.Block}
	switch {
	case c.State == store.Open:
	case c.Anchor == 0:
		p.State = Sealed
	case c.AnchorState == store.Mined:
		p.State = Mined
	case c.AnchorState == store.Final:
		p.State = Final
	default:
		p.State = Broadcast
	}
	return BatchChange{Batch: c.Batch, Progress: p}
}

// A cursor is the number of a write in decimal, and the tag of its mark in hexadecimal: for those
// who keep it, a word without meaning.

func formatCursor(m store.Mark) string {
	if m == (store.Mark{}) {
		return ""
	}
	return fmt.Sprintf("%d-%x", m.Write, m.Tag)
}

func parseCursor(text string) (m store.Mark, err error) {
	if text == "" {
		return m, nil
	}
	write, tag, _ := strings.Cut(text, "-")
	m.Write, err = strconv.ParseUint(write, 10, 64)
	raw, herr := hex.DecodeString(tag)
	if copy(m.Tag[:], raw); err != nil || herr != nil || formatCursor(m) != text {
		return m, fmt.Errorf("%w: %q; give the cursor of the answer before, or \"\" to begin with the first change", ErrCursor, text)
	}
	return m, nil
}
