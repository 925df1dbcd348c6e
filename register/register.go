// Package register is the register of the documents that were anchored: what the digests at the
// node are of.
//
// A [Register] takes documents in ([Register.Add]), and answers when their bytes and their rows are
// on disk. It sends their digests to the node, however long the node is away, and follows their
// proofs until they are complete and over reorganisations ([Register.Run]). [Public] is what the
// public page may see of it.
//
// Rows are in a [store.Store]. Bytes and proofs are in [Files], beside it. What is written is
// always written in this order: files, then rows, then the cursor of the node's feed. So a crash
// leaves nothing but work that is done again.
package register

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ancre/internal/wake"
	"ancre/register/store"

	"golang.org/x/sync/errgroup"
)

// Config says what a register works with.
type Config struct {
	Store store.Store // the register closes it
	Files Files
	Node  Node

	Bodies  []store.Body   // the first one is the default
	Zone    *time.Location // in which dates of meetings are read; nil: Europe/Paris
	Publish []store.Kind   // kinds that are published as they come

	// WindowsDir is the directory in which windows of block headers are kept for the page. It is
	// made if it does not exist.
	WindowsDir string

	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now
}

// Register is the register. Its methods may be called by several goroutines at once.
type Register struct {
	store    store.Store
	files    Files
	node     Node
	bodies   []store.Body // the configured ones
	zone     *time.Location
	publish  []store.Kind
	log      *slog.Logger
	now      func() time.Time
	warnings *Warnings
	headers  *windows

	pace pace

	digestWaits chan struct{} // wakes the sender

	// answering is held for reading by the sender, from its question to the node until the answer
	// is stored. The follower waits for it before it looks for the digests of a batch that changed.
	answering sync.RWMutex

	mu         sync.Mutex // guards what follows
	status     NodeStatus
	lost       int               // how often the node was lost
	claimed    string            // the network of the node, once the store has claimed it
	conditions map[string]string // what is wrong, by the kind of its warning
}

// Open returns a register. It makes the configured bodies known. It does not ask the node, and does
// not yet send digests or follow proofs: see [Register.Run].
func Open(ctx context.Context, c Config) (*Register, error) {
	r := &Register{
		store: c.Store, files: c.Files, node: c.Node, bodies: slices.Clone(c.Bodies), zone: c.Zone,
		publish: slices.Clone(c.Publish), log: c.Log, now: c.Now,
		warnings: newWarnings(c.Now), digestWaits: wake.New(), conditions: make(map[string]string), pace: usualPace,
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.zone == nil {
		zone, err := time.LoadLocation("Europe/Paris")
		if err != nil {
			return nil, err
		}
		r.zone = zone
	}
	if len(r.bodies) == 0 {
		return nil, fmt.Errorf("no body is configured: name one in register.conf, such as [body.conseil]")
	}
	if err := r.store.PutBodies(ctx, r.bodies); err != nil {
		return nil, fmt.Errorf("store the configured bodies: %w", err)
	}
	r.headers = newWindows(r.node, r.NodeStatus, c.WindowsDir, r.log)
	return r, nil
}

// Close closes the store. Run must have returned.
func (r *Register) Close() error { return r.store.Close() }

// Run sends digests to the node and follows their proofs, until ctx ends. A node that is away and a
// disk that is full are no reasons to return: it warns, and tries again. It returns an error only
// if the store takes no more writes: then the register must be opened again.
func (r *Register) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range []func(context.Context) error{r.send, r.follow, r.watchNode} {
		group.Go(func() error {
			if err := task(ctx); errors.Is(err, store.ErrFailed) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}

// Store returns the store of the register, for reading. Write through the register.
func (r *Register) Store() store.Store { return r.store }

// Files returns the files of the register, for reading.
func (r *Register) Files() Files { return r.files }

// Zone returns the time zone in which dates are read.
func (r *Register) Zone() *time.Location { return r.zone }

// Bodies returns the configured bodies. The first one is the default.
func (r *Register) Bodies() []store.Body { return slices.Clone(r.bodies) }

// Warnings returns what warns now, for the node, the sender, the follower and the watched folder.
func (r *Register) Warnings() *Warnings { return r.warnings }
