package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/headers"
	"ancre/proof"
	"ancre/proof/receipt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// fakeNode answers as bitcoind does, of one block with three transactions above the first.
type fakeNode struct {
	*httptest.Server
	header wire.BlockHeader
	ids    [][32]byte
	tx     *wire.MsgTx // the second of them
	cookie string      // its file

	missing string // what getrawtransaction answers instead, an error of code -5
	unmined bool
	spoil   func(answers map[string]any)
}

func newFakeNode(t *testing.T, commitment [32]byte) *fakeNode {
	t.Helper()
	n := &fakeNode{tx: wire.NewMsgTx(2), cookie: filepath.Join(t.TempDir(), ".cookie")}
	n.tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, [][]byte{{7}})) // with a witness, as most have
	n.tx.AddTxOut(wire.NewTxOut(9, []byte{0x51}))
	n.tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, commitment[:]...)))
	n.ids = [][32]byte{{1}, n.tx.TxHash(), {3}}
	genesis := chaincfg.RegressionNetParams.GenesisBlock.Header
	n.header = wire.BlockHeader{Version: 4, PrevBlock: genesis.BlockHash(), Timestamp: testTime,
		MerkleRoot: proof.BlockRootFromBranch(n.ids[1], proof.BlockBranch(n.ids, 1), 1)}
	if err := os.WriteFile(n.cookie, []byte("__cookie__:secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Method string
			Params []any
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := map[string]any{"id": call.ID, "result": nil, "error": nil}
		if result := n.answer(call.Method, call.Params); result == nil {
			answer["error"] = map[string]any{"code": -5, "message": n.missing}
		} else {
			answer["result"] = result
		}
		json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(n.Server.Close)
	return n
}

// answer is the result of a call, nil for an error.
func (n *fakeNode) answer(method string, params []any) any {
	hash := n.header.BlockHash()
	var b bytes.Buffer
	switch method {
	case "getblockcount":
		return 1
	case "getblockhash":
		if params[0] == 0.0 {
			return chaincfg.RegressionNetParams.GenesisHash.String()
		}
		return hash.String()
	case "getblockheader":
		n.header.Serialize(&b)
		return hex.EncodeToString(b.Bytes())
	case "getrawtransaction":
		if n.missing != "" || params[0] != n.tx.TxHash().String() {
			return nil
		}
		n.tx.Serialize(&b)
		tx := map[string]any{"hex": hex.EncodeToString(b.Bytes()), "blockhash": hash.String()}
		if n.unmined {
			delete(tx, "blockhash")
		}
		if n.spoil != nil {
			n.spoil(tx)
		}
		return tx
	case "getblock":
		var ids []string
		for _, id := range n.ids {
			ids = append(ids, chainhash.Hash(id).String())
		}
		block := map[string]any{"height": 1, "tx": ids}
		if n.spoil != nil {
			n.spoil(block)
		}
		return block
	}
	return nil
}

// A receipt as Woleet made them until 2017: hashes are joined as text, the header stands for the
// context.
func TestReceiptsOfVersion1AreVerifiedAtANode(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	sum, sibling := sha256.Sum256([]byte("content")), sha256.Sum256([]byte("sibling"))
	root := sha256.Sum256([]byte(hex.EncodeToString(sum[:]) + hex.EncodeToString(sibling[:])))
	n := newFakeNode(t, root)
	rec := &receipt.V1{Chainpoint: "1.0", TargetHash: sum, MerkleRoot: root, TxID: n.tx.TxHash(), Timestamp: []byte("1479831225"),
		Proof: []receipt.StepV1{{Left: sum, Right: sibling, Parent: root}}, Extra: []byte(`[{"anchorid":"c2f25d10-eae5-413c-82eb-1bdb6cf499b6"}]`)}
	text, err := rec.Marshal()
	r.must(err)
	path := r.write("report.pdf-c2f25d10-eae5-413c-82eb-1bdb6cf499b6.anchor-receipt.json", string(text))
	r.ancre("verify", "--node", n.URL, "--rpc-cookie", n.cookie, path).is(t, exitDone, file+": valid, existed before Bitcoin block 1")
	r.ancre("verify", path).is(t, exitUnverifiable, "cannot be checked here: the receipt names transaction "+n.tx.TxHash().String(), "txindex=1")
	rec.Proof[0].Right[0] ^= 1
	text, err = rec.Marshal()
	r.must(err)
	r.write(filepath.Base(path), string(text))
	r.ancre("verify", "--node", n.URL, "--rpc-cookie", n.cookie, path).is(t, exitFailed, "invalid: step 1 of target_proof leads to")
}

// A receipt as Woleet makes them, against a node that has all transactions. The words of the node
// are those of Bitcoin Core 29.
func TestReceiptsThatNameTheirTransactionAreVerifiedAtANode(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	sum := sha256.Sum256([]byte("content"))
	n := newFakeNode(t, sum)
	rec := &receipt.V2{TargetHash: sum, MerkleRoot: sum, Anchors: []receipt.AnchorV2{{Type: receipt.BTCOpReturn, TxID: n.tx.TxHash()}}}
	text, err := rec.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := r.write("report.pdf-e560305d-2c9c-4e8d-829d-c7d1b6eef8cf.anchor-receipt.json", string(text))
	verify := func() answer { return r.ancre("verify", "--node", n.URL, "--rpc-cookie", n.cookie, path) }

	verify().is(t, exitDone, file+": valid, existed before Bitcoin block 1")
	a := r.ancre("--json", "verify", "--node", n.URL, "--rpc-cookie", n.cookie, path).is(t, exitDone)
	for _, want := range []string{`"anchor":"BTCOpReturn"`, `"txid":"` + n.tx.TxHash().String() + `"`} {
		if !strings.Contains(a.out, want) {
			t.Errorf("no %s in %s", want, a.out)
		}
	}
	n.unmined = true
	verify().is(t, exitPending, file+": pending: its transaction "+n.tx.TxHash().String()+" waits to be mined")
	n.unmined = false

	const noIndex = "cannot be checked here: cannot get transaction "
	for missing, want := range map[string]string{
		"No such mempool or blockchain transaction. Use gettransaction for wallet transactions.":                      "invalid: the receipt names transaction",
		"No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries.": noIndex + n.tx.TxHash().String() + ": the node at " + n.URL + "/ has no complete index of transactions: start it with -txindex=1",
		"No such mempool transaction. Blockchain transactions are still in the process of being indexed.":             "has no complete index of transactions",
	} {
		n.missing = missing
		exit := exitUnverifiable
		if strings.HasPrefix(want, "invalid") {
			exit = exitFailed
		}
		verify().is(t, exit, want)
	}
	n.missing = ""

	// A node that contradicts itself says nothing of the receipt.
	var other bytes.Buffer
	stranger := n.tx.Copy()
	stranger.Version = 3
	if err := stranger.SerializeNoWitness(&other); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(map[string]any){
		"no transaction":           func(a map[string]any) { a["hex"] = "00" },
		"another transaction":      func(a map[string]any) { a["hex"] = hex.EncodeToString(other.Bytes()) },
		"a block without it":       func(a map[string]any) { a["tx"] = []string{strings.Repeat("ab", 32)} },
		"no ids":                   func(a map[string]any) { a["tx"] = []string{"x"} },
		"no hexadecimal":           func(a map[string]any) { a["hex"] = "zz" },
		"a height below the first": func(a map[string]any) { a["height"] = -1 },
	} {
		n.spoil = spoil
		if a := verify(); a.exit != exitUnverifiable || !strings.Contains(a.out, "cannot get transaction "+n.tx.TxHash().String()+": ") && !strings.Contains(a.out, "asked for transaction") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	n.spoil = func(a map[string]any) { // not the block's: the header tells
		if ids, ok := a["tx"].([]string); ok {
			slices.Reverse(ids)
			ids[0] = strings.Repeat("ab", 32)
		}
	}
	verify().is(t, exitFailed, "invalid: Bitcoin block 1 has the Merkle root")
}

// The bug that it catches: whoever seals is not named, or is taken for known.
func TestWhoSealedIsTold(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	digest := sha256.Sum256([]byte("content"))
	key, _ := btcec.PrivKeyFromBytes(digest[:])
	message := func(text string) []byte {
		sum := sha256.Sum256([]byte("\x18Bitcoin Signed Message:\n\x40" + text))
		sum = sha256.Sum256(sum[:])
		return sum[:]
	}
	const identity, domain = "CN=Clerk", "town.example"
	joined := sha256.Sum256(fmt.Appendf(nil, "%x%s%s", digest, identity, domain))
	for want, seal := range map[string]receipt.Seal{
		"sealed with the key of Bitcoin address 1": {Signature: base64.StdEncoding.EncodeToString(ecdsa.SignCompact(key, message(hex.EncodeToString(digest[:])), true))},
		`whose owner claims to be "CN=Clerk" of "town.example"; the claim is not checked`: {SignedIdentity: identity, SignedIssuerDomain: domain,
			Signature: base64.StdEncoding.EncodeToString(ecdsa.SignCompact(key, message(hex.EncodeToString(joined[:])), true))},
	} {
		target := sha256.Sum256([]byte(seal.Signature))
		n := newFakeNode(t, target)
		seal.SignedHash = digest
		rec := &receipt.V2{TargetHash: target, MerkleRoot: target, Seal: &seal, Anchors: []receipt.AnchorV2{{Type: receipt.BTCOpReturn, TxID: n.tx.TxHash()}}}
		write := func() string {
			text, err := rec.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			return r.write("report.pdf.seal-receipt.json", string(text))
		}
		seal.PubKey = "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"
		a := r.ancre("verify", "--node", n.URL, "--rpc-cookie", n.cookie, write()).is(t, exitFailed, file+": invalid: the seal is not right: ", "it was made by 1")
		_, signer, _ := strings.Cut(a.out, "it was made by ")
		seal.PubKey, _, _ = strings.Cut(signer, ",")
		r.ancre("verify", "--node", n.URL, "--rpc-cookie", n.cookie, write()).is(t, exitDone, file+": valid", want, seal.PubKey)
		a = r.ancre("--json", "verify", "--node", n.URL, "--rpc-cookie", n.cookie, write()).is(t, exitDone)
		var said struct{ Seal sealResult }
		if err := json.Unmarshal([]byte(a.out), &said); err != nil || said.Seal != (sealResult{seal.PubKey, seal.SignedIdentity, seal.SignedIssuerDomain}) {
			t.Errorf("%v: %s", err, a.out)
		}
	}
}

// From a file of headers, and with neither daemon nor node.
func TestReceiptsAreVerifiedOffline(t *testing.T) {
	r, file, exported := proved(t, 6)
	r.ancre("receipt", file).is(t, exitDone)
	r.http.Close()
	r.ancre("verify", "--headers", exported, file+v2Suffix).is(t, exitDone, file+": valid, existed before Bitcoin block 1", "6 blocks of work on top")

	window := r.path("w")
	r.ancre("headers", "window", "--headers", exported, "1", window).is(t, exitDone)
	r.ancre("verify", "--headers", window, file+v2Suffix).is(t, exitDone, file+": valid, existed before Bitcoin block 1", "6 blocks of work on top", "whose work vouches for it")
	few := r.writeBytes("few", forged(t, r.read(window), func(w *headers.Window) { w.Raw = w.Raw[:4*headers.Size] }))
	r.ancre("verify", "--headers", few, file+v2Suffix).is(t, exitPending, file+": pending: too few blocks are on top")
	above := r.writeBytes("above", forged(t, r.read(window), func(w *headers.Window) { w.First, w.Raw = 2, w.Raw[2*headers.Size:] }))
	r.ancre("verify", "--headers", above, file+v2Suffix).is(t, exitUnverifiable, "cannot be checked here: the proof names Bitcoin block 1; the headers in ", "are those of blocks 2 to 7")
}
