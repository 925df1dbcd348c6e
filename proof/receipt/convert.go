package receipt

import (
	"errors"
	"fmt"
	"slices"

	"ancre/proof"
)

// Anchored finds in a complete .ots what receipts are made of, so that one can be had without the daemon that made the proof. The proof
// must be of the shape of Ancre's: a nonce of 32 bytes, steps of 32 bytes each, a transaction. Others cannot be written as receipts of
// version 2, whose elements all have 32 bytes. Of several attestations the first that fits is taken.
func Anchored(f *proof.File) (digest, nonce [32]byte, a proof.Anchored, err error) {
	if f == nil || f.Timestamp == nil {
		return digest, nonce, a, errors.New("there is no proof")
	}
	if f.HashOp != proof.SHA256 {
		return digest, nonce, a, fmt.Errorf("the proof is about %v, receipts are about SHA-256", f.HashOp)
	}
	if !f.IsComplete() {
		return digest, nonce, a, ErrPending
	}
	digest = [32]byte(f.Digest)
	if nonce, a, ok := find(digest, f.Timestamp, nil); ok {
		return digest, nonce, a, nil
	}
	return digest, nonce, a, errors.New("the proof was not made by Ancre: its path has not the steps of 32 bytes that receipts are made of")
}

// ErrPending says that a proof names no Bitcoin block yet.
var ErrPending = errors.New("the proof is pending: complete it first (ancre upgrade)")

// find looks for an attestation of Bitcoin that ops lead to in the right shape.
func find(digest [32]byte, t *proof.Timestamp, ops []proof.Op) (nonce [32]byte, a proof.Anchored, ok bool) {
	for _, at := range t.Attestations {
		height, named := at.Height()
		if at.Kind() != proof.KindBitcoin || !named || len(t.Msg) != 32 {
			continue
		}
		if nonce, a, ok = unpack(digest, ops); ok {
			a.Height, a.MerkleRoot = height, [32]byte(t.Msg)
			return nonce, a, true
		}
	}
	for _, b := range t.Branches {
		if nonce, a, ok = find(digest, b.Next, append(ops, b.Op)); ok {
			return nonce, a, true
		}
	}
	return nonce, a, false
}

// unpack reads operations in the order in which [proof.Complete] writes them.
func unpack(digest [32]byte, ops []proof.Op) (nonce [32]byte, a proof.Anchored, ok bool) {
	nonceStep, ops, ok := cutStep(ops, 1)
	if !ok || nonceStep.Left {
		return nonce, a, false
	}
	nonce = nonceStep.Hash
	for {
		s, rest, ok := cutStep(ops, 1)
		if !ok {
			break
		}
		a.Path, ops = append(a.Path, s), rest
	}

	// Around the root stands the rest of the transaction, which is hashed twice.
	if len(ops) < 4 || ops[0].Tag != proof.Prepend || ops[1].Tag != proof.Append || ops[2].Tag != proof.SHA256 || ops[3].Tag != proof.SHA256 {
		return nonce, a, false
	}
	root := proof.Climb(proof.Leaf(digest[:], nonce), a.Path)
	a.Tx = slices.Concat(ops[0].Arg, root[:], ops[1].Arg)
	for ops = ops[4:]; len(ops) > 0; {
		s, rest, ok := cutStep(ops, 2)
		if !ok || len(a.Branch) == maxLevels {
			return nonce, a, false
		}
		if s.Left {
			a.TxIndex |= 1 << len(a.Branch)
		}
		a.Branch, ops = append(a.Branch, s.Hash), rest
	}
	return nonce, a, true
}

// cutStep cuts one step off the operations: 32 bytes put beside, and so many times sha256.
func cutStep(ops []proof.Op, hashes int) (s proof.Step, rest []proof.Op, ok bool) {
	if len(ops) < 1+hashes || len(ops[0].Arg) != 32 {
		return s, ops, false
	}
	for _, op := range ops[1 : 1+hashes] {
		if op.Tag != proof.SHA256 {
			return s, ops, false
		}
	}
	// Only these two have an argument.
	return proof.Step{Left: ops[0].Tag == proof.Prepend, Hash: [32]byte(ops[0].Arg)}, ops[1+hashes:], true
}
