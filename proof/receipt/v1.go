package receipt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"ancre/proof"
)

// The versions and hashes of version 1. The whitepaper of 2015 is not sure how the hash is spelled.
var (
	versionsV1 = []string{"1.0", "1.1"}
	hashesV1   = []string{"SHA-256", "sha-256", "SHA256", "sha256"}
)

// V1 is a receipt of version 1, as Woleet made in 2016 and 2017, and Tierion in 2015. It names a
// transaction and does not hold it. The path leads from the target to the root. Each step is the
// SHA-256 of two hashes written one after the other as 128 hexadecimal digits, not of their bytes.
type V1 struct {
	Chainpoint string          // 1.0 or 1.1: both say the same
	TargetHash [32]byte        // what is anchored: the file's SHA-256, or, of a sealed one, that of the seal's signature
	TargetURI  string          // target_uri: where the file is said to be; empty: nowhere
	Proof      []StepV1        // from the target to the root
	MerkleRoot [32]byte        // merkle_root
	TxID       [32]byte        // tx_id: the transaction's first OP_RETURN holds the root; internal byte order
	Timestamp  json.RawMessage // what the receipt's maker says of the time, proven by nothing; nil: nothing
	Seal       *Seal           // Woleet's member "signature"; nil when there is none
	Extra      json.RawMessage // what the format leaves to the receipt's maker; nil: nothing
}

// StepV1 is one element of target_proof: two hashes, one of which is the result of the step before,
// and the hash of both.
type StepV1 struct{ Left, Right, Parent [32]byte }

// parentV1 hashes two hashes as version 1 does.
func parentV1(left, right [32]byte) [32]byte {
	return sha256.Sum256([]byte(hex.EncodeToString(left[:]) + hex.EncodeToString(right[:])))
}

// Version is 1.
func (r *V1) Version() int { return 1 }

// Digest returns the SHA-256 of the file: if the receipt has a seal, the hash that was signed.
func (r *V1) Digest() [32]byte {
	if r.Seal != nil {
		return r.Seal.SignedHash
	}
	return r.TargetHash
}

// The JSON, its members in the order in which they are written.
type (
	jsonV1 struct {
		Header    jsonHeaderV1    `json:"header"`
		Target    jsonTargetV1    `json:"target"`
		Signature *jsonSeal       `json:"signature,omitempty"`
		Extra     json.RawMessage `json:"extra,omitempty"`
	}
	jsonHeaderV1 struct {
		Version    string          `json:"chainpoint_version"`
		HashType   string          `json:"hash_type"`
		MerkleRoot string          `json:"merkle_root"`
		TxID       string          `json:"tx_id"`
		Timestamp  json.RawMessage `json:"timestamp,omitempty"`
	}
	jsonTargetV1 struct {
		Hash  string       `json:"target_hash"`
		URI   string       `json:"target_uri,omitempty"`
		Proof []jsonStepV1 `json:"target_proof"`
	}
	jsonStepV1 struct {
		Left   string `json:"left"`
		Right  string `json:"right"`
		Parent string `json:"parent"`
	}
)

// Marshal writes the receipt as indented JSON with a newline at its end.
func (r *V1) Marshal() ([]byte, error) {
	text := func(h [32]byte) string { return hex.EncodeToString(h[:]) }
	out := jsonV1{
		Header:    jsonHeaderV1{r.Chainpoint, hashesV1[0], text(r.MerkleRoot), displayed(r.TxID), r.Timestamp},
		Target:    jsonTargetV1{text(r.TargetHash), r.TargetURI, make([]jsonStepV1, len(r.Proof))},
		Signature: r.Seal.json(),
		Extra:     r.Extra,
	}
	for i, s := range r.Proof {
		out.Target.Proof[i] = jsonStepV1{text(s.Left), text(s.Right), text(s.Parent)}
	}
	return marshal(out)
}

// parseV1 reads a receipt that has a header and a target, as those of version 1.
func parseV1(v value) (*V1, error) {
	if err := v.object([]string{"header", "target"}, []string{"signature", "extra"}); err != nil {
		return nil, err
	}
	r := &V1{}
	if err := r.parseHeader(v.member("header")); err != nil {
		return nil, err
	}
	if err := r.parseTarget(v.member("target")); err != nil {
		return nil, err
	}
	var err error
	if v.has("signature") {
		if r.Seal, err = parseSeal(v.member("signature")); err != nil {
			return nil, err
		}
	}
	if v.has("extra") {
		r.Extra = v.member("extra").raw()
	}
	return r, nil
}

func (r *V1) parseHeader(v value) (err error) {
	if err := v.object([]string{"chainpoint_version", "hash_type", "merkle_root", "tx_id"}, []string{"timestamp", "local_timestamp"}); err != nil {
		return err
	}
	version, hash := v.member("chainpoint_version"), v.member("hash_type")
	if r.Chainpoint, err = version.text(1, maxText); err != nil {
		return err
	}
	if !slices.Contains(versionsV1, r.Chainpoint) {
		return version.unsupported("found %q, which is not read here: allowed are %s", clip(r.Chainpoint), strings.Join(versionsV1, " and "))
	}
	kind, err := hash.text(1, maxText)
	if err != nil {
		return err
	}
	if !slices.Contains(hashesV1, kind) {
		return hash.unsupported("found %q, which is not read here: allowed is %s", clip(kind), hashesV1[0])
	}
	if r.MerkleRoot, err = v.member("merkle_root").hash(); err != nil {
		return err
	}
	if r.TxID, err = v.member("tx_id").hash(); err != nil {
		return err
	}
	slices.Reverse(r.TxID[:])
	for _, name := range []string{"local_timestamp", "timestamp"} {
		t := v.member(name)
		switch t.token.(type) {
		case json.Number, string:
			r.Timestamp = t.raw()
		default:
			if v.has(name) {
				return t.fail("found %s, want seconds since 1970", t.kind())
			}
		}
	}
	return nil
}

func (r *V1) parseTarget(v value) (err error) {
	uris := []string{"target_uri", "target_URI", "URI"}
	if err := v.object([]string{"target_hash", "target_proof"}, uris); err != nil {
		return err
	}
	if r.TargetHash, err = v.member("target_hash").hash(); err != nil {
		return err
	}
	for _, name := range uris {
		uri := v.member(name)
		if uri.token == nil {
			continue // it is not there, or null
		}
		if r.TargetURI, err = uri.text(0, maxText); err != nil {
			return err
		}
	}
	steps, err := v.member("target_proof").array(0, maxSteps)
	if err != nil {
		return err
	}
	for _, item := range steps {
		if err := item.object([]string{"left", "right", "parent"}, nil); err != nil {
			return err
		}
		var s StepV1
		for name, dst := range map[string]*[32]byte{"left": &s.Left, "right": &s.Right, "parent": &s.Parent} {
			if *dst, err = item.member(name).hash(); err != nil {
				return err
			}
		}
		r.Proof = append(r.Proof, s)
	}
	return nil
}

func (r *V1) seal() (s *Seal, target [32]byte) { return r.Seal, r.TargetHash }

func (r *V1) claims(ctx context.Context, src proof.HeaderSource) (found claims, err error) {
	at := r.TargetHash
	for i, s := range r.Proof {
		if at != s.Left && at != s.Right {
			return found, refuse("step %d of target_proof joins %x and %x, neither of which is %x, to which the steps before lead", i+1, s.Left, s.Right, at)
		}
		if parent := parentV1(s.Left, s.Right); parent != s.Parent {
			return found, refuse("step %d of target_proof leads to %x, the receipt says that it leads to %x", i+1, parent, s.Parent)
		}
		at = s.Parent
	}
	if at != r.MerkleRoot {
		return found, refuse("the path leads from %x to %x, the receipt says that it leads to %x", r.TargetHash, at, r.MerkleRoot)
	}
	found.bitcoin, err = lookUp(ctx, r.TxID, r.MerkleRoot, src)
	return found, err
}

// errNoTx is the reason why such a receipt cannot be converted to a proof.
var errNoTx = errors.New("the receipt does not hold its transaction")
