package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/config"
	"ancre/headers"
	"ancre/internal/datadir"
	"ancre/internal/money"
	"ancre/proof"
	"ancre/rpc"
	rpcserver "ancre/rpc/server"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"go.uber.org/goleak"
)

const testCalendar = "http://127.0.0.1:14788"

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main() // see TestKilledAnywhereNoProofIsHalfWritten
	}
	time.Local = time.UTC                             // what people read has the zone of this machine
	config.ServiceFile, config.ServiceRunDir = "", "" // this machine may have a service
	caches, err := os.MkdirTemp("", "ancre-caches")
	if err != nil {
		panic(err)
	}
	os.Setenv("CACHE_DIRECTORY", caches) // not that of whoever runs the tests
	goleak.VerifyTestMain(m, goleak.Cleanup(func(exit int) {
		os.RemoveAll(caches)
		os.Exit(exit)
	}))
}

// fakeDaemon is everything behind the real JSON-RPC server: one batch, one anchor, one block that
// nobody worked for.
type fakeDaemon struct {
	mu      sync.Mutex
	digests [][32]byte // in the batch, in order
	state   batcher.State
	nonce   func([32]byte) [32]byte
	tx      *wire.MsgTx
	headers []wire.BlockHeader
	synced  bool

	headersErr error // what breaks the export of headers off
	submitErr  error
	onSubmit   func(request context.Context) // runs before SubmitEach
	onStatus   func()                        // runs before Status
	onHeaders  func()                        // runs before headers are written
	backup     func(context.Context, io.Writer) error
	backups    fakeBackups
	wallet     fakeWallet
	calls      []int // sizes of submits
}

func newFakeDaemon() *fakeDaemon {
	return &fakeDaemon{
		state:   batcher.Open,
		nonce:   func(d [32]byte) [32]byte { return sha256.Sum256(append([]byte("nonce"), d[:]...)) },
		headers: []wire.BlockHeader{chaincfg.RegressionNetParams.GenesisBlock.Header},
		synced:  true,
		wallet:  fakeWallet{state: "none"},
	}
}

// mine puts the batch into a block and makes it final.
func (f *fakeDaemon) mine() {
	f.mu.Lock()
	defer f.mu.Unlock()
	root := proof.Root(f.leaves())
	f.tx = wire.NewMsgTx(2)
	f.tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, nil))
	f.tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, root[:]...)))
	last := f.headers[len(f.headers)-1]
	f.headers = append(f.headers, wire.BlockHeader{PrevBlock: last.BlockHash(), MerkleRoot: f.tx.TxHash(), Timestamp: testTime})
	f.state = batcher.Final
}

func (f *fakeDaemon) leaves() [][32]byte {
	leaves := make([][32]byte, len(f.digests))
	for i, d := range f.digests {
		leaves[i] = proof.Leaf(d[:], f.nonce(d))
	}
	return leaves
}

func (f *fakeDaemon) status(d [32]byte) (batcher.Status, error) {
	i := slices.Index(f.digests, d)
	if i < 0 {
		return batcher.Status{}, fmt.Errorf("digest %x: %w", d, batcher.ErrUnknown)
	}
	st := batcher.Status{Digest: d, Nonce: f.nonce(d), Position: store.Position{Batch: 1, Index: uint64(i)}, Progress: batcher.Progress{State: f.state}}
	if f.state == batcher.Final {
		st.Progress.Anchor, st.Progress.TxID, st.Progress.Height, st.Progress.BlockHash = 1, f.tx.TxHash(), 1, f.headers[1].BlockHash()
		st.Progress.BlockTime, st.Progress.Confirmations = testTime, 6
	}
	return st, nil
}

func (f *fakeDaemon) SubmitEach(ctx context.Context, digests [][32]byte, answer func(*batcher.Status)) error {
	if f.onSubmit != nil {
		f.onSubmit(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, len(digests))
	if err := f.submitErr; err != nil {
		if errors.Is(err, batcher.ErrBusy) {
			f.submitErr = nil // the next one is accepted
		}
		return err
	}
	for _, d := range digests {
		if !slices.Contains(f.digests, d) {
			f.digests = append(f.digests, d)
		}
		st, _ := f.status(d)
		answer(&st)
	}
	return nil
}

func (f *fakeDaemon) Status(_ context.Context, d [32]byte) (batcher.Status, error) {
	if f.onStatus != nil {
		f.onStatus()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status(d)
}

func (f *fakeDaemon) Proof(_ context.Context, dst []byte, d [32]byte) ([]byte, batcher.Status, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.status(d)
	if err != nil {
		return nil, st, false, err
	}
	var p *proof.File
	final := f.state == batcher.Final
	if final {
		p, err = proof.Complete(d, st.Nonce, f.anchored(st))
	} else {
		p, err = proof.Pending(d, st.Nonce, testCalendar)
	}
	if err != nil {
		return nil, st, false, err
	}
	ots, err := p.Marshal()
	return append(dst, ots...), st, final, err
}

func (f *fakeDaemon) Timestamp(_ context.Context, dst []byte, leaf store.Leaf) ([]byte, batcher.LeafStatus, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.leaves(), leaf)
	if i < 0 {
		return dst, batcher.LeafStatus{}, false, batcher.ErrUnknown
	}
	st, err := f.status(f.digests[i])
	if err != nil || f.state != batcher.Final {
		return dst, batcher.LeafStatus{Leaf: leaf, Position: st.Position, Progress: st.Progress}, false, err
	}
	t, err := proof.LeafTimestamp(leaf, f.anchored(st))
	if err != nil {
		return dst, batcher.LeafStatus{}, false, err
	}
	ts, err := t.Marshal()
	return append(dst, ts...), batcher.LeafStatus{Leaf: leaf, Position: st.Position, Progress: st.Progress}, true, err
}

// anchored is how a digest got into the block.
func (f *fakeDaemon) anchored(st batcher.Status) proof.Inclusion {
	var tx bytes.Buffer
	f.tx.SerializeNoWitness(&tx) // a bytes.Buffer takes everything
	return proof.Inclusion{Path: proof.Path(f.leaves(), int(st.Position.Index)), Tx: tx.Bytes(), Height: 1, MerkleRoot: f.headers[1].MerkleRoot}
}

func (f *fakeDaemon) Inclusion(_ context.Context, d [32]byte) (a proof.Inclusion, st batcher.Status, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if st, err = f.status(d); err != nil || f.state != batcher.Final {
		return a, st, false, err
	}
	return f.anchored(st), st, true, nil
}

func (f *fakeDaemon) AppendPending(dst []byte, st *batcher.Status) []byte {
	p, err := proof.Pending(st.Digest, st.Nonce, testCalendar)
	if err != nil {
		panic(err)
	}
	ots, err := p.Marshal()
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.AppendEncode(dst, ots)
}

func (f *fakeDaemon) CloseBatch(context.Context) (st batcher.BatchStatus, closed bool, err error) {
	return st, false, nil
}

func (f *fakeDaemon) WaitChanges(context.Context, string, int, time.Duration) (batcher.Changes, error) {
	return batcher.Changes{}, nil
}

func (f *fakeDaemon) Batches(ctx context.Context, _ uint64, _ int) ([]batcher.BatchStatus, error) {
	st, err := f.Batch(ctx, 1)
	if err != nil {
		return nil, nil
	}
	return []batcher.BatchStatus{st}, nil
}

func (f *fakeDaemon) Batch(_ context.Context, id uint64) (st batcher.BatchStatus, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id != 1 || len(f.digests) == 0 {
		return st, fmt.Errorf("batch %d: %w", id, batcher.ErrUnknown)
	}
	first, _ := f.status(f.digests[0])
	st = batcher.BatchStatus{Batch: store.Batch{ID: 1, State: store.Open, Count: uint64(len(f.digests)), Opened: testTime}, Progress: first.Progress}
	if st.Progress.Anchor != 0 {
		st.Batch.State, st.Batch.Anchor, st.Batch.Root = store.Sealed, 1, proof.Root(f.leaves())
	}
	return st, nil
}

func (f *fakeDaemon) Anchors(context.Context, uint64, int) ([]batcher.AnchorStatus, error) {
	return nil, nil
}

func (f *fakeDaemon) Anchor(_ context.Context, id uint64) (st batcher.AnchorStatus, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tx == nil {
		return st, batcher.ErrUnknown
	}
	return batcher.AnchorStatus{Confirmations: 6, Anchor: store.Anchor{
		ID: id, State: store.Final, Created: testTime,
		Versions: []store.Version{{Tx: f.tx, Batches: []uint64{1}, Root: proof.Root(f.leaves()), SatPerVByte: 2, FeeSats: 306, Created: testTime}},
		Block:    &store.Block{Height: 1, Hash: f.headers[1].BlockHash(), Header: f.headers[1]},
	}}, nil
}

func (f *fakeDaemon) Best() (int32, chainhash.Hash, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int32(len(f.headers) - 1), f.headers[len(f.headers)-1].BlockHash(), nil
}

func (f *fakeDaemon) HashAt(height int32) (chainhash.Hash, error) {
	h, err := f.HeaderAt(height)
	return h.BlockHash(), err
}

func (f *fakeDaemon) HeaderAt(height int32) (wire.BlockHeader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.headers[height], nil
}

func (f *fakeDaemon) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, h := range f.headers {
		if h.BlockHash() == hash {
			return h, int32(i), nil
		}
	}
	return wire.BlockHeader{}, 0, headers.ErrNotFound
}

func (f *fakeDaemon) Fees(context.Context) (rpc.FeeEstimate, error) {
	return rpc.FeeEstimate{SatPerVByte: 40, AnchorSats: 6120, FloorSatPerVByte: 2, FloorPeers: 5, AsOf: &testTime,
		Blocks: []rpc.FeeBlock{
			{Height: 1001, BlockTime: &testTime, Transactions: 3000, Fullness: 0.998, AverageSatPerVByte: 41, CountsSatPerVByte: 41},
			{Height: 1000, BlockTime: &testTime, Transactions: 7, Fullness: 0.01, AverageSatPerVByte: 9, CountsSatPerVByte: 1},
		},
		NextAnchor: []rpc.FeeStep{{SatPerVByte: 12, AnchorSats: 1836}, {AfterSeconds: 5400, SatPerVByte: 12, AnchorSats: 1836}, {AfterSeconds: 21600, SatPerVByte: 47, AnchorSats: 7191}},
	}, nil
}

func (f *fakeDaemon) TestNotify(context.Context) (rpc.NotifyTest, error) {
	return rpc.NotifyTest{OK: true, Program: "/bin/mail", Output: "sent"}, nil
}

func (f *fakeDaemon) Info(context.Context) (rpc.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return rpc.Info{
		Version: "0.1", Network: "regtest", Digests: uint64(len(f.digests)),
		Spending: rpc.Spending{PaidSats: 12_345, BudgetSats: 60_000, Blocks: 4320},
		Chain:    rpc.ChainInfo{Synced: f.synced, Height: int32(len(f.headers) - 1), TargetHeight: 1000, Progress: 0.5, RemainingSeconds: 120},
		Calendar: rpc.CalendarInfo{URI: testCalendar},
		Wallet:   rpc.WalletInfo{State: f.wallet.state, Balance: rpc.Balance{ConfirmedSats: 50_000, SpendableSats: 40_000}},
	}, nil
}

// fakeWallet remembers what it was asked.
type fakeWallet struct {
	mu      sync.Mutex
	state   string
	asked   string
	changed rpc.ChangedPassphrase
}

func (w *fakeWallet) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = fmt.Sprintf(format, args...)
}

func (w *fakeWallet) Create(_ context.Context, pass string, words []string, birthday time.Time) (rpc.CreatedWallet, error) {
	w.say("create %q %d words %s", pass, len(words), birthday.Format(time.DateOnly))
	made := rpc.CreatedWallet{Restored: len(words) > 0, Address: testAddress}
	if !made.Restored {
		for i := range 24 {
			made.Words = append(made.Words, fmt.Sprintf("word%c", 'a'+i))
		}
	}
	return made, nil
}

func (w *fakeWallet) Replace(ctx context.Context, pass string, words []string, birthday time.Time) (rpc.CreatedWallet, error) {
	made, err := w.Create(ctx, pass, words, birthday)
	w.say("re%s", w.asked)
	return made, err
}

func (w *fakeWallet) Unlock(_ context.Context, pass string) error {
	w.say("unlock %q", pass)
	if pass != "right" {
		return rpcserver.ErrWrongPassphrase
	}
	return nil
}

func (w *fakeWallet) ChangePassphrase(_ context.Context, old, fresh string) (rpc.ChangedPassphrase, error) {
	w.say("change %q to %q", old, fresh)
	if old != "right" {
		return rpc.ChangedPassphrase{}, rpcserver.ErrWrongPassphrase
	}
	return w.changed, nil
}

// testOutlook is that of a wallet of 50,000 sat with four anchors a day.
var testOutlook = money.Look(money.Facts{BalanceSats: 50_000, AnchorSats: 153, Interval: 6 * time.Hour})

func (w *fakeWallet) NewAddress(context.Context) (rpc.Address, error) {
	return rpc.Address{Address: testAddress, Outlook: testOutlook}, nil
}

func (w *fakeWallet) Balance(context.Context) (rpc.Balance, error) {
	return rpc.Balance{ConfirmedSats: 50_000, PendingSats: 7, SpendableSats: 40_000, Outlook: testOutlook}, nil
}

func (w *fakeWallet) Transactions(context.Context, int, int) ([]rpc.Transaction, error) {
	fee := int64(306)
	return []rpc.Transaction{{TxID: strings.Repeat("ab", 32), Time: testTime, AmountSats: -306, FeeSats: &fee, Kind: "anchor", Confirmations: 6}}, nil
}

func (w *fakeWallet) Send(_ context.Context, address string, sats, rate int64, dry bool) (rpc.Payment, error) {
	p := rpc.Payment{AmountSats: sats, FeeSats: 282, SatPerVByte: 2, RestSats: 24_718, HeldSats: 10_000, UnconfirmedSats: 7, SmallSats: 200, AnchorsLeft: 161, DaysLeft: 40}
	if sats == rpc.All {
		p.AmountSats, p.RestSats = 39_718, 10_207
	}
	if dry {
		return p, nil
	}
	w.say("send %s %d %d", address, sats, rate)
	p.TxID = strings.Repeat("cd", 32)
	return p, nil
}

const testAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

// fakeBackups is what was reported of backups.
type fakeBackups struct {
	done   []rpc.LastBackup
	failed []string
	err    error // what Done returns
}

func (b *fakeBackups) Done(done rpc.LastBackup) error { b.done = append(b.done, done); return b.err }
func (b *fakeBackups) Failed(reason string) error     { b.failed = append(b.failed, reason); return nil }

// rig is a daemon on regtest, its data directory, and a directory with files.
type rig struct {
	t      *testing.T
	daemon *fakeDaemon
	http   *httptest.Server
	data   string // --datadir
	run    string // of the service, see service
	dir    string // where the files are
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, daemon: newFakeDaemon(), data: t.TempDir(), dir: t.TempDir()}
	network := filepath.Join(r.data, "regtest")
	if err := os.Mkdir(network, 0o700); err != nil {
		t.Fatal(err)
	}
	cookie, err := rpc.WriteCookie(filepath.Join(network, datadir.Cookie))
	if err != nil {
		t.Fatal(err)
	}
	r.run = t.TempDir()
	if err := os.Chmod(r.run, 0o750); err != nil {
		t.Fatal(err)
	}
	group, err := rpc.WriteGroupCookie(filepath.Join(r.run, datadir.GroupCookie("regtest")))
	if err != nil {
		t.Fatal(err)
	}
	server := rpcserver.New(rpcserver.Config{Users: []rpc.User{cookie, group}})
	server.Provide(rpcserver.Services{Batcher: r.daemon, Chain: r.daemon, Wallet: &r.daemon.wallet, Node: r.daemon, Backups: &r.daemon.backups,
		Backup:  func(ctx context.Context, w io.Writer) error { return r.daemon.backup(ctx, w) },
		Headers: func(ctx context.Context, w io.Writer) error { return r.daemon.writeHeaders(ctx, w) }, CalendarURI: testCalendar})
	r.http = httptest.NewServer(server)
	t.Cleanup(r.http.Close)
	// Not testCalendar: whatever listens there on the machine of whoever runs the tests is not
	// asked.
	conf := fmt.Sprintf("network = \"regtest\"\n[rpc]\nlisten = %q\n[calendar]\nuri = \"https://calendar.invalid\"\n", r.http.Listener.Addr())
	if err := os.WriteFile(filepath.Join(r.data, config.FileName), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// path is where a file of that name is.
func (r *rig) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// write makes a file, and its directory.
func (r *rig) write(name, content string) string {
	r.t.Helper()
	path := r.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) read(path string) []byte {
	r.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// proof reads a proof that must be one.
func (r *rig) proof(path string) *proof.File {
	r.t.Helper()
	f, err := proof.Parse(r.read(path))
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	return f
}

// names lists all files below the directory of the files, in order.
func (r *rig) names() []string {
	r.t.Helper()
	var names []string
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(r.dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// answer is what a call of the program left.
type answer struct {
	exit     int
	out, err string
}

// session is a call with a person, or with something on standard input.
type session struct {
	ctx      context.Context
	in       string
	person   bool
	terminal bool                     // out and err are one
	secrets  []string                 // what is typed unseen
	ancred   string                   // the path of the program; "": there is none
	answer   func(said string) string // what is typed seen, after what was said on standard error; in place of in
}

func (r *rig) ancre(args ...string) answer {
	r.t.Helper()
	return r.with(session{}, args...)
}

func (r *rig) with(s session, args ...string) answer {
	r.t.Helper()
	return call(s, append([]string{"--datadir", r.data}, args...)...)
}

// replies is a person who reads what is said before answering.
type replies struct {
	said   *bytes.Buffer
	answer func(said string) string
	left   string
}

func (r *replies) Read(p []byte) (int, error) {
	if r.left == "" {
		r.left = r.answer(r.said.String()) + "\n"
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

func call(s session, args ...string) answer {
	var out, errs bytes.Buffer
	if s.ctx == nil {
		s.ctx = context.Background()
	}
	var in io.Reader = strings.NewReader(s.in)
	if s.answer != nil {
		in = &replies{said: &errs, answer: s.answer}
	}
	exit := run(s.ctx, args, &terminal{
		in: in, out: &out, err: &errs,
		person: s.person, outTerm: s.terminal, errTerm: s.terminal,
		width:  func() int { return 80 },
		ancred: func() string { return s.ancred },
		secret: func(context.Context) (string, error) {
			if len(s.secrets) == 0 {
				return "", errors.New("nothing is typed")
			}
			line := s.secrets[0]
			s.secrets = s.secrets[1:]
			return line, nil
		},
	})
	return answer{exit, out.String(), errs.String()}
}

// is checks the exit status, and that the texts stand in what was said on out and err together.
func (a answer) is(t *testing.T, exit int, texts ...string) answer {
	t.Helper()
	if a.exit != exit {
		t.Errorf("exit status %d, want %d\nout: %s\nerr: %s", a.exit, exit, a.out, a.err)
	}
	for _, text := range texts {
		if !strings.Contains(a.out+a.err, text) {
			t.Errorf("nothing is said of %q\nout: %s\nerr: %s", text, a.out, a.err)
		}
	}
	return a
}
