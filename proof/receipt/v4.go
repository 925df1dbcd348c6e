package receipt

import (
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
	contextV4 = "https://w3id.org/chainpoint/v4"
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

// Version is 4.
func (r *V4) Version() int { return 4 }

// Digest is the SHA-256 of the file.
func (r *V4) Digest() [32]byte { return r.Hash }

// WithoutURIs returns the receipt without the addresses where values can be asked for. It says the same.
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
	hashTwice: nil, // see walk
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
