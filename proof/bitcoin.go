package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// All hashes are in Bitcoin's internal byte order, the one in which they are hashed. People are shown them reversed.

// BlockBranch returns the siblings from txids[index] up to the Merkle root of the block whose transactions have these ids,
// in the block's order. Bitcoin pairs an odd last node with itself. An index out of range panics, as indexing does.
func BlockBranch(txids [][32]byte, index int) [][32]byte {
	_ = txids[index]
	level := slices.Clone(txids)
	var branch [][32]byte
	for len(level) > 1 {
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		branch = append(branch, level[index^1])
		for i := range len(level) / 2 {
			level[i] = doublePair(level[2*i], level[2*i+1])
		}
		level, index = level[:len(level)/2], index/2
	}
	return branch
}

// ClimbBlock returns where the branch of the transaction at index of its block leads: to the block's Merkle root, if all is true.
func ClimbBlock(txid [32]byte, branch [][32]byte, index uint32) [32]byte {
	for _, sibling := range branch {
		if index&1 == 1 {
			txid = doublePair(sibling, txid)
		} else {
			txid = doublePair(txid, sibling)
		}
		index >>= 1
	}
	return txid
}

func doublePair(left, right [32]byte) [32]byte {
	h := pair(left, right)
	return sha256.Sum256(h[:])
}

// TxID returns the id of a transaction from its serialization without witnesses.
func TxID(tx []byte) [32]byte {
	h := sha256.Sum256(tx)
	return sha256.Sum256(h[:])
}

// Commitment returns the 32 bytes that output 0 of the transaction commits to: its script must be OP_RETURN and one push of 32
// bytes, nothing else. tx is the serialization without witnesses.
func Commitment(tx []byte) ([32]byte, error) {
	at, err := commitmentAt(tx)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(tx[at:]), nil
}

// commitmentAt returns where in tx the commitment begins.
func commitmentAt(tx []byte) (int, error) {
	start, script, err := parseTx(tx)
	if err != nil {
		return 0, err
	}
	const opReturn, push32 = 0x6a, 0x20
	if len(script) != 34 || script[0] != opReturn || script[1] != push32 {
		return 0, fmt.Errorf("the script of output 0 is %s, it must be OP_RETURN and a push of 32 bytes (6a20…)", shortHex(script))
	}
	return start + 2, nil
}

// parseTx checks that tx is one whole transaction without witnesses, and returns the script of its output 0 and where that begins.
func parseTx(tx []byte) (start int, script []byte, err error) {
	// A node of Bitcoin's Merkle tree has 64 bytes, and nothing tells it from a transaction of 64: who takes such transactions
	// can be shown one that never was in the block (CVE-2017-12842).
	if len(tx) == 64 {
		return 0, nil, errors.New("a transaction of 64 bytes cannot be told from a node of the block's Merkle tree")
	}
	r := txReader{b: tx}
	r.take(4, "the version")
	if len(tx) > 5 && tx[4] == 0 && tx[5] != 0 {
		return 0, nil, errors.New("the transaction is serialized with witnesses (segwit): serialize it without them, the transaction id is the hash of that")
	}
	inputs := r.count("the number of inputs")
	if r.err == nil && inputs == 0 {
		return 0, nil, errors.New("the transaction has no inputs, it needs at least one")
	}
	for i := uint64(0); i < inputs && r.err == nil; i++ {
		r.take(32+4, "an input's outpoint")
		r.take(r.count("the length of an input's script"), "an input's script")
		r.take(4, "an input's sequence")
	}
	outputs := r.count("the number of outputs")
	if r.err == nil && outputs == 0 {
		return 0, nil, errors.New("the transaction has no outputs, it needs at least one")
	}
	for i := uint64(0); i < outputs && r.err == nil; i++ {
		r.take(8, "an output's value")
		s := r.take(r.count("the length of an output's script"), "an output's script")
		if i == 0 {
			start, script = r.off-len(s), s
		}
	}
	r.take(4, "the lock time")
	if r.err == nil && r.off < len(tx) {
		r.err = fmt.Errorf("%d bytes follow after the transaction at byte %d", len(tx)-r.off, r.off)
	}
	return start, script, r.err
}

// txReader remembers the first error and gives nothing from then on.
type txReader struct {
	b   []byte
	off int
	err error
}

func (r *txReader) take(n uint64, what string) []byte {
	if left := uint64(len(r.b) - r.off); r.err == nil && n > left {
		r.err = fmt.Errorf("the transaction ends within %s at byte %d: %d bytes expected, %d left", what, r.off, n, left)
	}
	if r.err != nil {
		return nil
	}
	r.off += int(n)
	return r.b[r.off-int(n) : r.off]
}

// count reads a CompactSize, which must be as short as it can be: consensus takes no other.
func (r *txReader) count(what string) uint64 {
	at := r.off
	first := r.take(1, what)
	if r.err != nil {
		return 0
	}
	var n, least uint64
	switch first[0] {
	case 0xfd:
		if b := r.take(2, what); r.err == nil {
			n, least = uint64(binary.LittleEndian.Uint16(b)), 0xfd
		}
	case 0xfe:
		if b := r.take(4, what); r.err == nil {
			n, least = uint64(binary.LittleEndian.Uint32(b)), 1<<16
		}
	case 0xff:
		if b := r.take(8, what); r.err == nil {
			n, least = binary.LittleEndian.Uint64(b), 1<<32
		}
	default:
		n = uint64(first[0])
	}
	if r.err == nil && n < least {
		r.err = fmt.Errorf("%s at byte %d of the transaction is %d, written in more bytes than it needs", what, at, n)
	}
	return n
}
