package verify_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"time"

	"ancre/proof"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// A proof is verified offline, against a file of block headers.
func Example() {
	ctx := context.Background()
	file, err := os.Open("testdata/regtest.headers")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		log.Fatal(err)
	}
	network := &chaincfg.RegressionNetParams // of a real proof: MainNetParams
	headers, err := verify.OpenFile(ctx, file, info.Size(), network, nil)
	if err != nil {
		log.Fatal(err) // a header is not what Bitcoin's rules want
	}
	headers.Name = "regtest.headers"
	verifier := verify.New(verify.Config{Source: headers, Params: network})

	ots, err := os.ReadFile("testdata/hello.txt.ots")
	if err != nil {
		log.Fatal(err)
	}
	p, err := proof.Parse(ots)
	if err != nil {
		log.Fatal(err)
	}
	for _, content := range []string{"Hello World!\n", "Hello World?\n"} {
		digest := sha256.Sum256([]byte(content))
		verdict, err := verifier.Proof(ctx, p, digest[:])
		if err != nil {
			log.Fatal(err) // the context has ended
		}
		fmt.Println(verdict.Outcome)
		if b := verdict.Block; b != nil {
			fmt.Printf("existed before block %d of %s, %d on top\n", b.Height, b.Time.Format(time.DateOnly), b.OnTop)
			fmt.Println("by the word of:", verdict.Trust.Words)
		}
	}

	// Output:
	// valid
	// existed before block 1 of 2026-01-02, 6 on top
	// by the word of: headers of regtest.headers checked here from the first block on
	// invalid
}
