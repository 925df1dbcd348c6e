package receipt

import (
	"cmp"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	contextV3 = "https://w3id.org/chainpoint/v3"
	contextV4 = "https://w3id.org/chainpoint/v4"
	contextV5 = "https://w3id.org/chainpoint/v5"
	typeV4    = "Chainpoint"

	hashTwice = "sha-256-x2"        // SHA-256 of SHA-256, as Bitcoin hashes
	btcBranch = "btc_anchor_branch" // the label of the branch that leads through a Bitcoin transaction
	timeV4    = "2006-01-02T15:04:05Z"

	// The limits of the format's schema, but for the nesting, which has none there.
	maxValue    = 512 // characters of l or r
	maxLabel    = 64
	maxBranches = 8 // in each other
	maxOps      = 1024
)

// V4 is a receipt of version 4, or of version 3 or 5, which lead to a block in the same way. Top
// branches begin with the hash. Each other branch begins with the result of the branch that holds
// it.
type V4 struct {
	Hash     [32]byte
	ID       string    // proof_id: a UUID of version 1, or a ULID
	Received time.Time // hash_received, whole seconds in UTC: what the receipt's maker says, proven by nothing
	Branches []Branch

	Kind int           // 3 or 5; 0 stands for 4
	V3   [2]Submission // of version 3, instead of ID and Received: at a node, and at the core
}

// Submission is what a receipt of version 3 says about when its hash was received. Nothing proves
// it.
type Submission struct {
	ID string    // hash_id_node, hash_id_core: a UUID of version 1
	At time.Time // hash_submitted_node_at, hash_submitted_core_at, whole seconds in UTC
}

// Branch is a run of operations, and the branches that continue from its result.
type Branch struct {
	Label    string // may be empty
	Ops      []Op
	Branches []Branch
}

// Op is one operation: exactly one of its four fields is set.
type Op struct {
	L, R    string // to be put to the left or to the right: hexadecimal digits, or any other text, which stands for its bytes
	Hash    string // "sha-256", "sha-256-x2" (twice) …
	Anchors []AnchorV4
}

// AnchorV4 says that the value to which the operations lead was published.
type AnchorV4 struct {
	Type string   // btc (Bitcoin), cal (a Chainpoint calendar), eth; tbtc and tcal are their test networks
	ID   string   // of btc: the block's height
	URIs []string // where the value can be asked for: not done here
}

// Version is 3, 4 or 5.
func (r *V4) Version() int { return cmp.Or(r.Kind, 4) }

// Digest is the SHA-256 of the file.
func (r *V4) Digest() [32]byte { return r.Hash }

// WithoutURIs returns a copy of the receipt without the addresses that return the published values.
// It proves the same.
func (r *V4) WithoutURIs() *V4 {
	out := *r
	out.Branches = withoutURIs(r.Branches)
	return &out
}

func withoutURIs(branches []Branch) []Branch {
	out := slices.Clone(branches)
	for i, b := range out {
		out[i].Ops, out[i].Branches = slices.Clone(b.Ops), withoutURIs(b.Branches)
		for j, op := range out[i].Ops {
			anchors := slices.Clone(op.Anchors)
			for k := range anchors {
				anchors[k].URIs = nil
			}
			out[i].Ops[j].Anchors = anchors
		}
	}
	return out
}

// The JSON, its members in the order in which they are written.
type (
	jsonV4 struct {
		Context  string         `json:"@context"`
		Type     string         `json:"type"`
		Hash     string         `json:"hash"`
		ID       string         `json:"proof_id,omitempty"`
		Received string         `json:"hash_received,omitempty"`
		NodeID   string         `json:"hash_id_node,omitempty"`
		NodeAt   string         `json:"hash_submitted_node_at,omitempty"`
		CoreID   string         `json:"hash_id_core,omitempty"`
		CoreAt   string         `json:"hash_submitted_core_at,omitempty"`
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
	when := func(t time.Time) string { return t.UTC().Format(timeV4) }
	out := jsonV4{Context: contextV4, Type: typeV4, Hash: hex.EncodeToString(r.Hash[:]), Branches: jsonBranches(r.Branches)}
	switch r.Version() {
	case 3:
		out.Context = contextV3
		out.NodeID, out.NodeAt = r.V3[0].ID, when(r.V3[0].At)
		out.CoreID, out.CoreAt = r.V3[1].ID, when(r.V3[1].At)
		return marshal(out)
	case 5:
		out.Context = contextV5
	}
	out.ID, out.Received = r.ID, when(r.Received)
	return marshal(out)
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
	hashTwice: nil, // see walk
}

var (
	uuidV1  = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-1[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$`)
	idV4    = regexp.MustCompile(`^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-1[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|[0-9A-HJKMNP-TV-Z]{26})$`)
	labelV4 = regexp.MustCompile(`^[a-zA-Z0-9-_.]*$`)
	hexV4   = regexp.MustCompile(`^([0-9a-fA-F]{2})+$`)
	typesV4 = []string{"cal", "btc", "tcal", "tbtc", "eth"}
)

// parserV4 counts what is bounded over the whole receipt.
type parserV4 struct{ ops, anchors int }

// parseV4 reads a receipt whose context says that it is of version 3, 4 or 5.
func parseV4(v value, context string) (*V4, error) {
	if v.has("type") {
		if err := v.member("type").isType(typeV4); err != nil {
			return nil, err
		}
	}
	r := &V4{}
	about := []string{"proof_id", "hash_received"}
	switch context {
	case contextV3:
		r.Kind, about = 3, []string{"hash_id_node", "hash_submitted_node_at", "hash_id_core", "hash_submitted_core_at"}
	case contextV5:
		r.Kind = 5
	}
	if err := v.object(slices.Concat([]string{"@context", "type", "hash"}, about, []string{"branches"}), nil); err != nil {
		return nil, err
	}
	var err error
	if r.Hash, err = v.member("hash").fileHash(); err != nil {
		return nil, err
	}
	if r.Kind == 3 {
		for i := range r.V3 {
			if r.V3[i].ID, err = v.member(about[2*i]).id(uuidV1, "no UUID of version 1"); err != nil {
				return nil, err
			}
			if r.V3[i].At, err = v.member(about[2*i+1]).seconds(); err != nil {
				return nil, err
			}
		}
	} else {
		if r.ID, err = v.member("proof_id").id(idV4, "neither a UUID of version 1 nor a ULID"); err != nil {
			return nil, err
		}
		if r.Received, err = v.member("hash_received").seconds(); err != nil {
			return nil, err
		}
	}
	p := &parserV4{}
	r.Branches, err = p.branches(v.member("branches"), 1)
	return r, err
}

// fileHash returns the hash of the file. These versions allow other kinds of hashes, and only the
// length tells which kind it is.
func (v value) fileHash() ([32]byte, error) {
	const fewest, most, sha256 = 40, 128, 64
	s, ok := v.token.(string)
	if n := len(s); ok && n != sha256 && n >= fewest && n <= most && n%2 == 0 && hexV4.MatchString(s) {
		return [32]byte{}, v.unsupported("%q has %d hexadecimal digits: the receipt is about another hash of the file than its SHA-256", clip(s), n)
	}
	return v.hash()
}

// id returns an identifier of a form.
func (v value) id(form *regexp.Regexp, otherwise string) (string, error) {
	s, err := v.text(1, maxText)
	if err == nil && !form.MatchString(s) {
		err = v.fail("%q is %s", clip(s), otherwise)
	}
	return s, err
}

// seconds returns a time without fractions.
func (v value) seconds() (time.Time, error) {
	text, err := v.text(1, maxText)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(timeV4, text)
	if err != nil || t.Format(timeV4) != text {
		return t, v.fail("%q is no time as it is written there: 2026-01-31T12:00:00Z", clip(text))
	}
	return t, nil
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

// concatenated returns the text of l or r.
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
		if a.Type, err = item.member("type").single().text(1, maxText); err != nil {
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
