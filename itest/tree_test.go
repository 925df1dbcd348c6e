package itest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ancre/itest/harness"
)

// What cron runs each night on a folder, over some days: new files, a file that changed, a link, a
// daemon that is down, and receipts in the end.
func TestATreeIsStampedByCron(t *testing.T) {
	w := newWorld(t, "btcd")
	w.startFunded()
	dir := filepath.Join(w.daemon.Home, "documents")
	minutes := w.writeFile("documents/2026/minutes.txt", "The council met.\n")
	w.writeFile("documents/agenda.txt", "The council meets.\n")
	if err := os.Symlink("agenda.txt", filepath.Join(dir, "latest")); err != nil {
		t.Fatal(err)
	}
	silent := func(exit int, args ...string) {
		t.Helper()
		if res := w.ancre(exit, args...); res.Stdout != "" || res.Stderr != "" {
			t.Errorf("ancre %v says %q and %q", args, res.Stdout, res.Stderr)
		}
	}
	anchored := func() {
		t.Helper()
		w.call(nil, "closebatch")
		e := w.awaitState(w.digestOf(minutes), "broadcast")
		w.awaitInMempool(e.TxID)
		w.mine(6)
		w.awaitState(w.digestOf(minutes), "final")
	}

	silent(0, "stamp", "-q", "-r", dir)
	silent(3, "upgrade", "-q", "-r", dir)
	silent(3, "receipt", "-q", "-r", dir)
	anchored()
	silent(0, "upgrade", "-q", "-r", dir)
	silent(0, "receipt", "-q", "-r", dir)
	silent(0, "verify", "-q", "-r", dir)

	// The minutes are corrected, and keep their time.
	was, err := os.Stat(minutes)
	if err != nil {
		t.Fatal(err)
	}
	w.writeFile("documents/2026/minutes.txt", "The council sat.\n")
	if err := os.Chtimes(minutes, was.ModTime(), was.ModTime()); err != nil {
		t.Fatal(err)
	}
	out := w.ancre(0, "--json", "stamp", "-r", dir).Stdout
	if !strings.Contains(out, `"changed":1`) || !strings.Contains(out, `"unchanged":1`) || !strings.Contains(out, `"links":1`) {
		t.Errorf("stamp says\n%s", out)
	}
	silent(3, "upgrade", "-q", "-r", dir)
	anchored()
	silent(0, "upgrade", "-q", "-r", dir)
	silent(0, "receipt", "-q", "-r", dir)
	silent(0, "verify", "-q", "-r", dir)
	earlier, err := filepath.Glob(minutes + ".20*.ots")
	if err != nil || len(earlier) != 1 {
		t.Fatalf("the earlier proof is kept as %v (%v)", earlier, err)
	}
	first := w.writeFile("first.txt", "The council met.\n")
	w.ancre(0, "verify", "-f", first, earlier[0])

	// A night without the daemon.
	w.must(w.daemon.Stop())
	silent(0, "stamp", "-q", "-r", dir) // there is nothing to stamp
	late := w.writeFile("documents/late.txt", "One more.\n")
	if res := w.ancre(1, "stamp", "-q", "-r", dir); res.Stdout != "" || strings.Count(res.Stderr, "\n") != 1 {
		t.Errorf("without a daemon, stamp says %q and %q", res.Stdout, res.Stderr)
	}
	if _, err := os.Stat(late + ".ots"); err == nil {
		t.Error("there is a proof that no daemon gave")
	}
	w.must(w.daemon.Start(t.Context()))
	silent(0, "stamp", "-q", "-r", dir)
	w.ancre(3, "verify", late)
}

// The guide explains each member of the summaries, and no other.
func TestScriptingGuideExplainsTheSummaries(t *testing.T) {
	d, err := harness.NewDaemon(bin, nil, t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteConfig(); err != nil {
		t.Fatal(err)
	}
	section := sectionsOf(readFile(t, "../"+scriptingGuide))["The summary"]
	guide := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\| [^|]* \\|(.*)$").FindAllStringSubmatch(section, -1) {
		for _, m := range aSpan.FindAllStringSubmatch(row[1], -1) {
			guide[m[1]] = false
		}
		if strings.Contains(row[1], "left_out") {
			for _, m := range regexp.MustCompile("[:,] `([a-z]+)`").FindAllStringSubmatch(row[2], -1) {
				guide[m[1]] = false
			}
		}
	}
	empty := t.TempDir()
	for _, verb := range []string{"stamp", "upgrade", "verify", "prune", "receipt"} {
		res, err := d.Ancre(t.Context(), "--json", verb, "-r", empty)
		var doc struct{ Summary map[string]any }
		if err != nil || res.Code != 0 || json.Unmarshal([]byte(res.Stdout), &doc) != nil || len(doc.Summary) < 5 {
			t.Fatalf("%s of an empty tree: status %d, %v\n%s%s", verb, res.Code, err, res.Stdout, res.Stderr)
		}
		left, _ := doc.Summary["left_out"].(map[string]any)
		for _, members := range []map[string]any{doc.Summary, left} {
			for member := range members {
				if _, ok := guide[member]; !ok {
					t.Errorf("the summary of %s has %q, which the guide does not explain", verb, member)
				}
				guide[member] = true
			}
		}
	}
	for member, written := range guide {
		if !written {
			t.Errorf("the guide explains %q, which no summary has", member)
		}
	}
}
