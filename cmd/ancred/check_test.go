package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// conf writes a configuration of a regtest daemon, and returns the flag that names it.
func conf(t *testing.T, dir, more string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	path := filepath.Join(dir, "test.conf")
	text := "datadir = " + quoted(filepath.Join(dir, "data")) + "\nnetwork = \"regtest\"\n[rpc]\nlisten = " + quoted(free.Addr().String()) + "\n[calendar]\nlisten = \"off\"\n" + more
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return "--config=" + path
}

func quoted(s string) string { return "'" + s + "'" } // a literal string of TOML

func TestCheckSaysWhetherItWouldStart(t *testing.T) {
	dir := t.TempDir()
	call("check", conf(t, dir, "")).is(t, exitDone, "fine     datadir: ", "will be made", "ancred would start.\n")
	if a := call("check", "--quiet", conf(t, dir, "")).is(t, exitDone); a.out != "" {
		t.Errorf("nothing is wrong, and --quiet prints %q", a.out)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := conf(t, dir, "[metrics]\nlisten = \""+taken.Addr().String()+"\"\n")
	call("check", "--quiet", bad).is(t, exitFailed, "error    metrics.listen: ", "would not start")
	var got struct {
		Starts   bool
		Findings []struct{ About, Level, Text string }
	}
	if err := json.Unmarshal([]byte(call("check", "--json", bad).is(t, exitFailed).out), &got); err != nil || got.Starts || len(got.Findings) < 5 {
		t.Errorf("as JSON: %+v, %v", got, err)
	}
	call("check", conf(t, dir, "bogus = 1\n")).is(t, exitUsage, "bogus")
	call("check", "--json", conf(t, dir, "bogus = 1\n")).is(t, exitUsage, `{"error":`, `"exit":2`)
	call("check", "--help").is(t, exitDone, "Usage: ancred check")
	call("check", "file").is(t, exitUsage, `unexpected argument "file"`)
	losesNothing(t, func() []string { return []string{"check", conf(t, dir, "")} })
}
