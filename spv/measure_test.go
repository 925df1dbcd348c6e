package spv

import (
	"bufio"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/lightninglabs/neutrino/headerfs"
)

// TestMeasureStart prints how long it takes to open a directory and to answer, and what memory that
// needs. It runs only when it is asked for, with ANCRE_MEASURE set to a number of headers: its
// figures are of a machine, not right or wrong.
func TestMeasureStart(t *testing.T) {
	want := os.Getenv("ANCRE_MEASURE")
	if want == "" {
		t.Skip("set ANCRE_MEASURE=100000 to measure")
	}
	var count int
	for _, r := range want {
		count = 10*count + int(r-'0')
	}

	measure := func(what string, cfg Config) {
		cfg.Params = &chaincfg.RegressionNetParams
		begin := time.Now()
		c, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Status()
		opened := time.Since(begin)
		begin = time.Now()
		startClient(t, c)
		started := time.Since(begin)
		height, _, err := c.Best()
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%s: open and first status (height %d) %v; start %v, then height %d; heap in use %d MB, from the system %d MB, resident %s",
			what, s.Height, opened.Round(time.Millisecond), started.Round(time.Millisecond), height, m.HeapInuse>>20, m.Sys>>20, resident())
		begin = time.Now()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: close %v", what, time.Since(begin).Round(time.Millisecond))
	}
	// Memory is best seen in a process of its own: with ANCRE_MEASURE_DIR a directory is kept, and
	// one that has headers only opened.
	dir := os.Getenv("ANCRE_MEASURE_DIR")
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "spv")
	}
	if !missing(filepath.Join(dir, headersFile)) {
		measure("with headers, alone", Config{Dir: dir})
		return
	}
	files := fabricate(t, count)
	measure("empty directory", Config{Dir: dir})
	measure("opened a second time, empty", Config{Dir: dir})
	measure("import", Config{Dir: dir, HeadersImport: files})
	measure("with headers", Config{Dir: dir})
}

// resident is the memory that the operating system counts, where it says so.
func resident() string {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// fabricate makes files of headers with regtest's trifling work.
func fabricate(t *testing.T, count int) []string {
	t.Helper()
	params := chaincfg.RegressionNetParams
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "block"), filepath.Join(dir, "filter")}
	var out [2]*bufio.Writer
	for i, kind := range []headerfs.HeaderType{headerfs.Block, headerfs.RegularFilter} {
		f, err := os.Create(paths[i])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		out[i] = bufio.NewWriter(f)
		defer out[i].Flush()
		begin := binary.LittleEndian.AppendUint32(nil, uint32(params.Net))
		begin = append(begin, exportVersion, byte(kind), 0, 0, 0, 0)
		if _, err := out[i].Write(begin); err != nil {
			t.Fatal(err)
		}
	}
	// The filter header of the first block is known; the others may be anything, as no peer is
	// there to compare.
	genesis := openClient(t, t.TempDir())
	first, err := genesis.source().GetFilterHeaderByHeight(0)
	if err != nil {
		t.Fatal(err)
	}
	header, filter := params.GenesisBlock.Header, *first
	limit := blockchain.CompactToBig(header.Bits)
	for i := range count + 1 {
		if i > 0 {
			header = wire.BlockHeader{Version: 4, PrevBlock: header.BlockHash(), Timestamp: header.Timestamp.Add(10 * time.Minute), Bits: header.Bits}
			for {
				hash := header.BlockHash()
				if blockchain.HashToBig(&hash).Cmp(limit) <= 0 {
					break
				}
				header.Nonce++
			}
			filter = chainhash.DoubleHashH(filter[:])
		}
		if err := header.Serialize(out[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := out[1].Write(filter[:]); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestMeasureSync prints how long it takes to follow a regtest node from an empty directory. It
// runs only when it is asked for, with ANCRE_MEASURE_PEER set to the node's HOST:PORT.
func TestMeasureSync(t *testing.T) {
	peer := os.Getenv("ANCRE_MEASURE_PEER")
	if peer == "" {
		t.Skip("set ANCRE_MEASURE_PEER=127.0.0.1:18444 to measure")
	}
	c := openClient(t, t.TempDir(), peer)
	begin := time.Now()
	startClient(t, c)
	waitFor(t, "synced", c.Synced)
	s := c.Status()
	t.Logf("%d blocks in %v, resident %s", s.Height, time.Since(begin).Round(time.Millisecond), resident())
}
