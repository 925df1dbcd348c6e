package receipt

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ancre/proof"
)

// state is what the operations of a branch have computed so far.
type state struct {
	msg           []byte
	core          []byte // what the last hash gave, or the hash that all begins with; msg is this with bytes put around it
	before, after int    // how many bytes stand left and right of core in msg
	txid          [32]byte
	levels        int   // -1 before the transaction, then how many levels of its block were climbed
	wrong         error // why an anchor from here on does not hold
}

func (r *V4) seal() (s *Seal, target [32]byte) { return nil, r.Hash }

func (r *V4) claims(context.Context, proof.HeaderSource) (claims, error) {
	w := walker{types: map[string]bool{}}
	err := w.walk(r.Branches, state{msg: r.Hash[:], core: r.Hash[:], levels: -1})
	switch {
	case err != nil:
		return claims{}, err
	case len(w.bitcoin) > 0:
		return w.claims, nil
	case len(w.types) == 0:
		return claims{}, cannotTell("the receipt has no anchor")
	}
	kinds := slices.Sorted(maps.Keys(w.types))
	return claims{}, cannotTell("the receipt has no anchor in Bitcoin (btc), only of type %s, which is not verified here", strings.Join(kinds, ", "))
}

// walker collects the claims of the anchors of branches.
type walker struct {
	claims
	types map[string]bool // of the anchors that are not verified here
}

// walk performs the operations of branches that begin with st.
func (w *walker) walk(branches []Branch, st state) error {
	for _, b := range branches {
		st := st
		for _, op := range b.Ops {
			switch {
			case op.L != "":
				l := concatenatedBytes(op.L)
				st.msg, st.before = slices.Concat(l, st.msg), st.before+len(l)
			case op.R != "":
				more := concatenatedBytes(op.R)
				st.msg, st.after = slices.Concat(st.msg, more), st.after+len(more)
			case op.Hash == hashTwice:
				st.double()
			case op.Hash != "":
				if st.levels >= 0 && st.wrong == nil {
					st.wrong = refuse("between the transaction and the block there is %s, only sha-256-x2 belongs there", op.Hash)
				}
				h := hashesV4[op.Hash]()
				h.Write(st.msg)
				st.hashed(h.Sum(nil))
			}
			if len(st.msg) > proof.MaxMessage {
				return refuse("its operations lead to a value of more than %d bytes", proof.MaxMessage)
			}
			for _, a := range op.Anchors {
				if err := w.anchor(a, &st); err != nil {
					return err
				}
			}
		}
		if err := w.walk(b.Branches, st); err != nil {
			return err
		}
	}
	return nil
}

// anchor adds the claim that an anchor makes about the state.
func (w *walker) anchor(a AnchorV4, st *state) error {
	if a.Type != "btc" {
		w.types[a.Type] = true
		w.unchecked = append(w.unchecked, fmt.Sprintf("the anchor of type %s (%q): only anchors in Bitcoin (btc) are verified here", a.Type, clip(a.ID)))
		return nil
	}
	c, err := st.anchored(a)
	if err != nil {
		return err
	}
	w.bitcoin = append(w.bitcoin, c)
	return nil
}

// concatenatedBytes returns the bytes that l or r stands for. Like Chainpoint, it decodes what
// looks like hexadecimal digits and takes everything else as text.
func concatenatedBytes(s string) []byte {
	if hexV4.MatchString(s) {
		b, _ := hex.DecodeString(s)
		return b
	}
	return []byte(s)
}

// hashed sets the result of a hash.
func (st *state) hashed(sum []byte) {
	st.msg, st.core, st.before, st.after = sum, sum, 0, 0
}

// double hashes twice, as Bitcoin does: the first time a transaction, then two nodes of the block's
// Merkle tree each time.
func (st *state) double() {
	sum := proof.TxID(st.msg)
	switch {
	case st.levels < 0:
		st.levels, st.txid = 0, sum
		st.wrong = st.transaction()
	case st.levels == maxLevels:
		st.wrong = refuse("the path from the transaction to the block has more than %d steps", maxLevels)
	default:
		st.levels++
		if st.wrong == nil && !(st.before == 32 && st.after == 0 || st.before == 0 && st.after == 32) {
			st.wrong = refuse("step %d from the transaction to the block has %d bytes on the left and %d on the right, one of the two has 32", st.levels, st.before, st.after)
		}
	}
	st.hashed(sum[:])
}

// transaction checks that the message is a transaction whose first OP_RETURN holds the result of
// the last hash.
func (st *state) transaction() error {
	at, err := proof.FirstCommitment(st.msg)
	if err != nil {
		return refuse("transaction %s: %v", displayed(st.txid), err)
	}
	if at != st.before || len(st.core) != 32 {
		return refuse("transaction %s commits to %x in its first OP_RETURN, the receipt leads to %x", displayed(st.txid), st.msg[at:at+32], st.core)
	}
	return nil
}

// anchored returns the claim that a btc anchor makes about the state.
func (st *state) anchored(a AnchorV4) (claim, error) {
	switch {
	case st.levels < 0:
		return claim{}, refuse("nothing leads through a Bitcoin transaction (sha-256-x2) to its anchor in block %s", a.ID)
	case st.wrong != nil:
		return claim{}, st.wrong
	case st.before+st.after != 0:
		return claim{}, refuse("its anchor in block %s is of %d bytes, a Merkle root has 32", a.ID, len(st.msg))
	}
	height, err := strconv.ParseUint(a.ID, 10, 64)
	if err != nil {
		return claim{}, refuse("%q is no block's height", clip(a.ID))
	}
	return claim{"btc", height, [32]byte(st.msg), st.txid}, nil
}
