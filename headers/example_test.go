package headers_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"ancre/headers"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// A file of headers begins with the network's first block. This one has no other block yet.
func ExampleOpen() {
	params := &chaincfg.RegressionNetParams
	var file bytes.Buffer
	first := headers.Raw(&params.GenesisBlock.Header)
	if _, err := headers.Copy(context.Background(), &file, bytes.NewReader(first), params, time.Now(), nil); err != nil {
		log.Fatal(err)
	}

	f, err := headers.Open(context.Background(), bytes.NewReader(file.Bytes()), int64(file.Len()), params, time.Now(), nil)
	if err != nil {
		log.Fatal(err)
	}
	h, err := f.Header(0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(f.Height(), h.BlockHash())

	_, err = f.Header(1)
	fmt.Println(err)

	// A file of another network is refused.
	_, err = headers.Open(context.Background(), bytes.NewReader(file.Bytes()), int64(file.Len()), &chaincfg.TestNet4Params, time.Now(), nil)
	fmt.Println(err)

	// Output:
	// 0 0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206
	// the headers end before block 1: the newest is 0
	// the header of block 0 is of another network: it is the first one of regtest, and headers of testnet4 are wanted
}
