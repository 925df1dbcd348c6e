package register

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/proof"
	"ancre/register/files"
	"ancre/register/store"
	"ancre/register/store/sqlitestore"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var hurry = pace{
	retry: time.Millisecond, longestRetry: 5 * time.Millisecond, poll: 5 * time.Millisecond, wait: time.Second, sweep: time.Hour, call: 10 * time.Second,
}

// world is a register on a real store and real files, with a fake node.
type world struct {
	*Register
	testing.TB
	ctx   context.Context
	dir   string
	node  *fakeNode
	log   *logLines
	pace  pace
	wrap  func(store.Store) store.Store // nil: the store as it is
	wrapF func(Files) Files
	files *files.Dir
	stop  func() // ends Run; nil: it does not run
	ran   error  // what Run returned
}

// logLines is what was logged.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), message)
}

func newWorld(t testing.TB) *world {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	w := &world{TB: t, ctx: ctx, dir: t.TempDir(), node: newFakeNode(t), log: new(logLines), pace: hurry}
	t.Cleanup(func() {
		if w.Register != nil {
			w.close()
		}
		cancel()
	})
	w.open()
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) open() {
	w.Helper()
	s, err := sqlitestore.Open(w.dir, sqlitestore.Options{})
	w.must(err)
	w.files, err = files.Open(filepath.Join(w.dir, "files"), files.Options{Reserve: 1})
	w.must(err)
	c := Config{
		Store: s, Files: w.files, Node: w.node, WindowsDir: filepath.Join(w.dir, "headers"),
		Bodies: []store.Body{{ID: "conseil", Name: "Conseil municipal", ClearDays: 5}, {ID: "bureau", Name: "Bureau", ClearDays: 0}},
		Log:    slog.New(slog.NewTextHandler(w.log, nil)),
	}
	if w.wrap != nil {
		c.Store = w.wrap(s)
	}
	if w.wrapF != nil {
		c.Files = w.wrapF(w.files)
	}
	w.Register, err = Open(w.ctx, c)
	if err != nil {
		s.Close()
		w.files.Close()
		w.Fatal(err)
	}
	w.Register.pace = w.pace
}

// run runs the register until close.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	r := w.Register
	go func() { w.ran = r.Run(ctx); close(done) }()
	w.stop = func() { cancel(); <-done }
}

func (w *world) close() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
	if err := w.Register.Close(); err != nil {
		w.Error(err)
	}
	w.files.Close()
	w.Register = nil
}

func (w *world) restart() {
	w.Helper()
	w.close()
	w.open()
	w.run()
}

// await waits until a condition holds.
func (w *world) await(what string, cond func() bool) {
	w.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			w.log.mu.Lock()
			defer w.log.mu.Unlock()
			w.Fatalf("waited in vain: %s\n%s", what, w.log.text.String())
		}
	}
}

// add adds a document of no meeting.
func (w *world) add(content string) store.Digest {
	w.Helper()
	added, err := w.Add(w.ctx, AddRequest{Reader: strings.NewReader(content), FileName: "a.txt", Kind: store.Act})
	w.must(err)
	return added.Entry.Digest
}

func (w *world) addMany(n int) (all []store.Digest) {
	w.Helper()
	for i := range n {
		all = append(all, w.add(fmt.Sprintf("document %d", i)))
	}
	return all
}

func (w *world) proof(d store.Digest) store.Proof {
	w.Helper()
	p, err := w.store.Proof(w.ctx, d)
	w.must(err)
	return p
}

func (w *world) awaitState(want store.ProofState, all ...store.Digest) {
	w.Helper()
	w.await(fmt.Sprintf("%d proofs are %s", len(all), want), func() bool {
		proofs, err := w.store.Proofs(w.ctx, all)
		w.must(err)
		for _, p := range proofs {
			if p.State != want {
				return false
			}
		}
		return true
	})
}

// wantValid checks that the proof in the files is complete, true by the node's headers, and that
// the row and the receipt say the same.
func (w *world) wantValid(all ...store.Digest) {
	w.Helper()
	for _, d := range all {
		ots, err := w.files.OTS(d)
		w.must(err)
		f, err := proof.Parse(ots)
		w.must(err)
		r, err := proof.Verify(w.ctx, f, d[:], w.node)
		w.must(err)
		p := w.proof(d)
		if r.Outcome != proof.OutcomeValid || p.State != store.Complete || uint64(p.Height) != r.Header.Height || !p.BlockTime.Equal(r.Header.Time) || p.CompleteAt.IsZero() {
			w.Errorf("the proof of %s is %s (%s), of block %d; the row is %+v", d, r.Outcome, r.Reason, r.Header.Height, p)
		}
		if _, err := w.files.Receipt(d); err != nil {
			w.Error(err)
		}
	}
}
