package receipt

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"ancre/proof"
)

const (
	contextV2 = "https://w3id.org/chainpoint/v2"
	typeV2    = "ChainpointSHA256v2"
)

// The types of anchors of version 2.
const (
	BTCOpReturn    = "BTCOpReturn"    // a Bitcoin transaction's first OP_RETURN holds the root
	BTCBlockHeader = "BTCBlockHeader" // the same, with the transaction and its path to the block's header
	ETHData        = "ETHData"        // an Ethereum transaction: not verified here
)

// V2 is a receipt of version 2. The path leads from the target to the root: each step is
// SHA256(left ‖ right).
type V2 struct {
	TargetHash [32]byte // what is anchored: the file's SHA-256, or, of a sealed one, that of the seal's signature
	MerkleRoot [32]byte
	Proof      []proof.Step
	Anchors    []AnchorV2 // of each type at most one
	Seal       *Seal      // Woleet's member "signature"; nil when there is none
}

// AnchorV2 is one anchor of the root.
type AnchorV2 struct {
	Type       string
	TxID       [32]byte     // of a BTCOpReturn, internal byte order; of ETHData the Ethereum transaction's hash
	Height     uint64       // of a BTCBlockHeader
	Tx         []byte       // of a BTCBlockHeader: serialized without witnesses
	BlockProof []proof.Step // of a BTCBlockHeader: from the transaction's id to the Merkle root, hashed twice at each step
}

// NewV2 builds the receipt of a digest whose anchor is in a block. It checks every link from the
// digest to the block's Merkle root, and returns an error instead of a receipt that would not
// verify.
func NewV2(digest, nonce [32]byte, a proof.Inclusion) (*V2, error) {
	if _, err := proof.Complete(digest, nonce, a); err != nil {
		return nil, err
	}
	// Each element of the path has 32 bytes, and so has the nonce: it is the first of them.
	path := slices.Concat([]proof.Step{{Hash: nonce}}, a.Path, a.RootPath)
	r := &V2{TargetHash: digest, MerkleRoot: proof.RootFromPath(digest, path), Proof: path}
	header := AnchorV2{Type: BTCBlockHeader, Height: a.Height, Tx: slices.Clone(a.Tx), BlockProof: blockSteps(a.Branch, a.TxIndex)}
	r.Anchors = []AnchorV2{{Type: BTCOpReturn, TxID: proof.TxID(a.Tx)}, header}
	if err := proven(r, a.Height, a.MerkleRoot); err != nil {
		return nil, err
	}
	return r, nil
}

// blockSteps writes the branch of the transaction at index as steps.
func blockSteps(branch [][32]byte, index uint32) []proof.Step {
	var steps []proof.Step
	for i, sibling := range branch {
		steps = append(steps, proof.Step{Left: i < 32 && index>>i&1 == 1, Hash: sibling})
	}
	return steps
}

// proven reads back a receipt that was built, and verifies it against the header of the block that
// it names.
func proven(r Receipt, height uint64, merkleRoot [32]byte) error {
	b, err := r.Marshal()
	if err != nil {
		return err
	}
	again, err := Parse(b)
	if err != nil {
		return err
	}
	result, err := Verify(context.Background(), again, r.Digest(), oneHeader{Height: height, MerkleRoot: merkleRoot})
	if err == nil && result.Outcome != proof.OutcomeValid {
		err = fmt.Errorf("the receipt would not verify: %s", result.Reason)
	}
	return err
}

// oneHeader is a source that knows one block.
type oneHeader proof.Header

func (h oneHeader) Header(_ context.Context, height uint64) (proof.Header, error) {
	if height != h.Height {
		return proof.Header{}, proof.ErrNoHeader
	}
	return proof.Header(h), nil
}

// Version is 2.
func (r *V2) Version() int { return 2 }

// Digest returns the SHA-256 of the file: if the receipt has a seal, the hash that was signed.
func (r *V2) Digest() [32]byte {
	if r.Seal != nil {
		return r.Seal.SignedHash
	}
	return r.TargetHash
}

// The JSON, its members in the order in which they are written.
type (
	jsonV2 struct {
		Context    string         `json:"@context"`
		Type       string         `json:"type"`
		TargetHash string         `json:"targetHash"`
		MerkleRoot string         `json:"merkleRoot"`
		Proof      []jsonStep     `json:"proof"`
		Anchors    []jsonAnchorV2 `json:"anchors"`
		Signature  *jsonSeal      `json:"signature,omitempty"`
	}
	jsonStep struct {
		Left  string `json:"left,omitempty"`
		Right string `json:"right,omitempty"`
	}
	jsonAnchorV2 struct {
		Type       string     `json:"type"`
		SourceID   string     `json:"sourceId"`
		Tx         string     `json:"tx,omitempty"`
		BlockProof []jsonStep `json:"blockProof,omitzero"`
	}
)

// Marshal writes the receipt as indented JSON with a newline at its end.
func (r *V2) Marshal() ([]byte, error) {
	out := jsonV2{
		Context:    contextV2,
		Type:       typeV2,
		TargetHash: hex.EncodeToString(r.TargetHash[:]),
		MerkleRoot: hex.EncodeToString(r.MerkleRoot[:]),
		Proof:      jsonSteps(r.Proof),
		Signature:  r.Seal.json(),
	}
	for _, a := range r.Anchors {
		j := jsonAnchorV2{Type: a.Type}
		switch a.Type {
		case BTCOpReturn:
			j.SourceID = displayed(a.TxID)
		case ETHData:
			j.SourceID = hex.EncodeToString(a.TxID[:])
		case BTCBlockHeader:
			j.SourceID, j.Tx, j.BlockProof = strconv.FormatUint(a.Height, 10), hex.EncodeToString(a.Tx), jsonSteps(a.BlockProof)
		}
		out.Anchors = append(out.Anchors, j)
	}
	return marshal(out)
}

func jsonSteps(path []proof.Step) []jsonStep {
	out := make([]jsonStep, len(path))
	for i, s := range path {
		if h := hex.EncodeToString(s.Hash[:]); s.Left {
			out[i].Left = h
		} else {
			out[i].Right = h
		}
	}
	return out
}

// parseV2 reads a receipt that says it is of version 2.
func parseV2(v value) (*V2, error) {
	// The type decides which members there are: receipts of other hashes, and lists of operations,
	// have others.
	if v.has("type") {
		if err := v.member("type").isType(typeV2); err != nil {
			return nil, err
		}
	}
	if err := v.object([]string{"@context", "type", "targetHash", "merkleRoot", "proof", "anchors"}, []string{"signature"}); err != nil {
		return nil, err
	}
	r := &V2{}
	var err error
	if r.TargetHash, err = v.member("targetHash").hash(); err != nil {
		return nil, err
	}
	if r.MerkleRoot, err = v.member("merkleRoot").hash(); err != nil {
		return nil, err
	}
	if r.Proof, err = v.member("proof").steps(maxSteps); err != nil {
		return nil, err
	}
	anchors, err := v.member("anchors").array(1, maxAnchors)
	if err != nil {
		return nil, err
	}
	for _, item := range anchors {
		a, err := parseAnchorV2(item)
		if err != nil {
			return nil, err
		}
		// Woleet's verifier looks at the first one, others may look at the last.
		if r.anchor(a.Type) != nil {
			return nil, item.fail("is a second anchor of type %s: it is not clear which one counts", a.Type)
		}
		r.Anchors = append(r.Anchors, a)
	}
	if v.has("signature") {
		if r.Seal, err = parseSeal(v.member("signature")); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func parseAnchorV2(v value) (a AnchorV2, err error) {
	// The type decides which members there are.
	if err := v.object([]string{"type", "sourceId"}, []string{"tx", "blockProof"}); err != nil {
		return a, err
	}
	if a.Type, err = v.member("type").single().text(1, maxText); err != nil {
		return a, err
	}
	source := v.member("sourceId")
	switch a.Type {
	case BTCOpReturn, ETHData:
		if err := v.object([]string{"type", "sourceId"}, nil); err != nil {
			return a, err
		}
		a.TxID, err = source.hash()
		if a.Type == BTCOpReturn {
			slices.Reverse(a.TxID[:])
		}
		return a, err
	case BTCBlockHeader:
		if err := v.object([]string{"type", "sourceId", "tx", "blockProof"}, nil); err != nil {
			return a, err
		}
		if a.Height, err = source.height(); err != nil {
			return a, err
		}
		if a.Tx, err = v.member("tx").bytes(MaxSize); err != nil {
			return a, err
		}
		a.BlockProof, err = v.member("blockProof").steps(maxLevels)
		return a, err
	}
	return a, v.member("type").unsupported("found %q, known are %s, %s and %s", clip(a.Type), BTCOpReturn, BTCBlockHeader, ETHData)
}

// anchor returns the anchor of that type, or nil if there is none.
func (r *V2) anchor(kind string) *AnchorV2 {
	for i := range r.Anchors {
		if r.Anchors[i].Type == kind {
			return &r.Anchors[i]
		}
	}
	return nil
}

func (r *V2) seal() (*Seal, [32]byte) { return r.Seal, r.TargetHash }

func (r *V2) claims(ctx context.Context, src proof.HeaderSource) (found claims, err error) {
	if end := proof.RootFromPath(r.TargetHash, r.Proof); end != r.MerkleRoot {
		return found, refuse("the path leads from %x to %x, the receipt says that it leads to %x", r.TargetHash, end, r.MerkleRoot)
	}
	named, held := r.anchor(BTCOpReturn), r.anchor(BTCBlockHeader)
	if held == nil && named == nil {
		return found, cannotTell("the receipt has no anchor in Bitcoin, only one of type %s, which is not verified here", r.Anchors[0].Type)
	}
	if eth := r.anchor(ETHData); eth != nil {
		found.unchecked = []string{fmt.Sprintf("the anchor of type %s (Ethereum transaction %x): only anchors in Bitcoin are verified here", ETHData, eth.TxID)}
	}
	if held == nil {
		found.bitcoin, err = lookUp(ctx, named.TxID, r.MerkleRoot, src)
		return found, err
	}
	txid, err := commitment(held.Tx, r.MerkleRoot)
	if err != nil {
		return found, err
	}
	if named != nil && named.TxID != txid {
		return found, refuse("its two anchors contradict each other: one names transaction %s, the other holds transaction %s", displayed(named.TxID), displayed(txid))
	}
	found.bitcoin = []claim{{held.Type, held.Height, blockRoot(txid, held.BlockProof), txid}}
	return found, nil
}

// lookUp asks the source for a transaction that a receipt names but does not hold. The transaction
// must commit to the root.
func lookUp(ctx context.Context, txid, root [32]byte, src proof.HeaderSource) ([]claim, error) {
	txs, ok := src.(TxSource)
	if !ok {
		return nil, cannotTell("the receipt names transaction %s but does not hold it, so that block headers alone cannot tell: a full node with all transactions can (bitcoind with txindex=1)", displayed(txid))
	}
	tx, err := txs.Transaction(ctx, txid)
	switch {
	case errors.Is(err, ErrUnmined):
		return nil, &unfitError{proof.OutcomePending, fmt.Sprintf("its transaction %s waits to be mined", displayed(txid))}
	case errors.Is(err, ErrNoTx):
		return nil, &unfitError{proof.OutcomeNoBlock, fmt.Sprintf("the receipt names transaction %s, which is in no block known here", displayed(txid))}
	case err != nil:
		return nil, fmt.Errorf("cannot get transaction %s: %w", displayed(txid), err)
	}
	if got := proof.TxID(tx.Raw); got != txid {
		return nil, fmt.Errorf("asked for transaction %s, got %s", displayed(txid), displayed(got))
	}
	if _, err := commitment(tx.Raw, root); err != nil {
		return nil, err
	}
	return []claim{{BTCOpReturn, tx.Height, proof.BlockRootFromBranch(txid, tx.Branch, tx.Index), txid}}, nil
}

// blockRoot returns the hash to which the steps lead from a transaction's id: the block's Merkle
// root, if all of them are right.
func blockRoot(txid [32]byte, path []proof.Step) [32]byte {
	var branch [][32]byte
	var index uint32
	for i, s := range path {
		branch = append(branch, s.Hash)
		if s.Left {
			index |= 1 << i
		}
	}
	return proof.BlockRootFromBranch(txid, branch, index)
}
