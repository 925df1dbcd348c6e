package receipt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/proof"
)

// Each is a receipt that some reader takes, and understands in its own way. The bug that each would
// find: two readers come to two conclusions, or a hostile receipt keeps the reader busy.
func TestWhatIsNoReceiptIsRefusedWithPlaceAndReason(t *testing.T) {
	s := usual()
	v2, v4 := write(t, s.v2(t)), write(t, s.v4(t))
	edit2 := func(old, with string) string { return edit(t, v2, old, with) }
	edit4 := func(old, with string) string { return edit(t, v4, old, with) }
	digest := fmt.Sprintf("%x", s.digest)
	nonce := fmt.Sprintf("%x", s.nonce)
	txid := displayed(proof.TxID(s.Tx))
	tx := fmt.Sprintf("%x", s.Tx)
	last := fmt.Sprintf("%x", s.Branch[3])
	seal2 := func(signature string) string { return seal(t, v2, signature) }
	good := `"signedHash": "` + digest + `", "pubKey": "1", "signature": "AA=="`
	if _, err := Parse([]byte(seal2("{" + good + "}"))); err != nil {
		t.Fatal(err)
	}
	steps := func(n int) string { return strings.Repeat(`{"left": "`+digest+`"},`, n) }
	deep := strings.Repeat(`{"ops": [], "branches": [`, 8) + `{"ops": []}` + strings.Repeat("]}", 8)

	for name, c := range map[string]struct{ text, want string }{
		"nothing":                 {"", "this is not JSON"},
		"no JSON":                 {"hello", "this is not JSON"},
		"cut short":               {v2[:len(v2)-3], "this is not JSON"},
		"bytes after it":          {v2 + "{}", "this is not JSON"},
		"another receipt after":   {v2 + v2, "this is not JSON"},
		"a number":                {"7", "found the number 7, want an object"},
		"an array":                {"[]", "found an array, want an object"},
		"null":                    {"null", "found null, want an object"},
		"an empty object":         {"{}", "at @context: is missing"},
		"compressed bytes":        {"\x78\x9c\xed\xfd", "this is no text: a receipt is JSON; a binary Chainpoint proof (.chp) must be converted first"},
		"broken UTF-8":            {edit2("BTCOpReturn", "BTC\xff"), "this is no text"},
		"far too long":            {v2 + strings.Repeat(" ", MaxSize), "bytes, a receipt has at most"},
		"nested deeply":           {`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", "deep, at most 24 are allowed"},
		"far too many values":     {`{"a":[` + strings.Repeat("0,", 20_000) + "0]}", "more than 10000 values"},
		"far too many members":    {`{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0}`, "more than 16 members"},
		"version 1":               {`{"header": {}, "target": {}}`, "at header.chainpoint_version: is missing"},
		"version 3":               {edit2("chainpoint/v2", "chainpoint/v3"), "at type: found \"ChainpointSHA256v2\", want \"Chainpoint\""},
		"a context of no version": {edit2(`"https://w3id.org/chainpoint/v2"`, "2"), "at @context: found the number 2"},
		"two contexts":            {edit2(`"type": "ChainpointSHA256v2"`, `"@context": "https://w3id.org/chainpoint/v4"`), "at @context: stands there twice"},
		"two contexts, escaped":   {edit2(`"type": "ChainpointSHA256v2"`, `"\u0040context": "https://w3id.org/chainpoint/v4"`), "at @context: stands there twice"},

		"another hash function":      {edit2("ChainpointSHA256v2", "ChainpointSHA512v2"), `at type: found "ChainpointSHA512v2", want "ChainpointSHA256v2"`},
		"a member in another case":   {edit2(`"targetHash"`, `"TargetHash"`), "at targetHash: is missing"},
		"an extra member":            {edit2(`"type": "Chain`, `"note": "hello", "type": "Chain`), "at note: no receipt has this member here: known are @context, type, targetHash, merkleRoot, proof, anchors, signature"},
		"a member missing":           {edit2(`  "merkleRoot": "`, `  "signature": "`), "at merkleRoot: is missing"},
		"an upper-case target":       {edit2(digest, strings.ToUpper(digest)), "at targetHash: \"835D6"},
		"upper-case in a step":       {edit2(nonce, strings.ToUpper(nonce)), "at proof[0].right: "},
		"upper-case in a source":     {edit2(`"sourceId": "`+txid, `"sourceId": "`+strings.ToUpper(txid)), "at anchors[0].sourceId: "},
		"upper-case in the block":    {edit2(last, strings.ToUpper(last)), "at anchors[1].blockProof[3].right: "},
		"upper-case in a tx":         {edit2(tx, strings.ToUpper(tx)), "upper-case 'C' at place 10: hexadecimal digits are lower-case in receipts"},
		"63 digits":                  {edit2(digest, digest[1:]), "has 63 characters, a SHA-256 has 64"},
		"65 digits":                  {edit2(nonce, nonce+"0"), "at proof[0].right: "},
		"no digit":                   {edit2(digest, "g"+digest[1:]), `has 'g' at place 0, which is no hexadecimal digit`},
		"a prefix 0x":                {edit2(digest, "0x"+digest[2:]), `has 'x' at place 1`},
		"a target that is no string": {edit2(`"`+digest+`"`, "null"), "at targetHash: found null, want 64"},
		"both sides in a step":       {edit2(`"right": "`+nonce, `"left": "`+nonce+`", "right": "`+nonce), "at proof[0]: has 2 members, a step has either left or right"},
		"a step twice":               {edit2(`"right": "`+nonce, `"right": "`+digest+`", "right": "`+nonce), "at proof[0].right: stands there twice"},
		"an empty step":              {edit2("{\n      \"right\": \""+nonce+"\"\n    }", "{}"), "at proof[0]: has 0 members"},
		"a step of another name":     {edit2(`"right": "`+nonce, `"middle": "`+nonce), "at proof[0].middle: no receipt has this member here: known are left, right"},
		"a step that is no object":   {edit2("{\n      \"right\": \""+nonce+"\"\n    }", `"`+nonce+`"`), "at proof[0]: found the text"},
		"a proof that is no array":   {edit2("\"proof\": [", "\"proof\": {}, \"signature\": ["), "at proof: found an object, want an array"},
		"too many steps":             {edit2("\"proof\": [", "\"proof\": ["+steps(300)), "at proof: has 307 elements, 0 to 255 are allowed"},
		"too high a block":           {edit2("\"blockProof\": [", "\"blockProof\": ["+steps(30)), "at anchors[1].blockProof: has 34 elements, 0 to 32"},
		"no anchor":                  {v2[:strings.Index(v2, "\"anchors\"")] + `"anchors": []}`, "at anchors: has 0 elements"},
		"two of one type":            {edit2(`"BTCBlockHeader"`, `"BTCOpReturn", "sourceId": "`+txid+`"}, {"type": "BTCBlockHeader"`), "at anchors[1]: is a second anchor of type BTCOpReturn"},
		"an unknown anchor":          {edit2("BTCOpReturn", "BCHOpReturn"), `at anchors[0].type: found "BCHOpReturn", known are BTCOpReturn`},
		"a tx in the wrong anchor":   {edit2(`"BTCOpReturn",`, `"BTCOpReturn", "tx": "00",`), "at anchors[0].tx: no receipt has this member here"},
		"no tx":                      {edit2(`"tx"`, `"TX"`), "at anchors[1].TX: no receipt"},
		"no block path":              {edit2(`"BTCOpReturn"`, `"BTCBlockHeader"`), "at anchors[0].tx: is missing"},
		"a height as a number":       {edit2(`"820001"`, `820001`), "at anchors[1].sourceId: found the number 820001, want a string"},
		"a height with a zero":       {edit2(`"820001"`, `"0820001"`), "without leading zeros"},
		"a negative height":          {edit2(`"820001"`, `"-1"`), `"-1" is no block's height`},
		"a height of 2^64+820001":    {edit2(`"820001"`, `"18446744073710371617"`), "is no block's height"},
		"a height of 2^31":           {edit2(`"820001"`, `"2147483648"`), "at most 2147483647"},
		"half a byte of tx":          {edit2(tx, tx[1:]), "two are needed for each byte"},

		"an empty seal":                {seal2("{}"), "at signature.signedHash: is missing"},
		"a seal that is null":          {seal2("null"), "at signature: found null, want an object"},
		"an extra member of a seal":    {seal2(`{` + good + `, "signedMessage": "x"}`), "at signature.signedMessage: no receipt has this member"},
		"a seal's identity is no text": {seal2(`{` + good + `, "signedIdentity": 5}`), "at signature.signedIdentity: found the number 5"},
		"an upper-case signed hash":    {seal2(`{` + strings.ToUpper(good[:15]) + `"}`), "at signature."},
		"a seal twice":                 {seal(t, seal2("{"+good+"}"), "{"+good+"}"), "at signature: stands there twice"},

		"v4: another type":                 {edit4(`"Chainpoint"`, `"Chainpointv4"`), "at type: "},
		"v4: an extra member":              {edit4(`"proof_id"`, `"signature": {}, "proof_id"`), "at signature: no receipt has this member here"},
		"v4: a hash of SHA-1":              {edit4(digest, digest[:40]), "at hash: "},
		"v4: an upper-case hash":           {edit4(digest, strings.ToUpper(digest)), "at hash: "},
		"v4: an upper-case r":              {edit4(nonce, strings.ToUpper(nonce)), "at branches[0].ops[0].r: "},
		"v4: milliseconds":                 {edit4("03:04:05Z", "03:04:05.000Z"), "at hash_received: "},
		"v4: another zone":                 {edit4("03:04:05Z", "03:04:05+00:00"), "at hash_received: "},
		"v4: no such day":                  {edit4("2026-01-02T", "2026-02-30T"), "at hash_received: "},
		"v4: a random UUID":                {edit4("-11f0-", "-41f0-"), "is neither a UUID of version 1 nor a ULID"},
		"v4: something after the UUID":     {edit4(`",`+"\n  \"hash_received", ` ",`+"\n  \"hash_received"), "is neither a UUID"},
		"v4: no branches":                  {v4[:strings.Index(v4, "\"branches\"")] + `"branches": []}`, "at branches: has 0 elements"},
		"v4: no ops":                       {edit4(`"ops"`, `"branches"`), "at branches[0].ops: is missing"},
		"v4: an op of two":                 {edit4(`"r": "`+nonce, `"l": "00", "r": "`+nonce), "at branches[0].ops[0]: has 2 members, an operation has one of"},
		"v4: an unknown op":                {strings.Replace(v4, `"sha-256"`, `"md5"`, 1), `at branches[0].ops[1].op: found "md5"`},
		"v4: an empty l":                   {edit4(nonce, ""), "at branches[0].ops[0].r: \"\" has 0 characters, 1 to 512"},
		"v4: a long r":                     {edit4(nonce, strings.Repeat("ab", 257)), "has 514 characters, 1 to 512"},
		"v4: an odd label":                 {edit4("btc_anchor_branch", "btc anchor"), "at branches[0].label: "},
		"v4: a long label":                 {edit4("btc_anchor_branch", strings.Repeat("b", 65)), "at branches[0].label: "},
		"v4: a height with a blank":        {edit4(`"820001"`, `" 820001"`), "anchors[0].anchor_id: "},
		"v4: an unknown anchor":            {edit4(`"btc"`, `"doge"`), "known are cal, btc, tcal, tbtc, eth"},
		"v4: too many operations":          {edit4("\"ops\": [", "\"ops\": ["+strings.Repeat(`{"l": "00"},`, 1024)), "0 to 1024 are allowed"},
		"v4: branches in branches in …":    {edit4("\"branches\": [", "\"branches\": ["+deep+","), "branches lie 9 deep in each other"},
		"v4: many anchors":                 {edit4(`"anchor_id": "820001"`, `"anchor_id": "820001"}`+strings.Repeat(`,{"type": "cal", "anchor_id": "x"}`, 16)+`,{"type": "cal", "anchor_id": "y"`), "1 to 16 are allowed"},
		"v4: many anchors in many":         {edit4(`"anchors": [`, `"anchors": [{"type": "cal", "anchor_id": "x"}]}`+strings.Repeat(`,{"anchors": [{"type": "cal", "anchor_id": "x"}]}`, 16)+`,{"anchors": [`), "more than 16 anchors"},
		"v4: an extra member of an anchor": {edit4(`"anchor_id": "820001"`, `"anchor_id": "820001", "url": []`), "anchors[0].url: no receipt has this member here"},
		"v4: a URI that is no string":      {edit4(`"anchor_id": "820001"`, `"anchor_id": "820001", "uris": [5]`), "uris[0]: found the number 5"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v, want an error with %q", r, err, c.want)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("the error has %d characters", len(err.Error()))
			}
		})
	}
}

// The value that operations lead to must not grow without end: a thousand short ones might copy
// gigabytes.
func TestOperationsMayNotPileUpBytes(t *testing.T) {
	s := usual()
	r := s.v4(t)
	r.Branches[0].Ops = slices.Insert(r.Branches[0].Ops, 0, slices.Repeat([]Op{{L: strings.Repeat("ab", 256)}}, 20)...)
	if got := judge(t, write(t, r), s.digest, s.chain()); got.Outcome != proof.OutcomeInvalid || !strings.Contains(got.Reason, "more than 4096 bytes") {
		t.Errorf("got %+v", got)
	}
}

// Receipts that others made are read.
func TestReceiptsOfOthersAreRead(t *testing.T) {
	// The example that chainpoint.org gave for version 2, and that Woleet's tests use.
	const example = `{"@context":"https://w3id.org/chainpoint/v2","type":"ChainpointSHA256v2",
"targetHash":"bdf8c9bdf076d6aff0292a1c9448691d2ae283f2ce41b045355e2c8cb8e85ef2","merkleRoot":"51296468ea48ddbcc546abb85b935c73058fd8acdb0b953da6aa1ae966581a7a",
"proof":[{"left":"bdf8c9bdf076d6aff0292a1c9448691d2ae283f2ce41b045355e2c8cb8e85ef2"},{"left":"cb0dbbedb5ec5363e39be9fc43f56f321e1572cfcf304d26fc67cb6ea2e49faf"},
{"right":"cb0dbbedb5ec5363e39be9fc43f56f321e1572cfcf304d26fc67cb6ea2e49faf"}],"anchors":[{"type":"BTCOpReturn","sourceId":"f3be82fe1b5d8f18e009cb9a491781289d2e01678311fe2b2e4e84381aafadee"}]}`
	r, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	got := judge(t, example, r.Digest(), chain{})
	if got.Outcome != proof.OutcomeUnchecked || !strings.Contains(got.Reason, "f3be82fe1b5d8f18e009cb9a491781289d2e01678311fe2b2e4e84381aafadee") {
		t.Errorf("its path is right, but: %+v", got)
	}

	// The example of npm's chainpoint-binary: a calendar, then block 1664848 of the test network,
	// whose Merkle root and transaction's id here are those that npm's chainpoint-parse 5.0.1
	// computes.
	b, err := os.ReadFile(filepath.Join("testdata", "chainpoint-sample-v4.json"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = Parse(b); err != nil {
		t.Fatal(err)
	}
	if got := judge(t, string(b), r.Digest(), chain{}); got.Outcome != proof.OutcomeUnchecked || !strings.Contains(got.Reason, "only of type tbtc, tcal") {
		t.Errorf("of a test network: %+v", got)
	}
	main := edit(t, string(b), `"tbtc"`, `"btc"`)
	root := hash32(t, "d0249268f4929fe044bcd476952a5f4496e031571c5d48c41c0e3295fd9c8b86")
	got = judge(t, main, r.Digest(), chain{1664848: {Height: 1664848, MerkleRoot: root, Time: blockTime}})
	if got.Outcome != proof.OutcomeValid || displayed(got.TxID) != "51560437696be945d222ee32a05da3ad57457436567d59c3e7f7066382e0ab91" {
		t.Errorf("got %+v, transaction %s", got, displayed(got.TxID))
	}
}

// hash32 reads a hash as it is displayed.
func hash32(t testing.TB, text string) (h [32]byte) {
	t.Helper()
	h, err := value{token: text}.hash()
	if err != nil {
		t.Fatal(err)
	}
	return reversed(h)
}

// Another version or kind of receipt is no damage: another program may read it. What no version has
// is.
func TestReceiptsThatAnotherProgramMayReadAreUnsupported(t *testing.T) {
	s := write(t, usual().v2(t))
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"version 3, cut short":  {`{"@context":"https://w3id.org/chainpoint/v3","type":"Chainpoint"}`, false},
		"version 1.2":           {`{"header":{"chainpoint_version":"1.2","hash_type":"SHA-256","merkle_root":"","tx_id":""},"target":{}}`, true},
		"a version to come":     {`{"@context":"https://w3id.org/chainpoint/v9","type":"Chainpoint"}`, true},
		"another hash":          {edit(t, s, `"ChainpointSHA256v2"`, `"ChainpointSHA512v2"`), true},
		"an unknown anchor":     {edit(t, s, `"BTCOpReturn"`, `"MoonOpReturn"`), true},
		"another vocabulary":    {`{"@context":"https://schema.org","type":"Person"}`, false},
		"a type that is none":   {edit(t, s, `"ChainpointSHA256v2"`, `"Person"`), false},
		"JSON of something":     {`{"a":1}`, false},
		"a receipt that is cut": {s[:len(s)/2], false},
	} {
		_, err := Parse([]byte(c.text))
		if err == nil || errors.Is(err, proof.ErrUnsupported) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
