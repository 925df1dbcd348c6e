package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"ancre/headers"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// forged encodes a window of the rig's chain after a change.
func forged(t *testing.T, window []byte, change func(*headers.Window)) []byte {
	t.Helper()
	w, err := headers.ParseWindow(window)
	if err != nil {
		t.Fatal(err)
	}
	w.Raw = append([]byte(nil), w.Raw...)
	change(w)
	return w.Encode()
}

func (r *rig) writeBytes(name string, data []byte) string {
	r.t.Helper()
	path := r.path(name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func TestAWindowVerifiesOffline(t *testing.T) {
	r, file, exported := proved(t, 8)
	window, byProof, byFile := r.path("w"), r.path("w2"), r.path("w3")
	r.ancre("headers", "window", "1", window).is(t, exitDone,
		"Wrote the headers of blocks 0 to 9 of regtest to "+window+" (876 B). They verify proofs of block 1 by the work of 9 blocks.")
	var told windowResult
	a := r.ancre("--json", "headers", "window", file+".ots", byProof).is(t, exitDone)
	if err := json.Unmarshal([]byte(a.out), &told); err != nil || told.Height != 1 || told.First != 0 || told.Last != 9 || told.Bytes != 876 || told.Base == nil || *told.Base != 0 || told.Checkpoint != nil || told.LeastDifficulty == 0 {
		t.Errorf("%s, %v", a.out, err)
	}
	r.ancre("headers", "window", "--headers", exported, "1", byFile).is(t, exitDone)
	if a := r.ancre("headers", "window", "1", "-").is(t, exitDone); a.out != string(r.read(window)) {
		t.Errorf("%d bytes on standard output", len(a.out))
	}
	for _, other := range []string{byProof, byFile} {
		if string(r.read(other)) != string(r.read(window)) {
			t.Errorf("%s is another window", other)
		}
	}

	r.http.Close()
	a = r.ancre("verify", "--headers", window, file).is(t, exitDone,
		file+": valid, existed before Bitcoin block 1, mined about 2026-01-02 03:04 UTC, 8 blocks of work on top, headers of "+window+
			" checked here, whose work vouches for it: 9 blocks of a difficulty of 4.7e-10 or more\n",
		"The headers in "+window+" are those of blocks 0 to 9", "regtest is a test network, and proves nothing outside of tests")
	if strings.Contains(a.err, "only what") {
		t.Errorf("the first block is in it: %s", a.err)
	}
	var verdict struct {
		Result        string
		Confirmations int32
		Complete      bool
		Headers       verify.Trust
	}
	a = r.ancre("--json", "verify", "--headers", window, file).is(t, exitDone)
	if err := json.Unmarshal([]byte(a.out), &verdict); err != nil || verdict.Confirmations != 9 || verdict.Headers.Source != "window" || verdict.Headers.Tip != 9 ||
		verdict.Headers.Base == nil || verdict.Headers.Checkpoint != nil || verdict.Headers.LeastDifficulty == 0 {
		t.Errorf("%s, %v", a.out, err)
	}

	// Without a known block in it, the height is what the file says.
	alone := r.writeBytes("alone", forged(t, r.read(window), func(w *headers.Window) { w.First, w.Raw = 1, w.Raw[headers.Size:] }))
	r.ancre("verify", "--headers", alone, file).is(t, exitDone, "valid, existed before Bitcoin block 1", "that the block has the height 1 is only what "+alone+" claims")
	a = r.ancre("--json", "verify", "--headers", alone, file).is(t, exitDone, `"warnings":["that the block has the height 1`)
	if strings.Contains(a.out, `"base"`) {
		t.Errorf("%s", a.out)
	}

	// To a known block: here, the first one.
	if a := r.ancre("verify", "--headers", window, file); strings.Contains(a.out, "known to this program") {
		t.Errorf("%s", a.out)
	}
}

func TestWindowsThatDoNotVouch(t *testing.T) {
	r, file, _ := proved(t, 8)
	good := r.path("w")
	r.ancre("headers", "window", "1", good).is(t, exitDone)
	data := r.read(good)
	for _, c := range []struct {
		name   string
		change func(*headers.Window)
		status int
		want   []string
	}{
		{"few on top", func(w *headers.Window) { w.Raw = w.Raw[:6*headers.Size] }, exitPending,
			[]string{file + ": pending: too few blocks are on top: the headers show 5 blocks of work from block 1 on, and 6 are needed", "ancre headers window"}},
		{"just enough on top", func(w *headers.Window) { w.Raw = w.Raw[:7*headers.Size] }, exitDone, []string{"5 blocks of work on top"}},
		{"above the block", func(w *headers.Window) { w.First, w.Raw = 2, w.Raw[2*headers.Size:] }, exitUnverifiable,
			[]string{"cannot be checked here: the proof names Bitcoin block 1; the headers in ", " are those of blocks 2 to 9", "needed: the header of block 1, and those above: make another window"}},
		{"another height", func(w *headers.Window) { w.First, w.Raw = 0, w.Raw[headers.Size:] }, exitFailed, []string{"cannot be used", "the header of block 0 is dated 2026-01-02T03:04:05Z, long after the known block 0"}},
		{"another height, above all that is known", func(w *headers.Window) { w.First = 5000; w.Raw = w.Raw[headers.Size:] }, exitUnverifiable, []string{"blocks 5,000 to 5,008"}},
		{"a changed header", func(w *headers.Window) { w.Raw[3*headers.Size+70] ^= 1 }, exitFailed, []string{"cannot be used", "the header of block "}},
		{"a header is missing", func(w *headers.Window) { w.Raw = append(w.Raw[:3*headers.Size], w.Raw[4*headers.Size:]...) }, exitFailed, []string{"does not follow the one before"}},
		{"another network's name", func(w *headers.Window) { w.Genesis = *chaincfg.MainNetParams.GenesisHash }, exitFailed,
			[]string{"cannot be used: the headers are of another network: they are those of mainnet, and headers of regtest are wanted: name their network with --network"}},
	} {
		path := r.writeBytes(strings.ReplaceAll(c.name, " ", "-"), forged(t, data, c.change))
		t.Log(c.name)
		r.ancre("verify", "--headers", path, file).is(t, c.status, c.want...)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"the-magic-alone": {data[:8], "it has 8 bytes"},
		"cut-short":       {data[:len(data)-1], "left over"},
		"with-more":       {append(append([]byte(nil), data...), make([]byte, 1<<20)...), "at most 4096 are allowed"},
		"changed":         {append(append([]byte(nil), data[:100]...), append([]byte{data[100] ^ 1}, data[101:]...)...), "it was changed"},
	} {
		r.ancre("verify", "--headers", r.writeBytes(name, c.data), file).is(t, exitFailed, "the headers in ", c.want, `"ancre headers window" makes a new file`)
	}
	// A window is no file of all headers.
	r.ancre("headers", "window", "--headers", good, "1", r.path("x")).is(t, exitUsage, "is a window, and has not the headers of all blocks")
	r.ancre("headers", "checkpoints", "--headers", good, r.path("x")).is(t, exitUsage, "is a window")
}

// A cheap chain under mainnet's name, at any height, is refused.
func TestACheapWindowOfMainnet(t *testing.T) {
	r, file, _ := proved(t, 8)
	w := r.path("w")
	r.ancre("headers", "window", "1", w).is(t, exitDone)
	cheap := r.writeBytes("cheap", forged(t, r.read(w), func(w *headers.Window) {
		w.Genesis, w.First, w.Raw = *chaincfg.MainNetParams.GenesisHash, 900_000, w.Raw[headers.Size:]
	}))
	r.ancre("--network", "mainnet", "verify", "--headers", cheap, file).is(t, exitFailed, "cannot be used", "claims a difficulty that mainnet does not have (bits 207fffff)")
}

func TestNoWindowIsWrittenTooEarly(t *testing.T) {
	r, file, _ := proved(t, 4)
	path := r.path("w")
	r.ancre("headers", "window", "1", path).is(t, exitPending, "nothing was written: too few blocks are on top: the headers show 5 blocks of work from block 1 on, and 6 are needed: try again later")
	r.ancre("headers", "window", "6", path).is(t, exitPending, "block 6 is not there yet: the daemon at ", " is at block 5")
	if exists(path) {
		t.Error("a window was written")
	}
	young := newRig(t)
	note := young.write("note.txt", "pending")
	young.ancre("stamp", note).is(t, exitDone)
	young.ancre("headers", "window", note+".ots", path).is(t, exitPending, "the proof names no Bitcoin block yet")
	r.daemon.work(3)
	r.ancre("headers", "window", file+".ots", path).is(t, exitDone)
	r.ancre("headers", "window", "1", path).is(t, exitFailed, "is there already", "--force")
	r.ancre("headers", "window", "--force", "1", path).is(t, exitDone)
	r.with(session{terminal: true}, "headers", "window", "1", "-").is(t, exitUsage, "redirect standard output")
	for _, args := range [][]string{
		{"window"}, {"window", "1"}, {"window", "1", "2", "3"}, {"window", "x", path}, {"window", "-1", path}, {"window", "2147483648", path}, {"window", "--headers", "", "1", path},
		{"window", "--spv", "--headers", "f", "1", path}, {"checkpoints"}, {"checkpoints", "--spv", "--headers", "f", path},
	} {
		r.ancre(append([]string{"headers"}, args...)...).is(t, exitUsage)
	}
	r.ancre("--rpc", "127.0.0.1:1", "headers", "window", "--spv", "1", path).is(t, exitUsage, "--spv asks no daemon")
	r.ancre("headers", "window", r.path("none.ots"), r.path("y")).is(t, exitFailed, "no such file")
	r.ancre("headers", "window", "--headers", r.path("none"), "1", r.path("y")).is(t, exitFailed, "no such file")
}

func TestCheckpointsAreExported(t *testing.T) {
	r, _, _ := proved(t, 8)
	r.daemon.work(2016 + 144)
	exported, list, again := r.path("all.headers"), r.path("list"), r.path("again")
	r.ancre("headers", "checkpoints", list).is(t, exitDone, "Wrote 2 checkpoints of regtest up to block 2,016 to "+list+"; 1 is new.")
	all, err := headers.ParseCheckpoints(string(r.read(list)), "regtest")
	if err != nil || len(all) != 2 || all[1].Hash != r.daemon.headers[2016].BlockHash() || all[1].Time != r.daemon.headers[2016].Timestamp.Unix() {
		t.Errorf("%v, %v", all, err)
	}
	r.ancre("headers", "export", exported).is(t, exitDone)
	var told checkpointsResult
	a := r.ancre("--json", "headers", "checkpoints", "--headers", exported, again).is(t, exitDone)
	if err := json.Unmarshal([]byte(a.out), &told); err != nil || told.Checkpoints != 2 || told.Added != 1 || told.Height != 2016 || told.Network != "regtest" {
		t.Errorf("%s, %v", a.out, err)
	}
	if a := r.ancre("headers", "checkpoints", "-").is(t, exitDone); a.out != string(r.read(list)) || a.out != string(r.read(again)) {
		t.Errorf("%s", a.out)
	}
	r.ancre("headers", "checkpoints", list).is(t, exitFailed, "is there already", "--force")
	r.daemon.headers[7].Timestamp = r.daemon.headers[7].Timestamp.Add(time.Hour)
	r.ancre("headers", "checkpoints", "--force", list).is(t, exitFailed, "the headers of the daemon at ", "the header of block ")
}
