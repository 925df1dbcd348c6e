package proof_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	"ancre/proof"
)

// oneBlock knows a single header, copied by hand from a block explorer. A real source asks a node
// or a light client.
type oneBlock struct{}

func (oneBlock) Header(_ context.Context, height uint64) (proof.Header, error) {
	if height != 358391 {
		return proof.Header{}, proof.ErrNoHeader
	}
	root, err := hex.DecodeString("8a1b66ecb7cbd07d8139a7e7d7f2c41aab1f5009b8364aaf61d03ad245e47e00")
	if err != nil {
		return proof.Header{}, err
	}
	slices.Reverse(root) // explorers display hashes reversed
	return proof.Header{MerkleRoot: [32]byte(root), Time: time.Date(2015, 5, 28, 15, 41, 18, 0, time.UTC)}, nil
}

func ExampleVerify() {
	file := []byte("Hello World!\n")
	ots, err := os.ReadFile("testdata/valid/hello-world.ots")
	if err != nil {
		log.Fatal(err)
	}

	p, err := proof.Parse(ots)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256(file)
	r, err := proof.Verify(context.Background(), p, digest[:], oneBlock{})
	if err != nil {
		log.Fatal(err) // the source could not answer
	}
	fmt.Println(r.Outcome, "at block", r.Header.Height)

	other := sha256.Sum256([]byte("Hello World?\n"))
	r, err = proof.Verify(context.Background(), p, other[:], oneBlock{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Outcome)

	// Output:
	// valid at block 358391
	// invalid
}
