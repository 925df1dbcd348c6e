package batcher_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore"
	calserver "ancre/calendar/server"
	"ancre/proof"
	"ancre/rpc"
	rpcserver "ancre/rpc/server"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"
)

// Acknowledged means durable. These tests run the handlers of both interfaces, the batcher and the
// store as the daemon runs them, over a disk in memory. The disk counts its syncs, holds them up,
// lets them fail, and can be pulled out.

// disk is a disk in memory. When it is pulled out, what was not synced is lost.
type disk struct {
	vfs.FS
	memory *vfs.MemFS

	mu     sync.Mutex
	gate   chan struct{} // no sync begins before it is closed; nil: they go through
	fail   error         // what each sync ends with, and has not happened
	held   chan struct{} // has a value when a sync was held up since the last receive
	synced int           // syncs of the store's log that were completed
}

func newDisk() *disk {
	m := vfs.NewCrashableMem()
	return &disk{FS: m, memory: m, held: make(chan struct{}, 1)}
}

// hold delays all syncs until the function that it returns is called, or the test is over. The
// argument of that function is the error with which they end.
func (s *site) hold() (release func(fail error)) {
	d, gate := s.disk, make(chan struct{})
	d.mu.Lock()
	d.gate = gate
	d.mu.Unlock()
	var once sync.Once
	release = func(fail error) {
		once.Do(func() {
			d.mu.Lock()
			d.gate, d.fail = nil, fail
			d.mu.Unlock()
			close(gate)
		})
	}
	s.Cleanup(func() { release(nil) })
	return release
}

func (d *disk) sync(name string, sync func() error) error {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		select {
		case d.held <- struct{}{}:
		default:
		}
		<-gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	err := sync()
	if err == nil && filepath.Ext(name) == ".log" {
		d.synced++
	}
	return err
}

func (d *disk) syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.synced
}

// pulledOut returns what another machine finds on the disk.
func (d *disk) pulledOut() vfs.FS { return d.memory.CrashClone(vfs.CrashCloneCfg{}) }

type diskFile struct {
	vfs.File
	disk *disk
	name string
}

func (d *disk) file(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d, name}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return d.file(f, name, err)
}

func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return d.file(f, name, err)
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, opts...)
	return d.file(f, name, err)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return d.file(f, name, err)
}

func (f *diskFile) Sync() error     { return f.disk.sync(f.name, f.File.Sync) }
func (f *diskFile) SyncData() error { return f.disk.sync(f.name, f.File.SyncData) }

func (f *diskFile) SyncTo(n int64) (full bool, err error) {
	err = f.disk.sync("", func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// site is the part of a daemon through which a submit passes: interfaces, batcher, store and disk.
type site struct {
	*testing.T
	disk     *disk
	store    *pebblestore.Store
	batcher  *batcher.Batcher
	client   *rpc.Client
	calendar string // its URL
	stop     func() error
}

const storeDir = "store"

func newSite(t *testing.T) *site {
	t.Helper()
	s := openSite(t, newDisk())
	log := slog.New(slog.DiscardHandler)
	line, password, err := rpc.NewUser("clerk", rpc.RoleSubmit)
	if err != nil {
		t.Fatal(err)
	}
	user, err := rpc.ParseUser(line)
	if err != nil {
		t.Fatal(err)
	}
	front := rpcserver.New(rpcserver.Config{Users: []rpc.User{user}, Log: log})
	front.Provide(rpcserver.Services{Batcher: s.batcher})
	web := httptest.NewServer(front)
	t.Cleanup(web.Close)
	if s.client, err = rpc.NewClient(web.URL, "clerk", password); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	public := calserver.New(calserver.Config{URI: "http://127.0.0.1:14788", Log: log})
	public.Provide(calserver.Services{Batcher: s.batcher})
	open := httptest.NewServer(public)
	t.Cleanup(open.Close)
	s.calendar = open.URL
	return s
}

// openSite starts a batcher over the contents of a disk. It seals a batch every hundred digests and
// pays for none, as it never sees the chain.
func openSite(t *testing.T, d *disk) *site {
	t.Helper()
	s := &site{T: t, disk: d}
	var err error
	if s.store, err = pebblestore.Open(storeDir, pebblestore.Options{FS: d}); err != nil {
		t.Fatal(err)
	}
	policy := decide.DefaultPolicy()
	policy.MaxDigests = 100
	s.batcher, err = batcher.New(batcher.Config{
		Store: s.store, Chain: noChain{}, Wallet: noWallet{}, Policy: policy, URI: "http://127.0.0.1:14788", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.batcher.Run(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, s.store.Close())
	})
	t.Cleanup(func() { s.stop() })
	return s
}

// noChain is a light client that never syncs.
type noChain struct{ batcher.Chain }

func (noChain) Synced() bool                       { return false }
func (noChain) Peers() uint64                      { return 0 }
func (noChain) Changes() (<-chan struct{}, func()) { return nil, func() {} }

// noWallet has nothing to lease.
type noWallet struct{ batcher.Wallet }

func (noWallet) LeaseOnly(context.Context, []wire.OutPoint) error { return nil }

// way is an interface through which digests come in. It returns when they are acknowledged.
type way struct {
	name   string
	submit func(s *site, digests [][32]byte) error
}

var ways = []way{
	{"Submit", func(s *site, digests [][32]byte) error {
		_, err := s.batcher.Submit(context.Background(), digests)
		return err
	}},
	{"SubmitMessage", func(s *site, digests [][32]byte) error {
		for i := range digests {
			if _, err := s.batcher.SubmitMessage(context.Background(), nil, digests[i][:]); err != nil {
				return err
			}
		}
		return nil
	}},
	{"submit over JSON-RPC", func(s *site, digests [][32]byte) error {
		for i := range digests {
			if _, err := s.client.Submit(context.Background(), digests[i]); err != nil {
				return err
			}
		}
		return nil
	}},
	{"submitbatch over JSON-RPC", func(s *site, digests [][32]byte) error {
		_, err := s.client.SubmitBatch(context.Background(), digests)
		return err
	}},
	{"POST /digest to the calendar", func(s *site, digests [][32]byte) error {
		for i := range digests {
			answer, err := http.Post(s.calendar+"/digest", "application/octet-stream", bytes.NewReader(digests[i][:]))
			if err != nil {
				return err
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil || answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s (%v)", answer.Status, body, err)
			}
		}
		return nil
	}},
}

// paper is the nth submitted message.
func paper(n int64) [32]byte { return sha256.Sum256(fmt.Append(nil, "paper ", n)) }

// awaitHeld waits until a sync is held up. No answer may come before that sync.
func (s *site) awaitHeld(answered <-chan error) {
	s.Helper()
	select {
	case <-s.disk.held:
	case err := <-answered:
		s.Fatalf("answered (%v) before any sync began", err)
	case <-time.After(time.Minute):
		s.Fatal("no sync began within a minute")
	}
}

// look queries the store through both interfaces, which needs no sync. An answer that comes too
// early has time to arrive meanwhile.
func (s *site) look() {
	s.Helper()
	for range 20 {
		_, err := s.client.Status(context.Background(), paper(-1))
		var refused *rpc.Error
		if !errors.As(err, &refused) || refused.Code != rpc.CodeNotFound {
			s.Fatalf("getstatus of what never came: %v", err)
		}
		answer, err := http.Get(s.calendar + "/timestamp/" + hex.EncodeToString(make([]byte, 32)))
		if err != nil || answer.StatusCode != http.StatusNotFound {
			s.Fatalf("GET /timestamp of what never came: %v, %v", answer, err)
		}
		answer.Body.Close()
	}
}

// holds says which of the digests are in the store on a disk.
func holds(t *testing.T, fs vfs.FS, digests [][32]byte) (missing int) {
	t.Helper()
	engine, err := pebblestore.Open(storeDir, pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatalf("what a crash left does not open: %v", err)
	}
	defer engine.Close()
	nonces := proof.NewNoncer(engine.Key())
	leaves := make([]store.Leaf, len(digests))
	for i, d := range digests {
		leaves[i] = proof.Leaf(d[:], nonces.Nonce(d[:]))
	}
	at, err := engine.Find(context.Background(), leaves)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range at {
		if p.Batch == 0 {
			missing++
			continue
		}
		if leaf, err := engine.Leaves(context.Background(), p.Batch, p.Index, 1); err != nil || len(leaf) != 1 || leaf[0] != leaves[i] {
			t.Fatalf("digest %x stands at %v, and there is %x (%v)", digests[i], p, leaf, err)
		}
	}
	return missing
}

// TestNothingIsAcknowledgedBeforeItsSync holds the sync up and sees no answer. Then it lets the
// sync go and sees an answer, and at that moment the digest is on the disk. It would catch a write
// that is not synced, an answer before the sync, and a sync that ends before the bytes were
// written.
func TestNothingIsAcknowledgedBeforeItsSync(t *testing.T) {
	for i, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := newSite(t)
			if err := w.submit(s, [][32]byte{paper(1)}); err != nil {
				t.Fatal(err)
			}
			digests := [][32]byte{paper(int64(100 + i))}
			release := s.hold()
			answered := make(chan error, 1)
			go func() { answered <- w.submit(s, digests) }()
			s.awaitHeld(answered)
			s.look()
			select {
			case err := <-answered:
				t.Fatalf("answered (%v) while the sync was held up", err)
			default:
			}
			if holds(t, s.disk.pulledOut(), digests) != 1 {
				t.Fatal("the disk keeps what was not synced: this test shows nothing")
			}
			release(nil)
			if err := <-answered; err != nil {
				t.Fatalf("after the sync: %v", err)
			}
			if holds(t, s.disk.pulledOut(), digests) != 0 {
				t.Error("acknowledged, and not on the disk")
			}
		})
	}
}

// TestFailedSyncIsNoAcknowledgement would catch a sync whose error is lost, and one that is tried
// again: it is unknown what a disk did with the bytes of a failed sync.
func TestFailedSyncIsNoAcknowledgement(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := newSite(t)
			if err := w.submit(s, [][32]byte{paper(1)}); err != nil {
				t.Fatal(err)
			}
			release := s.hold()
			answered := make(chan error, 1)
			go func() { answered <- w.submit(s, [][32]byte{paper(2)}) }()
			s.awaitHeld(answered)
			release(errors.New("the disk is broken"))
			if err := <-answered; err == nil {
				t.Fatal("acknowledged, and its sync failed")
			}
			s.hold()(nil) // the disk works again
			for n := range int64(3) {
				if err := w.submit(s, [][32]byte{paper(3 + n)}); err == nil {
					t.Fatal("acknowledged after a sync had failed")
				}
			}
			if err := s.stop(); !errors.Is(err, store.ErrFailed) {
				t.Errorf("the batcher ended with %v", err)
			}
			if holds(t, s.disk.pulledOut(), [][32]byte{paper(1)}) != 0 {
				t.Error("what was acknowledged before is not on the disk")
			}
		})
	}
}

// TestACrowdSharesASync would catch a sync for each caller, which many callers could not afford,
// and an answer without any sync.
func TestACrowdSharesASync(t *testing.T) {
	s := newSite(t)
	release := s.hold()
	var g errgroup.Group
	submit := func(n int64) { g.Go(func() error { return ways[int(n)%len(ways)].submit(s, [][32]byte{paper(n)}) }) }
	before := s.disk.syncs()
	submit(0)
	s.awaitHeld(nil)
	const crowd = 90 // fewer than fill a batch
	for n := range int64(crowd) {
		submit(1 + n)
	}
	await(t, "the crowd to wait", func() bool { return s.batcher.Counts().Queue == 1+crowd })
	release(nil)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	groups, syncs := int(s.batcher.Counts().Commits), s.disk.syncs()-before
	if groups != 2 || syncs != groups {
		t.Errorf("%d callers were answered after %d groups and %d syncs, want the first one's and one for all who waited", 1+crowd, groups, syncs)
	}
}

// TestEachAcknowledgementOutlivesACrash pulls the disk out at acknowledgements of many callers, who
// use all interfaces while batches are closed and sealed. All digests that were acknowledged until
// then are on the disk.
func TestEachAcknowledgementOutlivesACrash(t *testing.T) {
	const callers, rounds, pulls = 10, 40, 8
	s := newSite(t)
	var (
		mu    sync.Mutex
		book  [][32]byte // acknowledged
		disks []vfs.FS
		known []int // how much of book was, when the disk was pulled out
		next  atomic.Int64
		g     errgroup.Group
	)
	for c := range callers {
		g.Go(func() error {
			w := ways[c%len(ways)]
			for r := range rounds {
				digests := make([][32]byte, 1+(c+r)%7)
				for i := range digests {
					digests[i] = paper(next.Add(1))
				}
				if err := w.submit(s, digests); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
				mu.Lock()
				book = append(book, digests...)
				n := len(book)
				if (c+r*callers)%(callers*rounds/pulls) == 0 {
					disks, known = append(disks, s.disk.pulledOut()), append(known, n)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(disks) < pulls {
		t.Fatalf("pulled out %d times, want %d", len(disks), pulls)
	}
	for i, d := range disks {
		if missing := holds(t, d, book[:known[i]]); missing > 0 {
			t.Errorf("%d of the %d digests that were acknowledged are not on the disk that was pulled out then", missing, known[i])
		}
	}
	await(t, "batch 1 to be sealed meanwhile", func() bool {
		st, err := s.batcher.Batch(context.Background(), 1)
		return err == nil && st.Progress.State == batcher.Sealed
	})
}

// await waits until a condition holds.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !so(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
