package headers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// file is a file of headers in memory.
func file(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte, params *chaincfg.Params) (*File, error) {
	t.Helper()
	return Open(t.Context(), bytes.NewReader(data), int64(len(data)), params, now, nil)
}

func TestAFileAnswersForEachHeight(t *testing.T) {
	m := newMaker(t, regtest).grow(2*stride+7, time.Second)
	for _, summed := range []bool{true, false} {
		data := m.raw
		if summed {
			data = file(t, m.raw)
		}
		f, err := open(t, data, regtest)
		if err != nil {
			t.Fatal(err)
		}
		if f.Height() != 2*stride+7 || !f.Time().Equal(m.chain.Time()) || f.Summed() != summed {
			t.Errorf("%d, %v, %t", f.Height(), f.Time(), f.Summed())
		}
		for height := uint64(0); height <= uint64(f.Height()); height += 1 + height%stride/3 {
			h, err := f.Header(height)
			if err != nil || !bytes.Equal(Raw(&h), m.raw[height*Size:][:Size]) {
				t.Fatalf("block %d: %v", height, err)
			}
		}
		for _, height := range []uint64{2*stride + 8, 1 << 63} {
			if _, err := f.Header(height); !errors.Is(err, ErrNoBlock) {
				t.Errorf("block %d: %v", height, err)
			}
		}
	}
}

// The one that proof of work leaves open on regtest, a changed last header, is what the checksum is
// for.
func TestEveryByteOfAFileMatters(t *testing.T) {
	m := newMaker(t, regtest).grow(30, time.Minute)
	data := file(t, m.raw)
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= byte(1 + rand.IntN(255))
		if _, err := open(t, changed, regtest); err == nil {
			t.Errorf("byte %d of %d changed from %02x to %02x: accepted", i, len(data), data[i], changed[i])
		}
	}
	if _, err := open(t, data, regtest); err != nil {
		t.Error(err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	m := newMaker(t, regtest).grow(30, time.Minute)
	data := file(t, m.raw)
	last := bytes.Clone(data)
	last[30*Size+68]++ // a second later
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":              {nil, "the file is empty"},
		"less than a header": {data[:79], "less than one header"},
		"less than a header, as long as a checksum": {data[:32], "less than one header"},
		"cut within a header":                       {data[:20*Size+40], "after the header of block 19 come 40 bytes"},
		"cut within the checksum":                   {data[:len(data)-1], "after the header of block 30 come 31 bytes"},
		"cut so that a checksum may be there":       {data[:20*Size+32], "the checksum after the header of block 19 is"},
		"a byte more":                               {append(bytes.Clone(data), 0), "after the header of block 30 come 33 bytes"},
		"a header more":                             {append(bytes.Clone(data), data[:Size]...), "the header of block 31 does not follow"},
		"without the first block":                   {data[Size:], "the header of block 0 has the hash"},
		"without one in the middle":                 {append(bytes.Clone(data[:10*Size]), data[11*Size:]...), "the header of block 10 does not follow"},
		"a byte changed in the middle":              {flipped(data, 10*Size+50), "the header of block 1"},
		"a byte of the last one":                    {last, "the header of block 30 has no proof of work|the file was changed"},
		"zeros":                                     {make([]byte, 800), "the header of block 0 has the hash"},
		"text":                                      {[]byte(strings.Repeat("The headers are not here. ", 100)), "the header of block 0 has the hash"},
		"of another network":                        {file(t, Raw(&chaincfg.TestNet4Params.GenesisBlock.Header)), "the header of block 0 is of another network: it is the first one of testnet4, and headers of regtest are wanted"},
	} {
		_, err := open(t, c.data, regtest)
		ok := false
		for want := range strings.SplitSeq(c.want, "|") {
			ok = ok || err != nil && strings.Contains(err.Error(), want)
		}
		if !ok {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := Open(t.Context(), bytes.NewReader(data), 1<<40, regtest, now, nil); err == nil || !strings.Contains(err.Error(), "too many for headers") {
		t.Errorf("a terabyte: %v", err)
	}
	if _, err := Open(t.Context(), bytes.NewReader(data), int64(len(data))+Size, regtest, now, nil); err == nil || !strings.Contains(err.Error(), "was longer when it was opened") {
		t.Errorf("a file that shrinks: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, bytes.NewReader(data), int64(len(data)), regtest, now, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x10
	return data
}

// What was checked is what is answered: a file that changes afterwards is noticed, wherever it
// does.
func TestAFileThatIsChangedWhileItIsUsed(t *testing.T) {
	m := newMaker(t, regtest).grow(stride+50, time.Second)
	data := file(t, m.raw)
	f, err := open(t, data, regtest)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{5 * Size, 5*Size + 40, (stride-1)*Size + 76, stride*Size + 4, (stride + 50) * Size, (stride+51)*Size - 1} {
		data[at] ^= 1
		height := uint64(at / Size)
		if _, err := f.Header(height); !errors.Is(err, errChanged) {
			t.Errorf("byte %d, in the header of block %d: %v", at, height, err)
		}
		data[at] ^= 1
		if _, err := f.Header(height); err != nil {
			t.Error(err)
		}
	}
}

func TestCopyChecksWhatItWrites(t *testing.T) {
	m := newMaker(t, regtest).grow(30, time.Minute)
	var out bytes.Buffer
	chain, err := Copy(t.Context(), &out, bytes.NewReader(m.raw), regtest, now, nil)
	if err != nil || chain.Hash() != m.chain.Hash() || !bytes.Equal(out.Bytes(), file(t, m.raw)) {
		t.Errorf("%v", err)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"nothing":   {nil, "there are no headers"},
		"cut short": {m.raw[:100], "after the header of block 0 come 20 bytes"},
		"changed":   {flipped(m.raw, 3*Size+40), "the header of block"},
	} {
		if _, err := Copy(t.Context(), &out, bytes.NewReader(c.raw), regtest, now, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := errors.New("the disk is full")
	if _, err := Copy(t.Context(), failing{full}, bytes.NewReader(m.raw), regtest, now, nil); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
}

// Where proof of work costs nothing, a hostile daemon could send headers for ever, all of them
// right.
func TestCopyTakesNoEndlessChain(t *testing.T) {
	m := newMaker(t, regtest).grow(30, time.Minute)
	const all = 31
	for most, want := range map[int64]string{all: "", all - 1: "more than 30 headers were sent"} {
		var out bytes.Buffer
		_, err := copyUpTo(t.Context(), &out, bytes.NewReader(m.raw), regtest, now, nil, most)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("at most %d of %d headers: %v", most, all, err)
		}
		if int64(out.Len()) > most*Size+checksumSize {
			t.Errorf("at most %d headers: %d bytes were written", most, out.Len())
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Whatever the bytes are, what is accepted is a chain whose every header answers.
func FuzzOpen(f *testing.F) {
	m := newMaker(f, regtest).grow(5, time.Minute)
	f.Add(m.raw)
	f.Add(file(f, m.raw))
	f.Add(m.raw[:Size])
	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := open(t, data, regtest)
		if err != nil {
			return
		}
		for height := range uint64(opened.Height() + 1) {
			if _, err := opened.Header(height); err != nil {
				t.Errorf("block %d: %v", height, err)
			}
		}
	})
}

// The floor is what nobody can go below: hashing each header twice, to know the chain's links and
// its work.
func BenchmarkOpen(b *testing.B) {
	for _, chain := range []struct {
		name string
		raw  []byte
		of   *chaincfg.Params
	}{
		{"mainnet", mainnetHeaders(b), &chaincfg.MainNetParams},
		{"regtest", newMaker(b, regtest).grow(20_000, time.Second).raw, regtest},
	} {
		data := file(b, chain.raw)
		count := float64(len(chain.raw) / Size)
		b.Run(chain.name, func(b *testing.B) {
			var floor, whole time.Duration
			for b.Loop() {
				began := time.Now()
				for i := 0; i < len(chain.raw); i += Size {
					hash := hashOf(chain.raw[i : i+Size])
					sink ^= hash[0]
				}
				floor += time.Since(began)
				began = time.Now()
				if _, err := open(b, data, chain.of); err != nil && !errors.Is(err, ErrLittleWork) {
					b.Fatal(err)
				}
				whole += time.Since(began)
			}
			b.ReportMetric(whole.Seconds()/floor.Seconds(), "x-floor")
			b.ReportMetric(count*float64(b.N)/whole.Seconds(), "headers/s")
			b.ReportMetric(count*float64(b.N)/floor.Seconds(), "floor-headers/s")
			b.ReportMetric(0, "ns/op") // means nothing: it counts both
		})
	}
	b.Run("lookup", func(b *testing.B) {
		data := file(b, newMaker(b, regtest).grow(5_000, time.Second).raw)
		f, err := open(b, data, regtest)
		if err != nil {
			b.Fatal(fmt.Errorf("open: %w", err))
		}
		for b.Loop() {
			if _, err := f.Header(2_000); err != nil {
				b.Fatal(err)
			}
		}
	})
}

var sink byte
