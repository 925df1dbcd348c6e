package headers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// The messages are what a person sees of a window that cannot be used.
func TestAWindowThatIsRefusedSaysWhy(t *testing.T) {
	good := realWindow(t).Encode()
	changed := bytes.Clone(good)
	changed[100] ^= 1
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"another file", `it does not begin with "ANCREHW1"`, []byte("PDF")},
		{"cut short within a header", "32 bytes are left over after 14 headers: it is cut short", good[:len(good)-48]},
		{"cut short before the first", "it has 90 bytes, and one with a single header has 156", good[:90]},
		{"changed", "it was changed", changed},
	} {
		if _, err := ParseWindow(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q", c.name, err, c.want)
		}
	}
	w, err := ParseWindow(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Check(NetworkOf(regtest), now); err == nil || !strings.Contains(err.Error(), "they are those of mainnet, and headers of regtest are wanted") {
		t.Error(err)
	}
	if _, err := w.Check(NetworkOf(&chaincfg.MainNetParams), time.Unix(1690168629-7200, 0)); err == nil || !strings.Contains(err.Error(), "in the future: is the clock of this machine right?") {
		t.Error(err)
	}
	checked, err := w.Check(NetworkOf(&chaincfg.MainNetParams), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := checked.Judge(800_015); err == nil || !strings.Contains(err.Error(), "the window has the headers of blocks 800000 to 800014, and not that of block 800015") {
		t.Error(err)
	}
	if _, err := checked.Judge(800_012); err == nil || !strings.Contains(err.Error(), "the headers show 3 blocks of work from block 800012 on, and 6 are needed") {
		t.Error(err)
	}
}

func TestAWindowGivesItsHeaders(t *testing.T) {
	checked, err := realWindow(t).Check(NetworkOf(&chaincfg.MainNetParams), now)
	if err != nil {
		t.Fatal(err)
	}
	h, err := checked.Header(800_003)
	if err != nil || h.BlockHash().String() != "00000000000000000003b48253b73df6952e5d95ae55fa8430ec34327340ddf9" {
		t.Errorf("%s, %v", h.BlockHash(), err)
	}
	for _, outside := range []uint64{0, 799_999, 800_015, 1 << 63, 1<<64 - 1} {
		if _, err := checked.Header(outside); err == nil {
			t.Errorf("block %d is in it", outside)
		}
		if _, err := checked.Judge(outside); err == nil {
			t.Errorf("block %d is judged", outside)
		}
	}
}

// No bytes make the parser or the rules fail otherwise than by an error, and what is read is
// written as it was.
func FuzzWindow(f *testing.F) {
	data, err := os.ReadFile(vectorsPath)
	if err != nil {
		f.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		f.Fatal(err)
	}
	for _, v := range file.Vectors {
		if window, err := base64.StdEncoding.DecodeString(v.Window); err == nil && v.Zeros == 0 {
			f.Add(window, v.Height)
		}
	}
	var all []*Network
	for _, p := range networks {
		all = append(all, NetworkOf(p))
	}
	f.Fuzz(func(t *testing.T, data []byte, height uint64) {
		w, err := ParseWindow(data)
		if err != nil {
			// The checksum hides the rules from a fuzzer: give it a right one.
			if len(data) < windowBegins+Size || len(data) > 100*Size {
				return
			}
			raw := data[windowBegins:]
			w = &Window{First: int64(data[0])<<16 | int64(data[1]), Raw: raw[:len(raw)/Size*Size]}
		} else if !bytes.Equal(w.Encode(), data) {
			t.Fatal("it is written otherwise than it was read")
		}
		for _, n := range all {
			w.Genesis = n.Genesis
			checked, err := w.Check(n, now)
			if err != nil {
				continue
			}
			trust, err := checked.Judge(height)
			if err == nil && trust.Checkpoint < 0 && (trust.Blocks < MinBlocks || height < uint64(w.First) || height > uint64(w.Last())) {
				t.Fatalf("%s: block %d is vouched for by %+v", n.Name, height, trust)
			}
		}
	})
}
