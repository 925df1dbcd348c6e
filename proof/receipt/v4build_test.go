package receipt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/proof"
)

const testCalendar = "https://calendar.example.org"

// The bug that it catches: chainpoint-js crashes on each anchor that names no address.
func TestAReceiptOfVersion4NamesWhereTheMerkleRootIs(t *testing.T) {
	s := usual()
	build := func(calendars ...string) *V4 {
		r, err := NewV4(s.digest, s.nonce, s.Inclusion, blockTime, calendars...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	uris := func(r *V4) []string { return r.Branches[0].Ops[len(r.Branches[0].Ops)-1].Anchors[0].URIs }
	const want = testCalendar + "/calendar/820001/data"
	r := build(testCalendar)
	golden(t, "v4-uris.json", write(t, r))
	for name, c := range map[string]struct {
		got  *V4
		want []string
	}{
		"one calendar":                {r, []string{want}},
		"the same one twice":          {build(testCalendar, testCalendar), []string{want}},
		"two":                         {build(testCalendar, "http://127.0.0.1:14788"), []string{want, "http://127.0.0.1:14788/calendar/820001/data"}},
		"none":                        {build(), nil},
		"an empty address":            {build(""), nil},
		"one that does not fit":       {build("https://"+strings.Repeat("a", 490), testCalendar), []string{want}},
		"none, after they were there": {r.WithoutURIs(), nil},
	} {
		if !slices.Equal(uris(c.got), c.want) {
			t.Errorf("%s: %q, want %q", name, uris(c.got), c.want)
		}
		if got := judge(t, write(t, c.got), s.digest, s.chain()); got.Outcome != proof.OutcomeValid {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := write(t, r.WithoutURIs()); got != write(t, s.v4(t)) || len(uris(r)) != 1 {
		t.Errorf("without addresses it is another receipt:\n%s", got)
	}
}

// foreign is a complete proof of a file that another client stamped: ops lead to the digest that
// the calendar got, and from there the calendar's own way goes on.
func foreign(t testing.TB, s sample, ops ...proof.Op) *proof.File {
	t.Helper()
	f := &proof.File{HashOp: proof.SHA256, Timestamp: &proof.Timestamp{Msg: s.digest[:]}}
	end, err := f.Timestamp.Then(ops...)
	if err != nil {
		t.Fatal(err)
	}
	nonce := proof.Nonce([32]byte{1, 2, 3}, end.Msg)
	nodes := numbered(5)
	nodes[2] = proof.Leaf(end.Msg, nonce)
	root := proof.Root(nodes)
	s.Path, s.RootPath = proof.Path(nodes, 2), nil
	s.mine(transaction(1, opReturn(root[:]), change), 5, 9)
	rest, err := proof.CompleteTimestamp(end.Msg, nonce, s.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	end.Attestations, end.Branches = rest.Attestations, rest.Branches
	f.Digest = f.Timestamp.Msg
	return f
}

// blocksOf is a chain in which each block that the proof names has the Merkle root that it leads
// to.
func blocksOf(f *proof.File) chain {
	c := chain{}
	for _, a := range f.Attestations() {
		if height, ok := a.Height(); ok && len(a.Msg) == 32 {
			c[height] = proof.Header{Height: height, MerkleRoot: [32]byte(a.Msg), Time: blockTime}
		}
	}
	return c
}

func appended(b ...byte) proof.Op  { return proof.Op{Tag: proof.Append, Arg: b} }
func prepended(b ...byte) proof.Op { return proof.Op{Tag: proof.Prepend, Arg: b} }

var hashed = proof.Op{Tag: proof.SHA256}

// The bug that it catches: a rule of version 2, whose steps have 32 bytes, keeps proofs out of
// version 4, which holds any step. The clients blind a file's hash with 16 bytes, and put many
// files in a tree.
func TestProofsThatOtherClientsStampedBecomeReceiptsOfVersion4(t *testing.T) {
	nonce := bytes.Repeat([]byte{0x16}, 16)
	other := bytes.Repeat([]byte{0x99}, 32)
	for name, ops := range map[string][]proof.Op{
		"as ots stamps one file":         {appended(nonce...), hashed},
		"as ots stamps several":          {appended(nonce...), hashed, appended(other...), hashed, prepended(other...), hashed},
		"a digest handed in as it is":    {},
		"a step of one byte":             {prepended(7), hashed},
		"two steps before a hash":        {prepended(1, 2), appended(3), hashed},
		"a step as long as there is":     {appended(bytes.Repeat([]byte{0x41}, maxValue/2)...), hashed},
		"a hash of a hash":               {appended(nonce...), hashed, hashed},
		"digits that look like a number": {appended([]byte("1234")...), hashed},
	} {
		t.Run(name, func(t *testing.T) {
			s := usual()
			f := foreign(t, s, ops...)
			ways, err := Ways(f)
			if err != nil {
				t.Fatal(err)
			}
			r, err := ways[0].V4(blockTime, testCalendar)
			if err != nil {
				t.Fatal(err)
			}
			got := judge(t, write(t, r), s.digest, blocksOf(f))
			if got.Outcome != proof.OutcomeValid || got.Header.Height != s.Height || got.Anchor != "btc" {
				t.Fatalf("%+v", got)
			}
			// It says what the proof says, step by step.
			back, err := Proof(r)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := f.Marshal()
			if b, err := back.Marshal(); err != nil || !bytes.Equal(b, want) {
				t.Errorf("as a proof it is\n%x, %v\nwant\n%x", b, err, want)
			}
		})
	}
}

// A proof of Ancre becomes the receipt that the daemon makes, whatever else stands in the file.
func TestAProofOfAncreBecomesTheDaemonsReceiptOfVersion4(t *testing.T) {
	s := usual()
	f, err := proof.Complete(s.digest, s.nonce, s.Inclusion)
	if err != nil {
		t.Fatal(err)
	}
	low := s
	low.Height = 7
	f.Timestamp.Branches = append(f.Timestamp.Branches, foreign(t, low, appended(1, 2, 3), hashed).Timestamp.Branches...)
	ways, err := Ways(f)
	if err != nil || len(ways) != 2 || ways[0].Height != s.Height || ways[1].Height != 7 {
		t.Fatalf("%+v, %v", ways, err)
	}
	r, err := ways[0].V4(blockTime)
	if err != nil || write(t, r) != write(t, s.v4(t)) {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestProofsThatNoReceiptOfVersion4HoldsSayWhy(t *testing.T) {
	s := usual()
	op := func(tag proof.Tag) proof.Op { return proof.Op{Tag: tag} }
	pending, err := proof.Pending(s.digest, s.nonce, testCalendar)
	if err != nil {
		t.Fatal(err)
	}
	// The transaction stands whole in one step, or is put together of three.
	split := func(before ...proof.Op) *proof.File {
		f := &proof.File{HashOp: proof.SHA256, Digest: s.digest[:], Timestamp: &proof.Timestamp{Msg: s.digest[:]}}
		end, err := f.Timestamp.Then(append(before, hashed, hashed)...)
		if err != nil {
			t.Fatal(err)
		}
		end.Attest(proof.BitcoinAt(5))
		return f
	}
	root := proof.Leaf(s.digest[:], s.nonce)
	tx := transaction(1, opReturn(root[:]), change)
	at, err := proof.FirstCommitment(tx)
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]*proof.File{
		"the proof is pending: complete it first": pending,
		"there is no proof":                       nil,
		"about sha1":                              {HashOp: proof.SHA1, Digest: s.digest[:20], Timestamp: &proof.Timestamp{Msg: s.digest[:20]}},
		"step 1 is hexlify":                       foreign(t, s, op(proof.Hexlify), hashed),
		"step 2 is reverse":                       foreign(t, s, hashed, op(proof.Reverse)),
		"step 1 is sha1":                          foreign(t, s, op(proof.SHA1), hashed),
		"step 1 is keccak256":                     foreign(t, s, op(proof.Keccak256)),
		"step 1 adds 257 bytes":                   foreign(t, s, appended(bytes.Repeat([]byte{0x41}, maxValue/2+1)...), hashed),
		"through a Bitcoin transac":               split(appended(1), hashed),
		"by one prepend and one append": split(appended(s.nonce[:]...), hashed,
			prepended(tx[4:at]...), prepended(tx[:4]...), appended(tx[at+32:]...)),
	} {
		if ways, err := Ways(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d ways, %v; want an error with %q", len(ways), err, want)
		}
	}
	if _, err := Ways(pending); !errors.Is(err, ErrPending) {
		t.Errorf("a pending proof: %v", err)
	}
}

// A proof of ten thousand attestations must not make ten thousand receipts.
func TestOnlySoManyWaysOfAProofAreLookedAt(t *testing.T) {
	s := usual()
	f := foreign(t, s, hashed)
	end := f.Timestamp
	for len(end.Branches) > 0 {
		end = end.Branches[0].Next
	}
	for height := range uint64(1000) {
		end.Attest(proof.BitcoinAt(height))
	}
	if ways, err := Ways(f); err != nil || len(ways) != maxWays {
		t.Errorf("%d ways, %v", len(ways), err)
	}
}

// FuzzWays holds of any proof: looking for ways ends, and each way that is found verifies.
func FuzzWays(f *testing.F) {
	s := usual()
	for _, p := range []*proof.File{foreign(f, s, hashed), foreign(f, s, appended(1, 2, 3), hashed, hashed)} {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	vectors, err := filepath.Glob(filepath.Join("..", "testdata", "valid", "*.ots"))
	if err != nil || len(vectors) == 0 {
		f.Fatal(vectors, err)
	}
	for _, name := range vectors {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := proof.Parse(b)
		if err != nil {
			return
		}
		ways, err := Ways(p)
		if err != nil {
			return
		}
		for _, w := range ways {
			r, err := w.V4(blockTime, testCalendar)
			if err != nil {
				continue
			}
			if got := judge(t, write(t, r), w.Digest, chain{w.Height: {Height: w.Height, MerkleRoot: w.MerkleRoot}}); got.Outcome != proof.OutcomeValid {
				t.Fatalf("%+v\n%x", got, b)
			}
			if _, err := Proof(r); err != nil {
				t.Fatal(err)
			}
		}
	})
}
