package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"math/bits"
)

// Nonce returns the value that blinds the leaf of a message: HMAC-SHA256(key, message). The same
// message always has the same nonce, so a leaf can be found again without storing anything. Without
// the key, a leaf or a neighbour's proof does not tell whether a message was submitted.
func Nonce(key [32]byte, message []byte) [32]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write(message)
	return [32]byte(h.Sum(nil))
}

// Leaf returns SHA256(message ‖ nonce), what a batch commits to.
func Leaf(message []byte, nonce [32]byte) [32]byte {
	var small [96]byte // messages have at most 64 bytes: no allocation
	return sha256.Sum256(append(append(small[:0], message...), nonce[:]...))
}

// Step is one level of the path from a node up to the root.
type Step struct {
	Left bool // the sibling stands on the left
	Hash [32]byte
}

// Op returns the operation that puts the sibling beside the message. The hash of both comes after
// it.
func (s Step) Op() Op { return Op{s.tag(), s.Hash[:]} }

func (s *Step) tag() Tag {
	if s.Left {
		return Prepend
	}
	return Append
}

// Root returns the Merkle root of nodes. Pairs become SHA256(left ‖ right), level by level, until
// one node is left; an odd last node is carried up unchanged. (Bitcoin doubles it instead, which
// gives two different lists the same root: CVE-2012-2459.) Root makes one pass and allocates
// nothing. It panics if there are no nodes, as indexing an empty slice does.
func Root(nodes [][32]byte) [32]byte {
	if len(nodes) == 0 {
		panic("proof: Merkle root of no nodes")
	}
	// waiting[l] is the root of 2^l nodes that has no right sibling yet; which of them exist, the
	// bits of i say.
	var waiting [bits.UintSize][32]byte
	var buf [64]byte
	for i := range len(nodes) / 2 {
		copy(buf[:32], nodes[2*i][:])
		copy(buf[32:], nodes[2*i+1][:])
		h := sha256.Sum256(buf[:])
		level := 1
		for ; i>>(level-1)&1 == 1; level++ {
			copy(buf[:32], waiting[level][:])
			copy(buf[32:], h[:])
			h = sha256.Sum256(buf[:])
		}
		waiting[level] = h
	}

	// What waits on the right is carried up to what waits on its left.
	n := uint(len(nodes))
	waiting[0] = nodes[n-1]
	level := bits.TrailingZeros(n)
	root := waiting[level]
	for level++; n>>level != 0; level++ {
		if n>>level&1 == 1 {
			root = pair(waiting[level], root)
		}
	}
	return root
}

// Path returns the steps from nodes[index] to Root(nodes). It panics if index is out of range.
//
// A tree may be kept in runs of nodes, aligned, each of the same power of two long but for the
// last; and the roots of these runs again in runs. The path within a leaf's run, followed by the
// path of that run's root among the other roots, is the leaf's path in the whole tree.
func Path(nodes [][32]byte, index int) []Step {
	return AppendPath(make([]Step, 0, bits.Len(uint(len(nodes)))), nodes, index)
}

// AppendPath appends the steps of [Path] to path.
func AppendPath(path []Step, nodes [][32]byte, index int) []Step {
	_ = nodes[index]
	var small [16][32]byte // no allocation for so few
	level := append(small[:0], nodes...)
	for len(level) > 1 {
		if sibling := index ^ 1; sibling < len(level) {
			path = append(path, Step{Left: sibling < index, Hash: level[sibling]})
		}
		n := len(level)
		index /= 2
		for i := range n / 2 {
			if i != index { // what stands above the node itself is nobody's sibling
				level[i] = pair(level[2*i], level[2*i+1])
			}
		}
		if n%2 == 1 {
			level[n/2] = level[n-1]
		}
		level = level[:(n+1)/2]
	}
	return path
}

// RootFromPath returns the node to which the steps lead from node: the root, if node and steps are
// right.
func RootFromPath(node [32]byte, path []Step) [32]byte {
	for _, s := range path {
		if s.Left {
			node = pair(s.Hash, node)
		} else {
			node = pair(node, s.Hash)
		}
	}
	return node
}

func pair(left, right [32]byte) [32]byte {
	var buf [64]byte
	copy(buf[:32], left[:])
	copy(buf[32:], right[:])
	return sha256.Sum256(buf[:])
}
