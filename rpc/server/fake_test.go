package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/headers"
	"ancre/internal/money"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)

// memBatcher keeps digests in one open batch, in memory. These tests are about the protocol; itest
// tests the real batcher.
type memBatcher struct {
	waiting chan struct{} // told when somebody waits for changes, unless nil

	mu      sync.Mutex
	at      map[[32]byte]uint64
	sealed  bool
	err     error  // what SubmitEach returns
	onCall  func() // runs in SubmitEach
	anchors []batcher.AnchorStatus
	final   *proof.Inclusion // how everything got into a block
}

func (b *memBatcher) SubmitEach(ctx context.Context, digests [][32]byte, answer func(*batcher.Status)) error {
	if b.onCall != nil {
		b.onCall()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	from := uint64(len(b.at))
	for _, d := range digests {
		if _, ok := b.at[d]; !ok {
			b.at[d] = uint64(len(b.at))
		}
	}
	for _, d := range digests {
		st := b.status(d)
		st.New = b.at[d] >= from
		answer(&st)
	}
	return nil
}

func (b *memBatcher) status(d [32]byte) batcher.Status {
	return batcher.Status{Digest: d, Nonce: sha256.Sum256(d[:]), Position: store.Position{Batch: 1, Index: b.at[d]}, Progress: batcher.Progress{State: batcher.Open}}
}

func (b *memBatcher) Status(_ context.Context, d [32]byte) (batcher.Status, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.at[d]; !ok {
		return batcher.Status{}, batcher.ErrUnknown
	}
	return b.status(d), nil
}

func (b *memBatcher) Proof(ctx context.Context, dst []byte, d [32]byte) ([]byte, batcher.Status, bool, error) {
	st, err := b.Status(ctx, d)
	if err != nil {
		return dst, st, false, err
	}
	ots, err := b.Pending(st)
	return append(dst, ots...), st, false, err
}

// Timestamp knows the leaf of each digest, which here is its nonce. It is in no block.
func (b *memBatcher) Timestamp(_ context.Context, dst []byte, leaf store.Leaf) ([]byte, batcher.LeafStatus, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d := range b.at {
		if st := b.status(d); st.Nonce != leaf {
			continue
		} else if b.final == nil {
			return dst, batcher.LeafStatus{Leaf: leaf, Position: st.Position, Progress: st.Progress}, false, nil
		} else {
			where := batcher.Progress{State: batcher.Final, Height: int32(b.final.Height), BlockTime: testTime, Confirmations: 6}
			t := &proof.Timestamp{Msg: leaf[:], Attestations: []proof.Attestation{proof.BitcoinAt(b.final.Height)}}
			ts, err := t.Marshal()
			return append(dst, ts...), batcher.LeafStatus{Leaf: leaf, Position: st.Position, Progress: where}, true, err
		}
	}
	return dst, batcher.LeafStatus{}, false, batcher.ErrUnknown
}

// Inclusion returns where the digests in final are. The others are pending.
func (b *memBatcher) Inclusion(ctx context.Context, d [32]byte) (proof.Inclusion, batcher.Status, bool, error) {
	st, err := b.Status(ctx, d)
	if b.final == nil || err != nil {
		return proof.Inclusion{}, st, false, err
	}
	st.Progress = batcher.Progress{State: batcher.Final, Height: int32(b.final.Height), BlockTime: testTime, Confirmations: 6}
	return *b.final, st, true, nil
}

// Pending writes magic, version, sha256, the digest and one pending attestation, byte by byte.
func (b *memBatcher) Pending(st batcher.Status) ([]byte, error) {
	const uri = "http://127.0.0.1:14788"
	out := []byte("\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08")
	out = append(out, st.Digest[:]...)
	out = append(out, "\x00\x83\xdf\xe3\x0d\x2e\xf9\x0c\x8e"...)
	out = append(out, byte(len(uri)+1), byte(len(uri)))
	return append(out, uri...), nil
}

func (b *memBatcher) AppendPending(dst []byte, st *batcher.Status) []byte {
	ots, _ := b.Pending(*st)
	return base64.StdEncoding.AppendEncode(dst, ots)
}

func (b *memBatcher) CloseBatch(ctx context.Context) (batcher.BatchStatus, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed || len(b.at) == 0 {
		return batcher.BatchStatus{}, false, nil
	}
	b.sealed = true
	st, err := b.batch(1)
	return st, true, err
}

// WaitChanges tells of the one batch that there is. Cursor "1-…" is behind it.
func (b *memBatcher) WaitChanges(ctx context.Context, cursor string, limit int, timeout time.Duration) (batcher.Changes, error) {
	b.mu.Lock()
	here := len(b.at) > 0
	b.mu.Unlock()
	switch {
	case cursor != "" && cursor != "1":
		return batcher.Changes{}, fmt.Errorf("%w: %q", batcher.ErrCursor, cursor)
	case here && cursor == "":
		one := batcher.BatchChange{Batch: 1, Progress: batcher.Progress{State: batcher.Final, Anchor: 1, Height: 100, BlockHash: chainhash.Hash{1}}}
		return batcher.Changes{List: []batcher.BatchChange{one}, Cursor: "1"}, nil
	}
	select {
	case b.waiting <- struct{}{}:
	default:
	}
	select {
	case <-time.After(timeout):
		return batcher.Changes{Cursor: cursor}, nil
	case <-ctx.Done():
		return batcher.Changes{}, ctx.Err()
	}
}

func (b *memBatcher) batch(id uint64) (st batcher.BatchStatus, err error) {
	if id != 1 || len(b.at) == 0 {
		return st, batcher.ErrUnknown
	}
	st = batcher.BatchStatus{
		Batch:    store.Batch{ID: 1, State: store.Open, Count: uint64(len(b.at)), Opened: testTime},
		Progress: batcher.Progress{State: batcher.Open},
		Closes:   testTime.Add(time.Hour),
	}
	if b.sealed {
		st.Batch.Closed, st.Closes = testTime.Add(time.Minute), time.Time{}
		st.Batch.State, st.Progress.State, st.Batch.Root = store.Sealed, batcher.Sealed, [32]byte{1}
	}
	return st, nil
}

func (b *memBatcher) Batches(context.Context, uint64, int) ([]batcher.BatchStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st, err := b.batch(1)
	if err != nil {
		return nil, nil
	}
	return []batcher.BatchStatus{st}, nil
}

func (b *memBatcher) Batch(_ context.Context, id uint64) (batcher.BatchStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.batch(id)
}

func (b *memBatcher) Anchors(context.Context, uint64, int) ([]batcher.AnchorStatus, error) {
	return b.anchors, nil
}

func (b *memBatcher) Anchor(_ context.Context, id uint64) (batcher.AnchorStatus, error) {
	for _, a := range b.anchors {
		if a.Anchor.ID == id {
			return a, nil
		}
	}
	return batcher.AnchorStatus{}, batcher.ErrUnknown
}

// listChain is a chain of headers without proof of work, on the first block of regtest.
type listChain []wire.BlockHeader

func newChain(blocks int) listChain {
	c := listChain{chaincfg.RegressionNetParams.GenesisBlock.Header}
	for len(c) < blocks {
		last := &c[len(c)-1]
		c = append(c, wire.BlockHeader{Version: 0x20000000, PrevBlock: last.BlockHash(), MerkleRoot: chainhash.HashH([]byte{byte(len(c))}),
			Timestamp: last.Timestamp.Add(10 * time.Minute), Bits: last.Bits, Nonce: uint32(len(c))})
	}
	return c
}

func (c listChain) Best() (int32, chainhash.Hash, error) {
	return int32(len(c) - 1), c[len(c)-1].BlockHash(), nil
}
func (c listChain) HashAt(height int32) (chainhash.Hash, error)     { return c[height].BlockHash(), nil }
func (c listChain) HeaderAt(height int32) (wire.BlockHeader, error) { return c[height], nil }
func (c listChain) Fees(context.Context) (rpc.FeeEstimate, error) {
	return rpc.FeeEstimate{SatPerVByte: 3, AnchorSats: 459, FloorSatPerVByte: 1}, nil
}
func (c listChain) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	i := slices.IndexFunc(c, func(h wire.BlockHeader) bool { return h.BlockHash() == hash })
	if i < 0 {
		return wire.BlockHeader{}, 0, fmt.Errorf("header of %s: %w", hash, headers.ErrNotFound)
	}
	return c[i], int32(i), nil
}

// memWallet remembers the last call.
type memWallet struct {
	err   error
	asked string
}

func (w *memWallet) Create(_ context.Context, pass string, words []string, birthday time.Time) (rpc.CreatedWallet, error) {
	w.asked = fmt.Sprint("create ", pass, " ", words, " ", birthday.Format(time.DateOnly))
	return rpc.CreatedWallet{Words: []string{"abandon", "zoo"}, Address: "bcrt1qq"}, w.err
}
func (w *memWallet) Replace(_ context.Context, pass string, words []string, birthday time.Time) (rpc.CreatedWallet, error) {
	w.asked = fmt.Sprintf("replace %q %v %v", pass, words, birthday)
	return rpc.CreatedWallet{Address: "bcrt1qnew"}, w.err
}

func (w *memWallet) Unlock(_ context.Context, pass string) error {
	w.asked = "unlock " + pass
	return w.err
}
func (w *memWallet) ChangePassphrase(_ context.Context, old, new string) (rpc.ChangedPassphrase, error) {
	w.asked = fmt.Sprintf("change %q to %q", old, new)
	return rpc.ChangedPassphrase{UnlockFile: "/pass", UpdateFile: true}, w.err
}
func (w *memWallet) NewAddress(context.Context) (rpc.Address, error) {
	return rpc.Address{Address: "bcrt1qq", Outlook: money.Outlook{DepositSats: 50_000, DepositDays: 81}}, w.err
}
func (w *memWallet) Balance(context.Context) (rpc.Balance, error) {
	return rpc.Balance{ConfirmedSats: 3, PendingSats: 2, SpendableSats: 1, Outlook: money.Outlook{AnchorSats: 153, AnchorsPerDay: 1.63, AnchorsLeft: 4, DaysLeft: 5, DepositSats: 20_000, DepositDays: 80}}, w.err
}
func (w *memWallet) Transactions(_ context.Context, count, skip int) ([]rpc.Transaction, error) {
	w.asked = fmt.Sprint("transactions ", count, " ", skip)
	return nil, w.err
}
func (w *memWallet) Send(_ context.Context, address string, sats, rate int64, dry bool) (rpc.Payment, error) {
	w.asked = fmt.Sprint("send ", address, " ", sats, " ", rate)
	if dry {
		w.asked = "would " + w.asked
		return rpc.Payment{AmountSats: sats, FeeSats: 141}, w.err
	}
	return rpc.Payment{TxID: strings.Repeat("ab", 32), AmountSats: sats}, w.err
}

type fixedNode struct{}

func (fixedNode) Info(context.Context) (rpc.Info, error) {
	return rpc.Info{Version: "0.1", Network: "regtest", Chain: rpc.ChainInfo{Synced: true, Progress: 1}}, nil
}

// memBackups keeps what was reported last.
type memBackups struct {
	done   rpc.LastBackup
	failed string
}

func (b *memBackups) Done(done rpc.LastBackup) error { b.done = done; return nil }
func (b *memBackups) Failed(reason string) error     { b.failed = reason; return nil }

func (fixedNode) TestNotify(context.Context) (rpc.NotifyTest, error) {
	return rpc.NotifyTest{Program: "/bin/mail", Seconds: 1.5, Output: "550 no", Error: "exit status 1"}, nil
}

// rig is a server with all its services, and a user of each role.
type rig struct {
	server  *Server
	http    *httptest.Server
	batcher *memBatcher
	wallet  *memWallet
	backups *memBackups
	chain   listChain
	log     *lockedBuffer
	stopped chan struct{}
	pass    map[rpc.Role]string // users are named by their roles
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{
		batcher: &memBatcher{at: map[[32]byte]uint64{}},
		wallet:  &memWallet{},
		backups: &memBackups{},
		chain:   newChain(20),
		log:     &lockedBuffer{},
		stopped: make(chan struct{}),
		pass:    map[rpc.Role]string{},
	}
	config := Config{
		Log:  slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Stop: sync.OnceFunc(func() { close(r.stopped) }),
	}
	for _, role := range []rpc.Role{rpc.RoleSubmit, rpc.RoleVerify, rpc.RoleRead, rpc.RoleAdmin} {
		line, pass, err := rpc.NewUser(string(role), role)
		if err != nil {
			t.Fatal(err)
		}
		u, err := rpc.ParseUser(line)
		if err != nil {
			t.Fatal(err)
		}
		config.Users = append(config.Users, u)
		r.pass[role] = pass
	}
	r.server = New(config)
	r.server.Provide(Services{Batcher: r.batcher, Chain: r.chain, Wallet: r.wallet, Node: fixedNode{}, Backups: r.backups})
	r.http = httptest.NewServer(r.server)
	t.Cleanup(r.http.Close)
	return r
}

// post sends a body as the user with a role. It returns the status and the answer, without the
// newline at its end.
func (r *rig) post(t testing.TB, role rpc.Role, body string) (int, string) {
	t.Helper()
	resp := r.do(t, http.MethodPost, role, strings.NewReader(body))
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSuffix(string(b), "\n")
}

func (r *rig) do(t testing.TB, verb string, role rpc.Role, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequest(verb, r.http.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(string(role), r.pass[role])
	resp, err := r.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// call calls a method as admin and returns its result or error.
func (r *rig) call(t testing.TB, role rpc.Role, method, params string) (json.RawMessage, *rpc.Error) {
	t.Helper()
	_, body := r.post(t, role, fmt.Sprintf(`{"id":1,"method":%q,"params":%s}`, method, params))
	var a struct {
		Result json.RawMessage
		Error  *rpc.Error
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%s%s: the answer is not JSON: %v: %s", method, params, err, body)
	}
	return a.Result, a.Error
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
