package verify_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"time"

	"ancre/calendar"
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

// calendarInMemory has the timestamps of some commitments. A program uses calendar.NewClient.
type calendarInMemory map[[32]byte]*proof.Timestamp

func (c calendarInMemory) Timestamp(_ context.Context, _ string, commitment []byte) (*proof.Timestamp, error) {
	if t := c[[32]byte(commitment)]; t != nil {
		return t, nil
	}
	return nil, &calendar.PendingError{Text: "in some hours"}
}

// A pending proof is completed by the calendar that it waits for, once the calendar has the rest.
func ExampleCompleter() {
	ctx := context.Background()
	digest, nonce := sha256.Sum256([]byte("Hello World!\n")), [32]byte{1, 2, 3}
	pending, err := proof.Pending(digest, nonce, "https://calendar.example")
	if err != nil {
		log.Fatal(err)
	}
	allowed := calendar.WellKnown() // the public calendars of OpenTimestamps
	if err := allowed.Add("https://calendar.example"); err != nil {
		log.Fatal(err)
	}
	answers := calendarInMemory{}
	completer := verify.NewCompleter(verify.CompleterConfig{
		Calendars: verify.NewCalendars(verify.CalendarsConfig{Client: answers, Allowed: allowed}),
	})
	for range 2 {
		done, err := completer.Complete(ctx, pending)
		if err != nil {
			log.Fatal(err) // the context has ended
		}
		fmt.Println("complete:", done.Complete)
		fmt.Println(done.Answers[0])

		leaf := proof.Leaf(digest[:], nonce)
		answers[leaf] = &proof.Timestamp{Msg: leaf[:], Attestations: []proof.Attestation{proof.BitcoinAt(800_000)}}
	}

	// Output:
	// complete: false
	// waiting for the calendar at https://calendar.example, which says "in some hours"
	// complete: true
	// the calendar at https://calendar.example has the proof
}
