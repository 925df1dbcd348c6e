package proof

import (
	"bytes"
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anchorage is a digest that was anchored, with everything around it.
type anchorage struct {
	digest, nonce [32]byte
	Inclusion
}

func (a anchorage) header() Header {
	return Header{Height: a.Height, Hash: sha256.Sum256(a.MerkleRoot[:]), MerkleRoot: a.MerkleRoot, Time: time.Unix(1_700_000_000, 0).UTC()}
}

// anchor puts a digest at place leaf of leaves in a batch, the batch at place batch of batches in
// an anchor, the anchor's transaction at place tx of txs in a block.
func anchor(leaf, leaves, batch, batches, tx, txs int) anchorage {
	a := anchorage{digest: sha256.Sum256([]byte("the file\n"))}
	a.nonce = Nonce([32]byte{1, 2, 3}, a.digest[:])

	nodes := numbered(leaves)
	nodes[leaf] = Leaf(a.digest[:], a.nonce)
	a.Path = Path(nodes, leaf)

	roots := numbered(batches)
	roots[batch] = Root(nodes)
	a.RootPath = Path(roots, batch)

	root := Root(roots)
	a.Tx = testTx(820_000, opReturn(root[:]), p2wpkh)
	txids := numbered(txs)
	txids[tx] = TxID(a.Tx)
	a.TxIndex, a.Branch = uint32(tx), BlockBranch(txids, tx)
	a.MerkleRoot = BlockRootFromBranch(txids[tx], a.Branch, a.TxIndex)
	a.Height = 820_001
	return a
}

// anyAnchor draws an anchor of any shape: one leaf of up to 700, in one batch of up to 9, in one
// transaction of up to 40.
func anyAnchor(t *rapid.T) anchorage {
	place := func(what string, most int) (int, int) {
		n := rapid.IntRange(1, most).Draw(t, what)
		return rapid.IntRange(0, n-1).Draw(t, "place among "+what), n
	}
	leaf, leaves := place("leaves", 700)
	batch, batches := place("batches", 9)
	tx, txs := place("transactions", 40)
	return anchor(leaf, leaves, batch, batches, tx, txs)
}

func TestACompleteProofOfAnyShapeVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAnchor(t)

		f, err := Complete(a.digest, a.nonce, a.Inclusion)
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		f, err = Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if !f.IsComplete() {
			t.Error("it is not complete")
		}
		r, err := Verify(t.Context(), f, a.digest[:], chainOf(a.header()))
		if err != nil || r.Outcome != OutcomeValid || r.Header != a.header() {
			t.Fatalf("got %+v, %v", r, err)
		}
	})
}

// Proofs that were handed out, and those of tomorrow, are the same bytes.
func TestProofsAreBuiltAsTheyAlwaysWere(t *testing.T) {
	a := anchor(5, 11, 1, 3, 3, 8)
	complete, err := Complete(a.digest, a.nonce, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := Pending(a.digest, a.nonce, "https://ancre.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*File{"built-complete": complete, "built-pending": pending} {
		b, err := f.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile("testdata/valid/"+name+".ots", b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := vector(t, name); !bytes.Equal(b, want) {
			t.Errorf("%s:\nwant %x\n got %x", name, want, b)
		}
	}
}

func TestAProofIsRefusedWhereALinkIsBroken(t *testing.T) {
	other := [32]byte{9}
	for name, c := range map[string]struct {
		broken func(a *anchorage)
		want   string
	}{
		"another digest":                         {func(a *anchorage) { a.digest = other }, "commits to"},
		"another nonce":                          {func(a *anchorage) { a.nonce = other }, "commits to"},
		"another sibling in the batch":           {func(a *anchorage) { a.Path[1].Hash = other }, "commits to"},
		"a sibling of the batch on another side": {func(a *anchorage) { a.Path[1].Left = !a.Path[1].Left }, "commits to"},
		"a step of the batch missing":            {func(a *anchorage) { a.Path = a.Path[1:] }, "commits to"},
		"another sibling in the anchor":          {func(a *anchorage) { a.RootPath[0].Hash = other }, "commits to"},
		"the anchor's path missing":              {func(a *anchorage) { a.RootPath = nil }, "commits to"},
		"a transaction with another root":        {func(a *anchorage) { a.Tx = testTx(820_000, opReturn(other[:]), p2wpkh) }, "commits to"},
		"another transaction with the root": {func(a *anchorage) {
			a.Tx = bytes.Clone(a.Tx)
			a.Tx[len(a.Tx)-1] ^= 1
		}, "has the Merkle root"},
		"no transaction":                   {func(a *anchorage) { a.Tx = nil }, "the anchor's transaction: the transaction ends within the version"},
		"another place in the block":       {func(a *anchorage) { a.TxIndex ^= 1 }, "has the Merkle root"},
		"a place that the block has not":   {func(a *anchorage) { a.TxIndex += 8 }, "place 11 does not exist in a block whose Merkle branches have 3 hashes, it must be below 8"},
		"another sibling in the block":     {func(a *anchorage) { a.Branch[2] = other }, "has the Merkle root"},
		"a sibling of the block missing":   {func(a *anchorage) { a.Branch = a.Branch[:2] }, "has the Merkle root"},
		"another block":                    {func(a *anchorage) { a.MerkleRoot = other }, "block 820001 has the Merkle root"},
		"more steps than a proof may have": {func(a *anchorage) { a.Path = make([]Step, 200) }, "commits to"},
	} {
		t.Run(name, func(t *testing.T) {
			a := anchor(5, 11, 1, 3, 3, 8)
			c.broken(&a)
			f, err := Complete(a.digest, a.nonce, a.Inclusion)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v, want an error with %q", f, err, c.want)
			}
		})
	}
}

func TestAProofDeeperThanReadersAllowIsRefused(t *testing.T) {
	// 2 for the leaf, 4 for the transaction, 2 for each step: 124 steps make 254 operations, 125
	// too many.
	for steps, want := range map[int]string{124: "", 125: "more than 255 operations"} {
		a := anchor(0, 1, 0, 1, 0, 1)
		a.Path = make([]Step, steps)
		root := RootFromPath(Leaf(a.digest[:], a.nonce), a.Path)
		a.Tx = testTx(1, opReturn(root[:]))
		a.MerkleRoot = TxID(a.Tx)
		_, err := Complete(a.digest, a.nonce, a.Inclusion)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d steps: got %v, want %q", steps, err, want)
		}
	}
}

func TestAProofWhoseTransactionIsTooLongIsRefused(t *testing.T) {
	a := anchor(0, 1, 0, 1, 0, 1)
	leaf := Leaf(a.digest[:], a.nonce)
	scripts := [][]byte{opReturn(leaf[:])}
	for range 100 {
		scripts = append(scripts, bytes.Repeat([]byte{1}, 50))
	}
	a.Tx = testTx(0, scripts...)
	a.MerkleRoot = TxID(a.Tx)
	_, err := Complete(a.digest, a.nonce, a.Inclusion)
	if err == nil || !strings.Contains(err.Error(), "the argument of append is 5904 bytes long, 1 to 4096 are allowed") {
		t.Errorf("got %v", err)
	}
}

func TestAPendingProofWaitsAtTheLeaf(t *testing.T) {
	a := anchor(5, 11, 0, 1, 3, 8)
	f, err := Pending(a.digest, a.nonce, "https://ancre.example.org")
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = Parse(b); err != nil {
		t.Fatal(err)
	}
	all := f.Attestations()
	leaf := Leaf(a.digest[:], a.nonce)
	if len(all) != 1 || !bytes.Equal(all[0].Msg, leaf[:]) || f.IsComplete() {
		t.Fatalf("got %v, complete %v", all, f.IsComplete())
	}
	if uri, ok := all[0].URI(); !ok || uri != "https://ancre.example.org" {
		t.Errorf("it waits at %q, %v", uri, ok)
	}

	// What the calendar answers about the leaf completes it.
	rest, err := LeafTimestamp(leaf, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := rest.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if rest, err = ParseTimestamp(answer, leaf[:]); err != nil {
		t.Fatal(err)
	}
	whole, err := Complete(a.digest, a.nonce, a.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := Merge(f.Timestamp, whole.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	if all := merged.All(); len(all) != 2 || all[0].Kind() != KindPending || all[1].Kind() != KindBitcoin {
		t.Errorf("merged: %v", all)
	}
	if got := rest.All(); len(got) != 1 || !bytes.Equal(got[0].Msg, a.MerkleRoot[:]) {
		t.Errorf("the calendar's answer: %v", got)
	}
}

func TestAPendingProofIsRefusedAtAnAddressThatReadersRefuse(t *testing.T) {
	for uri, want := range map[string]string{
		"https://[::1]:14788":         `the URI has "[" at place 8`,
		"https://a.example/?q":        `the URI has "?" at place 18`,
		"https://é.example":           `the URI has "\xc3" at place 8`,
		strings.Repeat("a", 1001):     "the URI is 1001 bytes long, at most 1000 are allowed",
		"http://a.example/\x00":       `the URI has "\x00"`,
		"http://user@a.example":       `the URI has "@"`,
		"http://a.example/with space": `the URI has " "`,
	} {
		if _, err := Pending([32]byte{}, [32]byte{}, uri); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", uri, err, want)
		}
	}
}

func TestACalendarsMessagesOfAnyLengthCanBeStamped(t *testing.T) {
	for _, n := range []int{0, 1, 20, 32, 64} {
		message := bytes.Repeat([]byte{3}, n)
		nonce := Nonce([32]byte{4}, message)
		ts, err := PendingTimestamp(message, nonce, "https://a.example")
		if err != nil {
			t.Fatal(err)
		}
		b, err := ts.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if ts, err = ParseTimestamp(b, message); err != nil {
			t.Fatal(err)
		}
		if leaf := Leaf(message, nonce); !bytes.Equal(ts.All()[0].Msg, leaf[:]) {
			t.Errorf("message of %d bytes waits at %x, its leaf is %x", n, ts.All()[0].Msg, leaf)
		}
	}
}
