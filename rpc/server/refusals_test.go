package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"ancre/batcher"
	"ancre/internal/humanize"
	"ancre/rpc"
)

// The message of a refused call names the parameter, the value and what is allowed.
func TestWrongParametersAreRefusedWithWhatIsAllowed(t *testing.T) {
	r := newRig(t)
	quoted := func(s string) string { return `["` + s + `"]` }
	upper := strings.Replace(someDigest, "a", "A", 1)
	for _, c := range []struct {
		name, method, params string
		code                 int
		words                string // that the message holds, separated by |
	}{
		{"a digest of 63 digits", "submit", quoted(someDigest[1:]), -8, "digest|63 characters|123456789a|64 lower-case"},
		{"a digest of 65 digits", "submit", quoted(someDigest + "0"), -8, "digest|65 characters|64 lower-case"},
		{"an empty digest", "submit", `[""]`, -8, "digest|0 characters|64 lower-case"},
		{"a digest with an odd character", "submit", quoted("g" + someDigest[1:]), -8, `digest|'g'|position 0|64 lower-case`},
		{"a digest with a wide character", "submit", quoted("é" + someDigest[2:]), -8, `digest|'é'|position 0|64 lower-case`},
		{"a digest with 0x before it", "submit", quoted("0x" + someDigest[2:]), -8, `digest|'x'|position 1|64 lower-case`},
		{"a digest in upper case", "submit", quoted(upper), -8, "digest|upper-case 'A'|position 10|write " + someDigest},
		{"a digest that is a number", "submit", `[1]`, -3, "digest|want a string|found a number"},
		{"a digest in an array", "submit", `[["` + someDigest + `"]]`, -3, "digest|want a string|found an array"},
		{"no digest", "submit", `[]`, -32602, `submit|digest is missing|submit "digest"`},
		{"null for a digest", "submit", `[null]`, -32602, `submit|digest is missing|submit "digest"`},
		{"two digests", "submit", `["a","b"]`, -32602, `submit takes 1 parameter|found 2|submit "digest"`},
		{"a parameter in the wrong case", "submit", `{"Digest":"` + someDigest + `"}`, -8, `Unknown named parameter Digest|submit "digest"`},
		{"a parameter twice", "submit", `{"digest":"` + someDigest + `","digest":"` + someDigest + `"}`, -8, "digest specified multiple times"},
		{"the status of a digest with an odd character", "getstatus", quoted("z" + someDigest[1:]), -8, "digest|'z'"},
		{"the status of a digest that never came", "getstatus", quoted(someDigest), -5, someDigest + "|never submitted"},
		{"the proof of a digest that never came", "getproof", quoted(someDigest), -5, someDigest + "|never submitted"},
		{"a format that does not exist", "getproof", `["` + someDigest + `","pdf"]`, -8, `format|"pdf"|allowed are: ots, chainpoint, chainpoint4`},
		{"a format in upper case", "getproof", `["` + someDigest + `","OTS"]`, -8, `format|"OTS"|allowed are: ots`},
		{"an array of digests with a wrong one", "submitbatch", `[["` + someDigest + `","xy"]]`, -8, "digests[1]|2 characters|64 lower-case"},
		{"an array of digests with a number", "submitbatch", `[["` + someDigest + `",7]]`, -3, "digests[1]|found a number"},
		{"an empty array of digests", "submitbatch", `[[]]`, -8, "digests|is empty"},
		{"a string for an array of digests", "submitbatch", quoted(someDigest), -3, "digests|want an array of strings|found a string"},
		{"a string of an array of a wrong digest", "submitbatch", `["[\"00\"]"]`, -8, "digests[0]|64"},
		{"a string that nests too deep", "submitbatch", `["` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `"]`, -3, "digests|found a string"},
		{"too many digests", "submitbatch", `[["x"` + strings.Repeat(`,"x"`, rpc.MaxDigests) + `]]`, -8, "digests|10001|allowed are 10000"},
		{"a word for a number", "getbatch", `["one"]`, -3, "id|want an integer|found a string"},
		{"a string in a string for a number", "getbatch", `["\"1\""]`, -3, "id|want an integer|found a string"},
		{"a fraction as a string", "getbatch", `["1.5"]`, -3, "id|without fraction"},
		{"a number with a fraction", "getbatch", `[1.0]`, -3, "id|without fraction or exponent|1.0"},
		{"a number with an exponent", "getbatch", `[1e3]`, -3, "id|without fraction or exponent|1e3"},
		{"batch 0", "getbatch", `[0]`, -8, "id|found 0|1 or more"},
		{"a negative batch", "getbatch", `[-1]`, -8, "id|found -1|1 or more"},
		{"a batch of more than 64 bits", "getbatch", `[18446744073709551616]`, -8, "id|18446744073709551616|1 or more"},
		{"a batch that does not exist", "getbatch", `[77]`, -5, "no batch 77|listbatches"},
		{"an anchor that does not exist", "getanchor", `[77]`, -5, "no anchor 77|listanchors"},
		{"a list of none", "listbatches", `[0,0]`, -8, "limit|found 0|1 to 1000"},
		{"a list too long", "listanchors", `[0,1001]`, -8, "limit|found 1001|1 to 1000"},
		{"an amount with a fraction, as for bitcoind", "sendtoaddress", `["x",0.5]`, -3, "amount_sats|integer|0.5"},
		{"an amount in a word", "sendtoaddress", `["x","everything"]`, -3, `amount_sats|integer or "all"`},
		{"the number that stands for all", "sendtoaddress", `["x",-1]`, -8, "amount_sats|found -1|1 to 2100000000000000"},
		{"an amount of nothing", "sendtoaddress", `["x",0]`, -8, "amount_sats|found 0|1 to 2100000000000000"},
		{"an amount of more than there is", "sendtoaddress", `["x",2100000000000001]`, -8, "amount_sats|1 to 2100000000000000"},
		{"a height above the newest block", "getblockhash", `[20]`, -8, "Block height out of range|20|newest block is 19"},
		{"a height below zero", "getblockhash", `[-1]`, -8, "height|found -1|0 to"},
		{"a block hash that is too short", "getblockheader", `["ab"]`, -8, "blockhash must be of length 64 (not 2, for 'ab')"},
		{"a block hash that is none", "getblockheader", quoted(strings.Repeat("xy", 32)), -8, "blockhash must be hexadecimal string"},
		{"a block that does not exist", "getblockheader", quoted(strings.Repeat("ab", 32)), -5, "Block not found"},
		{"a boolean that is a number", "getblockheader", `["` + someDigest + `",1]`, -3, "verbose|true or false|found a number"},
		{"a proof that is not base64", "verifyproof", `["` + someDigest + `","%%"]`, -8, "proof|not base64"},
		{"a proof without padding", "verifyproof", `["` + someDigest + `","AAA"]`, -8, "proof|not base64"},
		{"a proof in two lines", "verifyproof", `["` + someDigest + `","AAAA\nAAAA"]`, -8, "proof|on one line"},
		{"a proof over the limit", "verifyproof", `["` + someDigest + `","` + strings.Repeat("A", maxProofBase64+4) + `"]`, -8, "proof|1048580|allowed are 1048576"},
		{"a file hash of no known length", "verifyproof", `["abcd",""]`, -8, "digest|4 characters|64 or 40"},
		{"an empty passphrase", "createwallet", `[""]`, -8, "passphrase|is empty"},
		{"empty words", "createwallet", `["p"," "]`, -8, "words|are empty"},
		{"a birthday that is none", "createwallet", `["p","w","yesterday"]`, -8, "birthday|yesterday|2026-01-31"},
		{"a birthday of a new wallet", "createwallet", `["p",null,"2026-01-31"]`, -8, "birthday|restoring"},
		{"help of a method that does not exist", "help", `["nosuch"]`, -8, "unknown command: nosuch|help lists"},
		{"parameters for a method that has none", "uptime", `[1]`, -32602, "uptime takes 0 parameters|found 1"},
		{"33 named parameters", "uptime", `{` + strings.TrimSuffix(manyMembers(33), ",") + `}`, -32602, "more than 32 members"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.call(t, rpc.RoleAdmin, c.method, c.params)
			if err == nil {
				t.Fatalf("%s %s was accepted", c.method, humanize.ClipTo(c.params, 200))
			}
			if err.Code != c.code {
				t.Errorf("code %d, want %d: %s", err.Code, c.code, err.Message)
			}
			for _, w := range strings.Split(c.words, "|") {
				if !strings.Contains(err.Message, w) {
					t.Errorf("the message lacks %q: %s", w, err.Message)
				}
			}
			if len(err.Message) > 500 {
				t.Errorf("the message has %d bytes", len(err.Message))
			}
		})
	}
	if len(r.batcher.at) != 0 {
		t.Errorf("refused calls left %d digests behind", len(r.batcher.at))
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"a%d":1,`, i)
	}
	return b.String()
}

// TestWrongEnvelopesAreRefused checks where we are stricter than bitcoind.
// TestAnswersAreThoseOfBitcoind checks the rest.
func TestWrongEnvelopesAreRefused(t *testing.T) {
	r := newRig(t)
	submit := `"method":"submit","params":["` + someDigest + `"]`
	for _, c := range []struct {
		name, body string
		status     int
		words      string
	}{
		{"a member in the wrong case", `{"id":1,"Method":"stop",` + submit + `}`, 400, `-32600|"Method" must be written "method"|"id":1`},
		{"a member in the wrong case, 2.0", `{"jsonrpc":"2.0","id":1,"PARAMS":[],` + submit + `}`, 400, `"jsonrpc":"2.0"|-32600|"PARAMS\" must|"id":1`},
		{"a member in a case that folds oddly", `{"id":1,"paramſ":[],` + submit + `}`, 400, `-32600|must be written`},
		{"a member twice", `{"id":1,"method":"stop",` + submit + `}`, 400, `-32600|"method\" comes twice|"id":null`},
		{"a member twice, by an escape", `{"id":1,"m\u0065thod":"stop",` + submit + `}`, 400, `-32600|comes twice`},
		{"more members than anybody needs", `{` + manyMembers(33) + submit + `}`, 400, `-32600|more than 32 members`},
		{"something after the call", `{` + submit + `}{` + submit + `}`, 500, `-32700|byte`},
		{"an array too deep", `{"id":1,"method":"submit","params":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, 500, `-32700|deeper than 16`},
		{"arrays deep enough to kill a parser", strings.Repeat("[", 1<<20), 500, `-32700|deeper than 16`},
		{"objects deep enough to kill a parser", strings.Repeat(`{"a":`, 1<<19), 500, `-32700|deeper than 16`},
		{"what is not UTF-8", `{"id":"` + "\xff" + `",` + submit + `}`, 500, `-32700|not UTF-8`},
		{"an array of 1,001 calls", `[` + strings.Repeat(`{"method":"uptime"},`, maxCalls) + `{"method":"uptime"}]`, 400, `-32600|1001 calls|allowed are 1000`},
		{"a body over the limit", `{"id":1` + strings.Repeat(" ", maxBody) + `}`, 413, `-32600|longer than 4194304 bytes|"id":null`},
		{"an unknown method that is nearly one", `{"id":1,"method":"submit_batch"}`, 404, `-32601|submit_batch|did you mean submitbatch?`},
		{"a method in the wrong case", `{"id":1,"method":"Submit"}`, 404, `-32601|did you mean submit?`},
		{"a method of any length", `{"id":1,"method":"` + strings.Repeat("x", 1<<20) + `"}`, 404, `-32601|help lists`},
		{"an unknown version", `{"jsonrpc":"2","id":1,` + submit + `}`, 400, `-32600|\"2\"|\"1.0\", \"1.1\" and \"2.0\"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, answer := r.post(t, rpc.RoleAdmin, c.body)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			plain := strings.ReplaceAll(answer, `\"`, `"`)
			for _, w := range strings.Split(strings.ReplaceAll(c.words, `\"`, `"`), "|") {
				if !strings.Contains(plain, w) {
					t.Errorf("the answer lacks %q: %s", w, humanize.ClipTo(answer, 1000))
				}
			}
			if !json.Valid([]byte(answer)) || len(answer) > 1000 {
				t.Errorf("the answer is not JSON, or long: %s", humanize.ClipTo(answer, 1000))
			}
		})
	}
	if len(r.batcher.at) != 0 {
		t.Errorf("refused calls left %d digests behind", len(r.batcher.at))
	}
}

func TestAChunkedBodyOverTheLimitIsRefusedToo(t *testing.T) {
	r := newRig(t)
	// net/http does not know the length of a reader of an unknown type.
	body := struct{ io.Reader }{bytes.NewReader(bytes.Repeat([]byte(" "), maxBody+1))}
	resp := r.do(t, http.MethodPost, rpc.RoleAdmin, body)
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 413 || !strings.Contains(string(answer), "longer than 4194304 bytes") {
		t.Errorf("%d %s", resp.StatusCode, answer)
	}
	body = struct{ io.Reader }{strings.NewReader(`{"id":1,"method":"getblockcount"}`)}
	resp = r.do(t, http.MethodPost, rpc.RoleAdmin, body)
	defer resp.Body.Close()
	if answer, _ = io.ReadAll(resp.Body); string(answer) != `{"result":19,"error":null,"id":1}`+"\n" {
		t.Errorf("a short one: %d %s", resp.StatusCode, answer)
	}
}

// JSON-RPC 2.0 answers an array without calls with one error; bitcoind answers it with [].
func TestAnArrayWithoutCallsIsAnError(t *testing.T) {
	r := newRig(t)
	for _, body := range []string{"[]", " [ ] "} {
		status, answer := r.post(t, rpc.RoleSubmit, body)
		if status != 400 || !strings.HasPrefix(answer, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request`) || !strings.HasSuffix(answer, `,"id":null}`) {
			t.Errorf("%q: %d %s", body, status, answer)
		}
	}
}

// Many clients, Python's among them, send a whole body before they read the answer.
func TestWhoSendsAllBeforeReadingSeesTheRefusal(t *testing.T) {
	r := newRig(t)
	addr := r.listen(t)
	const long = 12 * maxBody // a script that submits a million digests at once
	body := bytes.Repeat([]byte(" "), long)
	for _, tt := range []struct {
		name, path, password string
		length               int64
		want                 int
	}{
		{"too long", "/", r.pass[rpc.RoleSubmit], long, http.StatusRequestEntityTooLarge},
		{"too long, in pieces", "/", r.pass[rpc.RoleSubmit], -1, http.StatusRequestEntityTooLarge},
		{"without the password", "/", "", long, http.StatusUnauthorized},
		{"without the password, in pieces", "/", "", -1, http.StatusUnauthorized},
		{"to another path", "/rpc", r.pass[rpc.RoleSubmit], long, http.StatusNotFound},
	} {
		req, err := http.NewRequest(http.MethodPost, "http://"+addr+tt.path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = tt.length
		req.SetBasicAuth(string(rpc.RoleSubmit), tt.password)
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := req.Write(conn); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != tt.want || len(text) == 0 {
			t.Errorf("%s: status %d, %q, %v, want %d", tt.name, resp.StatusCode, text, err, tt.want)
		}
		resp.Body.Close()
	}
}

func TestOnlyPostsToTheRootAreAnswered(t *testing.T) {
	r := newRig(t)
	for _, verb := range []string{"GET", "PUT", "OPTIONS", "DELETE"} {
		resp := r.do(t, verb, rpc.RoleAdmin, nil)
		resp.Body.Close()
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", verb, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
	resp, err := r.http.Client().Post(r.http.URL+"/wallet/x", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("another path: %d", resp.StatusCode)
	}
}

func TestEveryErrorOfThePartsHasItsCode(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int // in 1.0
		code   int
	}{
		{batcher.ErrBusy, 503, rpc.CodeBusy},
		{fmt.Errorf("the disk is full: %w", batcher.ErrReadOnly), 500, rpc.CodeDatabase},
		{fmt.Errorf("reading headers: %w", ErrStarting), 500, rpc.CodeStarting},
		{ErrNoWallet, 500, rpc.CodeNoWallet},
		{ErrWalletExists, 500, rpc.CodeWallet},
		{ErrWalletLocked, 500, rpc.CodeUnlockNeeded},
		{ErrWalletUnlocked, 500, rpc.CodeAlreadyUnlocked},
		{fmt.Errorf("no: %w", ErrWrongPassphrase), 500, rpc.CodeWrongPassphrase},
		{ErrInsufficientFunds, 500, rpc.CodeInsufficientFunds},
		{ErrInvalidAddress, 500, rpc.CodeNotFound},
		{ErrInvalidValue, 500, rpc.CodeInvalidParameter},
		{ErrWallet, 500, rpc.CodeWallet},
		{io.ErrUnexpectedEOF, 500, rpc.CodeMisc},
	} {
		r := newRig(t)
		r.batcher.err = c.err
		for _, params := range []string{`["` + someDigest + `"]`, `{"digest":"` + someDigest + `"}`} { // both ways in
			resp := r.do(t, http.MethodPost, rpc.RoleAdmin, strings.NewReader(`{"id":1,"method":"submit","params":`+params+`}`))
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			want := fmt.Sprintf(`{"result":null,"error":{"code":%d,"message":%q},"id":1}`+"\n", c.code, c.err.Error())
			if resp.StatusCode != c.status || string(answer) != want {
				t.Errorf("%v: %d %s\nwant %d %s", c.err, resp.StatusCode, answer, c.status, want)
			}
			if (resp.Header.Get("Retry-After") == "1") != (c.status == 503) {
				t.Errorf("%v: Retry-After is %q", c.err, resp.Header.Get("Retry-After"))
			}
		}
	}
}

func TestWhileItStartsTheServerSaysSo(t *testing.T) {
	r := newRig(t)
	r.server.services.Store(nil)
	r.server.SetPhase("opening the store")
	if result, err := r.call(t, rpc.RoleAdmin, "uptime", `[]`); err != nil {
		t.Errorf("uptime: %s %v", result, err)
	}
	for _, m := range methods() {
		if _, err := r.call(t, rpc.RoleAdmin, m.Name, m.Example); m.early != (err == nil) || err != nil && *err != (rpc.Error{Code: rpc.CodeStarting, Message: "ancred is starting: opening the store"}) {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

func TestAPanicIsAnsweredAndLoggedWithoutSecrets(t *testing.T) {
	r := newRig(t)
	r.batcher.onCall = func() { panic("a defect") }
	status, answer := r.post(t, rpc.RoleAdmin, `[{"method":"uptime","id":1},{"method":"submit","params":["`+someDigest+`"],"id":2},{"method":"uptime","id":3}]`)
	if want := `[{"result":0,"error":null,"id":1},{"result":null,"error":{"code":-32603,"message":"internal error in submit: the log of ancred has the details"},"id":2},{"result":0,"error":null,"id":3}]`; status != 200 || answer != want {
		t.Errorf("%d %s", status, answer)
	}
	if log := r.log.String(); !strings.Contains(log, "a defect") || !strings.Contains(log, "memBatcher") {
		t.Errorf("the log lacks the panic or its stack: %s", log)
	}
	r.server.Provide(Services{Wallet: panicWallet{}})
	if _, err := r.call(t, rpc.RoleAdmin, "unlockwallet", `["correct horse"]`); err == nil || err.Code != rpc.CodeInternal {
		t.Errorf("unlockwallet: %v", err)
	}
	if log := r.log.String(); strings.Contains(log, "correct horse") || !strings.Contains(log, "unlockwallet") {
		t.Errorf("the log: %s", log)
	}
}

func TestNoSecretReachesTheLog(t *testing.T) {
	r := newRig(t)
	r.call(t, rpc.RoleAdmin, "createwallet", `["correct horse","battery staple"]`)
	r.call(t, rpc.RoleAdmin, "createwallet", `["correct horse",5]`)
	r.call(t, rpc.RoleAdmin, "createwallet", `["correct horse"]`) // answers with words
	r.call(t, rpc.RoleAdmin, "unlockwallet", `["correct horse"]`)
	r.wallet.err = ErrWrongPassphrase
	r.call(t, rpc.RoleAdmin, "unlockwallet", `["correct horse"]`)
	r.call(t, rpc.RoleSubmit, "stop", `[]`)
	r.call(t, rpc.RoleAdmin, "stop", `[]`)
	r.pass[rpc.RoleRead] = "guessed password"
	r.post(t, rpc.RoleRead, `{"method":"uptime"}`)
	log := r.log.String()
	for _, secret := range []string{"correct", "horse", "battery", "abandon", "guessed", "password", r.pass[rpc.RoleAdmin], "Basic", "YWRtaW4"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, "method=unlockwallet user=admin code=-14 took=") || !strings.Contains(log, "refused wrong credentials") {
		t.Errorf("the log does not tell what was called:\n%s", log)
	}
	for _, line := range []string{`level=WARN msg="refused a call that none of the user's roles allows" user=submit method=stop`, `level=INFO msg="a client asks ancred to stop" user=admin`} {
		if strings.Count(log, line) != 1 {
			t.Errorf("the log does not say once %s:\n%s", line, log)
		}
	}
}

func TestTheAnswersOfAnArrayAreBounded(t *testing.T) {
	r := newRig(t)
	r.withAnchor()
	const size = 100_000 // of each answer, about
	r.batcher.anchors[0].Anchor.Versions[0].Tx.TxOut[0].PkScript = make([]byte, size/2)
	status, answer := r.post(t, rpc.RoleAdmin, `[`+strings.Repeat(`{"id":1,"method":"getanchor","params":[1]},`, maxCalls-1)+`{"id":2,"method":"uptime"}]`)
	var answers []struct {
		Result json.RawMessage
		Error  *rpc.Error
		ID     int
	}
	if err := json.Unmarshal([]byte(answer), &answers); err != nil || status != 200 || len(answers) != maxCalls {
		t.Fatalf("status %d, %d answers: %v", status, len(answers), err)
	}
	if len(answer) < maxAnswerBytes || len(answer) > maxAnswerBytes+2*size+200*maxCalls {
		t.Errorf("the answers have %d bytes in total", len(answer))
	}
	if first, last := answers[0], answers[maxCalls-1]; first.Error != nil || last.Error == nil || last.ID != 2 ||
		last.Error.Code != rpc.CodeInvalidRequest || !strings.Contains(last.Error.Message, "longer than 33554432 bytes in total") {
		t.Errorf("the first is answered with %v, the last with %v", first.Error, last.Error)
	}
}

type panicWallet struct{ Wallet }

func (panicWallet) Unlock(_ context.Context, pass string) error { panic("wrong: " + pass) }

// FuzzEveryBodyIsAnswered holds that any body gets an answer with a status that bitcoind would
// give, and JSON.
func FuzzEveryBodyIsAnswered(f *testing.F) {
	for _, c := range scanCases {
		f.Add(scanBody(c.body))
	}
	lines, err := os.ReadFile("testdata/bitcoind.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(lines) {
		var v struct{ Request string }
		if err := json.Unmarshal(line, &v); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(v.Request))
	}
	for _, m := range methods() {
		f.Add(fmt.Appendf(nil, `[{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}]`, m.Name, m.Example))
	}
	r := newRig(f)
	r.withAnchor()
	r.server.log = slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		req.SetBasicAuth(string(rpc.RoleAdmin), r.pass[rpc.RoleAdmin])
		w := httptest.NewRecorder()
		r.server.ServeHTTP(w, req)
		switch w.Code {
		case 204:
			if w.Body.Len() != 0 {
				t.Errorf("204 with a body: %s", w.Body)
			}
			return
		case 200, 400, 404, 500:
		default:
			t.Errorf("status %d", w.Code)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer is not JSON: %q", w.Body)
		}
		if bytes.Contains(w.Body.Bytes(), []byte("internal error")) {
			t.Errorf("a method panicked: %s", w.Body)
		}
	})
}
