package itest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ancre/rpc"

	"github.com/btcsuite/btcd/txscript/v2"
)

// object is any JSON object.
type object = map[string]any

// tampering changes one member of a receipt. refused holds a part of each verifier's reason. A
// verifier that is not named does not check that member, and unseen says why. Our own verifier
// refuses each change, except for claims that nothing in the receipt proves.
type tampering struct {
	name    string
	change  func(r object)
	refused map[string]string
	unseen  string
}

const mereClaim = "nothing in Bitcoin depends on it"

const (
	woleet   = "woleet"
	validate = "chainpoint-validate"
	parse    = "chainpoint-parse"
	client   = "chainpoint-js"
)

// flip changes one hexadecimal digit of a member of an object. A negative place counts from the
// end.
func flip(o object, member string, place int) {
	text := []byte(o[member].(string))
	if place < 0 {
		place += len(text)
	}
	text[place] = map[bool]byte{true: '1', false: '0'}[text[place] == '0']
	o[member] = string(text)
}

// side is the name of the only member of a step.
func side(step object) string {
	for name := range step {
		return name
	}
	return ""
}

func at(list any, i int) object {
	l := list.([]any)
	if i < 0 {
		i += len(l)
	}
	return l[i].(object)
}

func drop(o object, member string, i int) {
	o[member] = slices.Delete(o[member].([]any), i, i+1)
}

// The two anchors of a receipt of version 2, as both verifiers expect them.
func opReturnAnchor(r object) object { return at(r["anchors"], 0) }
func headerAnchor(r object) object   { return at(r["anchors"], 1) }

func swap(step object) {
	was := side(step)
	step[map[string]string{"left": "right", "right": "left"}[was]] = step[was]
	delete(step, was)
}

// tamperings2 are of version 2. elsewhere is the id of another transaction, with another OP_RETURN.
func tamperings2(elsewhere string) []tampering {
	both := func(byWoleet, byValidate string) map[string]string {
		return map[string]string{woleet: byWoleet, validate: byValidate}
	}
	broken := both("merkle_root_mismatch", "Invalid proof path")
	const noHeaders = "Woleet's tools ask for the transaction and look at no block header"
	return []tampering{
		{"targetHash", func(r object) { flip(r, "targetHash", 5) }, broken, ""},
		{"targetHash in upper case", func(r object) { r["targetHash"] = strings.ToUpper(r["targetHash"].(string)) },
			map[string]string{woleet: "target_hash_mismatch"}, "chainpoint-validate reads both cases"},
		{"the nonce", func(r object) { flip(at(r["proof"], 0), "right", 0) }, broken, ""},
		{"the last step", func(r object) { s := at(r["proof"], -1); flip(s, side(s), -1) }, broken, ""},
		{"a step on the other side", func(r object) { swap(at(r["proof"], 1)) }, broken, ""},
		{"a step too few", func(r object) { drop(r, "proof", 1) }, broken, ""},
		{"a step cut short", func(r object) { s := at(r["proof"], 1); s[side(s)] = s[side(s)].(string)[2:] }, both("non_sha256_target_proof_element", "Invalid proof path"), ""},
		{"merkleRoot", func(r object) { flip(r, "merkleRoot", 9) }, broken, ""},
		{"type", func(r object) { r["type"] = "ChainpointSHA512v2" }, both("non_sha256_target_proof_element", "Invalid target hash"), ""},
		{"type of no kind", func(r object) { r["type"] = "ChainpointSHA256v9" }, both("invalid_receipt_format", "Invalid Chainpoint type"), ""},
		{"@context", func(r object) { r["@context"] = "https://w3id.org/chainpoint/v7" }, nil, "both go by the type, and only want some @context"},
		{"a member more", func(r object) { r["comment"] = "approved" }, nil, "both look for what they know"},
		{"sourceId: no such transaction", func(r object) { flip(opReturnAnchor(r), "sourceId", 3) }, both("tx_not_found", "no transaction"), ""},
		{"sourceId: another transaction", func(r object) { opReturnAnchor(r)["sourceId"] = elsewhere },
			both("op_return_mismatches_merkle_root", "not there: BTCOpReturn"), ""},
		{"height", func(r object) {
			h, _ := strconv.Atoi(headerAnchor(r)["sourceId"].(string))
			headerAnchor(r)["sourceId"] = strconv.Itoa(h - 1)
		}, map[string]string{validate: "not there: BTCBlockHeader"}, noHeaders},
		{"height above the tip", func(r object) { headerAnchor(r)["sourceId"] = "1000000" }, map[string]string{validate: "no block 1000000"}, noHeaders},
		{"tx: an input", func(r object) { flip(headerAnchor(r), "tx", 12) }, map[string]string{validate: "not there: BTCBlockHeader"}, noHeaders},
		{"tx: the root in it", func(r object) {
			tx, root := headerAnchor(r)["tx"].(string), r["merkleRoot"].(string)
			headerAnchor(r)["tx"] = strings.Replace(tx, root, strings.Repeat("ab", 32), 1)
		}, map[string]string{validate: "Merkle root not found in tx value"}, noHeaders},
		{"blockProof: a hash", func(r object) { s := at(headerAnchor(r)["blockProof"], 0); flip(s, side(s), 20) },
			map[string]string{validate: "not there: BTCBlockHeader"}, noHeaders},
		{"blockProof: the other side", func(r object) { swap(at(headerAnchor(r)["blockProof"], 0)) },
			map[string]string{validate: "not there: BTCBlockHeader"}, noHeaders},
		{"blockProof: empty", func(r object) { headerAnchor(r)["blockProof"] = []any{} }, map[string]string{validate: "Invalid block proof"}, noHeaders},
	}
}

// tamperings4 are of version 4.
func tamperings4() []tampering {
	by := func(byParse string) map[string]string {
		byClient := "not verified: "
		switch byParse {
		case "not by the schema":
			byClient = "chainpoint-js: "
		case "no anchors":
			byClient = "chainpoint-js: No hashes were found."
		}
		return map[string]string{parse: byParse, client: byClient}
	}
	ops := func(r object) []any { return at(r["branches"], 0)["ops"].([]any) }
	last := func(r object) object { return at(at(ops(r), -1)["anchors"], 0) }
	// text returns the step of the transaction that is put to one side of the root.
	text := func(r object, side string) object {
		i := slices.IndexFunc(ops(r), func(op any) bool { return op.(object)["op"] == "sha-256-x2" })
		for _, op := range ops(r)[i-2 : i] {
			if op.(object)[side] != nil {
				return op.(object)
			}
		}
		return nil
	}
	const noBlock = "has not the root"
	return []tampering{
		{"hash", func(r object) { flip(r, "hash", 5) }, by("another hash"), ""},
		{"the nonce", func(r object) { flip(at(ops(r), 0), "r", 0) }, by(noBlock), ""},
		{"an operation", func(r object) { at(ops(r), 1)["op"] = "sha-512" }, by(noBlock), ""},
		{"an operation too few", func(r object) { drop(at(r["branches"], 0), "ops", 1) }, by(noBlock), ""},
		{"an operation that does not exist", func(r object) { at(ops(r), 1)["op"] = "md5" }, by("not by the schema"), ""},
		{"tx: before the root", func(r object) { flip(text(r, "l"), "l", 12) }, by(noBlock), ""},
		{"tx: after the root", func(r object) { flip(text(r, "r"), "r", 0) }, by(noBlock), ""},
		{"the path to the header", func(r object) {
			op := at(ops(r), -3)
			flip(op, side(op), 7)
		}, by(noBlock), ""},
		{"height", func(r object) {
			h, _ := strconv.Atoi(last(r)["anchor_id"].(string))
			last(r)["anchor_id"] = strconv.Itoa(h - 1)
		}, map[string]string{parse: noBlock}, "chainpoint-js goes by the address alone"},
		{"the address", func(r object) {
			h, _ := strconv.Atoi(last(r)["anchor_id"].(string))
			last(r)["uris"] = []string{fmt.Sprintf("http://127.0.0.1/calendar/%d/data", h-1)}
		}, map[string]string{client: "not verified: "}, mereClaim},
		{"type of the anchor", func(r object) { last(r)["type"] = "btcash" }, by("not by the schema"), ""},
		{"no anchor", func(r object) { drop(at(r["branches"], 0), "ops", len(ops(r))-1) }, by("no anchors"), ""},
		{"@context", func(r object) { r["@context"] = "https://w3id.org/chainpoint/v7" }, by("not by the schema"), ""},
		{"type", func(r object) { r["type"] = "Chainpointy" }, by("not by the schema"), ""},
		{"proof_id of no kind", func(r object) { r["proof_id"] = "1234" }, by("not by the schema"), ""},
		{"hash_received with a time zone", func(r object) { r["hash_received"] = "2020-01-01T00:00:00+01:00" }, by("not by the schema"), ""},
		{"a member more", func(r object) { r["comment"] = "approved" }, by("not by the schema"), ""},
		{"another proof_id", func(r object) { flip(r, "proof_id", 1) }, nil, mereClaim},
		{"another hash_received", func(r object) { r["hash_received"] = "2009-01-09T00:00:00Z" }, nil, mereClaim},
		{"another label", func(r object) { at(r["branches"], 0)["label"] = "somewhere" }, nil, mereClaim},
		{"hash in upper case", func(r object) { r["hash"] = strings.ToUpper(r["hash"].(string)) }, by("another hash"), ""},
	}
}

// tamperingsOfSeals are of the member "signature". forged is somebody else's seal of the same file.
func tamperingsOfSeals(forged object) []tampering {
	seal := func(r object) object { return r["signature"].(object) }
	by := func(reason string) map[string]string { return map[string]string{woleet: reason} }
	return []tampering{
		{"somebody else's seal", func(r object) { r["signature"] = forged }, nil, "Woleet's tools do not look whether the signature is the one that was anchored"},
		{"no seal", func(r object) { delete(r, "signature") }, by("target_hash_mismatch"), ""},
		{"signedHash", func(r object) { flip(seal(r), "signedHash", 0) }, by("target_hash_mismatch"), ""},
		{"pubKey", func(r object) { seal(r)["pubKey"] = forged["pubKey"] }, by("invalid_receipt_signature"), ""},
		{"signature", func(r object) { seal(r)["signature"] = forged["signature"] }, by("invalid_receipt_signature"), ""},
		{"signedIdentity", func(r object) { seal(r)["signedIdentity"] = "CN=The King" }, by("invalid_receipt_signature"), ""},
		{"signedIssuerDomain", func(r object) { delete(seal(r), "signedIssuerDomain") }, by("invalid_receipt_signature"), ""},
		{"targetHash", func(r object) { flip(r, "targetHash", 5) }, by("merkle_root_mismatch"), ""},
	}
}

// minedTx is what a block explorer reports of a transaction.
type minedTx struct {
	Confirmations int32  `json:"confirmations"`
	Timestamp     int64  `json:"timestamp"` // of its block, Unix seconds
	OpReturn      string `json:"opReturn"`  // what the first OP_RETURN holds, hexadecimal; empty: none
}

// look reads from the node's blocks what verifiers of receipts would ask web services for. It
// begins with the block before the anchor's.
func (c *clients) look() {
	c.Helper()
	c.transactions, c.roots = make(map[string]minedTx), make(map[string]string)
	tip, err := c.node.Height(c.ctx)
	c.must(err)
	for height := c.proven.Height - 1; height <= tip; height++ {
		block, err := c.node.BlockAt(c.ctx, height)
		c.must(err)
		c.roots[strconv.Itoa(int(height))] = block.Header.MerkleRoot.String()
		for i, tx := range block.Transactions {
			mined := minedTx{Confirmations: tip - height + 1, Timestamp: block.Header.Timestamp.Unix()}
			for _, out := range tx.TxOut {
				if out.PkScript[0] == txscript.OP_RETURN {
					mined.OpReturn = hex.EncodeToString(out.PkScript[2:]) // behind the push of at most 75 bytes
					break
				}
			}
			c.transactions[tx.TxHash().String()] = mined
			if i == 0 {
				c.coinbase = tx.TxHash().String()
			}
		}
	}
}

// receipt asks the daemon for one.
func (c clients) receipt(digest, format string) json.RawMessage {
	c.Helper()
	var p rpc.Proof
	c.call(&p, "getproof", digest, format)
	return p.Receipt
}

// receipts2 hands receipts to Woleet's and Tierion's verifiers of version 2.
func (c clients) receipts2() {
	c.wantReceiptJudged(c.proven.Digest, c.receipt(c.proven.Digest, rpc.FormatChainpoint), []string{woleet, validate}, tamperings2(c.coinbase))
}

// receipts4 hands receipts to Tierion's parser of version 4.
func (c clients) receipts4() {
	c.wantReceiptJudged(c.proven.Digest, c.receipt(c.proven.Digest, rpc.FormatChainpoint4), []string{parse, client}, tamperings4())
}

// signatureHash is the digest that a seal is anchored by.
func signatureHash(seal object) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(seal["signature"].(string))))
}

// seals has the mayor and somebody else sign the contract. Only the mayor's signature is stamped.
func (c clients) seals() (mayors, forged object) {
	for _, seal := range []*object{&mayors, &forged} {
		out, err := c.npm(c.TempDir(), nil, "clients/seal.js", c.contract, "CN=The Mayor,O=Town", "town.example")
		c.must(err)
		c.must(json.Unmarshal([]byte(out), seal))
	}
	c.submit(signatureHash(mayors))
	return mayors, forged
}

// sealedReceipts hands receipts with Woleet's extension to Woleet's verifier.
func (c clients) sealedReceipts() {
	if c.seal == nil {
		c.Skip("nothing was sealed: see the test before")
	}
	var r object
	c.must(json.Unmarshal(c.receipt(signatureHash(c.seal), rpc.FormatChainpoint), &r))
	r["signature"] = c.seal
	sealed, err := json.Marshal(r)
	c.must(err)
	c.wantReceiptJudged(c.contract, sealed, []string{woleet}, tamperingsOfSeals(c.forged))
}

// judged has other people's verifiers judge receipts of a file.
func (c clients) judged(digest string, receipts []object) (verdicts []map[string]string) {
	c.Helper()
	question, err := json.Marshal(object{"digest": digest, "calendar": c.calendar(), "transactions": c.transactions, "roots": c.roots, "receipts": receipts})
	c.must(err)
	answer, err := c.npm(c.TempDir(), question, "clients/receipts.js")
	c.must(err)
	if err := json.Unmarshal([]byte(answer), &verdicts); err != nil || len(verdicts) != len(receipts) {
		c.Fatalf("%v: %d verdicts on %d receipts: %.500s", err, len(verdicts), len(receipts), answer)
	}
	return verdicts
}

// wantReceiptJudged wants every verifier of its version, ours included, to accept the receipt of a
// file. Ours must refuse each tampered receipt; the others must where they check that member.
func (c clients) wantReceiptJudged(digest string, receipt json.RawMessage, others []string, tamperings []tampering) {
	c.Helper()
	fresh := func() (r object) {
		c.must(json.Unmarshal(receipt, &r))
		return r
	}
	receipts := []object{fresh()}
	for _, t := range tamperings {
		r := fresh()
		t.change(r)
		receipts = append(receipts, r)
	}
	c.wantOurVerdict(0, "as it came", digest, receipts[0])
	verdicts := c.judged(digest, receipts)
	for _, other := range others {
		if verdicts[0][other] != "ok" {
			c.Fatalf("%s refuses our receipt: %q\n%s", other, verdicts[0][other], receipt)
		}
	}
	for i, t := range tamperings {
		for _, other := range others {
			got, reason := verdicts[i+1][other], t.refused[other]
			switch {
			case reason == "" && t.unseen == "":
				c.Errorf("%s: the table says nothing of %s, which says %q", t.name, other, got)
			case reason == "" && got != "ok":
				c.Errorf("%s: %s refuses it (%s), which the table says it does not look at: %s", t.name, other, got, t.unseen)
			case reason != "" && (got == "ok" || !strings.Contains(got, reason)):
				c.Errorf("%s: %s says %q, want it refused with %q", t.name, other, got, reason)
			}
		}
		want := 1
		if t.unseen == mereClaim {
			want = 0
		}
		c.wantOurVerdict(want, t.name, digest, receipts[i+1])
	}
}

// wantOurVerdict wants an exit status of `ancre verify`, and that it took the file for a receipt.
// Where 1 is wanted, 4 is accepted too: another program may know a type that ours does not, and a
// block may be above the newest.
func (c clients) wantOurVerdict(want int, name, digest string, receipt object) {
	c.Helper()
	raw, err := json.Marshal(receipt)
	c.must(err)
	file := filepath.Join(c.TempDir(), "receipt.json")
	c.must(os.WriteFile(file, raw, 0o600))
	res, err := c.daemon.Ancre(c.ctx, "verify", "--digest", digest, file)
	c.must(err)
	const unverifiable = 4
	if res.Code != want && !(want == 1 && res.Code == unverifiable) || want != 0 && !strings.Contains(res.Stdout+res.Stderr, "receipt") {
		c.Errorf("%s: ancre verify ends with status %d, want %d\n%s%s", name, res.Code, want, res.Stdout, res.Stderr)
	}
}
