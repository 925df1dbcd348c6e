package headers

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// vectorFile is testdata/windows.json. The verifier in TypeScript is held to the same file.
// docs/windows.md explains its members.
type vectorFile struct {
	About    string                   `json:"about"`
	Networks map[string]vectorNetwork `json:"networks"`
	Vectors  []vector                 `json:"vectors"`
}

// vectorNetwork is a [Network]. Hashes are in the displayed order, times in seconds.
type vectorNetwork struct {
	Genesis      string             `json:"genesis"`
	Test         bool               `json:"test"`
	Difficulties Difficulties       `json:"difficulties"`
	Limit        string             `json:"limit"`
	Period       int64              `json:"period"`
	Late         int64              `json:"late,omitempty"`
	Halving      int64              `json:"halving"`
	Fall         int                `json:"fall"`
	Checkpoints  []vectorCheckpoint `json:"checkpoints"`
}

type vectorCheckpoint struct {
	Height int64  `json:"height"`
	Hash   string `json:"hash"`
	Bits   string `json:"bits,omitempty"`
	Time   int64  `json:"time,omitempty"`
}

type vector struct {
	Name    string       `json:"name"`
	Network string       `json:"network"`
	Window  string       `json:"window"`          // base64
	Zeros   int          `json:"zeros,omitempty"` // so many zero bytes and the checksum follow window
	Height  uint64       `json:"height"`
	Now     int64        `json:"now"`
	Verdict string       `json:"verdict"`
	Rule    Rule         `json:"rule,omitempty"`
	At      *int64       `json:"at,omitempty"` // the height of the header that breaks the rule
	Trust   *vectorTrust `json:"trust,omitempty"`
}

type vectorTrust struct {
	Checkpoint *int64 `json:"checkpoint"`
	Base       *int64 `json:"base"`
	Blocks     int64  `json:"blocks"`
	Least      string `json:"least,omitempty"`
	Floor      string `json:"floor,omitempty"`
	Test       bool   `json:"test"`
}

const vectorsPath = "testdata/windows.json"

func TestWindowVectors(t *testing.T) {
	data, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	names, verdicts := make(map[string]bool), make(map[string]int)
	for _, v := range file.Vectors {
		if names[v.Name] {
			t.Errorf("two vectors are named %q", v.Name)
		}
		names[v.Name] = true
		verdicts[v.Verdict+string(v.Rule)]++
		t.Run(v.Name, func(t *testing.T) {
			network := file.Networks[v.Network].network(t)
			if got, want := text(judgeVector(t, &v, network)), text(&v); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	for _, verdict := range []string{
		"checkpoint", "work", "outside", "few", "weak", "malformed", "network",
		"brokenlink", "brokenpow", "brokenlimit", "brokenretarget", "brokentime", "brokencheckpoint",
	} {
		if verdicts[verdict] == 0 {
			t.Errorf("no vector has the verdict %q", verdict)
		}
	}
}

// text shows what a vector expects.
func text(v *vector) string {
	b, err := json.Marshal(vector{Verdict: v.Verdict, Rule: v.Rule, At: v.At, Trust: v.Trust})
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// judgeVector returns a vector with what this package says of v.
func judgeVector(t *testing.T, v *vector, network *Network) *vector {
	t.Helper()
	got := &vector{}
	data, err := base64.StdEncoding.DecodeString(v.Window)
	if err != nil {
		t.Fatal(err)
	}
	if v.Zeros > 0 {
		data = append(data, make([]byte, v.Zeros)...)
		sum := sha256.Sum256(data)
		data = append(data, sum[:]...)
	}
	w, err := ParseWindow(data)
	if err != nil {
		if got.Verdict = "malformed"; !errors.Is(err, ErrNoWindow) {
			t.Errorf("the error %v does not wrap ErrNoWindow", err)
		}
		return got
	}
	checked, err := w.Check(network, time.Unix(v.Now, 0))
	var broken *RuleError
	switch {
	case errors.Is(err, ErrOtherNetwork):
		got.Verdict = "network"
		return got
	case errors.As(err, &broken):
		got.Verdict, got.Rule, got.At = "broken", broken.Rule, &broken.Height
		return got
	case err != nil:
		t.Fatal(err)
	}
	trust, err := checked.Judge(v.Height)
	switch {
	case errors.Is(err, ErrNoBlock):
		got.Verdict = "outside"
	case errors.Is(err, ErrFewBlocks):
		got.Verdict = "few"
	case errors.Is(err, ErrLittleWork):
		got.Verdict = "weak"
	case err != nil:
		t.Fatal(err)
	case trust.Checkpoint >= 0:
		got.Verdict, got.Trust = "checkpoint", trustOf(trust)
	default:
		got.Verdict, got.Trust = "work", trustOf(trust)
	}
	return got
}

func trustOf(t Trust) *vectorTrust {
	v := &vectorTrust{Blocks: t.Blocks, Test: t.Test}
	if t.Blocks > 0 {
		v.Least, v.Floor = fmt.Sprintf("%08x", t.Least), fmt.Sprintf("%064x", t.Floor)
	}
	if t.Checkpoint >= 0 {
		v.Checkpoint = &t.Checkpoint
	}
	if t.Base >= 0 {
		v.Base = &t.Base
	}
	return v
}

func (v vectorNetwork) network(t *testing.T) *Network {
	t.Helper()
	n := &Network{
		Name: "the vector's network", Genesis: hashText(t, v.Genesis), Test: v.Test, Difficulties: v.Difficulties, Limit: bitsText(t, v.Limit), Period: v.Period,
		Late: time.Duration(v.Late) * time.Second, Halving: time.Duration(v.Halving) * time.Second, Fall: v.Fall,
	}
	for _, c := range v.Checkpoints {
		p := Checkpoint{Height: c.Height, Hash: hashText(t, c.Hash), Time: c.Time}
		if c.Bits != "" {
			p.Bits = bitsText(t, c.Bits)
		}
		n.Checkpoints = append(n.Checkpoints, p)
	}
	return n
}

// vectorNetworkOf is how a network is written.
func vectorNetworkOf(n *Network) vectorNetwork {
	v := vectorNetwork{
		Genesis: n.Genesis.String(), Test: n.Test, Difficulties: n.Difficulties, Limit: fmt.Sprintf("%08x", n.Limit), Period: n.Period,
		Late: int64(n.Late / time.Second), Halving: int64(n.Halving / time.Second), Fall: n.Fall,
	}
	for _, c := range n.Checkpoints {
		p := vectorCheckpoint{Height: c.Height, Hash: c.Hash.String(), Time: c.Time}
		if c.Dated() {
			p.Bits = fmt.Sprintf("%08x", c.Bits)
		}
		v.Checkpoints = append(v.Checkpoints, p)
	}
	return v
}

func hashText(t *testing.T, s string) chainhash.Hash {
	t.Helper()
	h, err := chainhash.NewHashFromStr(s)
	if err != nil {
		t.Fatal(err)
	}
	return *h
}

func bitsText(t *testing.T, s string) (bits uint32) {
	t.Helper()
	if _, err := fmt.Sscanf(s, "%08x", &bits); err != nil {
		t.Fatal(err)
	}
	return bits
}
