package proof

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyOp draws an operation.
func anyOp(t *rapid.T) Op {
	tag := rapid.SampledFrom([]Tag{SHA1, RIPEMD160, SHA256, Keccak256, Append, Prepend, Reverse, Hexlify}).Draw(t, "operation")
	if !tag.hasArg() {
		return Op{Tag: tag}
	}
	return Op{tag, rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "argument")}
}

// anyAttestation draws an attestation, often one that was drawn before.
func anyAttestation(t *rapid.T) Attestation {
	switch rapid.IntRange(0, 3).Draw(t, "attestation") {
	case 0:
		return BitcoinAt(rapid.Uint64().Draw(t, "height"))
	case 1:
		return Attestation{tagOf(KindPending), appendVarbytes(nil, []byte(rapid.StringMatching(`[a-z:/.]{0,3}`).Draw(t, "uri")))}
	case 2:
		return Attestation{tagOf(KindLitecoin), []byte{rapid.Byte().Draw(t, "height") & 0x7f}}
	}
	return Attestation{[8]byte{rapid.Byte().Draw(t, "tag")}, rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "payload")}
}

// anyTimestamp draws a timestamp of msg, in any order and with duplicates.
func anyTimestamp(t *rapid.T, msg []byte, depth int) *Timestamp {
	ts := &Timestamp{Msg: msg}
	branches := rapid.IntRange(0, max(0, 4-depth)).Draw(t, "branches")
	for range branches {
		op := anyOp(t)
		result, err := op.Apply(msg)
		if err != nil {
			t.Fatal(err)
		}
		ts.Branches = append(ts.Branches, Branch{op, anyTimestamp(t, result, depth+1)})
	}
	least := 0
	if branches == 0 {
		least = 1
	}
	for range rapid.IntRange(least, 3).Draw(t, "attestations") {
		ts.Attest(anyAttestation(t))
	}
	return ts
}

// facts lists what a timestamp says: each attestation with the operations that lead to it.
func facts(ts *Timestamp) map[string]bool {
	found := map[string]bool{}
	var walk func(ts *Timestamp, way string)
	walk = func(ts *Timestamp, way string) {
		for _, a := range ts.Attestations {
			found[fmt.Sprintf("%s %x %x", way, a.Tag, a.Payload)] = true
		}
		for _, br := range ts.Branches {
			walk(br.Next, way+" "+br.Op.String())
		}
	}
	walk(ts, "")
	return found
}

var thirtyTwo = bytes.Repeat([]byte{0xab}, 32)

func TestWhatIsWrittenSaysTheSameWhenReadAndIsWrittenTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts := anyTimestamp(t, thirtyTwo, 0)
		b, err := ts.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseTimestamp(b, thirtyTwo)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if !reflect.DeepEqual(facts(back), facts(ts)) {
			t.Fatalf("%x says something else\nwant %v\n got %v", b, facts(ts), facts(back))
		}
		again, err := back.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("written differently the second time (error %v)\n first %x\nsecond %x", err, b, again)
		}
	})
}

func TestAMergeSaysWhatBothSayWhicheverComesFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyTimestamp(t, thirtyTwo, 0), anyTimestamp(t, thirtyTwo, 0)
		before := fmt.Sprint(facts(a), facts(b))
		merged, err := Merge(a, b)
		if err != nil {
			t.Fatal(err)
		}
		want := facts(a)
		for f := range facts(b) {
			want[f] = true
		}
		if !reflect.DeepEqual(facts(merged), want) {
			t.Fatalf("want %v\n got %v", want, facts(merged))
		}
		other, err := Merge(b, a)
		if err != nil || !reflect.DeepEqual(merged, other) {
			t.Fatalf("the order matters (error %v)", err)
		}
		if again, err := Merge(merged, a); err != nil || !reflect.DeepEqual(again, merged) {
			t.Fatalf("merging a part once more changes it (error %v)", err)
		}
		if fmt.Sprint(facts(a), facts(b)) != before {
			t.Fatal("Merge changed what was merged")
		}
	})
}

func TestTimestampsOfDifferentMessagesAreNotMerged(t *testing.T) {
	a, b := tree(t, BitcoinAt(1)).Timestamp, &Timestamp{Msg: thirtyTwo, Attestations: []Attestation{BitcoinAt(1)}}
	if _, err := Merge(a, b); err == nil || !strings.Contains(err.Error(), "cannot be merged") {
		t.Errorf("got %v", err)
	}
	if _, err := Merge(a, nil); err == nil {
		t.Error("merged with nothing")
	}
}

func TestTreesThatNoReaderWouldTakeAreNotWritten(t *testing.T) {
	msg := thirtyTwo
	end := func(m []byte) *Timestamp { return &Timestamp{Msg: m, Attestations: []Attestation{BitcoinAt(1)}} }
	with := func(op Op, next *Timestamp) *Timestamp { return &Timestamp{Msg: msg, Branches: []Branch{{op, next}}} }
	attested := func(a Attestation) *Timestamp { return &Timestamp{Msg: msg, Attestations: []Attestation{a}} }
	deep := end(msg)
	for range 256 {
		r, err := Op{Tag: Reverse}.Apply(deep.Msg)
		if err != nil {
			t.Fatal(err)
		}
		deep = &Timestamp{Msg: r, Branches: []Branch{{Op{Tag: Reverse}, deep}}}
	}
	// The reverse of zeros is zeros: a node can be its own result.
	zeros := make([]byte, 32)
	circle := &Timestamp{Msg: zeros}
	circle.Branches = []Branch{{Op{Tag: Reverse}, circle}}
	circles := &Timestamp{Msg: zeros}
	circles.Branches = []Branch{{Op{Tag: Reverse}, circles}, {Op{Tag: Reverse}, circles}}
	shared := end(zeros)
	for range 200 {
		shared = &Timestamp{Msg: zeros, Branches: []Branch{{Op{Tag: Reverse}, shared}, {Op{Tag: Reverse}, shared}}}
	}

	for name, c := range map[string]struct {
		ts   *Timestamp
		want string
	}{
		"nothing":                             {nil, "there is no timestamp"},
		"no attestation":                      {&Timestamp{Msg: msg}, "a timestamp needs an attestation or an operation"},
		"an operation to nothing":             {with(Op{Tag: SHA256}, nil), "an operation leads to no timestamp"},
		"another message than the result":     {with(Op{Tag: SHA256}, end(msg)), "but operations lead to"},
		"an unknown operation":                {with(Op{Tag: 0x42}, end(msg)), "unknown operation 0x42"},
		"an append of nothing":                {with(Op{Tag: Append}, end(msg)), "the argument of append is 0 bytes long"},
		"a hash with an argument":             {with(Op{SHA256, []byte{1}}, end(msg)), "sha256 has an argument of 1 bytes, none is allowed"},
		"a message too long":                  {end(make([]byte, 4097)), "4097 bytes long, at most 4096"},
		"256 operations":                      {deep, "more than 255 operations"},
		"a circle":                            {circle, "more than 255 operations"},
		"two circles":                         {circles, errWork},
		"200 forks, both ways to one node":    {shared, errWork},
		"a payload too long":                  {attested(Attestation{[8]byte{1}, make([]byte, 8193)}), "8193 bytes long, at most 8192"},
		"a malformed height":                  {attested(Attestation{tagOf(KindBitcoin), []byte{0x80}}), "ends where the height is expected"},
		"a malformed address":                 {attested(Attestation{tagOf(KindPending), []byte("\x01?")}), `the URI has "?" at place 0`},
		"an attestation of a height and more": {attested(Attestation{tagOf(KindEthereum), []byte{5, 5}}), "1 bytes follow after the height"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := c.ts.Marshal()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %x, %v, want an error with %q", b, err, c.want)
			}
		})
	}

	for name, f := range map[string]*File{
		"no file":            nil,
		"a file of nothing":  {},
		"no hash":            {HashOp: Append, Digest: msg, Timestamp: end(msg)},
		"a digest too short": {HashOp: SHA256, Digest: msg[1:], Timestamp: end(msg[1:])},
		"another digest":     {HashOp: SHA256, Digest: make([]byte, 32), Timestamp: end(msg)},
	} {
		if b, err := f.Marshal(); err == nil {
			t.Errorf("%s: written as %x", name, b)
		}
	}
}

// hostile is a small proof that makes much of little: forks whose branches reverse a message of
// 4,096 bytes 250 times.
func hostile(forks int) []byte {
	b := appendVarbytes([]byte{byte(Append)}, make([]byte, MaxMessage-32))
	end := BitcoinAt(1).append(nil)
	for i := range forks {
		if i < forks-1 {
			b = append(b, 0xff)
		}
		b = append(b, bytes.Repeat([]byte{byte(Reverse)}, 250)...)
		b = append(b, end...)
	}
	return b
}

func TestHostileProofsCostLittle(t *testing.T) {
	manyOps := append(bytes.Repeat(append([]byte{0xff, byte(SHA256)}, BitcoinAt(1).append(nil)...), MaxSize/26), BitcoinAt(1).append(nil)...)
	small := Attestation{Tag: [8]byte{1}}.append(nil)
	manyAttestations := append(bytes.Repeat(append([]byte{0xff}, small...), MaxSize/11-1), small...)
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"many reversals of a long message, before they fill the memory": {hostile(1000), errWork},
		"a few of them are read":                   {hostile(10), ""},
		"the same operation again and again":       {manyOps, ""},
		"the same attestation again and again":     {manyAttestations, ""},
		"one byte more than a proof may have":      {make([]byte, MaxSize+1), "a proof has at most 1048576"},
		"a megabyte of the beginning of something": {bytes.Repeat([]byte{0xff, 0x08}, MaxSize/2), "more than 255 operations"},
	} {
		t.Run(name, func(t *testing.T) {
			ts, err := ParseTimestamp(c.b, thirtyTwo)
			if c.want != "" || err != nil {
				var syntax *SyntaxError
				if c.want == "" || !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				return
			}
			if _, err := ts.Marshal(); err != nil {
				t.Errorf("what was read cannot be written: %v", err)
			}
		})
	}
}

func TestTreesThatTakeTooMuchWorkAreNotWritten(t *testing.T) {
	manyAttestations := &Timestamp{Msg: thirtyTwo}
	for i := range uint64(maxWork / nodeCost) {
		manyAttestations.Attest(BitcoinAt(i))
	}

	long := make([]byte, MaxMessage)
	hashed, err := Op{Tag: SHA256}.Apply(long)
	if err != nil {
		t.Fatal(err)
	}
	manyOfALongMessage := &Timestamp{Msg: long}
	for range maxWork / MaxMessage {
		manyOfALongMessage.Branches = append(manyOfALongMessage.Branches,
			Branch{Op{Tag: SHA256}, &Timestamp{Msg: hashed, Attestations: []Attestation{BitcoinAt(1)}}})
	}

	manyLongResults := &Timestamp{}
	for i := range maxWork / MaxMessage {
		arg := bytes.Clone(long)
		arg[0], arg[1] = byte(i), byte(i>>8)
		manyLongResults.Branches = append(manyLongResults.Branches,
			Branch{Op{Append, arg}, &Timestamp{Msg: arg, Attestations: []Attestation{BitcoinAt(1)}}})
	}

	for name, ts := range map[string]*Timestamp{
		"many attestations":                 manyAttestations,
		"many operations on a long message": manyOfALongMessage,
		"many operations with long results": manyLongResults,
	} {
		if _, err := ts.Marshal(); err == nil || err.Error() != errWork {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatIsTooLongIsNeitherReadNorWritten(t *testing.T) {
	if _, err := ParseTimestamp(BitcoinAt(1).append(nil), make([]byte, MaxMessage+1)); err == nil || !strings.Contains(err.Error(), "4097 bytes long, at most 4096") {
		t.Errorf("a message of 4,097 bytes: got %v", err)
	}
	ts := &Timestamp{Msg: thirtyTwo}
	for i := range MaxSize/4000 + 1 {
		arg := make([]byte, 4000)
		arg[0], arg[1] = byte(i), byte(i>>8)
		next, err := ts.Then(Op{Append, arg})
		if err != nil {
			t.Fatal(err)
		}
		next.Attest(BitcoinAt(1))
	}
	if _, err := ts.Marshal(); err == nil || !strings.Contains(err.Error(), "at most 1048576 are allowed") {
		t.Errorf("a timestamp of more than a megabyte: got %v", err)
	}
	if _, err := (&File{SHA256, thirtyTwo, ts}).Marshal(); err == nil || !strings.Contains(err.Error(), "at most 1048576 are allowed") {
		t.Errorf("a file of more than a megabyte: got %v", err)
	}
}

func TestATreeGrowsByOneBranchForEachOperation(t *testing.T) {
	ts := &Timestamp{Msg: thirtyTwo}
	a, errA := ts.Then(Op{Tag: SHA256})
	b, errB := ts.Then(Op{Append, []byte{1}})
	c, errC := ts.Then(Op{Tag: SHA256})
	if errA != nil || errB != nil || errC != nil || a != c || a == b || len(ts.Branches) != 2 {
		t.Errorf("%d branches, errors %v, %v, %v", len(ts.Branches), errA, errB, errC)
	}
	if _, err := ts.Then(Op{Append, make([]byte, MaxMessage)}); err == nil || len(ts.Branches) != 2 {
		t.Errorf("an operation that cannot be left %d branches, error %v", len(ts.Branches), err)
	}
}

func TestAnHonestProofOfTheLargestSizeIsRead(t *testing.T) {
	// A megabyte of pending proofs, each with 5 levels of a tree.
	var b []byte
	for i := 0; ; i++ {
		var one []byte
		for level := range 5 {
			one = append(one, byte(Append), 32)
			one = append(one, bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(level)}, 8)...)
			one = append(one, byte(SHA256))
		}
		one = pendingAt(t, "https://a.example").append(one)
		if len(b)+2*len(one)+1 > MaxSize {
			b = append(b, one...)
			break
		}
		b = append(append(b, 0xff), one...)
	}
	ts, err := ParseTimestamp(b, thirtyTwo)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ts.All()); n < 5000 {
		t.Errorf("only %d attestations", n)
	}
}

func TestOperationsKeepTheirLimits(t *testing.T) {
	long := make([]byte, MaxMessage)
	for _, c := range []struct {
		op  Op
		msg []byte
		ok  bool
	}{
		{Op{Append, long[:1]}, long[:4095], true},
		{Op{Append, long[:1]}, long, false},
		{Op{Prepend, long}, nil, true},
		{Op{Prepend, long}, long[:1], false},
		{Op{Tag: Reverse}, long, true},
		{Op{Tag: Reverse}, nil, false},
		{Op{Tag: Hexlify}, long[:2048], true},
		{Op{Tag: Hexlify}, long[:2049], false},
		{Op{Tag: Hexlify}, nil, false},
		{Op{Tag: SHA256}, nil, true},
		{Op{Tag: SHA256}, long, true},
		{Op{Tag: SHA256}, make([]byte, 4097), false},
		{Op{Tag: Keccak256}, long, true},
		{Op{Tag: 0xf4}, long, false},
	} {
		r, err := c.op.Apply(c.msg)
		if (err == nil) != c.ok || c.ok && (len(r) == 0 || len(r) > MaxMessage) {
			t.Errorf("%v of %d bytes: %d bytes, %v", c.op.Tag, len(c.msg), len(r), err)
		}
	}
}

func TestOperationsComputeWhatTheirNamesSay(t *testing.T) {
	for _, c := range []struct {
		op        Op
		msg, want string
	}{
		{Op{Append, []byte("b")}, "a", "ab"},
		{Op{Prepend, []byte("b")}, "a", "ba"},
		{Op{Tag: Reverse}, "abc", "cba"},
		{Op{Tag: Hexlify}, "\x00\xff", "00ff"},
		// The hashes of nothing, as their standards or authors publish them.
		{Op{Tag: SHA1}, "", "\xda\x39\xa3\xee\x5e\x6b\x4b\x0d\x32\x55\xbf\xef\x95\x60\x18\x90\xaf\xd8\x07\x09"},
		{Op{Tag: RIPEMD160}, "", "\x9c\x11\x85\xa5\xc5\xe9\xfc\x54\x61\x28\x08\x97\x7e\xe8\xf5\x48\xb2\x25\x8d\x31"},
		{Op{Tag: SHA256}, "", "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55"},
		{Op{Tag: Keccak256}, "", "\xc5\xd2\x46\x01\x86\xf7\x23\x3c\x92\x7e\x7d\xb2\xdc\xc7\x03\xc0\xe5\x00\xb6\x53\xca\x82\x27\x3b\x7b\xfa\xd8\x04\x5d\x85\xa4\x70"},
	} {
		got, err := c.op.Apply([]byte(c.msg))
		if err != nil || string(got) != c.want {
			t.Errorf("%v of %q: %x, %v", c.op, c.msg, got, err)
		}
	}
}

func TestAttestationsSayWhatTheyAre(t *testing.T) {
	if uri, ok := pendingAt(t, "https://a.example").URI(); !ok || uri != "https://a.example" {
		t.Errorf("got %q, %v", uri, ok)
	}
	for _, h := range []uint64{0, 127, 128, 358391, 1<<64 - 1} {
		if got, ok := BitcoinAt(h).Height(); !ok || got != h {
			t.Errorf("height %d: got %d, %v", h, got, ok)
		}
	}
	if _, ok := BitcoinAt(5).URI(); ok {
		t.Error("a block has no address")
	}
	if _, ok := pendingAt(t, "x").Height(); ok {
		t.Error("a calendar has no height")
	}
	if _, ok := (Attestation{Tag: tagOf(KindBitcoin), Payload: []byte{1, 2}}).Height(); ok {
		t.Error("a malformed height is none")
	}
	if _, ok := (Attestation{Tag: [8]byte{1}, Payload: []byte{1}}).Height(); ok {
		t.Error("the unknown has no height")
	}
}

// BenchmarkHostile is the most that a proof of any size can cost.
func BenchmarkHostile(b *testing.B) {
	proof := hostile(MaxSize / 300)
	for b.Loop() {
		if _, err := ParseTimestamp(proof, thirtyTwo); err == nil {
			b.Fatal("read")
		}
	}
}
