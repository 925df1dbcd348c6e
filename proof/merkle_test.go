package proof

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// numbered returns n different nodes.
func numbered(n int) [][32]byte {
	nodes := make([][32]byte, n)
	for i := range nodes {
		nodes[i] = sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	return nodes
}

// plainRoot is the definition, level by level: pairs are hashed, an odd last node is carried up.
func plainRoot(nodes [][32]byte) [32]byte {
	for len(nodes) > 1 {
		var above [][32]byte
		for i := 0; i+1 < len(nodes); i += 2 {
			above = append(above, sha256.Sum256(append(append([]byte(nil), nodes[i][:]...), nodes[i+1][:]...)))
		}
		if len(nodes)%2 == 1 {
			above = append(above, nodes[len(nodes)-1])
		}
		nodes = above
	}
	return nodes[0]
}

func TestARootIsThatOfItsDefinition(t *testing.T) {
	for n := 1; n <= 1100; n++ {
		if nodes := numbered(n); Root(nodes) != plainRoot(nodes) {
			t.Fatalf("wrong root of %d nodes", n)
		}
	}
}

func TestARootChangesWithEachNodeItsOrderAndItsCount(t *testing.T) {
	nodes := numbered(7)
	seen := map[[32]byte]string{Root(nodes): "the nodes as they are"}
	note := func(what string, nodes [][32]byte) {
		r := Root(nodes)
		if other, ok := seen[r]; ok {
			t.Errorf("%s and %s have one root", what, other)
		}
		seen[r] = what
	}
	for i := range nodes {
		changed := bytes.Clone(nodes[i][:])
		changed[31] ^= 1
		other := append([][32]byte(nil), nodes...)
		other[i] = [32]byte(changed)
		note(fmt.Sprintf("node %d changed", i), other)
		if i > 0 {
			other := append([][32]byte(nil), nodes...)
			other[i], other[i-1] = other[i-1], other[i]
			note(fmt.Sprintf("node %d exchanged with the one before", i), other)
		}
	}
	note("the last node missing", nodes[:6])
	note("the last node doubled", append(append([][32]byte(nil), nodes...), nodes[6]))
}

func TestTheRootOfOneNodeIsTheNode(t *testing.T) {
	if n := numbered(1); Root(n) != n[0] || len(Path(n, 0)) != 0 {
		t.Error("a single leaf is not its own root, or has a path")
	}
}

func TestRootsAllocateNothing(t *testing.T) {
	nodes := numbered(1000)
	if n := testing.AllocsPerRun(10, func() { Root(nodes) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryPathClimbsToTheRoot(t *testing.T) {
	for n := 1; n <= 130; n++ {
		nodes := numbered(n)
		before := Root(nodes)
		for i := range nodes {
			path := Path(nodes, i)
			if RootFromPath(nodes[i], path) != before {
				t.Fatalf("the path of node %d of %d leads elsewhere", i, n)
			}
			for j := range path {
				path[j].Left = !path[j].Left
				if RootFromPath(nodes[i], path) == before {
					t.Fatalf("the path of node %d of %d leads to the root with step %d on the wrong side", i, n, j)
				}
				path[j].Left = !path[j].Left
			}
		}
		if Root(nodes) != before {
			t.Fatal("Path changed the nodes")
		}
	}
}

// Batches are stored in runs: a proof reads one run a level. The paths within the runs, one after
// the other, must be the path in the whole tree, whatever the count.
func TestPathsWithinRunsMakeThePathInTheTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := 1 << rapid.IntRange(1, 8).Draw(t, "run bits")
		most := min(run*run*3, 70_000) // three levels at least
		count := rapid.OneOf(
			rapid.IntRange(1, most),
			rapid.Map(rapid.IntRange(0, most/run), func(n int) int { return max(1, n*run) }),
			rapid.Map(rapid.IntRange(0, most/run), func(n int) int { return n*run + 1 }),
		).Draw(t, "nodes")
		index := rapid.IntRange(0, count-1).Draw(t, "index")

		level := numbered(count)
		want := Path(level, index)
		root := Root(level)

		var got []Step
		for i := index; ; i /= run {
			start := i / run * run
			end := min(start+run, len(level))
			got = append(got, Path(level[start:end], i-start)...)
			if len(level) <= run {
				break
			}
			var above [][32]byte
			for s := 0; s < len(level); s += run {
				above = append(above, Root(level[s:min(s+run, len(level))]))
			}
			level = above
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("runs of %d: path of node %d of %d\nwant %v\n got %v", run, index, count, want, got)
		}
		if Root(level) != root {
			t.Fatalf("runs of %d over %d nodes have another root", run, count)
		}
	})
}

func TestNoncesAndLeavesAreTheDocumentedOnes(t *testing.T) {
	key := sha256.Sum256([]byte("key"))
	for _, n := range []int{0, 1, 20, 32, 64, 200} {
		message := bytes.Repeat([]byte{7}, n)
		h := hmac.New(sha256.New, key[:])
		h.Write(message)
		nonce := Nonce(key, message)
		if !bytes.Equal(nonce[:], h.Sum(nil)) {
			t.Errorf("message of %d bytes: nonce %x", n, nonce)
		}
		if want := sha256.Sum256(append(message, nonce[:]...)); Leaf(message, nonce) != want {
			t.Errorf("message of %d bytes: leaf %x, want %x", n, Leaf(message, nonce), want)
		}
	}

	// Computed with openssl, never to change: proofs and stores depend on it.
	nonce := Nonce([32]byte{1}, make([]byte, 32))
	const want = "7cc704c749ecf81832be95433bf0d6427effbdbb7f0e6f848d6a91514314616f"
	if got := hex.EncodeToString(nonce[:]); got != want {
		t.Errorf("nonce %s, want %s", got, want)
	}
}

// BenchmarkRoot compares with what cannot be saved: hashing each pair of 64 bytes. The ratio is
// floor/ours.
func BenchmarkRoot(b *testing.B) {
	nodes := numbered(1 << 20)
	var root, floor float64
	for b.Loop() {
		start := b.Elapsed()
		Root(nodes)
		middle := b.Elapsed()
		buf := make([]byte, 64)
		for i := range len(nodes) - 1 {
			buf = append(append(buf[:0], nodes[i][:]...), nodes[i+1][:]...)
			sink = sha256.Sum256(buf)
		}
		root += (middle - start).Seconds()
		floor += (b.Elapsed() - middle).Seconds()
	}
	b.ReportMetric(floor/root, "ratio-to-floor")
	b.ReportMetric(float64(b.N)*float64(len(nodes))/root/1e6, "Mleaves/s")
}

var sink [32]byte
