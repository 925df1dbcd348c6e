package verifier_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"ancre/headers"
)

var update = flag.Bool("update", false, "write networks.json anew")

// The page knows the same networks and checkpoints as the Go program. "go test
// ./register/page/verifier -update" writes the file; then run make verifier.
func TestThePageKnowsTheNetworksOfThisProgram(t *testing.T) {
	type network struct {
		Name         string   `json:"name"`
		Genesis      string   `json:"genesis"`
		Test         bool     `json:"test"`
		Difficulties string   `json:"difficulties"`
		Limit        uint32   `json:"limit"`
		Period       int64    `json:"period"`
		Late         int64    `json:"late"`
		Halving      int64    `json:"halving"`
		Fall         int      `json:"fall"`
		Checkpoints  [][4]any `json:"checkpoints"`
	}
	var all []network
	for _, p := range []*chaincfg.Params{&chaincfg.MainNetParams, &chaincfg.TestNet4Params, &chaincfg.SigNetParams, &chaincfg.RegressionNetParams, &chaincfg.SimNetParams} {
		n := headers.NetworkOf(p)
		w := network{
			Name: n.Name, Genesis: n.Genesis.String(), Test: n.Test, Difficulties: string(n.Difficulties), Limit: n.Limit, Period: n.Period,
			Late: int64(n.Late.Seconds()), Halving: int64(n.Halving.Seconds()), Fall: n.Fall,
		}
		for _, c := range n.Checkpoints {
			w.Checkpoints = append(w.Checkpoints, [4]any{c.Height, c.Hash.String(), c.Bits, c.Time})
		}
		all = append(all, w)
	}
	want, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	const path = "networks.json"
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs from what headers.NetworkOf says (%v): run this test with -update, then make verifier", path, err)
	}
}
