package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/proof"
)

func sampleText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mined is a chain whose node knows a transaction that commits to the root, and is not the one that
// a published receipt names: those transactions are not here. Put in the receipt, its id makes it
// valid.
func mined(root [32]byte) (sample, string) {
	s := usual()
	s.mine(transaction(1, opReturn(root[:]), change), 5, 9)
	return s, displayed(proof.TxID(s.Tx))
}

// The receipts that Woleet published with its library in 2016 and 2017: hashes are joined as text.
func TestReceiptsOfVersion1AreVerified(t *testing.T) {
	for name, c := range map[string]struct{ file, tx, root, digest string }{
		"of 2016": {"woleet-sample-v1.json", "0e50313029143187a44bf9fa9b9f08bf1b349291787ad8eeec2d09a2a5aaa1c5",
			"bf53f456227b377527349f337b8d11687e461a6ff01790deadb862bf1fa57fe9", "0bf8e69866ff5db9efc108ea87953081ba627fb524a2c457dfb6c1b7df9430f9"},
		"of 2017, sealed": {"woleet-sample-v1-sealed.json", "01b321351b6a1dd315e08d5613c68c2cafc36e76239b9c3f3aced5e72194bded",
			"76280be77b005ee3a4e61a3301717289362e1a9106343c7afba21b55be33b39b", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	} {
		t.Run(name, func(t *testing.T) {
			text := sampleText(t, c.file)
			digest := plain32(t, c.digest)
			r, err := Parse([]byte(text))
			if err != nil || r.Version() != 1 || r.Digest() != digest {
				t.Fatalf("%+v, %v", r, err)
			}
			// As it is: only a node with all transactions can tell.
			got := judge(t, text, digest, chain{})
			if got.Outcome != proof.OutcomeUnchecked || !strings.Contains(got.Reason, c.tx) || !strings.Contains(got.Needed, "txindex=1") {
				t.Errorf("from headers alone: %+v", got)
			}
			s, txid := mined(plain32(t, c.root))
			if got := judge(t, text, digest, s.node()); got.Outcome != proof.OutcomeNoBlock || !strings.Contains(got.Reason, "in no block") {
				t.Errorf("at a node that has not its transaction: %+v", got)
			}
			got = judge(t, edit(t, text, c.tx, txid), digest, s.node())
			if got.Outcome != proof.OutcomeValid || got.Anchor != BTCOpReturn || got.TxID != proof.TxID(s.Tx) || (got.Seal != nil) != strings.Contains(name, "sealed") {
				t.Errorf("at a node that has it: %+v", got)
			}
			if got := judge(t, text, [32]byte{1}, s.node()); got.Outcome != proof.OutcomeInvalid || !strings.Contains(got.Reason, "about another file") {
				t.Errorf("of another file: %+v", got)
			}
			if _, err := Proof(r); err == nil || !strings.Contains(err.Error(), "does not hold its transaction") {
				t.Errorf("as a proof: %v", err)
			}
			// Written again, nothing is lost.
			var before, after any
			if json.Unmarshal([]byte(text), &before) != nil || json.Unmarshal([]byte(write(t, r)), &after) != nil || fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("written again it is\n%s", write(t, r))
			}
		})
	}
}

// The examples of chainpoint-validate are of version 1.1. One has no path; others leave out what is
// optional, or have it under the names of other makers.
func TestSpellingsOfVersion1(t *testing.T) {
	digest := sha256.Sum256([]byte("the file\n"))
	s, txid := mined(digest)
	h := hex.EncodeToString(digest[:])
	header := func(version, kind, more string) string {
		return `{"header":{"chainpoint_version":"` + version + `","hash_type":"` + kind + `","merkle_root":"` + h + `","tx_id":"` + txid + `"` + more + `},`
	}
	target := func(more string) string { return `"target":{"target_hash":"` + h + `","target_proof":[]` + more + `}` }
	for name, text := range map[string]string{
		"1.1, no path":            header("1.1", "SHA-256", `,"timestamp":1463018411`) + target("") + "}",
		"no timestamp":            header("1.0", "SHA-256", "") + target("") + "}",
		"a timestamp as text":     header("1.0", "SHA-256", `,"local_timestamp":"1436172703"`) + target("") + "}",
		"the hash's other name":   header("1.0", "sha256", "") + target("") + "}",
		"target_URI":              header("1.0", "SHA-256", "") + target(`,"target_URI":"http://example.org/a"`) + "}",
		"a target_uri of null":    header("1.0", "SHA-256", "") + target(`,"target_uri":null`) + "}",
		"an extra that is a list": header("1.0", "SHA-256", "") + target("") + `,"extra":[{"a":1.50,"b":["\u003c",null,true]}]}`,
		"an extra that is none":   header("1.0", "SHA-256", "") + target("") + `,"extra":null}`,
		"an extra that is odd":    header("1.0", "SHA-256", "") + target("") + `,"extra":{"custom":{}}}`,
	} {
		got := judge(t, text, digest, s.node())
		if got.Outcome != proof.OutcomeValid {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		r, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse([]byte(write(t, r)))
		if err != nil || write(t, again) != write(t, r) {
			t.Errorf("%s: read again: %v\n%s", name, err, write(t, r))
		}
	}
	for name, c := range map[string]struct {
		text, want  string
		unsupported bool
	}{
		"a version to come":           {header("1.2", "SHA-256", "") + target("") + "}", `at header.chainpoint_version: found "1.2"`, true},
		"another hash":                {header("1.1", "SHA-512", "") + target("") + "}", `at header.hash_type: found "SHA-512"`, true},
		"a version as a number":       {strings.Replace(header("1.1", "SHA-256", ""), `"1.1"`, "1.1", 1) + target("") + "}", "at header.chainpoint_version: found the number 1.1", false},
		"an extra member":             {header("1.1", "SHA-256", "") + target("") + `,"note":1}`, "at note: no receipt has this member", false},
		"one in the header":           {header("1.1", "SHA-256", `,"note":1`) + target("") + "}", "at header.note: no receipt has this member", false},
		"one in the target":           {header("1.1", "SHA-256", "") + target(`,"note":1`) + "}", "at target.note: no receipt has this member", false},
		"a root twice":                {header("1.1", "SHA-256", `,"merkle_root":"`+h+`"`) + target("") + "}", "at header.merkle_root: stands there twice", false},
		"an upper-case root":          {strings.Replace(header("1.1", "SHA-256", ""), h, strings.ToUpper(h), 1) + target("") + "}", "lower-case", false},
		"a timestamp that is a list":  {header("1.1", "SHA-256", `,"timestamp":[]`) + target("") + "}", "at header.timestamp: found an array", false},
		"a header that is text":       {`{"header":"x",` + target("") + "}", "at header: found the text", false},
		"a target that is null":       {header("1.1", "SHA-256", "") + `"target":null}`, "at target: found null, want an object", false},
		"a path that is an object":    {header("1.1", "SHA-256", "") + strings.Replace(target(""), "[]", "{}", 1) + "}", "at target.target_proof: found an object", false},
		"a step without its parent":   {header("1.1", "SHA-256", "") + strings.Replace(target(""), "[]", `[{"left":"`+h+`","right":"`+h+`"}]`, 1) + "}", "at target.target_proof[0].parent: is missing", false},
		"an extra that lies too deep": {header("1.1", "SHA-256", "") + target("") + `,"extra":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "}", "deep, at most", false},
		"bytes after it":              {header("1.1", "SHA-256", "") + target("") + "}{}", "this is not JSON", false},
	} {
		_, err := Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, proof.ErrUnsupported) != c.unsupported {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Each is what a verifier takes that leaves out one check.
func TestForgedReceiptsOfVersion1AreRefusedWithTheReason(t *testing.T) {
	text := sampleText(t, "woleet-sample-v1.json")
	digest := plain32(t, "0bf8e69866ff5db9efc108ea87953081ba627fb524a2c457dfb6c1b7df9430f9")
	root := plain32(t, "bf53f456227b377527349f337b8d11687e461a6ff01790deadb862bf1fa57fe9")
	s, txid := mined(root)
	text = edit(t, text, "0e50313029143187a44bf9fa9b9f08bf1b349291787ad8eeec2d09a2a5aaa1c5", txid)
	good := func() *V1 {
		r, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r.(*V1)
	}
	binary := func(left, right [32]byte) [32]byte { return sha256.Sum256(append(left[:], right[:]...)) }
	for name, c := range map[string]struct {
		forge func(*V1)
		want  string
	}{
		"another file":                 {func(r *V1) { r.TargetHash[0] ^= 1 }, "about another file"},
		"a sibling":                    {func(r *V1) { r.Proof[1].Left[0] ^= 1 }, "step 2 of target_proof leads to"},
		"a parent":                     {func(r *V1) { r.Proof[0].Parent[0] ^= 1 }, "step 1 of target_proof leads to"},
		"the sides changed":            {func(r *V1) { p := &r.Proof[0]; p.Left, p.Right = p.Right, p.Left }, "step 1 of target_proof leads to"},
		"a step too few":               {func(r *V1) { r.Proof = r.Proof[:2] }, "the path leads from"},
		"a step left out":              {func(r *V1) { r.Proof = append(r.Proof[:1:1], r.Proof[2]) }, "step 2 of target_proof joins"},
		"a path of another file":       {func(r *V1) { r.Proof = r.Proof[1:] }, "step 1 of target_proof joins"},
		"a root that nothing leads to": {func(r *V1) { r.MerkleRoot[0] ^= 1 }, "the path leads from"},
		"hashes joined as bytes": {func(r *V1) {
			r.Proof[2].Parent = binary(r.Proof[2].Left, r.Proof[2].Right)
			r.MerkleRoot = r.Proof[2].Parent
		}, "step 3 of target_proof leads to"},
		"a seal that somebody put on":        {func(r *V1) { r.Seal = newSigner("clerk").seal(digest, "", "") }, "the signature is not the one that was anchored"},
		"the path cut off, and a false root": {func(r *V1) { r.Proof, r.MerkleRoot = nil, digest }, "commits to bf53f456"},
	} {
		r := good()
		c.forge(r)
		if got := judge(t, write(t, r), digest, s.node()); got.Outcome != proof.OutcomeInvalid || !strings.Contains(got.Reason, c.want) {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

// Chainpoint's own samples. What their btc anchors expect of the blocks is what chainpoint-parse 3
// and 5 compute.
func TestReceiptsOfVersions3And5AreVerified(t *testing.T) {
	for version, c := range map[int]struct {
		file, root, tx string
		height         uint64
		calendars      int
	}{
		3: {"chainpoint-sample-v3.json", "c617f5faca34474bea7020d75c39cb8427a32145f9646586ecb9184002131ad9", "ba3c8c3e547ed73471c28a69659373f3f0a3b726aab31cdecd14513d9c581f1e", 503275, 1},
		5: {"chainpoint-sample-v5.json", "e8886527b676a2d835e8fd8417b3884c0158ff7ec38647012fe15f5ae448d825", "96bbb4b7c00b3e91810633bdccbca2c3e81da9b57ffde642853732e540b6f40c", 625836, 1},
	} {
		text := sampleText(t, c.file)
		r, err := Parse([]byte(text))
		if err != nil || r.Version() != version {
			t.Fatalf("version %d: %+v, %v", version, r, err)
		}
		found, err := r.claims(t.Context(), chain{})
		if err != nil || len(found.bitcoin) != 1 {
			t.Fatalf("version %d: %+v, %v", version, found, err)
		}
		b := found.bitcoin[0]
		if displayed(b.merkleRoot) != c.root || displayed(b.txid) != c.tx {
			t.Errorf("version %d: root %s, transaction %s", version, displayed(b.merkleRoot), displayed(b.txid))
		}
		blocks := chain{c.height: {Height: c.height, MerkleRoot: b.merkleRoot, Time: blockTime}}
		got := judge(t, text, r.Digest(), blocks)
		if got.Outcome != proof.OutcomeValid || got.Anchor != "btc" || got.Header.Height != c.height || len(got.Warnings) != c.calendars ||
			!strings.Contains(got.Warnings[0], "not checked: the anchor of type cal") {
			t.Errorf("version %d: %+v", version, got)
		}
		if got := judge(t, text, r.Digest(), chain{c.height: {Height: c.height}}); got.Outcome != proof.OutcomeInvalid {
			t.Errorf("version %d at another chain: %+v", version, got)
		}
		var before, after any
		if json.Unmarshal([]byte(text), &before) != nil || json.Unmarshal([]byte(write(t, r)), &after) != nil || fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("version %d: written again it is\n%s", version, write(t, r))
		}
	}
}

// The spellings of JSON-LD that chainpoint-validate takes, or that JSON-LD has for the same.
func TestSpellingsOfJSONLD(t *testing.T) {
	s := usual()
	v2, v4 := write(t, s.v2(t)), write(t, s.v4(t))
	const c2, c4 = `"https://w3id.org/chainpoint/v2"`, `"https://w3id.org/chainpoint/v4"`
	for name, text := range map[string]string{
		"@type":                        edit(t, v2, `"type": "ChainpointSHA256v2"`, `"@type": "ChainpointSHA256v2"`),
		"@type everywhere":             strings.ReplaceAll(v2, `"type"`, `"@type"`),
		"@type in version 4":           strings.ReplaceAll(v4, `"type"`, `"@type"`),
		"an array of one type":         edit(t, v2, `"type": "ChainpointSHA256v2"`, `"@type": ["ChainpointSHA256v2"]`),
		"an array of one context":      edit(t, v2, c2, "["+c2+"]"),
		"two contexts":                 edit(t, v2, c2, `["https://schema.org/", `+c2+"]"),
		"two contexts of version 4":    edit(t, v4, c4, "["+c4+`, "https://schema.org/"]`),
		"version 5 is 4 by its name":   edit(t, v4, c4, `"https://w3id.org/chainpoint/v5"`),
		"an anchor's type in an array": edit(t, v2, `"type": "BTCOpReturn"`, `"@type": ["BTCOpReturn"]`),
	} {
		if got := judge(t, text, s.digest, s.chain()); got.Outcome != proof.OutcomeValid {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, c := range map[string]struct {
		text, want  string
		unsupported bool
	}{
		"type and @type":         {edit(t, v2, `"type": "ChainpointSHA256v2"`, `"type": "ChainpointSHA256v2", "@type": "ChainpointSHA256v2"`), "at @type: stands there twice", false},
		"contexts of 2 versions": {edit(t, v2, c2, "["+c2+","+c4+"]"), "at @context: has 2 contexts of Chainpoint", false},
		"no context of ours":     {edit(t, v2, c2, `["https://schema.org/", "https://schema.org/2"]`), "at @context: has 0 contexts of Chainpoint", false},
		"no context at all":      {edit(t, v2, c2, `[]`), "at @context: has 0 elements", false},
		"a context of numbers":   {edit(t, v2, c2, `[2]`), "at @context[0]: found the number 2", false},
		"nine contexts":          {edit(t, v2, c2, "["+strings.Repeat(`"https://schema.org/",`, 8)+c2+"]"), "at @context: has 9 elements", false},
		"two types":              {edit(t, v2, `"type": "ChainpointSHA256v2"`, `"type": ["ChainpointSHA256v2", "Extension"]`), "at type: found an array", false},
		"a version to come":      {edit(t, v2, c2, `["https://w3id.org/chainpoint/v9"]`), `found "https://w3id.org/chainpoint/v9"`, true},
		"a list of operations":   {`{"@context":` + c2 + `,"@type":"ChainpointOpListv2","targetHash":"00","operations":[]}`, `at @type: found "ChainpointOpListv2"`, true},
		"a hash of 56 digits":    {`{"@context":` + c2 + `,"@type":"ChainpointSHA224v2","targetHash":"00","merkleRoot":"00","proof":[],"anchors":[]}`, `at @type: found "ChainpointSHA224v2"`, true},
		"a SHA-1 in version 4":   {edit(t, v4, hex.EncodeToString(s.digest[:]), strings.Repeat("ab", 20)), "at hash: ", true},
		"half a hash":            {edit(t, v4, hex.EncodeToString(s.digest[:]), strings.Repeat("ab", 10)), "at hash: ", false},
	} {
		_, err := Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, proof.ErrUnsupported) != c.unsupported {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// plain32 reads a hash in the order in which receipts write those that are not Bitcoin's.
func plain32(t testing.TB, text string) [32]byte {
	t.Helper()
	return reversed(hash32(t, text))
}

// The bug that it catches: a byte of a receipt of version 1 that nobody looks at, or that is read
// over. What its maker says of time, place and more proves nothing, and may be anything.
func TestNoSingleByteOfVersion1CanBeChangedUnnoticed(t *testing.T) {
	digest := plain32(t, "0bf8e69866ff5db9efc108ea87953081ba627fb524a2c457dfb6c1b7df9430f9")
	s, txid := mined(plain32(t, "bf53f456227b377527349f337b8d11687e461a6ff01790deadb862bf1fa57fe9"))
	text := edit(t, sampleText(t, "woleet-sample-v1.json"), "0e50313029143187a44bf9fa9b9f08bf1b349291787ad8eeec2d09a2a5aaa1c5", txid)
	says := func(r Receipt) string {
		v1, ok := r.(*V1)
		if !ok {
			return "another version"
		}
		return fmt.Sprint(v1.TargetHash, v1.MerkleRoot, v1.TxID, v1.Proof, v1.Seal)
	}
	good, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := says(good)
	for i := range text {
		for _, with := range []string{"", "7", "F", `"`} {
			changed := text[:i] + with + text[i+1:]
			r, err := Parse([]byte(changed))
			if err != nil {
				continue
			}
			got, err := Verify(t.Context(), r, digest, s.node())
			if err == nil && got.Outcome == proof.OutcomeValid && says(r) != want {
				t.Fatalf("valid, and says something else:\n%s", changed)
			}
		}
	}
}
