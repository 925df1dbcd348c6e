package verifier_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"ancre/headers"
)

// vectorNetwork is a network of headers/testdata/windows.json, vector a window there:
// docs/windows.md explains the members.
type (
	vectorNetwork struct {
		Genesis      string `json:"genesis"`
		Test         bool   `json:"test"`
		Difficulties string `json:"difficulties"`
		Limit        string `json:"limit"`
		Period       int64  `json:"period"`
		Late         int64  `json:"late"`
		Halving      int64  `json:"halving"`
		Fall         int    `json:"fall"`
		Checkpoints  []struct {
			Height     int64
			Hash, Bits string
			Time       int64
		} `json:"checkpoints"`
	}
	vector struct {
		Name, Network string
		Window        []byte
		Zeros         int
		Height        uint64
		Now           int64
		Verdict, Rule string
		At            *int64
		Trust         *struct {
			Checkpoint, Base *int64
			Blocks           int64
			Least            string
			Test             bool
		}
	}
)

func bits(t *testing.T, s string) uint32 {
	t.Helper()
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// network writes a network as networks.json has it.
func (n vectorNetwork) network(t *testing.T, name string) json.RawMessage {
	t.Helper()
	points := [][4]any{}
	for _, c := range n.Checkpoints {
		points = append(points, [4]any{c.Height, c.Hash, bits(t, c.Bits), c.Time})
	}
	b, err := json.Marshal(map[string]any{
		"name": name, "genesis": n.Genesis, "test": n.Test, "difficulties": n.Difficulties, "limit": bits(t, n.Limit), "period": n.Period,
		"late": n.Late, "halving": n.Halving, "fall": n.Fall, "checkpoints": points,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bytes returns the window of a vector.
func (v *vector) bytes() []byte {
	data := bytes.Clone(v.Window)
	if v.Zeros > 0 {
		data = append(data, make([]byte, v.Zeros)...)
		sum := sha256.Sum256(data)
		data = append(data, sum[:]...)
	}
	return data
}

// question asks whether the block of a vector is what the window says: its own Merkle root is taken
// for the digest.
func (v *vector) question(t *testing.T, networks map[string]vectorNetwork) question {
	t.Helper()
	root := make([]byte, 32)
	if w, err := headers.ParseWindow(v.bytes()); err == nil {
		if i := (int64(v.Height) - w.First) * headers.Size; i >= 0 && i < int64(len(w.Raw)) {
			root = w.Raw[i+36 : i+68]
		}
	}
	return question{
		Digest: root, Proof: claim(t, root, v.Height), Windows: [][]byte{v.bytes()}, Now: v.Now,
		Network: networks[v.Network].network(t, v.Network),
	}
}

// The verifier of the page says of every window what the Go package headers says.
func TestTheVectorsOfWindowsInTheBrowser(t *testing.T) {
	var file struct {
		Networks map[string]vectorNetwork
		Vectors  []vector
	}
	data, err := os.ReadFile("../../../headers/testdata/windows.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var questions []question
	for _, v := range file.Vectors {
		questions = append(questions, v.question(t, file.Networks))
	}
	for i, got := range newCore(t).judge(questions...) {
		v := file.Vectors[i]
		t.Run(v.Name, func(t *testing.T) {
			v.compare(t, got)
			if want := file.Networks[v.Network].Test; got.TestNetwork != want {
				t.Errorf("test network: %t, want %t", got.TestNetwork, want)
			}
		})
	}
}

// vectorReasons are the result and the reason for each verdict of the vectors.
var vectorReasons = map[string][2]string{
	"checkpoint": {"anchored", "anchored"},
	"work":       {"anchored", "anchored"},
	"outside":    {"uncheckable", "no-header"},
	"few":        {"pending", "few-blocks"},
	"weak":       {"uncheckable", "little-work"},
	"malformed":  {"uncheckable", "bad-window"},
	"network":    {"uncheckable", "bad-window"},
	"broken":     {"uncheckable", "bad-window"},
}

func (v *vector) compare(t *testing.T, got verdict) {
	t.Helper()
	if want := vectorReasons[v.Verdict]; got.Result != want[0] || got.Reason != want[1] {
		t.Fatalf("%s, %s (%+v); want %v for %s", got.Result, got.Reason, got.Fault, want, v.Verdict)
	}
	switch v.Verdict {
	case "malformed":
		switch got.Fault.Fault {
		case "not-a-window", "cut", "window-length", "checksum":
		default:
			t.Errorf("fault %+v of a window that is malformed", got.Fault)
		}
	case "network":
		if got.Fault.Fault != "other-network" {
			t.Errorf("fault %+v, want other-network", got.Fault)
		}
	case "broken":
		if got.Fault.Fault != v.Rule || got.Fault.At != *v.At {
			t.Errorf("fault %+v, want %s at block %d", got.Fault, v.Rule, *v.At)
		}
	case "checkpoint", "work":
		text := func(checkpoint, base *int64, blocks int64, least uint32) string {
			b, _ := json.Marshal([]any{checkpoint, base, blocks, least})
			return string(b)
		}
		g, w := got.Trust, v.Trust
		if got, want := text(g.Checkpoint, g.Base, g.Blocks, g.Bits), text(w.Checkpoint, w.Base, w.Blocks, bits(t, w.Least)); got != want {
			t.Errorf("trust %s, want %s", got, want)
		}
		if want := headers.Difficulty(g.Bits); g.Difficulty != want {
			t.Errorf("difficulty %v of bits %08x, want %v", g.Difficulty, g.Bits, want)
		}
	}
}
