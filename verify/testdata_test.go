package verify

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"os"
	"testing"
	"time"

	"ancre/headers"
	"ancre/proof"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

var update = flag.Bool("update", false, "write testdata")

// The files of the example are a chain of eight blocks on regtest, and a proof that the second of
// them attests.
func TestFilesOfTheExample(t *testing.T) {
	digest := sha256.Sum256([]byte("Hello World!\n"))
	var nonce [32]byte
	copy(nonce[:], "the nonce of the example")
	leaf := proof.Leaf(digest[:], nonce)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, leaf[:]...)))
	var raw bytes.Buffer
	if err := tx.SerializeNoWitness(&raw); err != nil {
		t.Fatal(err)
	}
	f, err := proof.Complete(digest, nonce, proof.Inclusion{Tx: raw.Bytes(), Height: 1, MerkleRoot: tx.TxHash()})
	if err != nil {
		t.Fatal(err)
	}
	ots, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}

	params := &chaincfg.RegressionNetParams
	var file bytes.Buffer
	w := headers.NewWriter(&file)
	last := params.GenesisBlock.Header
	w.Write(headers.Raw(&last))
	for i := range 7 {
		next := wire.BlockHeader{Version: 4, PrevBlock: last.BlockHash(), MerkleRoot: tx.TxHash(), Timestamp: testTime.Add(time.Duration(i) * 10 * time.Minute), Bits: params.PowLimitBits}
		if i > 0 {
			next.MerkleRoot = chainhash.Hash{byte(i)}
		}
		for hash := next.BlockHash(); blockchain.HashToBig(&hash).Cmp(params.PowLimit) > 0; hash = next.BlockHash() {
			next.Nonce++
		}
		w.Write(headers.Raw(&next))
		last = next
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"testdata/hello.txt.ots": ots, "testdata/regtest.headers": file.Bytes()} {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what this test makes (go test ./verify -update): %v", name, err)
		}
	}
}
