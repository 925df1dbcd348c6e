package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"testing"
	"time"

	"ancre/calendar"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeChain is a source in memory. Its first block is at height 0.
type fakeChain struct {
	blocks []proof.Header
	err    error // instead of any answer
	lacked []uint64

	mu    sync.Mutex // guards what follows
	asked int
}

func newFakeChain(blocks int) *fakeChain {
	c := new(fakeChain)
	for range blocks {
		c.mine([32]byte{0xff, byte(len(c.blocks))})
	}
	return c
}

// mine adds a block with that Merkle root, and returns its height.
func (c *fakeChain) mine(root [32]byte) uint64 {
	height := uint64(len(c.blocks))
	c.blocks = append(c.blocks, proof.Header{Height: height, Hash: [32]byte{byte(height), 1}, MerkleRoot: root, Time: testTime.Add(time.Duration(height) * 10 * time.Minute)})
	return height
}

func (c *fakeChain) Header(_ context.Context, height uint64) (proof.Header, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	switch {
	case c.err != nil:
		return proof.Header{}, c.err
	case height >= uint64(len(c.blocks)):
		return proof.Header{}, proof.ErrNoHeader
	}
	return c.blocks[height], nil
}

func (c *fakeChain) Tip(context.Context) (int64, error) { return int64(len(c.blocks)) - 1, c.err }

func (c *fakeChain) Trust() Trust {
	return Trust{Source: "fake", From: "memory", Words: "headers of a test", Warning: "Tests prove nothing."}
}

func (c *fakeChain) Lacks(_ context.Context, height uint64) (why, remedy string) {
	c.lacked = append(c.lacked, height)
	return "the chain of the test is short", "mine more"
}

// anchored puts a commitment into a new block, and returns the timestamp that leads there.
func (c *fakeChain) anchored(t *testing.T, commitment []byte) *proof.Timestamp {
	t.Helper()
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, commitment...)))
	var raw bytes.Buffer
	if err := tx.SerializeNoWitness(&raw); err != nil {
		t.Fatal(err)
	}
	height := c.mine(tx.TxHash())
	ts, err := proof.LeafTimestamp([32]byte(commitment), proof.Inclusion{Tx: raw.Bytes(), Height: height, MerkleRoot: tx.TxHash()})
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// verifier verifies with the chain, as on a network of developers.
func (c *fakeChain) verifier(cfg Config) *Verifier {
	cfg.Source, cfg.Params = c, &chaincfg.RegressionNetParams
	return New(cfg)
}

// promised returns a proof that waits for the calendars, and what each of them is asked for.
func promised(t *testing.T, content string, uris ...string) (f *proof.File, commitments [][]byte) {
	t.Helper()
	sum := sha256.Sum256([]byte(content))
	f = &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:]}}
	for i, uri := range uris {
		next, err := f.Timestamp.Then(proof.Op{Tag: proof.Append, Arg: []byte{byte(i), 1}}, proof.Op{Tag: proof.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		next.Attest(pendingAt(t, uri))
		commitments = append(commitments, next.Msg)
	}
	return f, commitments
}

func pendingAt(t *testing.T, uri string) proof.Attestation {
	t.Helper()
	a, err := proof.PendingAt(uri)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// attested returns a proof in which these attest the hash of the content.
func attested(content string, list ...proof.Attestation) *proof.File {
	sum := sha256.Sum256([]byte(content))
	return &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:], Attestations: list}}
}

// fakeCalendars are calendars in memory.
type fakeCalendars struct {
	mu      sync.Mutex
	answers map[string]*proof.Timestamp // by commitment
	instead func(uri string, commitment []byte) (*proof.Timestamp, error)
	asked   int
}

func (c *fakeCalendars) Timestamp(_ context.Context, uri string, commitment []byte) (*proof.Timestamp, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if t := c.answers[string(commitment)]; t != nil {
		return t, nil
	}
	if c.instead != nil {
		return c.instead(uri, commitment)
	}
	return nil, &calendar.PendingError{Text: "Pending confirmation in Bitcoin blockchain"}
}

func (c *fakeCalendars) has(commitment []byte, t *proof.Timestamp) {
	if c.answers == nil {
		c.answers = make(map[string]*proof.Timestamp)
	}
	c.answers[string(commitment)] = t
}

// fastClock is a clock on which time passes when somebody waits.
type fastClock struct {
	mu     sync.Mutex
	passed time.Duration
}

func (c *fastClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return testTime.Add(c.passed)
}

func (c *fastClock) Sleep(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
	return nil
}

// calendars may be asked at the addresses that are allowed.
func (c *fakeCalendars) calendars(t *testing.T, allowed ...string) (*Calendars, *fastClock) {
	t.Helper()
	list := &calendar.Whitelist{}
	for _, a := range allowed {
		if err := list.Add(a); err != nil {
			t.Fatal(err)
		}
	}
	clock := new(fastClock)
	return NewCalendars(CalendarsConfig{Client: c, Allowed: list, Clock: clock}), clock
}

// fakeDaemon knows some digests.
type fakeDaemon struct {
	entries map[[32]byte]rpc.Entry
	proofs  map[[32]byte]*proof.File
	err     error // instead of any answer
	asked   int
}

var errNotFound = &rpc.Error{Code: rpc.CodeNotFound, Message: "unknown"}

func (d *fakeDaemon) Status(_ context.Context, digest [32]byte) (rpc.Entry, error) {
	d.asked++
	e, ok := d.entries[digest]
	if d.err != nil || !ok {
		return rpc.Entry{}, errors.Join(d.err, errNotFound)
	}
	return e, nil
}

func (d *fakeDaemon) Proof(_ context.Context, digest [32]byte, _ string) (rpc.Proof, error) {
	d.asked++
	if d.err != nil {
		return rpc.Proof{}, d.err
	}
	e, ok := d.entries[digest]
	if !ok {
		return rpc.Proof{}, errNotFound
	}
	p := rpc.Proof{Entry: e}
	if f := d.proofs[digest]; f != nil {
		data, err := f.Marshal()
		if err != nil {
			return p, err
		}
		p.Proof = base64.StdEncoding.EncodeToString(data)
	}
	return p, nil
}
