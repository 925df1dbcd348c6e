package server

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/batcher/store"
	"ancre/internal/humanize"
	"ancre/rpc"

	"pgregory.net/rapid"
)

var someDigest = strings.Repeat("0123456789abcdef", 4)

// scanCases are calls that scan takes, and calls that resemble them.
var scanCases = []struct {
	body  string
	taken bool
}{
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["D"]}`, true},
	{`{"jsonrpc":"1.0","id":"curltest","method":"submit","params":["D"]}`, true},
	{` { "params" : [ [ "D" , "D" ] ] , "method" : "submitbatch" , "id" : 0 } ` + "\n", true},
	{`{"method":"submit","params":["D"]}`, true},
	{`{"jsonrpc":"2.0","method":"submit","params":["D"]}`, true},
	{`{"jsonrpc":"2.0","id":1,"method":"submitbatch","params":[["D"]]}`, true},
	{`{"jsonrpc":"2.0","id":1,"method":"getstatus","params":["D"]}`, true},
	{`{"jsonrpc":"2.0","id":1,"method":"getproof","params":["D"]}`, true},
	{`{"params":["D" , "ots"],"jsonrpc":"2.0","id":1,"method":"getproof"}`, true},

	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":[["D"]]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submitbatch","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submitbatch","params":[[]]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submitbatch","params":[["D",]]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["D","D"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":[]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":{"digest":"D"}}`, false},
	{`{"jsonrpc":"2.0","id":1,"id":1,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","jsonrpc":"1.0","id":1,"method":"submit","params":["D"]}`, false},
	{`{"method":"submit","method":"submit","params":["D"]}`, false},
	{`{"method":"submit","params":["D"],"params":["D"]}`, false},
	{`{"jsonrpc":"2.0","ID":1,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"3.0","id":1,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":null,"id":1,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":null,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":01,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":-1,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":1.5,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":1e5,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":,"method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":"\u0031","method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":"é","method":"submit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"\u0073ubmit","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"getstatus","params":["D","ots"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["D","ots"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"getproof","params":["D","chainpoint"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"getproof","params":["D","ots","ots"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"getproof","params":["D",]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"getproof","params":[["D"]]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"getproof","params":["D",null]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"uptime","params":["D"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["D"]} x`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["D"],}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["D"]`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["D`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["Da"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":["ABCDEF"]}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit","params":null}`, false},
	{`{"jsonrpc":"2.0","id":1,"method":"submit"}`, false},
	{`{"jsonrpc":"2.0","id":1,"params":["D"]}`, false},
	{`[{"jsonrpc":"2.0","id":1,"method":"submit","params":["D"]}]`, false},
	{`{}`, false},
	{``, false},
}

func scanBody(body string) []byte { return []byte(strings.ReplaceAll(body, "D", someDigest)) }

func TestScanTakesTheUsualCallsAndLeavesTheRest(t *testing.T) {
	for _, c := range scanCases {
		if _, ok := scan(scanBody(c.body), nil); ok != c.taken {
			t.Errorf("scan says %v of %s", ok, c.body)
		}
		checkScan(t, scanBody(c.body))
	}
}

// checkScan holds that decode and parseParams read the calls that scan takes to the same effect.
func checkScan(t rapid.TB, body []byte) {
	t.Helper()
	fast, ok := scan(body, slices.Repeat([][32]byte{{1, 2, 3}}, 2)) // memory that was used before
	if !ok {
		return
	}
	calls, array, refused := split(body)
	if refused != nil || array {
		t.Fatalf("scan takes what split does not: %v: %q", refused, body)
	}
	slow, refused := decode(calls[0])
	if refused != nil {
		t.Fatalf("scan takes what decode refuses: %v: %q", refused, body)
	}
	if fast.v2 != slow.v2 || !bytes.Equal(fast.id, slow.id) || (fast.id == nil) != (slow.id == nil) || fast.method != slow.method {
		t.Fatalf("scan reads %+v, decode %+v: %q", fast, slow, body)
	}
	m := slices.IndexFunc(methods(), func(m method) bool { return m.Name == slow.method })
	a, refused := parseParams(&methods()[m], slow.params)
	if refused != nil {
		t.Fatalf("scan takes parameters that are refused: %v: %q", refused, body)
	}
	read := scanned(&methods()[m], fast.digests)
	for i := range a.values {
		slow, fast := &a.values[i], &read.values[i]
		if i == 0 {
			slow.text = "" // as it was written
		}
		if !slices.Equal(fast.digests, slow.digests) || fast.set != slow.set || fast.text != slow.text || fast.number != 0 || fast.flag {
			t.Fatalf("scan reads the parameter %s as %+v, the general way as %+v: %q", a.params[i].Name, fast, slow, body)
		}
	}
}

func FuzzScanAgreesWithTheGeneralWay(f *testing.F) {
	for _, c := range scanCases {
		f.Add(scanBody(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkScan(t, body) })
}

// TestScanAgreesOnCallsPutTogetherAtRandom composes calls from parts that matter. Random bytes
// would seldom get past the first brace.
func TestScanAgreesOnCallsPutTogetherAtRandom(t *testing.T) {
	usual := func(good []string, others ...string) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			if rapid.IntRange(0, 9).Draw(t, "usual") > 0 {
				return rapid.SampledFrom(good).Draw(t, "good")
			}
			return rapid.SampledFrom(others).Draw(t, "other")
		})
	}
	version := usual([]string{`"jsonrpc":"2.0"`, `"jsonrpc":"1.0"`, `"jsonrpc": "1.1" `}, `"jsonrpc":null`, `"Jsonrpc":"2.0"`, `"version":"1.1"`, `"jsonrpc":"3.0"`)
	name := usual([]string{`"method":"submit"`, `"method" :"submitbatch"`, `"method":"getstatus"`, `"method":"getproof"`}, `"method":"stop"`, `"method":null`)
	id := usual([]string{`"id":0`, `"id":17`, `"id":"a b"`, `"id":18446744073709551616`, `"id":"~"`, `"id":""`}, `"id":007`, `"id":null`, `"id":"\n"`)
	digest := usual([]string{`"D"`, ` "D" `}, `"d"`, `1`, `["D"]`, `"ots"`, `"chainpoint"`, strings.ToUpper(`"D"`), `"DD"`)
	params := rapid.Custom(func(t *rapid.T) string {
		list := "[" + strings.Join(rapid.SliceOfN(digest, 1, 2).Draw(t, "digests"), ",") + "]"
		if rapid.Bool().Draw(t, "many") {
			list = "[" + list + "]"
		}
		return `"params":` + list
	})
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		members := []string{version.Draw(t, "version"), name.Draw(t, "method"), id.Draw(t, "id"), params.Draw(t, "params")}
		members = rapid.Permutation(members).Draw(t, "order")
		if i := rapid.IntRange(0, 15).Draw(t, "twice"); i < len(members) {
			members = append(members, members[i])
		}
		body := "{" + strings.Join(members, rapid.SampledFrom([]string{",", " , "}).Draw(t, "comma")) + "}"
		body += usual([]string{"", "\n"}, "}").Draw(t, "tail")
		if _, ok := scan(scanBody(body), nil); ok {
			taken++
		}
		checkScan(t, scanBody(body))
	})
	if taken == 0 {
		t.Error("scan took none of them: nothing was compared")
	}
	t.Logf("scan took %d of them", taken)
}

func TestAnEntryIsWrittenAsEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hash := func(label string) (h [32]byte) {
			if rapid.Bool().Draw(t, label+"?") {
				copy(h[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, label))
			}
			return h
		}
		st := batcher.Status{
			Digest:   hash("digest"),
			Position: store.Position{Batch: rapid.Uint64().Draw(t, "batch"), Index: rapid.Uint64().Draw(t, "index")},
			Progress: batcher.Progress{
				State:         rapid.SampledFrom([]batcher.State{batcher.Open, batcher.Sealed, batcher.Broadcast, batcher.Mined, batcher.Final}).Draw(t, "state"),
				TxID:          hash("txid"),
				Height:        rapid.Int32().Draw(t, "height"),
				BlockHash:     hash("block"),
				Confirmations: rapid.Int32().Draw(t, "confirmations"),
			},
		}
		if rapid.Bool().Draw(t, "time?") {
			zone := time.FixedZone("", rapid.IntRange(-50_000, 50_000).Draw(t, "zone"))
			st.Progress.BlockTime = time.Unix(rapid.Int64Range(1e9, 1e10).Draw(t, "time"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).In(zone)
		}
		proof := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "proof")
		want, err := json.Marshal(entryOf(&st, proof))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendEntry(nil, &st, proof); string(got) != string(want) {
			t.Fatalf("got\n%s\nencoding/json writes\n%s", got, want)
		}
		complete := rapid.Bool().Draw(t, "complete?")
		if want, err = json.Marshal(rpc.Proof{Entry: entryOf(&st, proof), Format: rpc.FormatOTS, Complete: complete}); err != nil {
			t.Fatal(err)
		}
		if got := appendProof(nil, &st, proof, complete); string(got) != string(want) {
			t.Fatalf("got\n%s\nencoding/json writes\n%s", got, want)
		}
	})
}

func TestCallsAreAnsweredTheSameByBothWays(t *testing.T) {
	r := newRig(t)
	for i, c := range [][2]string{
		{rpc.MethodGetStatus, `["D"]`}, // of one that is unknown, still
		{rpc.MethodSubmit, `["D"]`}, {rpc.MethodSubmitBatch, `[["D","D"]]`}, {rpc.MethodGetStatus, `["D"]`}, {rpc.MethodGetProof, `["D"]`}, {rpc.MethodGetProof, `["D","ots"]`},
	} {
		name, params := c[0], c[1]
		fast := string(scanBody(fmt.Sprintf(`{"jsonrpc":"2.0","id":"x","method":%q,"params":%s}`, name, params)))
		slow := strings.Replace(fast, `"method"`, `"extra":[],"method"`, 1)
		if _, ok := scan([]byte(fast), nil); !ok {
			t.Fatalf("scan does not take %s", fast)
		}
		if _, ok := scan([]byte(slow), nil); ok {
			t.Fatalf("scan takes %s", slow)
		}
		status1, answer1 := r.post(t, rpc.RoleSubmit, fast)
		status2, answer2 := r.post(t, rpc.RoleSubmit, slow)
		if status1 != status2 || answer1 != answer2 {
			t.Errorf("%s: the fast way answers %d %s\nthe general way %d %s", name, status1, answer1, status2, answer2)
		}
		want := `"digest":"` + someDigest + `","state":"open","batch":1,"index":0`
		if i == 0 {
			want = "the digest " + someDigest + " was never submitted here"
		}
		if !strings.Contains(answer1, want) {
			t.Errorf("%s: %s, want %s", name, answer1, want)
		}
	}
}

func TestBothWaysTakeAsManyDigestsAndNoMore(t *testing.T) {
	r := newRig(t)
	for n, want := range map[int]string{rpc.MaxDigests: `"result":[`, rpc.MaxDigests + 1: "the array holds 10001 digests; allowed are 10000"} {
		body := string(benchBody(n))
		for _, body := range []string{body, strings.Replace(body, `"method"`, `"extra":[],"method"`, 1)} {
			if _, answer := r.post(t, rpc.RoleSubmit, body); !strings.Contains(answer, want) {
				t.Errorf("%d digests: %s, want %s", n, humanize.ClipTo(answer, 200), want)
			}
		}
	}
	if len(r.batcher.at) != rpc.MaxDigests {
		t.Errorf("%d digests were taken", len(r.batcher.at))
	}
}

func TestADigestHasOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(someDigest)
		text[rapid.IntRange(0, 63).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		var got [32]byte
		ok := decodeDigest(&got, text)
		want, err := hex.DecodeString(string(text))
		lower := err == nil && string(text) == strings.ToLower(string(text))
		if ok != lower || (ok && !bytes.Equal(got[:], want)) {
			t.Fatalf("%q: %v %x", text, ok, got)
		}
	})
}
