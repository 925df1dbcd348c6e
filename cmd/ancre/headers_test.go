package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/headers"
	"ancre/internal/datadir"
	"ancre/verify"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// work gives the fake daemon's blocks the proof of work that they lack, and puts some on top.
func (f *fakeDaemon) work(onTop int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	began := f.headers[len(f.headers)-1].Timestamp
	for i := range onTop {
		f.headers = append(f.headers, wire.BlockHeader{Timestamp: began.Add(time.Duration(i+1) * time.Minute)})
	}
	for i := 1; i < len(f.headers); i++ {
		h := &f.headers[i]
		h.Version, h.Bits, h.PrevBlock = 0x20000000, chaincfg.RegressionNetParams.PowLimitBits, f.headers[i-1].BlockHash()
		for hash := h.BlockHash(); blockchain.HashToBig(&hash).Cmp(chaincfg.RegressionNetParams.PowLimit) > 0; hash = h.BlockHash() {
			h.Nonce++
		}
	}
}

func (f *fakeDaemon) writeHeaders(_ context.Context, w io.Writer) error {
	f.mu.Lock()
	before := f.onHeaders
	f.mu.Unlock()
	if before != nil {
		before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.headersErr != nil {
		if _, err := w.Write(headers.Raw(&f.headers[0])); err != nil {
			return err
		}
		return f.headersErr
	}
	for i := range f.headers {
		if _, err := w.Write(headers.Raw(&f.headers[i])); err != nil {
			return err
		}
	}
	return nil
}

// proved returns a rig with a file and its complete proof, in block 1 under some more, and those
// blocks' headers in a file.
func proved(t *testing.T, onTop int) (r *rig, file, exported string) {
	t.Helper()
	r = newRig(t)
	file = r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.daemon.work(onTop)
	r.ancre("upgrade", file).is(t, exitDone)
	exported = r.path("regtest.headers")
	r.ancre("headers", "export", exported).is(t, exitDone)
	return r, file, exported
}

func TestHeadersAreExportedWholeOrNotAtAll(t *testing.T) {
	r, _, exported := proved(t, 6)
	if data := r.read(exported); int64(len(data)) != headers.FileSize(7) || !bytes.HasPrefix(data, headers.Raw(&r.daemon.headers[0])) {
		t.Errorf("%d bytes", len(data))
	}
	r.ancre("headers", "export", exported).is(t, exitFailed, "is there already", "--force")
	r.ancre("headers", "export", "--force", exported).is(t, exitDone, "Exported the headers of regtest up to block 7 of 2026-01-02 03:10 UTC to "+exported+" (672 B).")
	r.ancre("headers", "export", r.dir).is(t, exitUsage, "is not a regular file")
	r.ancre("headers", "export", r.path("no/such/dir")).is(t, exitFailed, "no file can be made")
	r.with(session{terminal: true}, "headers", "export", "-").is(t, exitUsage, "redirect standard output")
	if a := r.ancre("headers", "export", "-").is(t, exitDone); a.out != string(r.read(exported)) {
		t.Errorf("%d bytes on standard output", len(a.out))
	}
	var told exportResult
	a := r.ancre("--json", "headers", "export", r.path("json")).is(t, exitDone)
	if err := json.Unmarshal([]byte(a.out), &told); err != nil || told.Height != 7 || told.BlockHash != r.daemon.headers[7].BlockHash().String() || told.Network != "regtest" {
		t.Errorf("%+v, %v", told, err)
	}
	for _, args := range [][]string{{"headers"}, {"headers", "import"}, {"headers", "export"}, {"headers", "export", "a", "b"}, {"--rpc", "127.0.0.1:1", "headers", "export", "--spv", "a"}} {
		r.ancre(args...).is(t, exitUsage)
	}

	// What goes wrong leaves the file that was there, and no other.
	before := r.read(exported)
	files := len(r.names())
	r.daemon.headersErr = errors.New("the disk cannot be read")
	r.ancre("headers", "export", "--force", exported).is(t, exitFailed, "nothing was written to "+exported, "the disk cannot be read")
	r.daemon.headersErr = nil
	r.daemon.headers[3].Nonce++
	r.ancre("headers", "export", "--force", exported).is(t, exitFailed, "the header of block ")
	r.ancre("--network", "signet", "--rpc", r.http.URL, "--rpc-cookie", filepath.Join(r.data, "regtest", datadir.Cookie), "headers", "export", "--force", exported).
		is(t, exitFailed, "of another network: it is the first one of regtest", "--network")
	if !bytes.Equal(r.read(exported), before) || len(r.names()) != files {
		t.Errorf("changed, or left %v", r.names())
	}
}

func TestVerifyOffline(t *testing.T) {
	r, file, exported := proved(t, 6)
	r.http.Close()
	a := r.ancre("verify", "--headers", exported, file).is(t, exitDone, file+": valid, existed before Bitcoin block 1, mined about 2026-01-02 03:04 UTC, 6 blocks of work on top, headers of "+
		exported+" checked here from the first block on\n", "end with block 7 of 2026-01-02 03:10 UTC", "regtest is a test network")
	if strings.Contains(a.err, "reorganisation") {
		t.Errorf("six on top are few: %s", a.err)
	}
	var told struct {
		Result        string
		Confirmations int32
		Headers       verify.Trust
		Path          struct{ Steps []any }
	}
	a = r.ancre("verify", "--json", "-v", "--headers", exported, file).is(t, exitDone)
	if err := json.Unmarshal([]byte(a.out), &told); err != nil {
		t.Fatal(err)
	}
	if told.Result != "valid" || told.Confirmations != 7 || told.Headers.Source != "file" || told.Headers.From != exported || told.Headers.Tip != 7 || told.Headers.Words == "" || len(told.Path.Steps) < 5 {
		t.Errorf("%s", a.out)
	}
	r.ancre("verify", "-v", "--headers", exported, file).is(t, exitDone, "    file with sha256 ", "    sha256\n      = ", "attested by Bitcoin block 1, if its Merkle root is ")

	plain := r.path("plain")
	if err := os.WriteFile(plain, r.read(exported)[:8*headers.Size], 0o600); err != nil {
		t.Fatal(err)
	}
	r.ancre("verify", "--headers", plain, file).is(t, exitDone)
	short := r.path("short")
	if err := os.WriteFile(short, r.read(exported)[:3*headers.Size], 0o600); err != nil {
		t.Fatal(err)
	}
	r.ancre("verify", "--headers", short, file).is(t, exitDone, "1 block of work on top", "a reorganisation could still undo it")
	if err := os.WriteFile(short, r.read(exported)[:headers.Size], 0o600); err != nil {
		t.Fatal(err)
	}
	r.ancre("verify", "--headers", short, file).is(t, exitUnverifiable, "cannot be checked here: ", "above the highest one known here", "end with block 0 of", "export newer ones")
}

// A block that other miners won over is in nobody's file: a proof that leads to it proves nothing.
func TestAProofOfABlockOffTheChain(t *testing.T) {
	r, file, _ := proved(t, 6)
	r.daemon.headers[1].MerkleRoot[0] ^= 1
	r.daemon.work(0)
	other := r.path("other.headers")
	r.ancre("headers", "export", other).is(t, exitDone)
	r.ancre("verify", "--headers", other, file).is(t, exitFailed, file+": invalid: Bitcoin block 1 has the Merkle root ", "the proof leads to")
}

func TestHeaderFilesThatAreNone(t *testing.T) {
	r, file, exported := proved(t, 6)
	good := r.read(exported)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "the file is empty"},
		"cut short":  {good[:300], "after the header of block 2 come 60 bytes"},
		"changed":    {append(append(bytes.Clone(good[:200]), good[200]^1), good[201:]...), "the header of block "},
		"of another": {headers.Raw(&chaincfg.SigNetParams.GenesisBlock.Header), "of another network: it is the first one of signet, and headers of regtest are wanted: name their network with --network"},
	} {
		path := r.path(name)
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		r.ancre("verify", "--headers", path, file).is(t, exitFailed, "the headers in "+path+" cannot be used", c.want)
	}
	r.ancre("verify", "--headers", r.path("none"), file).is(t, exitFailed, "no such file")
	r.ancre("verify", "--headers", r.dir, file).is(t, exitFailed, "is a directory")
	r.ancre("verify", "--headers", os.DevNull, file).is(t, exitFailed, "is not a regular file")
	if os.Geteuid() != 0 {
		if err := os.Chmod(exported, 0); err != nil {
			t.Fatal(err)
		}
		r.ancre("verify", "--headers", exported, file).is(t, exitFailed, "permission denied")
	}
}

func TestOneSourceARun(t *testing.T) {
	r, file, exported := proved(t, 6)
	for _, args := range [][]string{
		{"--spv", "--headers", exported}, {"--spv", "--node", "127.0.0.1"}, {"--headers", exported, "--node", "127.0.0.1"},
		{"--spv", "--rpc", r.http.URL}, {"--headers", exported, "--rpc", r.http.URL}, {"--node", "127.0.0.1", "--rpc", r.http.URL},
	} {
		r.ancre(append([]string{"verify", file}, args...)...).is(t, exitUsage, "exclude each other")
	}
	r.ancre("verify", file, "--spv", "--rpc-cookie", exported).is(t, exitUsage, "needs no credentials")
	r.ancre("verify", file, "--headers", exported, "--rpc-user", "me").is(t, exitUsage, "needs no credentials")
	r.ancre("verify", file, "--headers", "").is(t, exitUsage, "--headers")
	r.ancre("verify", file, "--spv").is(t, exitUnverifiable, "no peer is connected: none are configured", "set spv.connect")
}
