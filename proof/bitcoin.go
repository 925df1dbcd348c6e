package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// All hashes are in Bitcoin's internal byte order, the one in which they are hashed. People are
// shown them reversed.

// BlockBranch returns the Merkle branch of txids[index]: its siblings up to the Merkle root of the
// block whose transactions have these ids, in the block's order. Bitcoin pairs an odd last node
// with itself. BlockBranch panics if index is out of range.
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

// BlockRootFromBranch returns the node to which the branch leads from the transaction at index of
// its block: the block's Merkle root, if all three are right.
func BlockRootFromBranch(txid [32]byte, branch [][32]byte, index uint32) [32]byte {
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

// TxID returns the id of a transaction: the double SHA-256 of its serialization without witnesses.
func TxID(tx []byte) [32]byte {
	h := sha256.Sum256(tx)
	return sha256.Sum256(h[:])
}

// Commitment returns the 32 bytes to which output 0 of the transaction commits. The output's script
// must be OP_RETURN and one push of 32 bytes, nothing else. tx is the serialization without
// witnesses.
func Commitment(tx []byte) ([32]byte, error) {
	at, err := commitmentAt(tx)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(tx[at:]), nil
}

// FirstCommitment finds the first OP_RETURN output of tx, as Woleet's and Chainpoint's verifiers
// do, and returns the offset in tx of the 32 bytes to which it commits. The output's script must be
// OP_RETURN and one push of 32 bytes, nothing else. tx is the serialization without witnesses.
func FirstCommitment(tx []byte) (at int, err error) {
	outputs, err := parseTx(tx)
	if err != nil {
		return 0, err
	}
	for i, o := range outputs {
		if len(o.script) > 0 && o.script[0] == opReturnCode {
			return o.commitment(i)
		}
	}
	return 0, fmt.Errorf("none of the %d outputs of the transaction is an OP_RETURN", len(outputs))
}

// commitmentAt returns where in tx the commitment of output 0 begins.
func commitmentAt(tx []byte) (int, error) {
	outputs, err := parseTx(tx)
	if err != nil {
		return 0, err
	}
	return outputs[0].commitment(0)
}

const opReturnCode = 0x6a

// output is the script of an output, and where in the transaction it begins.
type output struct {
	start  int
	script []byte
}

// commitment returns where in the transaction the 32 bytes of output i begin.
func (o output) commitment(i int) (int, error) {
	const push32 = 0x20
	if len(o.script) != 34 || o.script[0] != opReturnCode || o.script[1] != push32 {
		return 0, fmt.Errorf("the script of output %d is %s, it must be OP_RETURN and a push of 32 bytes (6a20…)", i, shortHex(o.script))
	}
	return o.start + 2, nil
}

// parseTx checks that tx is one whole transaction without witnesses, and returns its outputs: at
// least one.
func parseTx(tx []byte) ([]output, error) {
	// A node of Bitcoin's Merkle tree has 64 bytes, and nothing tells it from a transaction of 64:
	// who takes such transactions can be shown one that never was in the block (CVE-2017-12842).
	if len(tx) == 64 {
		return nil, errors.New("a transaction of 64 bytes cannot be told from a node of the block's Merkle tree")
	}
	r := txReader{b: tx}
	r.take(4, "the version")
	if len(tx) > 5 && tx[4] == 0 && tx[5] != 0 {
		return nil, errors.New("the transaction is serialized with witnesses (segwit): serialize it without them, the transaction id is the hash of that")
	}
	inputs := r.count("the number of inputs")
	if r.err == nil && inputs == 0 {
		return nil, errors.New("the transaction has no inputs, it needs at least one")
	}
	for i := uint64(0); i < inputs && r.err == nil; i++ {
		r.take(32+4, "an input's outpoint")
		r.take(r.count("the length of an input's script"), "an input's script")
		r.take(4, "an input's sequence")
	}
	count := r.count("the number of outputs")
	if r.err == nil && count == 0 {
		return nil, errors.New("the transaction has no outputs, it needs at least one")
	}
	var outputs []output
	for i := uint64(0); i < count && r.err == nil; i++ {
		r.take(8, "an output's value")
		s := r.take(r.count("the length of an output's script"), "an output's script")
		outputs = append(outputs, output{r.off - len(s), s})
	}
	r.take(4, "the lock time")
	if r.err == nil && r.off < len(tx) {
		r.err = fmt.Errorf("%d bytes follow after the transaction at byte %d", len(tx)-r.off, r.off)
	}
	if r.err != nil {
		return nil, r.err
	}
	return outputs, nil
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
