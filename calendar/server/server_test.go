package server

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/calendar"
	"ancre/headers"
	"ancre/internal/httpserve"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Each route answers as otsd does: status, text, type and how long caches may keep it.
func TestAnswersAreOtsdsToTheLetter(t *testing.T) {
	r := newRig(t, Config{})
	open := r.submitted("open")
	mined, final := r.submitted("mined"), r.submitted("final")
	r.anchor(mined, batcher.Progress{State: batcher.Mined, Height: 18, Confirmations: 2})
	minedBy := r.batcher.leaves[mined].TxID.String()
	r.anchor(final, batcher.Progress{State: batcher.Final, Height: 7, Confirmations: 14})

	const day, year = "public, max-age=60", "public, max-age=31536000"
	for _, c := range []struct {
		name, method, path, body string

		status      int
		contentType string
		cache, want string
	}{
		{"a message that is too long", "POST", "/digest", strings.Repeat("x", 65), 400, "text/plain", "", "digest too long"},
		{"on its way", "GET", "/timestamp/" + hexOf(open), "", 404, "text/plain", day, "Pending confirmation in Bitcoin blockchain"},
		{"in a block", "GET", "/timestamp/" + hexOf(mined), "", 404, "text/plain", day, "Timestamped by transaction " + minedBy + "; waiting for 4 confirmations"},
		{"never handed in", "GET", "/timestamp/" + strings.Repeat("00", 32), "", 404, "text/plain", day, "Not found"},
		{"in upper case, never handed in", "GET", "/timestamp/" + strings.Repeat("AB", 32), "", 404, "text/plain", day, "Not found"},
		{"a commitment that is shorter", "GET", "/timestamp/00ff", "", 404, "text/plain", day, "Not found"},
		{"no commitment", "GET", "/timestamp/", "", 404, "text/plain", day, "Not found"},
		{"not hexadecimal", "GET", "/timestamp/xyz0", "", 400, "text/plain", year, "commitment must be hex-encoded bytes"},
		{"half a byte", "GET", "/timestamp/abc", "", 400, "text/plain", year, "commitment must be hex-encoded bytes"},
		{"a path below a commitment", "GET", "/timestamp/" + hexOf(open) + "/x", "", 400, "text/plain", year, "commitment must be hex-encoded bytes"},
		{"no tip", "GET", "/tip", "", 404, "text/plain", "public, max-age=10", ""},
		{"no such route", "GET", "/digests", "", 404, "text/plain", "public, max-age=3600", "Not found"},
		{"no such route to post to", "POST", "/", "", 405, "text/plain", "public, max-age=3600", "use GET, HEAD, OPTIONS"},
		{"nowhere to post to", "POST", "/nowhere", "", 404, "text/plain", "public, max-age=3600", "not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := r.ask(c.method, c.path, c.body)
			if got := text(t, resp); resp.StatusCode != c.status || got != c.want {
				t.Errorf("status %d, %q; want %d, %q", resp.StatusCode, got, c.status, c.want)
			}
			if got := resp.Header.Get("Content-Type"); got != c.contentType {
				t.Errorf("Content-Type %q, want %q", got, c.contentType)
			}
			if got := resp.Header.Get("Cache-Control"); got != c.cache {
				t.Errorf("Cache-Control %q, want %q", got, c.cache)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("Access-Control-Allow-Origin %q, want *", got)
			}
		})
	}

	for _, path := range []string{hexOf(final), strings.ToUpper(hexOf(final))} {
		resp := r.ask("GET", "/timestamp/"+path, "")
		if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != year || resp.Header.Get("Content-Type") != "application/octet-stream" {
			t.Fatalf("a final commitment: %d, %v", resp.StatusCode, resp.Header)
		}
		ts, err := proof.ParseTimestamp([]byte(text(t, resp)), final[:])
		if err != nil {
			t.Fatal(err)
		}
		if all := ts.All(); len(all) != 1 || all[0].Kind() != proof.KindBitcoin {
			t.Errorf("a final commitment leads to %v", all)
		}
	}
}

func TestMessagesOfEveryLengthAreTaken(t *testing.T) {
	r := newRig(t, Config{})
	for n := range calendar.MaxMessage + 1 {
		message := strings.Repeat("\xff", n)
		r.submitted(message)
		if !r.batcher.messages[message] {
			t.Errorf("a message of %d bytes did not reach the batcher as it is", n)
		}
	}
}

// exchange sends bytes over a connection and reads one answer.
func exchange(t *testing.T, addr, send string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && strings.HasSuffix(send, "cut") {
		tcp.CloseWrite()
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// net/http finds the length of a body, so this test uses a real connection.
func TestBodiesAreTakenWholeOrNotAtAll(t *testing.T) {
	r := newRig(t, Config{})
	addr := r.listen()
	const post = "POST /digest HTTP/1.1\r\nHost: a\r\n"
	for _, c := range []struct {
		name, send string
		status     int
		want       string // in the answer
	}{
		{"in chunks", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200, testURI},
		{"64 bytes in chunks", post + "Transfer-Encoding: chunked\r\n\r\n40\r\n" + strings.Repeat("c", 64) + "\r\n0\r\n\r\n", 200, testURI},
		{"65 bytes in chunks", post + "Transfer-Encoding: chunked\r\n\r\n41\r\n" + strings.Repeat("c", 65) + "\r\n0\r\n\r\n", 400, "digest too long"},
		{"chunks without end", post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("40\r\n"+strings.Repeat("c", 64)+"\r\n", 50), 400, "digest too long"},
		{"chunks that break off", post + "Transfer-Encoding: chunked\r\n\r\n40\r\ncut", 400, "the body broke off"},
		{"broken chunks", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", 400, "the body broke off"},
		{"a body that breaks off", post + "Content-Length: 32\r\n\r\nlittle and cut", 400, "the body broke off after 14 of 32 bytes"},
		{"an empty message", post + "Content-Length: 0\r\n\r\n", 200, testURI},
		{"no body", post + "\r\n", 400, "invalid Content-Length"},
		{"a gigabyte announced", post + "Content-Length: 1000000000\r\n\r\nbegin", 400, "digest too long"},
		{"a length that is none", post + "Content-Length: x\r\n\r\n", 400, ""},
		{"a form's type, as JavaScript clients say", post + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\na=", 200, testURI},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(r.batcher.messages)
			resp := exchange(t, addr, c.send)
			if got := text(t, resp); resp.StatusCode != c.status || !strings.Contains(got, c.want) {
				t.Errorf("status %d, %q; want %d with %q", resp.StatusCode, got, c.status, c.want)
			}
			if after := len(r.batcher.messages); (after > before) != (c.status == 200) {
				t.Errorf("the batcher has %d messages, had %d", after, before)
			}
			if strings.Contains(c.want, "too long") && !resp.Close {
				t.Error("the server goes on reading")
			}
		})
	}
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	r := newRig(t, Config{})
	addr := r.listen()
	final := r.submitted("final")
	r.anchor(final, batcher.Progress{State: batcher.Final, Height: 7})
	for _, path := range []string{"/", "/tip", "/timestamp/" + hexOf(final), "/timestamp/zz", "/block-height/3", "/nowhere"} {
		get, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		head, err := http.Head("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body := text(t, get)
		head.Body.Close()
		if get.StatusCode != head.StatusCode || get.Header.Get("Cache-Control") != head.Header.Get("Cache-Control") || head.ContentLength != int64(len(body)) {
			t.Errorf("%s: GET %d with %d bytes, HEAD %d with %d", path, get.StatusCode, len(body), head.StatusCode, head.ContentLength)
		}
	}
}

func TestWebPagesMayAsk(t *testing.T) {
	r := newRig(t, Config{})
	for path, allowed := range map[string]string{
		"/digest": "POST, OPTIONS", "/": "GET, HEAD, OPTIONS", "/tip": "GET, HEAD, OPTIONS", "/timestamp/00": "GET, HEAD, OPTIONS", "/block/00": "GET, HEAD, OPTIONS",
	} {
		resp := r.ask("OPTIONS", path, "", "Origin", "https://example.org", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-signature")
		h := resp.Header
		if resp.StatusCode != 204 || h.Get("Allow") != allowed || h.Get("Access-Control-Allow-Methods") != allowed ||
			h.Get("Access-Control-Allow-Headers") != "*" || h.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("OPTIONS %s: %d, %v", path, resp.StatusCode, h)
		}
	}
	for _, c := range [][3]string{{"GET", "/digest", "POST, OPTIONS"}, {"PUT", "/digest", "POST, OPTIONS"}, {"DELETE", "/tip", "GET, HEAD, OPTIONS"}, {"POST", "/timestamp/00", "GET, HEAD, OPTIONS"}} {
		if resp := r.ask(c[0], c[1], ""); resp.StatusCode != 405 || resp.Header.Get("Allow") != c[2] {
			t.Errorf("%s %s: %d, Allow %q", c[0], c[1], resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
}

func TestTipIsTheNewestRootThatIsInNoBlock(t *testing.T) {
	r := newRig(t, Config{})
	newest, older := [32]byte{1}, [32]byte{2}
	r.batcher.anchors = []batcher.AnchorStatus{
		anchorStatus(4, store.Dead, [32]byte{4}), anchorStatus(3, store.Broadcast, newest), anchorStatus(2, store.Broadcast, older), anchorStatus(1, store.Final, [32]byte{3}),
	}
	resp := r.ask("GET", "/tip", "")
	if got := text(t, resp); resp.StatusCode != 200 || got != string(newest[:]) || resp.Header.Get("Cache-Control") != "public, max-age=10" {
		t.Errorf("%d, %x, %v", resp.StatusCode, got, resp.Header)
	}
}

func TestEsploraRoutesAnswerFromOurHeaders(t *testing.T) {
	r := newRig(t, Config{})
	for i := range r.chain.headers[1:] {
		// Each has a Merkle root of its own, so that a wrong block shows.
		r.chain.headers[i+1].MerkleRoot = chainhash.HashH([]byte{byte(i)})
		r.chain.headers[i+1].PrevBlock = r.chain.headers[i].BlockHash()
	}
	hash := r.chain.headers[5].BlockHash()
	raw := func(height int) string {
		var b bytes.Buffer
		if err := r.chain.headers[height].Serialize(&b); err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(b.Bytes())
	}
	for _, c := range []struct {
		path   string
		status int
		want   string
		cache  string
	}{
		{"/block-height/5", 200, hash.String(), keepBlock},
		{"/block-height/20", 200, r.chain.headers[20].BlockHash().String(), keepTip},
		{"/block-height/21", 404, "Block not found", keepTip},
		{"/block-height/18446744073709551616", 400, "Invalid number", keepBriefly},
		{"/block-height/-1", 400, "Invalid number", keepBriefly},
		{"/block-height/", 400, "Invalid number", keepBriefly},
		{"/block-height/1/x", 404, "Not found", keepBriefly},
		{"/block/" + strings.Repeat("00", 32), 404, "Block not found", keepTip},
		{"/block/" + hash.String()[2:], 400, "Invalid hex string", keepBriefly},
		{"/block/" + strings.Repeat("zz", 32), 400, "Invalid hex string", keepBriefly},
		{"/block/" + hash.String() + "/txids", 404, "Not found", keepBriefly},
		{"/block/" + hash.String() + "/header", 200, raw(5), keepBlock},
		{"/block/" + r.chain.headers[20].BlockHash().String() + "/header", 200, raw(20), keepTip},
		{"/block/" + hash.String() + "/header/", 404, "Not found", keepBriefly},
		{"/block/" + strings.Repeat("00", 32) + "/header", 404, "Block not found", keepTip},
		{"/block/00/header", 400, "Invalid hex string", keepBriefly},
		{"/blocks/tip/height", 200, "20", keepTip},
		{"/blocks/tip/hash", 200, r.chain.headers[20].BlockHash().String(), keepTip},
		{"/blocks/tip/", 404, "Not found", keepBriefly},
		{"/blocks/tip/height/1", 404, "Not found", keepBriefly},
		{"/calendar/5/data", 200, r.chain.headers[5].MerkleRoot.String(), keepBlock},
		{"/calendar/20/data", 200, r.chain.headers[20].MerkleRoot.String(), keepTip},
		{"/calendar/21/data", 404, "Block not found", keepTip},
		{"/calendar/x/data", 400, "Invalid number", keepBriefly},
		{"/calendar//data", 400, "Invalid number", keepBriefly},
		{"/calendar/5/hash", 404, "Not found", keepBriefly},
		{"/calendar/5", 404, "Not found", keepBriefly},
		{"/calendar/5/data/data", 404, "Not found", keepBriefly},
	} {
		resp := r.ask("GET", c.path, "")
		if got := text(t, resp); resp.StatusCode != c.status || got != c.want || resp.Header.Get("Cache-Control") != c.cache || resp.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: %d, %q, %v; want %d, %q", c.path, resp.StatusCode, got, resp.Header, c.status, c.want)
		}
	}

	header := r.chain.headers[5]
	for _, path := range []string{hash.String(), strings.ToUpper(hash.String())} {
		resp := r.ask("GET", "/block/"+path, "")
		var got map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d, %v, %v", resp.StatusCode, resp.Header, err)
		}
		want := map[string]any{
			"id": hash.String(), "height": 5., "version": 4., "timestamp": float64(header.Timestamp.Unix()), "merkle_root": header.MerkleRoot.String(),
			"previousblockhash": header.PrevBlock.String(), "mediantime": float64(r.chain.headers[3].Timestamp.Unix()), "nonce": 0.,
			"bits": float64(header.Bits), "difficulty": headers.Difficulty(header.Bits),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %v\nwant %v", got, want)
		}
	}
	genesis := text(t, r.ask("GET", "/block/"+r.chain.headers[0].BlockHash().String(), ""))
	if !strings.Contains(genesis, `"previousblockhash":null`) {
		t.Errorf("the genesis block: %s", genesis)
	}
}

// While this node syncs, a block that it does not know may exist. "Not found" would be wrong, and
// caches would keep it.
func TestUnknownBlocksAreNotDeniedWhileSyncing(t *testing.T) {
	r := newRig(t, Config{})
	r.chain.behind = true
	for _, path := range []string{
		"/block-height/21", "/block/" + strings.Repeat("00", 32), "/block/" + strings.Repeat("00", 32) + "/header",
		"/blocks/tip/height", "/blocks/tip/hash", "/calendar/21/data",
	} {
		resp := r.ask("GET", path, "")
		if got := text(t, resp); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(got, "still syncing") || !strings.Contains(got, "20") {
			t.Errorf("%s: %d, %q", path, resp.StatusCode, got)
		}
	}
	if resp := r.ask("GET", "/block-height/20", ""); resp.StatusCode != 200 {
		t.Errorf("a block that is here: %d", resp.StatusCode)
	}
	r.submitted("taken all the same")
}

func TestEverythingWaitsForTheStart(t *testing.T) {
	s := New(Config{})
	s.SetPhase("opening the store")
	r := &rig{Server: s, t: t}
	for _, c := range [][2]string{{"POST", "/digest"}, {"GET", "/"}, {"GET", "/tip"}, {"GET", "/timestamp/00"}, {"GET", "/block-height/1"}} {
		resp := r.ask(c[0], c[1], "")
		if got := text(t, resp); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(got, "opening the store") {
			t.Errorf("%s %s: %d, %q", c[0], c[1], resp.StatusCode, got)
		}
	}
}

// Internal errors are answered in words that a client can act on and that reveal nothing internal.
func TestTroublesAreToldWithoutTheirInside(t *testing.T) {
	const secret = "/var/lib/ancre/store"
	for _, c := range []struct {
		name   string
		err    error
		status int
		retry  string
		want   string
	}{
		{"the queue is full", batcher.ErrBusy, 503, "1", "too many digests are waiting"},
		{"the disk is full", fmt.Errorf("%w: %s is full", batcher.ErrReadOnly, secret), 503, "60", "cannot take digests now"},
		{"something else", errors.New(secret + " is broken"), 500, "", "internal error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.batcher.err = c.err
			for _, resp := range []*http.Response{r.ask("POST", "/digest", "m"), r.ask("GET", "/timestamp/"+strings.Repeat("00", 32), "")} {
				got := text(t, resp)
				if resp.StatusCode != c.status || resp.Header.Get("Retry-After") != c.retry || !strings.Contains(got, c.want) || resp.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%d, %v, %q", resp.StatusCode, resp.Header, got)
				}
				if strings.Contains(got, secret) {
					t.Errorf("the answer tells %q", got)
				}
			}
			if c.status == 500 && !strings.Contains(r.log.String(), secret) {
				t.Errorf("the operator is not told: %q", r.log)
			}
		})
	}
}

// A reader of the log must not learn what was stamped, and when.
func TestNothingOfAnybodysMessageIsLogged(t *testing.T) {
	const message = "the merger with Dupont SA"
	r := newRig(t, Config{RateLimit: 1000})
	addr := r.listen()
	leaf := r.submitted(message)
	for _, err := range []error{nil, batcher.ErrBusy, errors.New("a defect")} {
		r.batcher.err = err
		text(t, exchange(t, addr, fmt.Sprintf("POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(message), message)))
		text(t, exchange(t, addr, "GET /timestamp/"+hexOf(leaf)+" HTTP/1.1\r\nHost: a\r\n\r\n"))
	}
	r.batcher.err, r.batcher.panics = nil, "defect at"
	if resp := exchange(t, addr, fmt.Sprintf("POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(message), message)); resp.StatusCode != 500 {
		t.Errorf("a panic is answered with %d", resp.StatusCode)
	}
	text(t, exchange(t, addr, "POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n"+message+"cut"))
	text(t, exchange(t, addr, "POST /digest HTTP/1.1\r\nHost: a\r\nX-"+message+"\r\n\r\n"))
	logged := r.log.String()
	if !strings.Contains(logged, "panicked") || !strings.Contains(logged, "a defect") {
		t.Errorf("the defects are not in the log: %q", logged)
	}
	for _, bad := range []string{message, hex.EncodeToString([]byte(message)), base64.StdEncoding.EncodeToString([]byte(message)), hexOf(leaf)} {
		if strings.Contains(logged, bad) {
			t.Errorf("the log tells %q:\n%s", bad, logged)
		}
	}
}

// A timestamp larger than any real one: a batch and an anchor of 16 million each, and a transaction
// of almost 4,096 bytes, the limit of an operation, in a block of a million transactions.
func TestLargestTimestampIsReadByEveryClient(t *testing.T) {
	leaf := [32]byte{1}
	a := proof.Inclusion{Height: 1 << 30}
	for i := range 24 {
		a.Path = append(a.Path, proof.Step{Left: i%2 == 0, Hash: [32]byte{2, byte(i)}})
		a.RootPath = append(a.RootPath, proof.Step{Left: i%2 == 1, Hash: [32]byte{3, byte(i)}})
	}
	tx := anchorTx(proof.RootFromPath(proof.RootFromPath(leaf, a.Path), a.RootPath))
	for tx.SerializeSize() < 4_096-2*41 {
		tx.AddTxIn(&wire.TxIn{Sequence: uint32(len(tx.TxIn))})
	}
	var raw bytes.Buffer
	if err := tx.SerializeNoWitness(&raw); err != nil {
		t.Fatal(err)
	}
	a.Tx, a.MerkleRoot = raw.Bytes(), tx.TxHash()
	for i := range 20 {
		sibling := [32]byte{4, byte(i)}
		a.Branch = append(a.Branch, sibling)
		a.MerkleRoot = chainhash.DoubleHashH(append(bytes.Clone(a.MerkleRoot[:]), sibling[:]...))
	}
	r := newRig(t, Config{})
	r.batcher.anchored = a
	r.batcher.leaves[leaf] = batcher.Progress{State: batcher.Final}
	resp := r.ask("GET", "/timestamp/"+hexOf(leaf), "")
	if got := text(t, resp); resp.StatusCode != 200 || len(got) > calendar.MaxAnswer || len(got) < 6_000 {
		t.Errorf("status %d, %d bytes; want no more than the %d that clients read\n%s", resp.StatusCode, len(got), calendar.MaxAnswer, r.log)
	}
}

func TestEveryLimitOfConnectionsIsSet(t *testing.T) {
	v := reflect.ValueOf(limits)
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Name; name {
		case "PerAddress", "Unlimited": // set by Serve, where requests are limited
		default:
			if v.Field(i).IsZero() {
				t.Errorf("limits.%s is zero: none", name)
			}
		}
	}
}

func TestStatusPageIsForPeopleAndPrograms(t *testing.T) {
	r := newRig(t, Config{})
	closes := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r.node.info = rpc.Info{
		Version: "1.2<3>", Network: "mainnet", DataDir: "/var/lib/ancre", Ready: true, Digests: 1234567,
		Chain:   rpc.ChainInfo{Synced: true, Height: 850000, BlockHash: strings.Repeat("ab", 32), TargetHeight: 850000},
		Batch:   &rpc.Batch{Closes: &closes},
		Wallet:  rpc.WalletInfo{State: "ready", Balance: rpc.Balance{ConfirmedSats: 987654}},
		Anchors: rpc.AnchorCounts{Mined: 1},
	}
	r.batcher.batches = []batcher.BatchStatus{
		{Batch: store.Batch{ID: 3, Count: 10}, Progress: batcher.Progress{State: batcher.Open}},
		{Batch: store.Batch{ID: 2, Count: 500}, Progress: batcher.Progress{State: batcher.Broadcast}},
		{Batch: store.Batch{ID: 1, Count: 7}, Progress: batcher.Progress{State: batcher.Mined}},
	}
	root := [32]byte{9}
	r.batcher.anchors = []batcher.AnchorStatus{anchorStatus(3, store.Broadcast, root), anchorStatus(2, store.Dead, [32]byte{8}), anchorStatus(1, store.Mined, [32]byte{7})}

	resp := r.ask("GET", "/", "", "Accept", "text/html,application/xhtml+xml")
	page := text(t, resp)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || resp.Header.Get("Cache-Control") != "public, max-age=5" || resp.Header.Get("Vary") != "Accept" {
		t.Errorf("%d, %v", resp.StatusCode, resp.Header)
	}
	for _, want := range []string{"All is well", "510 hashes", "1,234,567", "850,000", "2026-03-01 12:00 UTC", "ots stamp -c " + testURI, anchorTx(root).TxHash().String(), "1.2&lt;3&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	raw := text(t, r.ask("GET", "/", "", "Accept", "application/json"))
	var st Status
	if err := json.Unmarshal([]byte(raw), &st); err != nil {
		t.Fatal(err)
	}
	if st.PendingCommitments != 510 || st.WaitingTransactions != 1 || st.MostRecentTx != anchorTx(root).TxHash().String() || st.Tip != hexOf(root) ||
		st.BlockHeight != 850000 || st.URI != testURI || !st.Anchoring || len(st.Anchors) != 2 || st.Anchors[1].Height != 7 {
		t.Errorf("%+v", st)
	}
	for _, secret := range []string{"987", "/var/lib"} {
		if strings.Contains(page, secret) || strings.Contains(raw, secret) {
			t.Errorf("the public page tells %q", secret)
		}
	}
	if r.batcher.asked != 1 {
		t.Errorf("two requests of one moment asked the batcher %d times", r.batcher.asked)
	}
}

func TestStatusPageSaysWhenProofsTakeLonger(t *testing.T) {
	for _, c := range []struct {
		name    string
		info    rpc.Info
		want    string
		neither string
	}{
		{"syncing", rpc.Info{Network: "mainnet", Chain: rpc.ChainInfo{Height: 1000, TargetHeight: 850000}}, "block 1,000 of 850,000", "All is well"},
		{"no money", rpc.Info{Network: "mainnet", Chain: rpc.ChainInfo{Synced: true}, Warnings: []string{"deposit 5000 sat to bc1qsecret"}}, "needs the operator", "bc1qsecret"},
		{"a test network", rpc.Info{Network: "signet", Ready: true, Chain: rpc.ChainInfo{Synced: true}}, "prove nothing", "prove something"},
		{"a warning that holds anchors", rpc.Info{Network: "mainnet", Ready: true, Held: true, Chain: rpc.ChainInfo{Synced: true}}, "needs the operator", "All is well"},
		{"another warning", rpc.Info{Network: "mainnet", Ready: true, Warnings: []string{"advice"}, Chain: rpc.ChainInfo{Synced: true}}, "All is well", "advice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.node.info = c.info
			page := text(t, r.ask("GET", "/", ""))
			raw := text(t, r.ask("GET", "/", "", "Accept", "application/json"))
			if !strings.Contains(page, c.want) || strings.Contains(page, c.neither) || strings.Contains(raw, c.neither) {
				t.Errorf("%s\n%s", page, raw)
			}
		})
	}
}

// Chunked bodies of other clients: net/http's own reader and writer.
func TestNetHTTPsClientIsUnderstood(t *testing.T) {
	r := newRig(t, Config{})
	addr := r.listen()
	resp, err := http.Post("http://"+addr+"/digest", "application/octet-stream", io.MultiReader(bytes.NewReader([]byte("in ")), strings.NewReader("chunks")))
	if err != nil {
		t.Fatal(err)
	}
	if text(t, resp); resp.StatusCode != 200 || !r.batcher.messages["in chunks"] {
		t.Errorf("%d, %v", resp.StatusCode, r.batcher.messages)
	}
}

// Whatever a client sends, the answer is one of ours, and nothing panics.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/timestamp/"+strings.Repeat("00", 32), "", "198.51.100.7, 10.0.0.1")
	f.Add("POST", "/digest", "message", "[2001:db8::1]:80")
	f.Add("OPTIONS", "/block-height/9", "", ",,,")
	f.Add("GET", "/block/"+strings.Repeat("ab", 32), "", "::ffff:1.2.3.4%eth0")
	f.Add("HEAD", "/", "", "unknown")
	f.Fuzz(func(t *testing.T, method, path, body, forwarded string) {
		r := newRig(t, Config{RateLimit: 1000, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		req := &http.Request{
			Method: method, URL: &url.URL{Path: path}, Header: http.Header{"X-Forwarded-For": {forwarded}}, RemoteAddr: "10.0.0.1:5",
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		switch w.Code {
		case 200, 204, 400, 404, 405:
		default:
			t.Errorf("status %d: %s\n%s", w.Code, w.Body, r.log)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Error("no CORS header")
		}
		if len(r.batcher.messages) > 0 && (method != "POST" || path != "/digest" || !r.batcher.messages[body]) {
			t.Errorf("%s %s took %v", method, path, r.batcher.messages)
		}
		if addr := r.limiter.client(req); !addr.IsValid() || addr.Zone() != "" && !httpserve.AddressKey(addr).IsValid() {
			t.Errorf("%q is counted as %s", forwarded, addr)
		}
	})
}
