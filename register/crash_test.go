package register

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/register/store"
)

// stopper lets a number of writes through, and then stops the register for good: its last write
// fails before or after it took effect, and all later ones fail before.
type stopper struct {
	mu      sync.Mutex
	left    int
	after   bool // the last write takes effect
	stopped bool
}

func (s *stopper) write(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return fmt.Errorf("stopped: %w", store.ErrFailed)
	}
	if s.left--; s.left > 0 {
		return do()
	}
	s.stopped = true
	if s.after {
		_ = do()
	}
	return fmt.Errorf("stopped: %w", store.ErrFailed)
}

func (s *stopper) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

type stoppingStore struct {
	store.Store
	*stopper
}

func (s stoppingStore) Claim(ctx context.Context, network string) error {
	return s.write(func() error { return s.Store.Claim(ctx, network) })
}

func (s stoppingStore) AddEntry(ctx context.Context, e store.Entry) (stored store.Entry, added bool, err error) {
	err = s.write(func() (err error) { stored, added, err = s.Store.AddEntry(ctx, e); return err })
	return stored, added, err
}

func (s stoppingStore) Follow(ctx context.Context, proofs []store.Proof, cursor string) error {
	return s.write(func() error { return s.Store.Follow(ctx, proofs, cursor) })
}

type stoppingFiles struct {
	Files
	*stopper
}

func (f stoppingFiles) Put(ctx context.Context, r io.Reader) (d store.Digest, size int64, err error) {
	err = f.write(func() (err error) { d, size, err = f.Files.Put(ctx, r); return err })
	return d, size, err
}

func (f stoppingFiles) PutOTS(d store.Digest, ots []byte) error {
	return f.write(func() error { return f.Files.PutOTS(d, ots) })
}

func (f stoppingFiles) PutReceipt(d store.Digest, receipt []byte) error {
	return f.write(func() error { return f.Files.PutReceipt(d, receipt) })
}

// The register stops at each of its writes, once before and once after the write took effect. What
// it had acknowledged becomes an entry with a complete proof, once.
func TestP8NothingAcknowledgedIsLostAndNothingIsThereTwice(t *testing.T) {
	const documents = 2
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			name := fmt.Sprintf("write %d, before it took effect", n)
			if after {
				name = fmt.Sprintf("write %d, after it took effect", n)
			}
			ended := false
			t.Run(name, func(t *testing.T) { ended = stopAt(t, documents, n, after) })
			if ended || t.Failed() {
				break
			}
		}
	}
}

// stopAt runs a register until its nth write, and then another one on the same files. It reports
// whether there was no such write.
func stopAt(t *testing.T, documents, n int, after bool) (ended bool) {
	w := newWorld(t)
	w.close()
	stop := &stopper{left: n, after: after}
	w.wrap = func(s store.Store) store.Store { return stoppingStore{s, stop} }
	w.wrapF = func(f Files) Files { return stoppingFiles{f, stop} }
	w.open()
	w.run()
	acknowledged := make(map[store.Digest]bool)
	for i := range documents {
		if added, err := w.Add(w.ctx, document(i)); err == nil {
			acknowledged[added.Entry.Digest] = true
		}
	}
	w.awaitStep(stop, store.Pending, documents)
	w.node.mine(0)
	w.awaitStep(stop, store.Mined, documents)
	w.node.mine(6)
	w.awaitStep(stop, store.Complete, documents)
	// The cursor is the last write.
	w.await("the cursor is stored", func() bool { return stop.isStopped() || w.cursorIsAtTheEnd() })
	ended = !stop.isStopped()
	w.wrap, w.wrapF = nil, nil
	w.restart()

	entries, err := w.store.Entries(w.ctx, store.EntryQuery{})
	w.must(err)
	for _, e := range entries {
		delete(acknowledged, e.Digest)
	}
	if len(acknowledged) > 0 {
		t.Fatalf("acknowledged, and not in the register: %v", acknowledged)
	}
	var all []store.Digest
	for i := range documents { // who had no answer tries again; and so does who had one
		added, err := w.Add(w.ctx, document(i))
		w.must(err)
		all = append(all, added.Entry.Digest)
	}
	w.awaitNot(store.Waiting, all...)
	w.node.mine(6)
	w.awaitState(store.Complete, all...)
	w.wantValid(all...)
	if entries, err = w.store.Entries(w.ctx, store.EntryQuery{}); err != nil || len(entries) != documents {
		t.Errorf("%d entries of %d documents, %v", len(entries), documents, err)
	}
	if n := len(w.node.backup().digests); n != documents {
		t.Errorf("the node has %d digests of %d documents", n, documents)
	}
	return ended
}

func document(i int) AddRequest {
	return AddRequest{Reader: strings.NewReader(fmt.Sprint("document ", i)), FileName: fmt.Sprintf("%d.txt", i), Kind: store.Act}
}

// awaitStep waits until that many proofs are so far, or the register has stopped.
func (w *world) awaitStep(stop *stopper, state store.ProofState, n int) {
	w.Helper()
	w.await("a step, or the stop", func() bool {
		c, err := w.store.Counts(w.ctx)
		w.must(err)
		return stop.isStopped() || c.Proofs[state] == n
	})
}

func (w *world) awaitNot(state store.ProofState, all ...store.Digest) {
	w.Helper()
	w.await("no proof is "+string(state), func() bool {
		for _, d := range all {
			if w.proof(d).State == state {
				return false
			}
		}
		return true
	})
}

// cursorIsAtTheEnd reports whether the register has heard of all changes.
func (w *world) cursorIsAtTheEnd() bool {
	w.Helper()
	cursor, err := w.store.Cursor(w.ctx)
	w.must(err)
	c, err := w.node.WaitChanges(w.ctx, cursor, time.Nanosecond, 1)
	w.must(err)
	return len(c.Changes) == 0 && !c.Reset
}
