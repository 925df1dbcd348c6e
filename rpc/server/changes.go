package server

import (
	"context"
	"errors"
	"time"

	"ancre/batcher"
	"ancre/rpc"
)

// waitChanges waits for changes. When the server stops, it answers at once that there are none.
func waitChanges(c *call) (any, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(c.server.waits, cancel)()
	cursor := c.get("cursor").text
	timeout := time.Duration(c.get("timeout").number) * time.Second
	found, err := c.Batcher.WaitChanges(ctx, cursor, int(c.get("limit").number), timeout)
	switch {
	case errors.Is(err, batcher.ErrCursor):
		return nil, errorf(rpc.CodeInvalidParameter, "%v", err)
	case err != nil && c.server.waits.Err() != nil && c.ctx.Err() == nil:
		return rpc.Changes{Cursor: cursor, Changes: []rpc.Change{}}, nil
	case err != nil:
		return nil, err
	}
	answer := rpc.Changes{Cursor: found.Cursor, Reset: found.Reset, Changes: make([]rpc.Change, len(found.List))}
	for i := range found.List {
		b := &found.List[i]
		answer.Changes[i] = rpc.Change{
			Batch:     b.Batch,
			State:     string(b.Progress.State),
			Anchor:    b.Progress.Anchor,
			Height:    b.Progress.Height,
			BlockHash: hashText(b.Progress.BlockHash),
		}
	}
	return answer, nil
}
