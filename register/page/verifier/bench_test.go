package verifier_test

import (
	"testing"

	"ancre/headers"
	"ancre/proof"
)

// The judgement of a usual proof with a whole window, in Chromium. The floor is what nobody can go
// below: hashing each header twice, with the same library.
func BenchmarkJudge(b *testing.B) {
	c := openCore(b)
	chain := newChain(2016*400, 2017)
	digest := rootAt(1)
	f := &proof.File{HashOp: proof.SHA256, Digest: digest, Timestamp: &proof.Timestamp{Msg: digest}}
	// A batch of some 1,000 digests, a transaction, and a block of some 4,000.
	ops := []proof.Op{}
	for range 11 {
		ops = append(ops, proof.Op{Tag: proof.Append, Arg: rootAt(2)}, proof.Op{Tag: proof.SHA256})
	}
	ops = append(ops, proof.Op{Tag: proof.Prepend, Arg: make([]byte, 58)}, proof.Op{Tag: proof.Append, Arg: make([]byte, 35)}, proof.Op{Tag: proof.SHA256}, proof.Op{Tag: proof.SHA256})
	for range 12 {
		ops = append(ops, proof.Op{Tag: proof.Prepend, Arg: rootAt(3)}, proof.Op{Tag: proof.SHA256}, proof.Op{Tag: proof.SHA256})
	}
	end, err := f.Timestamp.Then(ops...)
	if err != nil {
		b.Fatal(err)
	}
	end.Attest(proof.BitcoinAt(2016*400 + 1000))
	file, err := f.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	q := question{Digest: digest, Proof: file, Windows: [][]byte{chain.window(2016*400, 2016*401)}, Now: chainTime + 30*24*3600, Network: network(b, "regtest")}
	if got := c.judge(q)[0]; got.Reason != "wrong-root" { // every header was checked
		b.Fatalf("%+v", got)
	}
	const times = 20
	for b.Loop() {
		judged := call[float64](c, "timeOf", q, times)
		floor := call[float64](c, "floorOf", q, times)
		b.ReportMetric(judged, "ms")
		b.ReportMetric(judged/floor, "x-floor")
	}
	b.ReportMetric(float64(len(file)), "proof-bytes")
	b.ReportMetric(float64(len(chain.raw)/headers.Size), "headers")
	b.ReportMetric(0, "ns/op") // means nothing: it counts both
}
