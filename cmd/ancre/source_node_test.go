package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/headers"
	"ancre/internal/datadir"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// lyingNode answers JSON-RPC as the test wants: with what answer returns, or by itself.
func lyingNode(t *testing.T, answer func(w http.ResponseWriter, method string, params []any) (result any, handled bool)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			ID     json.RawMessage
			Method string
			Params []any
		}
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &request)
		result, handled := answer(w, request.Method, request.Params)
		if !handled {
			_ = json.NewEncoder(w).Encode(map[string]any{"id": request.ID, "result": result, "error": nil})
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A node may say what it likes: nothing of it is taken that is not the header of the hash that it
// named, on the network that is meant.
func TestVerifyAgainstANodeThatLies(t *testing.T) {
	r, file, _ := proved(t, 6)
	genesis := chaincfg.RegressionNetParams.GenesisHash.String()
	hash := r.daemon.headers[1].BlockHash().String()
	raw := fmt.Sprintf("%x", headers.Raw(&r.daemon.headers[1]))
	cookie := filepath.Join(r.data, "regtest", datadir.Cookie)
	honest := func(method string, params []any) any {
		switch {
		case method == "getblockhash" && params[0] == 0.0:
			return genesis
		case method == "getblockhash":
			return hash
		case method == "getblockheader":
			return raw
		}
		return 7
	}
	url := lyingNode(t, func(_ http.ResponseWriter, method string, params []any) (any, bool) {
		return honest(method, params), false
	})
	a := r.ancre("--rpc-cookie", cookie, "verify", "--node", url, file).is(t, exitDone, "6 blocks of work on top, headers from the node at "+url+"/\n", "is the word of that node")
	if strings.Contains(a.out, "checked") {
		t.Errorf("more is said to be checked than was: %s", a.out)
	}

	for name, c := range map[string]struct {
		of     string
		answer func(w http.ResponseWriter) (any, bool)
		want   string
	}{
		"another network":     {"getblockhash 0", func(http.ResponseWriter) (any, bool) { return chaincfg.TestNet4Params.GenesisHash.String(), false }, "is of testnet4, and headers of regtest are wanted"},
		"no network":          {"getblockhash 0", func(http.ResponseWriter) (any, bool) { return strings.Repeat("ab", 32), false }, "is of another network"},
		"a hash that is none": {"getblockhash", func(http.ResponseWriter) (any, bool) { return "block one", false }, `answers with the block hash "block one"`},
		"a number for a hash": {"getblockhash", func(http.ResponseWriter) (any, bool) { return 12, false }, "another type than expected"},
		"another block's header": {"getblockheader", func(http.ResponseWriter) (any, bool) {
			return fmt.Sprintf("%x", headers.Raw(&r.daemon.headers[2])), false
		}, "when asked for " + hash},
		"half a header":    {"getblockheader", func(http.ResponseWriter) (any, bool) { return raw[:80], false }, "want the 80 bytes of one"},
		"a changed header": {"getblockheader", func(http.ResponseWriter) (any, bool) { return "ff" + raw[2:], false }, "answers with the header of block "},
		"a web page": {"getblockheader", func(w http.ResponseWriter) (any, bool) {
			fmt.Fprint(w, "<html>welcome</html>")
			return nil, true
		}, "no JSON-RPC"},
		"a redirect": {"getblockheader", func(w http.ResponseWriter) (any, bool) {
			w.Header().Set("Location", r.http.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return nil, true
		}, "HTTP status 307"},
		"an endless answer": {"getblockheader", func(w http.ResponseWriter) (any, bool) {
			for page := []byte(strings.Repeat(" ", 1<<20)); ; {
				if _, err := w.Write(page); err != nil {
					return nil, true
				}
			}
		}, "answers with more than"},
		"wrong credentials": {"getblockhash", func(w http.ResponseWriter) (any, bool) {
			w.WriteHeader(http.StatusUnauthorized)
			return nil, true
		}, "refuses the credentials"},
		"nothing at all": {"getblockheader", func(http.ResponseWriter) (any, bool) { panic(http.ErrAbortHandler) }, "is the node running, with -server=1"},
	} {
		url := lyingNode(t, func(w http.ResponseWriter, method string, params []any) (any, bool) {
			asked := method
			if method == "getblockhash" && params[0] == 0.0 {
				asked += " 0"
			}
			if c.of == asked {
				return c.answer(w)
			}
			return honest(method, params), false
		})
		a := r.ancre("--rpc-cookie", cookie, "verify", "--node", url, file).is(t, exitUnverifiable, c.want)
		if strings.Contains(a.out, "valid, ") {
			t.Errorf("%s: %s", name, a.out)
		}
	}
}

func TestNodeAddresses(t *testing.T) {
	for node, want := range map[string]string{
		"127.0.0.1": "http://127.0.0.1:8332", "localhost:18332": "http://localhost:18332", "http://node": "http://node:8332", "https://node/rpc": "https://node/rpc",
		"[::1]": "http://[::1]:8332", "http://user:secret@node": "", "user:secret@node": "", "ftp://node": "", "http://node?x": "", "://": "", "a b": "",
	} {
		got, err := nodeAddress(node, "mainnet")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v; want %q", node, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is told: %v", err)
		}
	}
	for _, network := range []string{"mainnet", "testnet4", "signet", "regtest", "simnet"} {
		if bitcoindPorts[network] == "" {
			t.Errorf("%s has no port", network)
		}
	}
}

// On bitcoind's own machine its cookie is found; this machine's is never sent to another one.
func TestNodeCredentials(t *testing.T) {
	r, file, _ := proved(t, 6)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv(passwordVariable, "")
	url := r.http.URL
	r.ancre("verify", "--node", url, file).is(t, exitUsage, "there is no cookie of a bitcoind", "--rpc-cookie")
	dir, err := bitcoindHome()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "regtest"), 0o700); err != nil {
		t.Fatal(err)
	}
	data := r.read(filepath.Join(r.data, "regtest", datadir.Cookie))
	if err := os.WriteFile(filepath.Join(dir, "regtest", datadir.Cookie), data, 0o600); err != nil {
		t.Fatal(err)
	}
	r.ancre("verify", "--node", url, file).is(t, exitDone)
	r.ancre("verify", "--node", "node.example", file).is(t, exitUsage, "is not on this machine", passwordVariable)
	r.ancre("--rpc-user", "me", "verify", "--node", url, file).is(t, exitUsage, passwordVariable)
	r.ancre("--rpc-user", "me", "--rpc-cookie", "x", "verify", "--node", url, file).is(t, exitUsage, "exclude each other")
	t.Setenv(passwordVariable, "wrong")
	r.ancre("--rpc-user", rpc.CookieUser, "verify", "--node", url, file).is(t, exitUnverifiable, "refuses the credentials")
}
