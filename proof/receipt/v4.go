package receipt

import (
	"context"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ancre/proof"
)

const (
	contextV4 = "https://w3id.org/chainpoint/v4"
	typeV4    = "Chainpoint"

	btcBranch = "btc_anchor_branch" // the label of the branch that leads through a Bitcoin transaction
	timeV4    = "2006-01-02T15:04:05Z"

	// The limits of the format's schema, but for the nesting, which has none there.
	maxValue    = 512 // characters of l or r
	maxLabel    = 64
	maxBranches = 8 // in each other
	maxOps      = 1024
)

// V4 is a receipt of version 4. Each branch begins where the operations of the one that it lies in end; those on top with the hash.
type V4 struct {
	Hash     [32]byte
	ID       string    // proof_id: a UUID of version 1, or a ULID
	Received time.Time // hash_received, whole seconds in UTC: what the receipt's maker says, proven by nothing
	Branches []Branch
}

// Branch is a run of operations, and branches that go on from its end.
type Branch struct {
	Label    string // may be empty
	Ops      []Op
	Branches []Branch
}

// Op is one operation: exactly one of the four is set.
type Op struct {
	L, R    string // to be put to the left or to the right: hexadecimal digits, or any other text, which stands for its bytes
	Hash    string // "sha-256", "sha-256-x2" (twice) …
	Anchors []AnchorV4
}

// AnchorV4 says that somebody published the value that operations lead to.
type AnchorV4 struct {
	Type string   // btc (Bitcoin), cal (a Chainpoint calendar), eth; tbtc and tcal are their test networks
	ID   string   // of btc: the block's height
	URIs []string // where the value can be asked for: not done here
}

// NewV4 builds the receipt of a digest whose anchor is in a block that was mined at that time, as the block's header tells it. It refuses
// to make one that would not verify.
//
// hash_received is the block's time: when the digest was received is not known to whoever makes a receipt years later, and would be a mere
// claim; that it was there by then is what the receipt proves. proof_id is a UUID of version 1 made of that time and of the leaf, so
// that the receipt of a digest is the same each time.
func NewV4(digest, nonce [32]byte, a proof.Anchored, mined time.Time) (*V4, error) {
	v2, err := NewV2(digest, nonce, a)
	if err != nil {
		return nil, err
	}
	mined = mined.UTC().Truncate(time.Second)
	if y := mined.Year(); y < 2009 || y > 9999 {
		return nil, fmt.Errorf("the block's time is %s, Bitcoin has blocks from 2009 on", mined.Format(time.RFC3339))
	}
	at, err := proof.FirstCommitment(a.Tx)
	if err != nil {
		return nil, err
	}
	prefix, suffix := hex.EncodeToString(a.Tx[:at]), hex.EncodeToString(a.Tx[at+32:])
	if len(prefix) > maxValue || len(suffix) > maxValue {
		// Cut in pieces, it would be read: as a transaction that commits to another value.
		return nil, fmt.Errorf("transaction %s has %d and %d bytes around its commitment, version 4 has room for %d at most: take a receipt of version 2",
			displayed(proof.TxID(a.Tx)), len(prefix)/2, len(suffix)/2, maxValue/2)
	}
	var ops []Op
	for _, s := range v2.Proof {
		ops = append(ops, beside(s), Op{Hash: "sha-256"})
	}
	ops = append(ops, Op{L: prefix}, Op{R: suffix}, Op{Hash: "sha-256-x2"})
	for _, s := range blockSteps(a.Branch, a.TxIndex) {
		ops = append(ops, beside(s), Op{Hash: "sha-256-x2"})
	}
	ops = append(ops, Op{Anchors: []AnchorV4{{Type: "btc", ID: strconv.FormatUint(a.Height, 10)}}})
	r := &V4{
		Hash:     digest,
		ID:       proofID(mined, proof.Leaf(digest[:], nonce)),
		Received: mined,
		Branches: []Branch{{Label: btcBranch, Ops: ops}},
	}
	if err := proven(r, a); err != nil {
		return nil, err
	}
	return r, nil
}

func beside(s proof.Step) Op {
	if s.Left {
		return Op{L: hex.EncodeToString(s.Hash[:])}
	}
	return Op{R: hex.EncodeToString(s.Hash[:])}
}

// proofID makes a UUID of version 1 (RFC 9562, 5.1): the time, and, in the places of clock sequence and node, 14 and 40 bits of the leaf.
// The node's first byte is 01, which no network card has, as in the ones that Chainpoint makes.
func proofID(t time.Time, leaf [32]byte) string {
	const gregorian = 0x01B21DD213814000 // from 1582-10-15 to 1970-01-01, in units of 100 ns
	ticks := uint64(t.Unix())*10_000_000 + gregorian
	return fmt.Sprintf("%08x-%04x-1%03x-%02x%02x-01%x", uint32(ticks), uint16(ticks>>32), ticks>>48&0xfff, leaf[0]&0x3f|0x80, leaf[1], leaf[2:7])
}

// Version is 4.
func (r *V4) Version() int { return 4 }

// Digest is the SHA-256 of the file.
func (r *V4) Digest() [32]byte { return r.Hash }

// The JSON, its members in the order in which they are written.
type (
	jsonV4 struct {
		Context  string         `json:"@context"`
		Type     string         `json:"type"`
		Hash     string         `json:"hash"`
		ID       string         `json:"proof_id"`
		Received string         `json:"hash_received"`
		Branches []jsonBranchV4 `json:"branches"`
	}
	jsonBranchV4 struct {
		Label    string         `json:"label,omitempty"`
		Ops      []jsonOpV4     `json:"ops"`
		Branches []jsonBranchV4 `json:"branches,omitempty"`
	}
	jsonOpV4 struct {
		L       string         `json:"l,omitempty"`
		R       string         `json:"r,omitempty"`
		Op      string         `json:"op,omitempty"`
		Anchors []jsonAnchorV4 `json:"anchors,omitempty"`
	}
	jsonAnchorV4 struct {
		Type string   `json:"type"`
		ID   string   `json:"anchor_id"`
		URIs []string `json:"uris,omitempty"`
	}
)

// Marshal writes the receipt as indented JSON with a newline at its end.
func (r *V4) Marshal() ([]byte, error) {
	return marshal(jsonV4{contextV4, typeV4, hex.EncodeToString(r.Hash[:]), r.ID, r.Received.UTC().Format(timeV4), jsonBranches(r.Branches)})
}

func jsonBranches(branches []Branch) []jsonBranchV4 {
	var out []jsonBranchV4
	for _, b := range branches {
		j := jsonBranchV4{Label: b.Label, Ops: make([]jsonOpV4, len(b.Ops)), Branches: jsonBranches(b.Branches)}
		for i, op := range b.Ops {
			j.Ops[i] = jsonOpV4{L: op.L, R: op.R, Op: op.Hash}
			for _, a := range op.Anchors {
				j.Ops[i].Anchors = append(j.Ops[i].Anchors, jsonAnchorV4(a))
			}
		}
		out = append(out, j)
	}
	return out
}

// hashesV4 are the operations of the schema.
var hashesV4 = map[string]func() hash.Hash{
	"sha-224": sha256.New224, "sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New,
	"sha3-224": func() hash.Hash { return sha3.New224() }, "sha3-256": func() hash.Hash { return sha3.New256() },
	"sha3-384": func() hash.Hash { return sha3.New384() }, "sha3-512": func() hash.Hash { return sha3.New512() },
	"sha-256-x2": nil, // see walk
}

var (
	idV4    = regexp.MustCompile(`^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-1[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|[0-9A-HJKMNP-TV-Z]{26})$`)
	labelV4 = regexp.MustCompile(`^[a-zA-Z0-9-_.]*$`)
	hexV4   = regexp.MustCompile(`^([0-9a-fA-F]{2})+$`)
	typesV4 = []string{"cal", "btc", "tcal", "tbtc", "eth"}
)

// parserV4 counts what is bounded over the whole receipt.
type parserV4 struct{ ops, anchors int }

// parseV4 reads a receipt that says it is of version 4.
func parseV4(v value) (*V4, error) {
	if err := v.object([]string{"@context", "type", "hash", "proof_id", "hash_received", "branches"}, nil); err != nil {
		return nil, err
	}
	if err := v.member("type").isType(typeV4); err != nil {
		return nil, err
	}
	r := &V4{}
	var err error
	if r.Hash, err = v.member("hash").hash(); err != nil {
		return nil, err
	}
	id := v.member("proof_id")
	if r.ID, err = id.text(1, maxText); err != nil {
		return nil, err
	}
	if !idV4.MatchString(r.ID) {
		return nil, id.fail("%q is neither a UUID of version 1 nor a ULID", clip(r.ID))
	}
	received := v.member("hash_received")
	text, err := received.text(1, maxText)
	if err != nil {
		return nil, err
	}
	if r.Received, err = time.Parse(timeV4, text); err != nil || r.Received.Format(timeV4) != text {
		return nil, received.fail("%q is no time as it is written there: 2026-01-31T12:00:00Z", clip(text))
	}
	p := &parserV4{}
	r.Branches, err = p.branches(v.member("branches"), 1)
	return r, err
}

func (p *parserV4) branches(v value, depth int) ([]Branch, error) {
	if depth > maxBranches {
		return nil, v.fail("branches lie %d deep in each other, at most %d are allowed", depth, maxBranches)
	}
	items, err := v.array(1, maxAnchors)
	if err != nil {
		return nil, err
	}
	var out []Branch
	for _, item := range items {
		if err := item.object([]string{"ops"}, []string{"label", "branches"}); err != nil {
			return nil, err
		}
		var b Branch
		if label := item.member("label"); item.has("label") {
			if b.Label, err = label.text(0, maxLabel); err != nil {
				return nil, err
			}
			if !labelV4.MatchString(b.Label) {
				return nil, label.fail("%q holds more than letters, digits and -_.", b.Label)
			}
		}
		ops, err := item.member("ops").array(0, maxOps)
		if err != nil {
			return nil, err
		}
		if p.ops += len(ops); p.ops > maxOps {
			return nil, item.fail("the receipt has more than %d operations", maxOps)
		}
		for _, o := range ops {
			op, err := p.op(o)
			if err != nil {
				return nil, err
			}
			b.Ops = append(b.Ops, op)
		}
		if item.has("branches") {
			if b.Branches, err = p.branches(item.member("branches"), depth+1); err != nil {
				return nil, err
			}
		}
		out = append(out, b)
	}
	return out, nil
}

func (p *parserV4) op(v value) (op Op, err error) {
	if err := v.object(nil, []string{"l", "r", "op", "anchors"}); err != nil {
		return op, err
	}
	if len(v.members) != 1 {
		return op, v.fail("has %d members, an operation has one of l, r, op and anchors", len(v.members))
	}
	switch m := v.members[0]; m.name {
	case "l":
		op.L, err = m.concatenated()
	case "r":
		op.R, err = m.concatenated()
	case "op":
		if op.Hash, err = m.text(1, maxText); err != nil {
			break
		}
		if _, ok := hashesV4[op.Hash]; !ok {
			err = m.unsupported("found %q, known are sha-256, sha-256-x2, and others of the families sha- and sha3-", clip(op.Hash))
		}
	case "anchors":
		op.Anchors, err = p.anchorsOf(m.value)
	}
	return op, err
}

// concatenated returns what l or r holds.
func (v value) concatenated() (string, error) {
	s, err := v.text(1, maxValue)
	if err == nil && hexV4.MatchString(s) {
		_, err = v.bytes(maxValue) // for upper-case digits
	}
	return s, err
}

func (p *parserV4) anchorsOf(v value) ([]AnchorV4, error) {
	items, err := v.array(1, maxAnchors)
	if err != nil {
		return nil, err
	}
	if p.anchors += len(items); p.anchors > maxAnchors {
		return nil, v.fail("the receipt has more than %d anchors", maxAnchors)
	}
	var out []AnchorV4
	for _, item := range items {
		if err := item.object([]string{"type", "anchor_id"}, []string{"uris"}); err != nil {
			return nil, err
		}
		var a AnchorV4
		if a.Type, err = item.member("type").text(1, maxText); err != nil {
			return nil, err
		}
		if !slices.Contains(typesV4, a.Type) {
			return nil, item.member("type").unsupported("found %q, known are %s", clip(a.Type), strings.Join(typesV4, ", "))
		}
		if a.ID, err = item.member("anchor_id").text(1, maxValue); err != nil {
			return nil, err
		}
		if a.Type == "btc" {
			if _, err := item.member("anchor_id").height(); err != nil {
				return nil, err
			}
		}
		if item.has("uris") {
			uris, err := item.member("uris").array(0, maxAnchors)
			if err != nil {
				return nil, err
			}
			for _, u := range uris {
				uri, err := u.text(1, maxValue)
				if err != nil {
					return nil, err
				}
				a.URIs = append(a.URIs, uri)
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// state is how far the operations of a branch have led.
type state struct {
	msg           []byte
	core          []byte // what the last hash gave, or the hash that all begins with; msg is this with bytes put around it
	before, after int    // how many bytes stand left and right of core in msg
	txid          [32]byte
	levels        int   // -1 before the transaction, then how many levels of its block were climbed
	wrong         error // why an anchor from here on does not hold
}

func (r *V4) claims(context.Context, proof.HeaderSource) ([]claim, error) {
	var claims []claim
	others := map[string]bool{}
	if err := walk(r.Branches, state{msg: r.Hash[:], core: r.Hash[:], levels: -1}, &claims, others); err != nil {
		return nil, err
	}
	if len(claims) == 0 {
		if len(others) == 0 {
			return nil, cannotTell("the receipt has no anchor")
		}
		var kinds []string
		for k := range others {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		return nil, cannotTell("the receipt has no anchor in Bitcoin (btc), only of type %s, which is not verified here", strings.Join(kinds, ", "))
	}
	return claims, nil
}

// walk does the operations of branches that begin with st, and collects what btc anchors say.
func walk(branches []Branch, st state, claims *[]claim, others map[string]bool) error {
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
			case op.Hash == "sha-256-x2":
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
				if a.Type != "btc" {
					others[a.Type] = true
					continue
				}
				c, err := st.anchored(a)
				if err != nil {
					return err
				}
				*claims = append(*claims, c)
			}
		}
		if err := walk(b.Branches, st, claims, others); err != nil {
			return err
		}
	}
	return nil
}

// concatenatedBytes is what l or r stands for: Chainpoint takes what looks like hexadecimal digits as such, and all else as text.
func concatenatedBytes(s string) []byte {
	if hexV4.MatchString(s) {
		b, _ := hex.DecodeString(s)
		return b
	}
	return []byte(s)
}

// hashed goes on with a hash.
func (st *state) hashed(sum []byte) {
	st.msg, st.core, st.before, st.after = sum, sum, 0, 0
}

// double hashes twice, as Bitcoin does: the first time a transaction, from then on two nodes of the block's Merkle tree.
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

// transaction checks that the message is one, whose first OP_RETURN holds what was hashed last.
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

// anchored returns what a btc anchor says of the state.
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
