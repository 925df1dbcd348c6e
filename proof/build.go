package proof

import (
	"bytes"
	"fmt"
)

// Inclusion is how a leaf got into a Bitcoin block: everything that a proof says between the two.
type Inclusion struct {
	Path       []Step     // from the leaf to the root of its batch
	RootPath   []Step     // from that root to the anchor root; empty when the anchor is of one batch
	Tx         []byte     // the mined transaction, serialized without witnesses; output 0 commits to the anchor root
	TxIndex    uint32     // its place in the block
	Branch     [][32]byte // its siblings in the block's Merkle tree, as [BlockBranch] returns them
	Height     uint64     // of the block
	MerkleRoot [32]byte   // of the block's header, internal byte order
}

// Pending returns the proof of a digest whose anchor is not final yet. It names the calendar at
// uri, which will give the rest to anybody who asks it for the leaf.
func Pending(digest, nonce [32]byte, uri string) (*File, error) {
	t, err := PendingTimestamp(digest[:], nonce, uri)
	if err != nil {
		return nil, err
	}
	return &File{HashOp: SHA256, Digest: digest[:], Timestamp: t}, nil
}

// PendingTimestamp is Pending for a message of any length, without a file's header: a calendar's
// answer to POST /digest.
func PendingTimestamp(message []byte, nonce [32]byte, uri string) (*Timestamp, error) {
	a, err := PendingAt(uri)
	if err != nil {
		return nil, err
	}
	t, leaf, err := commit(message, nonce)
	if err != nil {
		return nil, err
	}
	leaf.Attest(a)
	return t, nil
}

// Complete returns the proof of a digest whose anchor is in a block. It checks every link from the
// leaf to the block's Merkle root, and returns an error instead of a proof that would not verify.
func Complete(digest, nonce [32]byte, a Inclusion) (*File, error) {
	t, err := CompleteTimestamp(digest[:], nonce, a)
	if err != nil {
		return nil, err
	}
	return &File{HashOp: SHA256, Digest: digest[:], Timestamp: t}, nil
}

// CompleteTimestamp is Complete for a message of any length, without a file's header.
func CompleteTimestamp(message []byte, nonce [32]byte, a Inclusion) (*Timestamp, error) {
	t, leaf, err := commit(message, nonce)
	if err != nil {
		return nil, err
	}
	if err := a.attach(leaf); err != nil {
		return nil, err
	}
	return union(t)
}

// LeafTimestamp returns the timestamp that leads from a leaf to the block: a calendar's answer to a
// client that comes back with its pending proof.
func LeafTimestamp(leaf [32]byte, a Inclusion) (*Timestamp, error) {
	t := &Timestamp{Msg: leaf[:]}
	if err := a.attach(t); err != nil {
		return nil, err
	}
	return union(t)
}

// commit leads from the message to its leaf.
func commit(message []byte, nonce [32]byte) (t, leaf *Timestamp, err error) {
	t = &Timestamp{Msg: bytes.Clone(message)}
	leaf, err = t.Then(Op{Append, nonce[:]}, Op{Tag: SHA256})
	return t, leaf, err
}

// attach leads from the leaf to the attestation of the block, or fails at the first link that does
// not hold.
func (a Inclusion) attach(leaf *Timestamp) error {
	at, err := commitmentAt(a.Tx)
	if err != nil {
		return fmt.Errorf("the anchor's transaction: %w", err)
	}
	// Bits of the index beyond the branch would be another place in another, deeper block.
	if len(a.Branch) < 32 && a.TxIndex>>len(a.Branch) != 0 {
		return fmt.Errorf("place %d does not exist in a block whose Merkle branches have %d hashes, it must be below %d", a.TxIndex, len(a.Branch), uint64(1)<<len(a.Branch))
	}

	var ops []Op
	for _, path := range [][]Step{a.Path, a.RootPath} {
		for _, s := range path {
			ops = append(ops, s.Op(), Op{Tag: SHA256})
		}
	}
	root, err := leaf.Then(ops...)
	if err != nil {
		return fmt.Errorf("the path from the leaf: %w", err)
	}
	if string(root.Msg) != string(a.Tx[at:at+32]) {
		return fmt.Errorf("the paths lead from leaf %x to the anchor root %x, but transaction %s commits to %x", leaf.Msg, root.Msg, reversedHex(TxID(a.Tx)), a.Tx[at:at+32])
	}

	ops = []Op{{Prepend, a.Tx[:at]}, {Append, a.Tx[at+32:]}, {Tag: SHA256}, {Tag: SHA256}}
	for i, sibling := range a.Branch {
		step := Step{Left: i < 32 && a.TxIndex>>i&1 == 1, Hash: sibling}
		ops = append(ops, step.Op(), Op{Tag: SHA256}, Op{Tag: SHA256})
	}
	block, err := root.Then(ops...)
	if err != nil {
		return fmt.Errorf("the path through the transaction and its block: %w", err)
	}
	if string(block.Msg) != string(a.MerkleRoot[:]) {
		return fmt.Errorf("the Merkle branch of transaction %s at place %d leads to %s, but block %d has the Merkle root %s",
			reversedHex(TxID(a.Tx)), a.TxIndex, reversedHex([32]byte(block.Msg)), a.Height, reversedHex(a.MerkleRoot))
	}
	block.Attest(BitcoinAt(a.Height))
	return nil
}
