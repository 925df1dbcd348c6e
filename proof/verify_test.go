package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// chain is a header source from memory that counts how often it is asked.
type chain struct {
	headers map[uint64]Header
	asked   map[uint64]int
}

func chainOf(headers ...Header) chain {
	c := chain{map[uint64]Header{}, map[uint64]int{}}
	for _, h := range headers {
		c.headers[h.Height] = h
	}
	return c
}

func (c chain) Header(ctx context.Context, height uint64) (Header, error) {
	c.asked[height]++
	h, ok := c.headers[height]
	if !ok {
		return Header{}, fmt.Errorf("height %d: %w", height, ErrNoHeader)
	}
	return h, ctx.Err()
}

// helloWorld is the header that the published example needs, from the main chain.
func helloWorld(t testing.TB) Header {
	return Header{
		Height:     358391,
		MerkleRoot: displayed(t, "8a1b66ecb7cbd07d8139a7e7d7f2c41aab1f5009b8364aaf61d03ad245e47e00"),
		Time:       time.Date(2015, 5, 28, 15, 41, 18, 0, time.UTC),
	}
}

func TestThePublishedExampleVerifies(t *testing.T) {
	f, err := Parse(vector(t, "hello-world"))
	if err != nil {
		t.Fatal(err)
	}
	h := SHA256.Hash()
	h.Write([]byte("Hello World!\n"))
	r, err := Verify(t.Context(), f, h.Sum(nil), chainOf(helloWorld(t)))
	if err != nil || r.Outcome != OutcomeValid || r.Header != helloWorld(t) {
		t.Errorf("got %+v, %v", r, err)
	}
}

// tree builds a proof of 32 zero bytes with attestations of that message.
func tree(t testing.TB, attestations ...Attestation) *File {
	t.Helper()
	ts := &Timestamp{Msg: make([]byte, 32)}
	for _, a := range attestations {
		ts.Attest(a)
	}
	return &File{SHA256, ts.Msg, ts}
}

func pendingAt(t testing.TB, uri string) Attestation {
	t.Helper()
	a, err := PendingAt(uri)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAProofIsWorthWhatItsBestAttestationIs(t *testing.T) {
	zero := make([]byte, 32)
	good := func(height uint64) Header { return Header{Height: height} } // Merkle root of zeros
	bad := func(height uint64) Header { return Header{Height: height, MerkleRoot: [32]byte{1}} }
	pending := pendingAt(t, "https://a.example")
	litecoin := Attestation{Tag: tagOf(KindLitecoin), Payload: []byte{5}}
	ethereum := Attestation{Tag: tagOf(KindEthereum), Payload: []byte{5}}
	unknown := Attestation{Tag: [8]byte{1}, Payload: []byte("what is this")}

	for name, c := range map[string]struct {
		file    *File
		digest  []byte
		chain   chain
		outcome Outcome
		height  uint64
		reason  string
	}{
		"one block that has the root": {tree(t, BitcoinAt(10)), zero, chainOf(good(10)), OutcomeValid, 10, ""},
		"the lowest of several blocks counts, heights sorted as numbers": {
			tree(t, BitcoinAt(300), BitcoinAt(127), BitcoinAt(200)), zero, chainOf(good(300), good(127), good(200)), OutcomeValid, 127, ""},
		"a lower block that has not the root does not count": {
			tree(t, BitcoinAt(300), BitcoinAt(200)), zero, chainOf(good(300), bad(200)), OutcomeValid, 300, ""},
		"a good block makes up for everything else": {
			tree(t, BitcoinAt(999), BitcoinAt(10), pending, unknown, litecoin), zero, chainOf(good(10)), OutcomeValid, 10, ""},
		"a calendar's promise is pending": {
			tree(t, pending), zero, chainOf(), OutcomePending, 0, "waiting for the calendar at https://a.example"},
		"promises of several calendars are pending at each": {
			tree(t, pending, pendingAt(t, "https://b.example")), zero, chainOf(), OutcomePending, 0, "https://a.example; waiting for the calendar at https://b.example"},
		"a promise beside what is not verified here is pending": {
			tree(t, pending, unknown, litecoin), zero, chainOf(), OutcomePending, 0, "waiting for the calendar"},
		"a block with another root is invalid": {
			tree(t, BitcoinAt(10)), zero, chainOf(bad(10)), OutcomeInvalid, 0,
			"Bitcoin block 10 has the Merkle root " + strings.Repeat("00", 31) + "01, the proof leads to " + strings.Repeat("00", 32)},
		"a block with another root is invalid beside a promise": {
			tree(t, BitcoinAt(10), pending), zero, chainOf(bad(10)), OutcomeInvalid, 0, "Bitcoin block 10 has"},
		"a block above the highest is unverifiable": {
			tree(t, BitcoinAt(11)), zero, chainOf(good(10)), OutcomeUnverifiable, 0, "the proof names Bitcoin block 11, which is above the highest one known here"},
		"a block above any height is invalid": {
			tree(t, BitcoinAt(1<<64-1)), zero, chainOf(good(10)), OutcomeInvalid, 0, "block 18446744073709551615, which is above"},
		"a block that is missing beside one with another root is invalid": {
			tree(t, BitcoinAt(11), BitcoinAt(10)), zero, chainOf(bad(10)), OutcomeInvalid, 0, "Bitcoin block 10 has"},
		"a block that is missing beside a promise is unverifiable": {
			tree(t, BitcoinAt(11), pending), zero, chainOf(), OutcomeUnverifiable, 0, "above the highest one known here"},
		"Litecoin, Ethereum and the unknown prove nothing here": {
			tree(t, litecoin, ethereum, unknown), zero, chainOf(good(5)), OutcomeUnverifiable, 0, "the proof has no attestation that can be verified here: "},
		"another file's digest": {
			tree(t, BitcoinAt(10)), bytes.Repeat([]byte{1}, 32), chainOf(good(10)), OutcomeInvalid, 0,
			"the proof is about another file: one with sha256 " + strings.Repeat("00", 32) + ", this one has " + strings.Repeat("01", 32)},
		"another kind of hash":            {tree(t, BitcoinAt(10)), zero[:20], chainOf(good(10)), OutcomeInvalid, 0, "another file"},
		"no digest at all":                {tree(t, BitcoinAt(10)), nil, chainOf(good(10)), OutcomeInvalid, 0, "another file"},
		"a proof of nothing":              {tree(t), zero, chainOf(good(10)), OutcomeInvalid, 0, "nothing is known of the message"},
		"no proof":                        {nil, zero, chainOf(good(10)), OutcomeInvalid, 0, "there is no proof"},
		"a proof that lost its timestamp": {&File{HashOp: SHA256, Digest: zero}, zero, chainOf(good(10)), OutcomeInvalid, 0, "there is no proof"},
		"a message that does not follow from the one before": {
			&File{SHA256, zero, &Timestamp{Msg: zero, Branches: []Branch{{Op{Tag: SHA256}, tree(t, BitcoinAt(10)).Timestamp}}}},
			zero, chainOf(good(10)), OutcomeInvalid, 0, "but operations lead to"},
		"a timestamp of another message": {
			&File{SHA256, bytes.Repeat([]byte{1}, 32), tree(t, BitcoinAt(10)).Timestamp},
			bytes.Repeat([]byte{1}, 32), chainOf(good(10)), OutcomeInvalid, 0, "but its timestamp about the message"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Verify(t.Context(), c.file, c.digest, c.chain)
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != c.outcome || r.Header.Height != c.height || !strings.Contains(r.Reason, c.reason) || (c.reason == "") != (r.Reason == "") {
				t.Errorf("got %v at %d, %q\nwant %v at %d, %q", r.Outcome, r.Header.Height, r.Reason, c.outcome, c.height, c.reason)
			}
		})
	}
}

func TestABlockAttestsOnlyMessagesOf32Bytes(t *testing.T) {
	f, err := Parse(vector(t, "bitcoin-on-a-short-message"))
	if err != nil {
		t.Fatal(err)
	}
	src := chainOf(Header{Height: 5})
	r, err := Verify(t.Context(), f, f.Digest, src)
	if err != nil || r.Outcome != OutcomeInvalid || !strings.Contains(r.Reason, "a Merkle root of 20 bytes for Bitcoin block 5, one has 32") {
		t.Errorf("got %+v, %v", r, err)
	}
	if len(src.asked) != 0 {
		t.Error("the source was asked although no answer could help")
	}
}

func TestEachAttestationHasItsOwnOutcome(t *testing.T) {
	f, err := Parse(vector(t, "several-attestations"))
	if err != nil {
		t.Fatal(err)
	}
	root := displayed(t, "fc8240a6a076ee3261a06a0960260325f5504da445e6a09d5a5f2a973d588c04")
	r, err := Verify(t.Context(), f, f.Digest, chainOf(Header{Height: 127}, Header{Height: 128, MerkleRoot: root}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.Checks {
		got = append(got, fmt.Sprintf("%v: %v", c.Kind(), c.Outcome))
		if (c.Reason == "") != (c.Outcome == OutcomeValid) {
			t.Errorf("%v is %v with the reason %q", c.Attestation, c.Outcome, c.Reason)
		}
	}
	want := "pending: pending, pending: pending, pending: pending, unknown: unchecked, bitcoin: invalid, bitcoin: valid, bitcoin: no block, " +
		"litecoin: unchecked, ethereum: unchecked, pending: pending, unknown: unchecked, unknown: unchecked, bitcoin: invalid"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("want %s\n got %s", want, s)
	}
	if r.Outcome != OutcomeValid || r.Header.Height != 128 {
		t.Errorf("got %v at %d", r.Outcome, r.Header.Height)
	}
}

// source answers with an error.
type source func(height uint64) (Header, error)

func (s source) Header(_ context.Context, height uint64) (Header, error) { return s(height) }

func TestTroubleOfTheSourceIsNoVerdict(t *testing.T) {
	trouble := errors.New("the disk is on fire")
	_, err := Verify(t.Context(), tree(t, BitcoinAt(10), BitcoinAt(9)), make([]byte, 32), source(func(height uint64) (Header, error) {
		if height == 10 {
			return Header{}, trouble
		}
		return Header{}, nil
	}))
	if !errors.Is(err, trouble) || !strings.Contains(err.Error(), "block 10") {
		t.Errorf("got %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, tree(t, BitcoinAt(10)), make([]byte, 32), chainOf(Header{Height: 10})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestTheSourceIsAskedOnceForEachBlockAndForFewBlocks(t *testing.T) {
	ts := &Timestamp{Msg: make([]byte, 32)}
	for height := range uint64(10 * maxHeights) {
		ts.Attest(BitcoinAt(height))
	}
	next, err := ts.Then(Op{Tag: SHA256})
	if err != nil {
		t.Fatal(err)
	}
	for height := range uint64(10 * maxHeights) {
		next.Attest(BitcoinAt(height))
	}
	src := chainOf()
	for height := range uint64(10 * maxHeights) {
		src.headers[height] = Header{Height: height, MerkleRoot: [32]byte{1}}
	}
	r, err := Verify(t.Context(), &File{SHA256, ts.Msg, ts}, ts.Msg, src)
	if err != nil || r.Outcome != OutcomeInvalid {
		t.Fatalf("got %v, %v", r.Outcome, err)
	}
	if len(src.asked) != maxHeights {
		t.Errorf("asked for %d blocks, at most %d are allowed", len(src.asked), maxHeights)
	}
	for height, n := range src.asked {
		if n != 1 {
			t.Errorf("asked %d times for block %d", n, height)
		}
	}
	if len(r.Reason) > 1000 {
		t.Errorf("a reason of %d bytes is nothing to read", len(r.Reason))
	}
}

// Each reason was once compared with all others: half a minute for one proof, at whoever verifies
// for others.
func TestAMegabyteOfWorthlessAttestationsIsJudgedAtOnce(t *testing.T) {
	kinds := map[string]func(i int) Attestation{
		"unknown": func(i int) Attestation { return Attestation{Tag: [8]byte{1, byte(i), byte(i >> 8), byte(i >> 16)}} },
		"pending": func(i int) Attestation { return pendingAt(t, fmt.Sprintf("x%05d", i)) },
		"bitcoin": func(i int) Attestation { return BitcoinAt(uint64(i)) },
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			ts := &Timestamp{Msg: make([]byte, 32)}
			const n = 50_000
			for i := range n {
				ts.Attest(kind(i))
			}
			for range 250 { // far below the top
				msg := bytes.Clone(ts.Msg)
				slices.Reverse(msg)
				ts = &Timestamp{Msg: msg, Branches: []Branch{{Op{Tag: Reverse}, ts}}}
			}
			began := time.Now()
			r, err := Verify(t.Context(), &File{SHA256, ts.Msg, ts}, ts.Msg, chainOf())
			if err != nil || r.Outcome == OutcomeValid || len(r.Checks) != n {
				t.Fatalf("%v, %d checks, error %v", r.Outcome, len(r.Checks), err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if len(r.Reason) > 1000 || name != "bitcoin" && !strings.Contains(r.Reason, "and 49997 more") {
				t.Errorf("the reason is %q", r.Reason)
			}
		})
	}
}

func BenchmarkParseAndVerify(b *testing.B) {
	f, err := Parse(vector(b, "hello-world"))
	if err != nil {
		b.Fatal(err)
	}
	ots, src := vector(b, "hello-world"), chainOf(helloWorld(b))
	for b.Loop() {
		p, err := Parse(ots)
		if err != nil {
			b.Fatal(err)
		}
		if r, err := Verify(b.Context(), p, f.Digest, src); err != nil || r.Outcome != OutcomeValid {
			b.Fatal(r, err)
		}
	}
}

// Three answers never share a word: what contradicts something, what a calendar still owes, and
// what takes more than is here. The last one says what it takes.
func TestWhatCannotBeVerifiedHereSaysWhatItTakes(t *testing.T) {
	zero := make([]byte, 32)
	litecoin := Attestation{Tag: tagOf(KindLitecoin), Payload: []byte{5}}
	ethereum := Attestation{Tag: tagOf(KindEthereum), Payload: []byte{5}}
	unknown := Attestation{Tag: [8]byte{1}, Payload: []byte("what is this")}
	for name, c := range map[string]struct {
		file    *File
		needed  string
		missing uint64
	}{
		"blocks above the tip": {tree(t, BitcoinAt(12), BitcoinAt(11)), "block headers up to block 11", 11},
		"Litecoin alone":       {tree(t, litecoin, unknown), "Litecoin", 0},
		"Ethereum alone":       {tree(t, ethereum), "Ethereum", 0},
		"an unknown kind":      {tree(t, unknown), "the program that made the proof", 0},
	} {
		r, err := Verify(t.Context(), c.file, zero, chainOf(Header{Height: 10}))
		if err != nil || r.Outcome != OutcomeUnverifiable || !strings.Contains(r.Needed, c.needed) || r.Missing != c.missing {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	r, err := Verify(t.Context(), tree(t, BitcoinAt(11)), zero, source(func(uint64) (Header, error) { return Header{}, ErrTooHigh }))
	if err != nil || r.Outcome != OutcomeInvalid || r.Needed != "" || !strings.Contains(r.Reason, "above the highest one that there can be by now") {
		t.Errorf("a block that nobody can have mined: %+v, %v", r, err)
	}
}

func TestWhichBlocksMayExistByNow(t *testing.T) {
	began := time.Date(2009, 1, 3, 18, 15, 5, 0, time.UTC)
	for height, want := range map[uint64]bool{1: true, 5: true, 6: true, 20: true, 21: false, 1 << 31: false, 1 << 62: false} {
		if got := MayExist(height, 0, began, began.Add(time.Hour)); got != want {
			t.Errorf("block %d an hour after block 0: %t", height, got)
		}
	}
	if !MayExist(800_000, 100, began, time.Time{}) {
		t.Error("a clock that is behind makes a proof false")
	}
}

// A later version of the format, a new hash and a new operation are no damage. A file that is cut
// short or holds what no version can hold is.
func TestWhatAnotherProgramMayReadIsUnsupported(t *testing.T) {
	invalid := vectors(t, "invalid")
	for name, want := range map[string]bool{
		"version-2": true, "hash-that-is-unknown": true, "unknown-operation": true, "unknown-operation-below": true,
		"version-0": false, "hash-that-is-an-operation": false, "ff-twice": false,
	} {
		_, err := Parse(invalid[name])
		if err == nil || errors.Is(err, ErrUnsupported) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := vector(t, "hello-world")
	for _, cut := range []int{0, 10, 31, 32, 40, len(good) - 1} {
		if _, err := Parse(good[:cut]); err == nil || errors.Is(err, ErrUnsupported) {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
}
