package receipt

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"ancre/proof"
)

// NewV4 builds the receipt of a digest whose anchor is in a block. mined is the time in the block's
// header. NewV4 returns an error instead of a receipt that would not verify.
//
// hash_received is the block's time. A program that makes a receipt years later does not know when
// the digest was received, and any time would be a mere claim; that the digest existed by the
// block's time is what the receipt proves. proof_id is a UUID of version 1 made from that time and
// the leaf, so the receipt of a digest is the same each time.
//
// Each of calendars is the address of an Ancre calendar, without a slash at its end. The receipt
// names the URLs at which they return the block's Merkle root. Our verifier does not ask there, but
// chainpoint-js crashes on an anchor that names no address.
func NewV4(digest, nonce [32]byte, a proof.Inclusion, mined time.Time, calendars ...string) (*V4, error) {
	v2, err := NewV2(digest, nonce, a)
	if err != nil {
		return nil, err
	}
	at, err := proof.FirstCommitment(a.Tx)
	if err != nil {
		return nil, err
	}
	prefix, suffix := a.Tx[:at], a.Tx[at+32:]
	if 2*len(prefix) > maxValue || 2*len(suffix) > maxValue {
		// Cut in pieces, it would be read: as a transaction that commits to another value.
		return nil, fmt.Errorf("transaction %s has %d and %d bytes around its commitment, version 4 has room for %d at most: take a receipt of version 2",
			displayed(proof.TxID(a.Tx)), len(prefix), len(suffix), maxValue/2)
	}
	w := Way{Digest: digest, Height: a.Height, MerkleRoot: a.MerkleRoot, first: proof.Leaf(digest[:], nonce)}
	for _, s := range v2.Proof {
		w.ops = append(w.ops, beside(s), Op{Hash: "sha-256"})
	}
	w.ops = append(w.ops, Op{L: hex.EncodeToString(prefix)}, Op{R: hex.EncodeToString(suffix)}, Op{Hash: hashTwice})
	for _, s := range blockSteps(a.Branch, a.TxIndex) {
		w.ops = append(w.ops, beside(s), Op{Hash: hashTwice})
	}
	return w.V4(mined, calendars...)
}

// Way leads from a file's digest through a transaction to a Bitcoin block, in operations that a
// receipt of version 4 can hold.
type Way struct {
	Digest     [32]byte
	Height     uint64   // of the block that the proof names
	MerkleRoot [32]byte // that the block must have, internal byte order

	ops   []Op
	first [32]byte // what the first hash gives: in proofs of Ancre the leaf
}

// V4 builds the receipt, like [NewV4].
func (w Way) V4(mined time.Time, calendars ...string) (*V4, error) {
	mined = mined.UTC().Truncate(time.Second)
	if y := mined.Year(); y < 2009 || y > 9999 {
		return nil, fmt.Errorf("the block's time is %s, Bitcoin has blocks from 2009 on", mined.Format(time.RFC3339))
	}
	height := strconv.FormatUint(w.Height, 10)
	anchor := AnchorV4{Type: "btc", ID: height, URIs: merkleRootAt(height, calendars)}
	r := &V4{
		Hash:     w.Digest,
		ID:       proofID(mined, w.first),
		Received: mined,
		Branches: []Branch{{Label: btcBranch, Ops: append(slices.Clone(w.ops), Op{Anchors: []AnchorV4{anchor}})}},
	}
	if err := proven(r, w.Height, w.MerkleRoot); err != nil {
		return nil, err
	}
	return r, nil
}

// merkleRootAt returns the URLs at which the calendars return the Merkle root of the block. It
// leaves out an address that is too long for the format: verifying a receipt needs none.
func merkleRootAt(height string, calendars []string) (uris []string) {
	for _, c := range calendars {
		uri := c + "/calendar/" + height + "/data"
		if c != "" && len(uri) <= maxValue && !slices.Contains(uris, uri) {
			uris = append(uris, uri)
		}
	}
	return uris
}

func beside(s proof.Step) Op {
	if s.Left {
		return Op{L: hex.EncodeToString(s.Hash[:])}
	}
	return Op{R: hex.EncodeToString(s.Hash[:])}
}

// proofID makes a UUID of version 1 (RFC 9562, 5.1): the time, and, in the places of clock sequence
// and node, 14 and 40 bits of the leaf. The node's first byte is 01, which no network card has, as
// in the ones that Chainpoint makes.
func proofID(t time.Time, leaf [32]byte) string {
	const gregorian = 0x01B21DD213814000 // from 1582-10-15 to 1970-01-01, in units of 100 ns
	ticks := uint64(t.Unix())*10_000_000 + gregorian
	return fmt.Sprintf("%08x-%04x-1%03x-%02x%02x-01%x", uint32(ticks), uint16(ticks>>32), ticks>>48&0xfff, leaf[0]&0x3f|0x80, leaf[1], leaf[2:7])
}

// maxWays is how many attestations of one proof are looked at. A proof that was upgraded at every
// public calendar has four.
const maxWays = 16

// Ways returns every way in a complete .ots file to a Bitcoin block that a receipt of version 4 can
// hold, at most 16: those of Ancre's own shape first, then by height. Version 4 holds steps of any
// length, so unlike version 2 it also holds proofs that other clients stamped. If the ways
// contradict each other, only the blocks can tell which is true.
func Ways(f *proof.File) ([]Way, error) {
	if err := convertible(f); err != nil {
		return nil, err
	}
	s := search{digest: [32]byte(f.Digest)}
	s.follow(f.Timestamp, nil)
	if len(s.ways) == 0 {
		return nil, fmt.Errorf("no receipt can be made of the proof: %w", cmp.Or(s.why, errNoTransaction))
	}
	own, nonced := Way{}, false
	if digest, nonce, a, err := InclusionOf(f); err == nil {
		own, nonced = Way{Height: a.Height, MerkleRoot: a.MerkleRoot, first: proof.Leaf(digest[:], nonce)}, true
	}
	isOwn := func(w Way) int {
		if nonced && w.Height == own.Height && w.MerkleRoot == own.MerkleRoot && w.first == own.first {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(s.ways, func(a, b Way) int {
		return cmp.Or(cmp.Compare(isOwn(a), isOwn(b)), cmp.Compare(a.Height, b.Height))
	})
	return s.ways, nil
}

// search collects ways.
type search struct {
	digest [32]byte
	ways   []Way
	seen   int
	why    error // of the first attestation: why its path is no way
}

// follow looks at all that t leads to; ops led there.
func (s *search) follow(t *proof.Timestamp, ops []proof.Op) {
	for _, at := range t.Attestations {
		height, named := at.Height()
		if at.Kind() != proof.KindBitcoin || !named || len(t.Msg) != 32 {
			continue
		}
		if s.seen++; s.seen > maxWays {
			return
		}
		w := Way{Digest: s.digest, Height: height, MerkleRoot: [32]byte(t.Msg)}
		if err := w.take(ops); err != nil {
			s.why = cmp.Or(s.why, err)
			continue
		}
		s.ways = append(s.ways, w)
	}
	for _, b := range t.Branches {
		if s.seen > maxWays {
			return
		}
		s.follow(b.Next, append(slices.Clip(ops), b.Op))
	}
}

var errNoTransaction = errors.New("no path of it leads through a Bitcoin transaction to a block")

// take converts the operations of a proof to those of a receipt.
func (w *Way) take(ops []proof.Op) error {
	tx, err := transactionIn(w.Digest[:], ops)
	if err != nil {
		return err
	}
	msg := w.Digest[:]
	for i := 0; i < len(ops); i++ {
		op := ops[i]
		if msg, err = op.Apply(msg); err != nil {
			return err
		}
		switch {
		case op.Tag == proof.Append || op.Tag == proof.Prepend:
			if 2*len(op.Arg) > maxValue {
				return fmt.Errorf("step %d adds %d bytes, a receipt of version 4 has room for %d", i+1, len(op.Arg), maxValue/2)
			}
			w.ops = append(w.ops, putBeside(op))
		case op.Tag != proof.SHA256:
			return fmt.Errorf("step %d is %v, which no receipt has", i+1, op.Tag)
		case i < tx:
			w.ops = append(w.ops, Op{Hash: "sha-256"})
		case i+1 == len(ops) || ops[i+1].Tag != proof.SHA256:
			return fmt.Errorf("step %d hashes once, and from the transaction on a receipt hashes twice", i+1)
		default:
			i++ // the second of two
			if msg, err = ops[i].Apply(msg); err != nil {
				return err
			}
			w.ops = append(w.ops, Op{Hash: hashTwice})
		}
		if w.first == ([32]byte{}) && op.Tag == proof.SHA256 {
			w.first = [32]byte(msg)
		}
	}
	return nil
}

// transactionIn returns the index of the first operation that hashes the transaction. Chainpoint's
// parser wants exactly two operations before it, which put the rest of the transaction around the
// result of a hash. It takes what precedes those two for the commitment.
func transactionIn(digest []byte, ops []proof.Op) (int, error) {
	msg := digest
	for i, op := range ops {
		if op.Tag == proof.SHA256 && i >= 3 && i+1 < len(ops) && ops[i+1].Tag == proof.SHA256 {
			if _, err := proof.FirstCommitment(msg); err == nil {
				before, last := ops[i-2].Tag, ops[i-1].Tag
				around := before == proof.Prepend && last == proof.Append || before == proof.Append && last == proof.Prepend
				if !around || ops[i-3].Tag != proof.SHA256 {
					return 0, errors.New("its transaction is not put around a hash by one prepend and one append")
				}
				return i, nil
			}
		}
		var err error
		if msg, err = op.Apply(msg); err != nil {
			return 0, err
		}
	}
	return 0, errNoTransaction
}

// putBeside converts an append or a prepend.
func putBeside(op proof.Op) Op {
	if op.Tag == proof.Prepend {
		return Op{L: hex.EncodeToString(op.Arg)}
	}
	return Op{R: hex.EncodeToString(op.Arg)}
}
