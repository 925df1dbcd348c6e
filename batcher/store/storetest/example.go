package storetest

import (
	"context"
	"errors"
	"time"

	"ancre/batcher/store"
)

// ExampleDigests is how many digests [FillExample] stores.
const ExampleDigests = 302

// FillExample stores a sealed batch of 300 digests, an open one of 2, and a cursor at block 1234,
// for tests of what is done with a whole store. The store must be empty.
func FillExample(ctx context.Context, s store.Store, now time.Time) error {
	first := store.Batch{ID: 1, State: store.Closed, Count: 300, Opened: now, Closed: now}
	second := store.Batch{ID: 2, State: store.Open, Count: 2, Opened: now}
	err := errors.Join(s.Append(ctx, Group([]store.Batch{first}, 1, 0, 300)), s.Append(ctx, Group([]store.Batch{second}, 2, 0, 2)))
	sealed, nodes := Seal(first)
	return errors.Join(err, s.Apply(ctx, &store.Update{
		Batches: []store.Batch{sealed},
		Nodes:   nodes,
		Cursor:  &store.Cursor{Points: []store.Point{{Height: 1234, Hash: [32]byte{31: 1}}}},
	}))
}
