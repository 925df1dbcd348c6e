package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"ancre/internal/datadir"
)

// nasty is what a stranger says: it moves the cursor, turns the line around, and forges a result.
const nasty = "x\x1b[2J\x1b]0;t\x07\u009b31m\u202eabc\u2066\u200b\ufeff\x7f\r\ncontract.pdf: valid, existed before Bitcoin block 1\n"

// wantHarmless wants nothing of nasty raw, and no line that begins as the forged one.
func wantHarmless(t *testing.T, a answer, what string) {
	t.Helper()
	for _, text := range []string{a.out, a.err} {
		if strings.ContainsAny(text, "\x1b\x07\u009b\u202e\u2066\u200b\ufeff\x7f\r") || !utf8.ValidString(text) {
			t.Errorf("%s: %q", what, text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "contract.pdf") {
				t.Errorf("%s: a forged line: %q", what, text)
			}
		}
	}
}

// liar answers all calls with what is nasty in every text.
func liar(t *testing.T, answer func(method string) any) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		json.NewDecoder(r.Body).Decode(&call)
		reply := map[string]any{"id": call.ID, "error": nil, "result": nil}
		switch v := answer(call.Method).(type) {
		case error:
			w.WriteHeader(http.StatusInternalServerError)
			reply["error"] = map[string]any{"code": -1, "message": v.Error()}
		default:
			reply["result"] = v
		}
		json.NewEncoder(w).Encode(reply)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhatADaemonSaysIsHarmless(t *testing.T) {
	r := newRig(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	cookie := filepath.Join(r.data, "regtest", datadir.Cookie)
	calls := [][]string{{"status"}, {"status", file}, {"batches"}, {"batches", "1"}, {"wallet", "address"}, {"wallet", "history"}, {"wallet", "fees"},
		{"wallet", "send", "--yes", "addr", "5"}, {"wallet", "balance"}, {"stamp", r.write("new", "new")}, {"upgrade", file}, {"verify", "--offline", file},
		{"receipt", file}, {"verify", "--offline", "--node", "URL", file}}
	answers := map[string]func(string) any{
		"an error": func(string) any { return fmt.Errorf("%s", nasty) },
		"results": func(method string) any {
			entry := map[string]any{"digest": nasty, "state": nasty, "batch": 1, "txid": nasty, "proof": nasty, "complete": false}
			switch method {
			case "getinfo":
				return map[string]any{"version": nasty, "network": nasty, "datadir": nasty, "warnings": []string{nasty},
					"chain": map[string]any{"peers": []any{map[string]any{"address": nasty, "user_agent": nasty}}}, "wallet": map[string]any{"state": nasty},
					"calendar": map[string]any{"listen": nasty, "uri": nasty}}
			case "listbatches":
				return []any{map[string]any{"id": 1, "state": nasty, "height": 1, "txid": nasty}}
			case "getbatch":
				return map[string]any{"id": 1, "state": nasty, "root": nasty, "anchor": 1}
			case "getanchor":
				return map[string]any{"id": 1, "state": nasty, "blockhash": nasty, "height": 1, "versions": []any{map[string]any{"txid": nasty, "state": nasty}}}
			case "getnewaddress":
				return map[string]any{"address": nasty}
			case "sendtoaddress":
				return map[string]any{"txid": nasty}
			case "listtransactions":
				return []any{map[string]any{"txid": nasty, "kind": nasty}}
			case "estimatefee":
				return map[string]any{"problem": nasty}
			case "getstatus", "getproof":
				return entry
			case "submitbatch":
				return []any{entry}
			}
			return nasty
		},
	}
	for what, answer := range answers {
		url := liar(t, answer)
		for _, args := range calls {
			call := []string{"--rpc", url, "--rpc-cookie", cookie}
			for _, arg := range args {
				if arg == "URL" {
					arg, call = url, []string{"--rpc-cookie", cookie}
				}
				args = append([]string(nil), args...)
				call = append(call, arg)
			}
			for _, format := range [][]string{nil, {"--json"}} {
				wantHarmless(t, r.ancre(append(format, call...)...), fmt.Sprint(what, " of ", args, format))
			}
		}
	}
	// A method's own result is all that is printed.
	a := r.ancre("--json", "--rpc", liar(t, answers["results"]), "--rpc-cookie", cookie, "rpc", "getinfo")
	wantHarmless(t, a, "rpc")
	var info struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal([]byte(a.out), &info); err != nil || info.Version != nasty {
		t.Errorf("the JSON says %q: %v", info.Version, err)
	}
}

func TestWhatACalendarOrAPageSaysIsHarmless(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, _ := r.promised("a", c.URL)
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusInternalServerError} {
		c.says(status, nasty)
		for _, verb := range []string{"upgrade", "verify"} {
			wantHarmless(t, r.ancre(verb, "--calendar", c.URL, file), verb)
			wantHarmless(t, r.ancre("--json", verb, "--calendar", c.URL, file), verb)
		}
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, nasty)
	}))
	defer page.Close()
	cookie := filepath.Join(r.data, "regtest", datadir.Cookie)
	for _, verb := range [][]string{{"status"}, {"backup", r.path("x")}, {"headers", "export", r.path("y")}, {"rpc", "getinfo"}} {
		wantHarmless(t, r.ancre(append([]string{"--rpc", page.URL, "--rpc-cookie", cookie}, verb...)...), verb[0])
	}
	for _, arg := range []string{nasty, "--" + nasty} {
		wantHarmless(t, r.ancre(arg), "a verb")
		wantHarmless(t, r.ancre("status", arg), "an argument")
		wantHarmless(t, r.ancre("--json", "status", arg), "an argument")
	}
}

// Two names that differ in bytes that are no UTF-8 are two names in JSON, too.
func TestNamesThatAreNoTextStayDistinguishable(t *testing.T) {
	r := newRig(t)
	seen := make(map[string]bool)
	for _, name := range []string{"a\xff", "a\xfe"} {
		path := r.path(name)
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Skip(err) // some systems have no such names
		}
		for _, verb := range []string{"stamp", "verify", "info", "upgrade", "receipt"} {
			a := r.ancre("--json", verb, path)
			var got struct {
				File      string `json:"file"`
				Bytes     []byte `json:"file_bytes"`
				Proof     string `json:"proof_file"`
				ProofName []byte `json:"proof_file_bytes"`
			}
			if err := json.Unmarshal([]byte(a.out), &got); err != nil {
				t.Fatalf("%s: %v\n%s%s", verb, err, a.out, a.err)
			}
			if got.File != "" && string(got.Bytes) != path || got.Proof != "" && !strings.HasPrefix(string(got.ProofName), path) || got.File+got.Proof == "" {
				t.Errorf("%s: %s", verb, a.out)
			}
			if key := verb + got.File + got.Proof; seen[key] {
				t.Errorf("%s: two files have the name %s", verb, key)
			} else {
				seen[key] = true
			}
		}
	}
	// Names that are text stay as they are.
	if a := r.ancre("--json", "stamp", r.write("é\\xff", "x")); strings.Contains(a.out, "file_bytes") {
		t.Error(a.out)
	}
}

// The two gates of say.go stand only as long as nobody goes around them.
func TestEverythingIsPrintedThroughTheGates(t *testing.T) {
	around := regexp.MustCompile(`Fprintf\((a|s|u|t)\.(out|err), |Fprintln\((a|s|u|t)\.(out|err), .|NewEncoder\(\w+\.(out|err)\)|os\.(Stdout|Stderr)\b`)
	allowed := regexp.MustCompile(`printable\.|systemTerminal|term\.|^\s*(out|err): |isNull\(|Fprintln\(a\.out, text\)|Try \\"ancre help`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			if around.MatchString(line) && !allowed.MatchString(line) {
				t.Errorf("%s:%d: print with say, note or complain: %s", name, i+1, strings.TrimSpace(line))
			}
		}
	}
}
