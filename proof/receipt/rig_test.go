package receipt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/proof"
)

var blockTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sample is a digest and how it got into a block.
type sample struct {
	digest, nonce [32]byte
	proof.Inclusion
}

// anchored puts a digest at place leaf of leaves in a batch, the batch at place batch of batches in
// an anchor, the anchor's transaction at place tx of txs in block 820,001.
func anchored(leaf, leaves, batch, batches, tx, txs int) sample {
	s := sample{digest: sha256.Sum256([]byte("the file\n"))}
	s.nonce = proof.Nonce([32]byte{1, 2, 3}, s.digest[:])
	nodes := numbered(leaves)
	nodes[leaf] = proof.Leaf(s.digest[:], s.nonce)
	s.Path = proof.Path(nodes, leaf)
	roots := numbered(batches)
	roots[batch] = proof.Root(nodes)
	s.RootPath = proof.Path(roots, batch)
	root := proof.Root(roots)
	s.Height = 820_001
	s.mine(transaction(1, opReturn(root[:]), change), tx, txs)
	return s
}

// mine puts a transaction into the block.
func (s *sample) mine(tx []byte, place, txs int) {
	ids := numbered(txs)
	ids[place] = proof.TxID(tx)
	s.Tx, s.TxIndex, s.Branch = tx, uint32(place), proof.BlockBranch(ids, place)
	s.MerkleRoot = proof.BlockRootFromBranch(ids[place], s.Branch, s.TxIndex)
}

func usual() sample { return anchored(3, 11, 1, 3, 5, 9) }

func numbered(n int) [][32]byte {
	list := make([][32]byte, n)
	for i := range list {
		list[i] = sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	}
	return list
}

var change = append([]byte{0x00, 0x14}, bytes.Repeat([]byte{0x77}, 20)...)

func opReturn(data []byte) []byte { return append([]byte{0x6a, byte(len(data))}, data...) }

// transaction serializes one without witnesses.
func transaction(inputs int, scripts ...[]byte) []byte {
	tx := []byte{2, 0, 0, 0, byte(inputs)}
	for i := range inputs {
		tx = append(tx, bytes.Repeat([]byte{byte(0xc0 + i)}, 32)...)
		tx = append(tx, 0, 0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff)
	}
	tx = append(tx, byte(len(scripts)))
	for i, script := range scripts {
		tx = binary.LittleEndian.AppendUint64(tx, uint64(i)*50_000)
		tx = append(append(tx, byte(len(script))), script...)
	}
	return binary.LittleEndian.AppendUint32(tx, 820_000)
}

// chain is the headers that the tests' blocks have, by height.
type chain map[uint64]proof.Header

func (c chain) Header(_ context.Context, height uint64) (proof.Header, error) {
	h, ok := c[height]
	if !ok {
		return h, fmt.Errorf("block %d: %w", height, proof.ErrNoHeader)
	}
	return h, nil
}

func (s sample) chain() chain {
	return chain{
		s.Height:     {Height: s.Height, MerkleRoot: s.MerkleRoot, Hash: sha256.Sum256(s.MerkleRoot[:]), Time: blockTime},
		s.Height - 1: {Height: s.Height - 1, MerkleRoot: [32]byte{1}, Time: blockTime},
	}
}

// node is a chain with an index of transactions.
type node struct {
	chain
	txs map[[32]byte]Tx
	err error
}

func (n node) Transaction(_ context.Context, txid [32]byte) (Tx, error) {
	if n.err != nil {
		return Tx{}, n.err
	}
	tx, ok := n.txs[txid]
	if !ok {
		return tx, ErrNoTx
	}
	return tx, nil
}

func (s sample) node() node {
	return node{chain: s.chain(), txs: map[[32]byte]Tx{proof.TxID(s.Tx): {Raw: s.Tx, Height: s.Height, Index: s.TxIndex, Branch: s.Branch}}}
}

func (s sample) v2(t testing.TB) *V2 {
	t.Helper()
	r, err := NewV2(s.digest, s.nonce, s.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s sample) v4(t testing.TB) *V4 {
	t.Helper()
	r, err := NewV4(s.digest, s.nonce, s.Inclusion, blockTime)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t testing.TB, r Receipt) string {
	t.Helper()
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// judge parses and verifies. A receipt that cannot be read is invalid.
func judge(t testing.TB, text string, digest [32]byte, src proof.HeaderSource) Result {
	t.Helper()
	r, err := Parse([]byte(text))
	if err != nil {
		var malformed *SyntaxError
		if !errors.As(err, &malformed) {
			t.Errorf("the error is no SyntaxError: %v", err)
		}
		return Result{Outcome: proof.OutcomeInvalid, Reason: err.Error()}
	}
	result, err := Verify(t.Context(), r, digest, src)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// golden compares with a file of testdata, or writes it when RECEIPT_GOLDEN is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("RECEIPT_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs: got\n%s", path, got)
	}
}

// edit replaces the one place where old stands.
func edit(t testing.TB, text, old, with string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%q stands %d times in\n%s", old, n, text)
	}
	return strings.Replace(text, old, with, 1)
}

func reversed(h [32]byte) [32]byte {
	slices.Reverse(h[:])
	return h
}
