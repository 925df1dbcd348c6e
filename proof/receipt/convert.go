package receipt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"ancre/proof"
)

// Found is what a receipt is made of: a digest, its nonce, and how its leaf got into a block.
type Found struct {
	Digest, Nonce [32]byte
	proof.Inclusion
}

// InclusionOf returns what a receipt of version 2 is made of, taken from a complete .ots file. So a
// receipt can be made without the daemon that made the proof. The proof must have the shape of
// Ancre's: a nonce of 32 bytes, steps of 32 bytes each, a transaction. Other proofs cannot be
// written as receipts of version 2, whose elements all have 32 bytes. If several attestations fit,
// InclusionOf returns the first.
func InclusionOf(f *proof.File) (digest, nonce [32]byte, a proof.Inclusion, err error) {
	all, err := Inclusions(f)
	if err != nil {
		return digest, nonce, a, err
	}
	return all[0].Digest, all[0].Nonce, all[0].Inclusion, nil
}

// Inclusions returns the same as [InclusionOf] for every attestation that fits, at most 16. They
// may contradict each other: only the blocks can tell which is true.
func Inclusions(f *proof.File) ([]Found, error) {
	if err := convertible(f); err != nil {
		return nil, err
	}
	s := finder{digest: [32]byte(f.Digest)}
	s.find(f.Timestamp, nil)
	if len(s.found) == 0 {
		return nil, errors.New("the proof was not made by Ancre: its path has not the steps of 32 bytes that receipts of version 2 are made of; " +
			"one of version 4 may hold it (--format v4)")
	}
	return s.found, nil
}

// convertible returns the reason why no receipt can be made of the proof, whatever its path is.
func convertible(f *proof.File) error {
	switch {
	case f == nil || f.Timestamp == nil:
		return errors.New("there is no proof")
	case f.HashOp != proof.SHA256:
		return fmt.Errorf("the proof is about %v, receipts are about SHA-256", f.HashOp)
	case !f.IsComplete():
		return ErrPending
	}
	return nil
}

// ErrPending says that a proof names no Bitcoin block yet.
var ErrPending = errors.New("the proof is pending: complete it first")

// finder collects the Bitcoin attestations to which operations in the right shape lead.
type finder struct {
	digest [32]byte
	found  []Found
}

func (s *finder) find(t *proof.Timestamp, ops []proof.Op) {
	for _, at := range t.Attestations {
		height, named := at.Height()
		if at.Kind() != proof.KindBitcoin || !named || len(t.Msg) != 32 || len(s.found) == maxWays {
			continue
		}
		if nonce, a, ok := unpack(s.digest, ops); ok {
			a.Height, a.MerkleRoot = height, [32]byte(t.Msg)
			s.found = append(s.found, Found{s.digest, nonce, a})
		}
	}
	for _, b := range t.Branches {
		s.find(b.Next, append(slices.Clip(ops), b.Op))
	}
}

// unpack reads operations in the order in which [proof.Complete] writes them.
func unpack(digest [32]byte, ops []proof.Op) (nonce [32]byte, a proof.Inclusion, ok bool) {
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
	root := proof.RootFromPath(proof.Leaf(digest[:], nonce), a.Path)
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

// cutStep cuts one step off the operations: 32 bytes added on one side, followed by that many
// sha256.
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

// Proof converts a receipt to a proof, for programs that explain proofs step by step. It verifies
// nothing. It returns an error for a receipt that does not hold its transaction, and for one with
// an operation that no .ots file has.
func Proof(r Receipt) (*proof.File, error) {
	var w writer
	f := &proof.File{HashOp: proof.SHA256}
	switch r := r.(type) {
	case *V1:
		return nil, errNoTx
	case *V2:
		held := r.anchor(BTCBlockHeader)
		if held == nil {
			return nil, errNoTx
		}
		at, err := proof.FirstCommitment(held.Tx)
		if err != nil {
			return nil, err
		}
		f.Timestamp = &proof.Timestamp{Msg: r.TargetHash[:]}
		w.steps(r.Proof, 1)
		w.ops = append(w.ops, proof.Op{Tag: proof.Prepend, Arg: held.Tx[:at]}, proof.Op{Tag: proof.Append, Arg: held.Tx[at+32:]})
		w.hash(2)
		w.steps(held.BlockProof, 2)
		end, err := f.Timestamp.Then(w.ops...)
		if err != nil {
			return nil, err
		}
		end.Attest(proof.BitcoinAt(held.Height))
	case *V4:
		f.Timestamp = &proof.Timestamp{Msg: r.Hash[:]}
		if err := writeBranches(f.Timestamp, r.Branches); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("receipts of version %d cannot be written as .ots", r.Version())
	}
	f.Digest = f.Timestamp.Msg
	return f, nil
}

// writeBranches adds what branches say to t.
func writeBranches(t *proof.Timestamp, branches []Branch) error {
	for _, b := range branches {
		at := t
		for _, op := range b.Ops {
			var w writer
			switch {
			case op.L != "":
				w.ops = []proof.Op{{Tag: proof.Prepend, Arg: concatenatedBytes(op.L)}}
			case op.R != "":
				w.ops = []proof.Op{{Tag: proof.Append, Arg: concatenatedBytes(op.R)}}
			case op.Hash == "sha-256":
				w.hash(1)
			case op.Hash == "sha-256-x2":
				w.hash(2)
			case op.Hash != "":
				return fmt.Errorf("no .ots has the operation %s", op.Hash)
			}
			var err error
			if at, err = at.Then(w.ops...); err != nil {
				return err
			}
			for _, a := range op.Anchors {
				if height, err := strconv.ParseUint(a.ID, 10, 64); err == nil && a.Type == "btc" {
					at.Attest(proof.BitcoinAt(height))
				}
			}
		}
		if err := writeBranches(at, b.Branches); err != nil {
			return err
		}
	}
	return nil
}

// writer collects operations.
type writer struct{ ops []proof.Op }

func (w *writer) hash(times int) {
	for range times {
		w.ops = append(w.ops, proof.Op{Tag: proof.SHA256})
	}
}

func (w *writer) steps(path []proof.Step, hashes int) {
	for _, s := range path {
		w.ops = append(w.ops, s.Op())
		w.hash(hashes)
	}
}
