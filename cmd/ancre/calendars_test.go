package main

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ancre/batcher"
	"ancre/config"
	"ancre/proof"
	"ancre/verify"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// fakeCalendar is a calendar of somebody else.
type fakeCalendar struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string][]byte // by commitment, in hex
	instead http.HandlerFunc  // what it does with all others; nil: 404
	asked   map[string]int    // how often, by commitment
}

func newFakeCalendar(t *testing.T) *fakeCalendar {
	c := &fakeCalendar{answers: map[string][]byte{}, asked: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutPrefix(r.URL.Path, "/timestamp/")
		if !ok || r.Method != http.MethodGet {
			t.Errorf("the calendar was asked %s %s", r.Method, r.URL)
		}
		c.mu.Lock()
		c.asked[name]++
		answer, instead := c.answers[name], c.instead
		c.mu.Unlock()
		switch {
		case answer != nil:
			w.Write(answer)
		case instead != nil:
			instead(w, r)
		default:
			http.Error(w, "Pending confirmation in Bitcoin blockchain", http.StatusNotFound)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// has lets it answer for a commitment.
func (c *fakeCalendar) has(commitment, answer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[hex.EncodeToString(commitment)] = answer
}

// does lets it do that with all others.
func (c *fakeCalendar) does(do http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instead = do
}

// says lets it answer all others with a status and a text.
func (c *fakeCalendar) says(status int, text string) {
	c.does(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(status)
		io.WriteString(w, text)
	})
}

// questions is how often it was asked.
func (c *fakeCalendar) questions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, k := range c.asked {
		n += k
	}
	return n
}

// promised makes a file and its proof, which waits for the calendars, and returns the file and the
// commitment at each calendar.
func (r *rig) promised(name string, uris ...string) (file string, commitments [][]byte) {
	r.t.Helper()
	file = r.write(name, "content of "+name)
	sum := sha256.Sum256([]byte("content of " + name))
	t := &proof.Timestamp{Msg: sum[:]}
	for i, uri := range uris {
		next, err := t.Then(proof.Op{Tag: proof.Append, Arg: []byte{byte(i), 1}})
		r.must(err)
		next, err = next.Then(proof.Op{Tag: proof.SHA256})
		r.must(err)
		a, err := proof.PendingAt(uri)
		r.must(err)
		next.Attest(a)
		commitments = append(commitments, next.Msg)
	}
	r.save(file, &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: t})
	return file, commitments
}

// save writes the proof of a file.
func (r *rig) save(file string, f *proof.File) {
	r.t.Helper()
	data, err := f.Marshal()
	r.must(err)
	r.must(os.WriteFile(file+proofSuffix, data, 0o644))
}

// anchored puts a commitment into a new block of the daemon's chain, and returns what a calendar
// answers then.
func (r *rig) anchored(commitment []byte) []byte {
	r.t.Helper()
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, commitment...)))
	var raw bytes.Buffer
	r.must(tx.SerializeNoWitness(&raw))
	r.daemon.mu.Lock()
	defer r.daemon.mu.Unlock()
	last := r.daemon.headers[len(r.daemon.headers)-1]
	r.daemon.headers = append(r.daemon.headers, wire.BlockHeader{PrevBlock: last.BlockHash(), MerkleRoot: tx.TxHash(), Timestamp: testTime})
	t, err := proof.LeafTimestamp([32]byte(commitment), proof.Inclusion{Tx: raw.Bytes(), Height: uint64(len(r.daemon.headers) - 1), MerkleRoot: tx.TxHash()})
	r.must(err)
	data, err := t.Marshal()
	r.must(err)
	return data
}

// attesting is an answer that says just these things of the commitment.
func (r *rig) attesting(commitment []byte, list ...proof.Attestation) []byte {
	r.t.Helper()
	data, err := (&proof.Timestamp{Msg: commitment, Attestations: list}).Marshal()
	r.must(err)
	return data
}

// add puts into a proof what an answer says of one of its messages.
func add(t, answer *proof.Timestamp) {
	for _, b := range t.Branches {
		add(b.Next, answer)
	}
	if bytes.Equal(t.Msg, answer.Msg) {
		t.Attestations = append(t.Attestations, answer.Attestations...)
		t.Branches = append(t.Branches, answer.Branches...)
	}
}

// kinds lists who attests in a proof.
func (r *rig) kinds(file string) string {
	r.t.Helper()
	var kinds []string
	for _, a := range r.proof(file + proofSuffix).Attestations() {
		kinds = append(kinds, string(a.Kind()))
	}
	return strings.Join(kinds, " ")
}

func TestUpgradeNeedsNoDaemonWhereACalendarHelps(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	r.http.Close()
	file, leaves := r.promised("a", c.URL)
	before := r.read(file + proofSuffix)
	a := r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitPending, `waiting for the calendar at `+c.URL+`, which says "Pending confirmation in Bitcoin blockchain"`)
	if strings.Contains(a.out+a.err, "ancred") || strings.Contains(a.out+a.err, "daemon") {
		t.Errorf("the daemon is missed: %s%s", a.out, a.err)
	}
	if !bytes.Equal(r.read(file+proofSuffix), before) || exists(file+proofSuffix+backupSuffix) {
		t.Error("a proof that stays pending was written")
	}

	c.has(leaves[0], r.anchored(leaves[0]))
	r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitDone, "complete, in Bitcoin block 1 (says "+c.URL)
	if got := r.kinds(file); got != "bitcoin" {
		t.Errorf("the proof holds %s", got)
	}
	if !bytes.Equal(r.read(file+proofSuffix+backupSuffix), before) {
		t.Error("the proof as it was is gone")
	}
	asked := c.questions()
	r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitDone, "was complete already")
	if c.questions() != asked {
		t.Error("the calendar was asked for a complete proof")
	}
}

// The bug that it catches: whoever keeps the files that are complete, says JSON, keeps one that
// needs its calendar for ever.
func TestAValidProofThatIsPendingInItsFileIsNotComplete(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	c.has(leaves[0], r.anchored(leaves[0]))
	const few, pendingStill = "few blocks are on top", "the proof in the file is still pending"
	verdict := func() fileResult {
		t.Helper()
		a := r.ancre("--json", "verify", "--calendar", c.URL, file).is(t, exitDone, few)
		var got fileResult
		r.must(json.Unmarshal([]byte(a.out), &got))
		return got
	}
	if got := verdict(); got.Result != valid || got.Complete || !strings.Contains(got.Reason, pendingStill) {
		t.Errorf("before the upgrade: %+v", got)
	}
	r.ancre("verify", "--calendar", c.URL, file).is(t, exitDone, few, pendingStill)
	r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitDone)
	if got := verdict(); got.Result != valid || !got.Complete || strings.Contains(got.Reason, pendingStill) {
		t.Errorf("after the upgrade: %+v", got)
	}

	// A receipt holds all that it needs.
	r = newRig(t)
	file = r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	r.ancre("receipt", file).is(t, exitDone)
	if got := verdict(); got.Complete || !strings.Contains(got.Reason, pendingStill) {
		t.Errorf("of the proof beside a receipt: %+v", got)
	}
	r.must(os.Remove(file + proofSuffix))
	if got := verdict(); got.Result != valid || !got.Complete || strings.Contains(got.Reason, pendingStill) {
		t.Errorf("of the receipt: %+v", got)
	}
}

// Proofs come from strangers: no address in one makes us connect to anywhere that nobody allowed.
func TestOnlyListedCalendarsAreAsked(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	for i, uri := range []string{c.URL, "http://169.254.169.254", "https://192.0.2.1", "http://localhost:" + c.URL[strings.LastIndex(c.URL, ":")+1:], c.URL + "/below"} {
		file, _ := r.promised(fmt.Sprint(i), uri)
		before := r.read(file + proofSuffix)
		for _, verb := range []string{"upgrade", "verify"} {
			a := r.ancre(verb, "--calendar", "https://other.example", file).is(t, exitPending, uri)
			if !strings.Contains(a.out+a.err, "--calendar "+uri) && !strings.Contains(a.out+a.err, "without encryption") {
				t.Errorf("%s does not say how to allow %s: %s%s", verb, uri, a.out, a.err)
			}
		}
		if !bytes.Equal(r.read(file+proofSuffix), before) {
			t.Errorf("the proof that waits for %s was changed", uri)
		}
	}
	if n := c.questions(); n != 0 {
		t.Errorf("a calendar that is not listed was asked %d times", n)
	}
}

func TestTheDaemonsOwnCalendarIsListed(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	conf := filepath.Join(r.data, config.FileName)
	r.must(os.WriteFile(conf, bytes.Replace(r.read(conf), []byte("https://calendar.invalid"), []byte(c.URL), 1), 0o600))
	// Handed in at the calendar, by a client that put its own nonce before: the daemon does not
	// know the file's digest.
	file, leaves := r.promised("a", c.URL)
	c.has(leaves[0], r.anchored(leaves[0]))
	r.ancre("verify", file).is(t, exitDone, "valid")
	r.ancre("upgrade", file).is(t, exitDone, "complete")
}

func TestOneAnswerIsEnough(t *testing.T) {
	r, good, bad := newRig(t), newFakeCalendar(t), newFakeCalendar(t)
	bad.says(http.StatusInternalServerError, "on \x1b[31mfire")
	file, leaves := r.promised("a", bad.URL, good.URL, "https://unlisted.example")
	good.has(leaves[1], r.anchored(leaves[1]))
	a := r.ancre("upgrade", "--calendar", good.URL, "--calendar", bad.URL, file).is(t, exitDone, "complete", bad.URL+`: it answers with HTTP status 500: "on ?[31mfire"`)
	if strings.Contains(a.out, "status 500") || strings.Contains(a.out+a.err, "\x1b") {
		t.Errorf("out: %s\nerr: %s", a.out, a.err)
	}
	if got := r.kinds(file); got != "pending bitcoin pending" && got != "bitcoin pending pending" && got != "pending pending bitcoin" {
		t.Errorf("the proof holds %s, want the promises of the others kept", got)
	}
}

func TestAProofStaysPendingWhenNobodyAnswers(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	for name, do := range map[string]http.HandlerFunc{
		"HTTP status 500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"redirects to": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"longer than 10000 bytes": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) },
		"not a timestamp of":      func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{8}) },
		"17 attestations, and at most": func(w http.ResponseWriter, _ *http.Request) {
			w.Write(r.attesting(leaves[0], many(17)...))
		},
		"no answer": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		c.does(do)
		r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitPending, ": pending, ", name, "the daemon does not know this digest")
		r.ancre("upgrade", "--wait", "--calendar", c.URL, file).is(t, exitPending, name) // and does not wait
		r.ancre("verify", "--calendar", c.URL, file).is(t, exitPending, name)
		a := r.ancre("upgrade", "--json", "--calendar", c.URL, file).is(t, exitPending)
		var got fileResult
		if err := json.Unmarshal([]byte(a.out), &got); err != nil || len(got.Calendars) != 1 || got.Calendars[0].Result != verify.AnswerFailed || !strings.Contains(got.Calendars[0].Reason, name) {
			t.Errorf("%v in %s", err, a.out)
		}
	}
	if got := r.kinds(file); got != "pending" {
		t.Errorf("the proof holds %s", got)
	}
}

// many are attestations of blocks.
func many(n int) []proof.Attestation {
	var list []proof.Attestation
	for i := range n {
		list = append(list, proof.BitcoinAt(uint64(i)))
	}
	return list
}

func TestTheDaemonIsAskedFirst(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	r.ancre("stamp", file).is(t, exitDone) // the proof waits for both now
	a := r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitPending, "batch 1 is still open; waiting for the calendar at "+c.URL)
	if strings.Contains(a.out, testCalendar) {
		t.Errorf("the daemon answered for its own promise, and its calendar is missed: %s", a.out)
	}
	asked := c.questions()
	if n := len(c.asked); n != 1 {
		t.Errorf("the calendar was asked for %d commitments, want its own only", n)
	}
	r.daemon.mine()
	old := r.read(file + proofSuffix)
	r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitDone, "complete, in Bitcoin block 1")
	if c.questions() != asked {
		t.Error("the calendar was asked when the daemon had completed the proof")
	}
	// And the other way round: the daemon has it pending, the calendar is ready.
	r.must(os.WriteFile(file+proofSuffix, old, 0o644))
	r.daemon.state = batcher.Sealed
	c.has(leaves[0], r.anchored(leaves[0]))
	r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitDone, "complete, in Bitcoin block 2 (says "+c.URL)
}

func TestUpgradeOfOtherHashes(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file := r.write("a", "content")
	sum := sha1.Sum([]byte("content"))
	ts := &proof.Timestamp{Msg: sum[:]}
	leaf, err := ts.Then(proof.Op{Tag: proof.SHA256})
	r.must(err)
	at, err := proof.PendingAt(c.URL)
	r.must(err)
	leaf.Attest(at)
	r.save(file, &proof.File{HashOp: proof.SHA1, Digest: sum[:], Timestamp: ts})
	r.ancre("upgrade", file).is(t, exitPending, "the daemon knows only SHA-256", "--calendar "+c.URL)
	c.has(leaf.Msg, r.anchored(leaf.Msg))
	r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitDone, "complete")
	r.ancre("verify", file).is(t, exitDone, "valid")
}

// An aggregator may answer with the promise of the calendar behind it.
func TestPromisesAreFollowedOn(t *testing.T) {
	r, first, second := newRig(t), newFakeCalendar(t), newFakeCalendar(t)
	file, leaves := r.promised("a", first.URL)
	at, err := proof.PendingAt(second.URL)
	r.must(err)
	first.has(leaves[0], r.attesting(leaves[0], at))
	r.ancre("upgrade", "--calendar", first.URL, file).is(t, exitPending, "only with --calendar "+second.URL)
	second.has(leaves[0], r.anchored(leaves[0]))
	r.ancre("upgrade", "--calendar", first.URL, "--calendar", second.URL, file).is(t, exitDone, "complete, in Bitcoin block 1 (says "+second.URL)
	if got := r.kinds(file); got != "bitcoin" {
		t.Errorf("the proof holds %s", got)
	}
}

func TestVerifyFollowsCalendarsAndChangesNothing(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	before := r.read(file + proofSuffix)
	r.ancre("verify", "--calendar", c.URL, file).is(t, exitPending, `which says "Pending confirmation in Bitcoin blockchain"`)
	c.has(leaves[0], r.anchored(leaves[0]))
	asked := c.questions()
	r.ancre("verify", file).is(t, exitPending, "only with --calendar")
	conf := filepath.Join(r.data, config.FileName)
	was := r.read(conf)
	r.must(os.WriteFile(conf, bytes.Replace(was, []byte("https://calendar.invalid"), []byte(c.URL), 1), 0o600))
	r.ancre("verify", "--offline", file).is(t, exitPending, "waiting for the calendar at "+c.URL)
	r.must(os.WriteFile(conf, was, 0o600))
	if c.questions() != asked {
		t.Error("a calendar was asked all the same")
	}
	r.ancre("verify", "-v", "--calendar", c.URL, file).is(t, exitDone, "valid, existed before Bitcoin block 1", "attested by Bitcoin block 1")
	if !bytes.Equal(r.read(file+proofSuffix), before) || exists(file+proofSuffix+backupSuffix) {
		t.Error("verify changed the file")
	}
	r.ancre("verify", "--offline", "--calendar", c.URL, file).is(t, exitUsage, "exclude each other")
}

// The daemon answers for its own promises over JSON-RPC: its calendar, which counts the questions
// of each address, is left alone.
func TestVerifyAsksTheDaemonBeforeItsCalendar(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file := r.write("a", "content")
	r.ancre("stamp", file).is(t, exitDone)
	f := r.proof(file + proofSuffix)
	leaf := f.Attestations()[0].Msg
	at, err := proof.PendingAt(c.URL) // the same promise, at an address that is asked
	r.must(err)
	add(f.Timestamp, &proof.Timestamp{Msg: leaf, Attestations: []proof.Attestation{at}})
	r.save(file, f)
	before := r.read(file + proofSuffix)
	r.ancre("verify", "--calendar", c.URL, file).is(t, exitPending, "batch 1 is still open")
	r.daemon.mine()
	r.ancre("verify", "--offline", file).is(t, exitPending, "\"ancre upgrade\" completes the proof")
	r.ancre("verify", "--calendar", c.URL, file).is(t, exitDone, "valid, existed before Bitcoin block 1")
	if n := c.questions(); n != 0 {
		t.Errorf("the calendar was asked %d times", n)
	}
	if !bytes.Equal(r.read(file+proofSuffix), before) {
		t.Error("verify changed the file")
	}
}

// A calendar cannot make a good promise look like a forged proof.
func TestALyingCalendarMakesNothingWorse(t *testing.T) {
	r, liar, honest := newRig(t), newFakeCalendar(t), newFakeCalendar(t)
	file, leaves := r.promised("a", liar.URL, honest.URL)
	other := sha256.Sum256([]byte("another commitment"))
	liar.has(leaves[0], r.anchored(other[:])) // a good answer, to another question
	r.ancre("verify", "--calendar", liar.URL, file).is(t, exitPending, "has the proof, and it does not verify here: Bitcoin block 1 has the Merkle root")
	liar.has(leaves[0], r.attesting(leaves[0], proof.BitcoinAt(999_999)))
	r.ancre("verify", "--calendar", liar.URL, file).is(t, exitPending, "cannot be checked here", "999999")
	honest.has(leaves[1], r.anchored(leaves[1]))
	r.ancre("verify", "--calendar", liar.URL, "--calendar", honest.URL, file).is(t, exitDone, "valid")
	// What upgrade took of the liar is for verify to say; the promise of the honest one is kept,
	// and followed.
	honest.Close()
	r.ancre("upgrade", "--calendar", liar.URL, file).is(t, exitDone, "999,999", "\"ancre verify\" checks it")
	r.ancre("verify", file).is(t, exitUnverifiable, "cannot be checked here", "the proof names Bitcoin block 999999, which is above the highest one known here", "block headers up to block 999999")
}

func TestUpgradeOfStandardInputFollowsCalendars(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	c.has(leaves[0], r.anchored(leaves[0]))
	a := r.with(session{in: string(r.read(file + proofSuffix))}, "upgrade", "--calendar", c.URL, "-").is(t, exitDone)
	if f, err := proof.Parse([]byte(a.out)); err != nil || !f.IsComplete() {
		t.Errorf("standard output: %v, %v", f, err)
	}
}

func TestCalendarsAsJSON(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL, "https://unlisted.example")
	c.has(leaves[0], r.anchored(leaves[0]))
	a := r.ancre("--json", "upgrade", "--calendar", c.URL, file).is(t, exitDone)
	var got fileResult
	if err := json.Unmarshal([]byte(a.out), &got); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got.Calendars, func(a, b verify.Answer) int { return strings.Compare(a.Calendar, b.Calendar) })
	if got.Result != complete || got.Height != 1 || len(got.Calendars) != 2 || got.Calendars[0].Result != verify.AnswerComplete || got.Calendars[1].Result != verify.AnswerSkipped {
		t.Errorf("%s", a.out)
	}
	r.http.Close()
	file, _ = r.promised("b", c.URL)
	c.says(500, "")
	r.ancre("--json", "upgrade", "--calendar", c.URL, file).is(t, exitPending, `"result":"pending"`, "is ancred running?", "HTTP status 500")
}

func TestCalendarsUsage(t *testing.T) {
	r := newRig(t)
	file, _ := r.promised("a", "https://calendar.example")
	for flag, want := range map[string]string{
		"http://calendar.example":      "without encryption",
		"https://a:s3cret@cal.example": "user or a password",
		"ftp://calendar.example":       "https://HOST",
		"*.org":                        "a domain with a dot",
	} {
		for _, verb := range []string{"upgrade", "verify"} {
			if a := r.ancre(verb, "--calendar", flag, file).is(t, exitUsage, "--calendar", want); strings.Contains(a.err, "s3cret") {
				t.Errorf("the password is told: %s", a.err)
			}
		}
	}
}

// Who brings the headers in a file may be on a machine that must reach nobody.
func TestHeadersInAFileMeanThatNobodyIsAsked(t *testing.T) {
	r := newRig(t)
	file, _ := r.promised("a", "https://calendar.example")
	r.ancre("verify", "--headers", "f", "--calendar", "https://calendar.example", file).is(t, exitUsage, "--headers and --calendar exclude each other")
	o := calendarOptions{}
	if err := o.check(sourceOptions{headers: "f"}); err != nil || !o.offline {
		t.Errorf("with --headers: %+v, %v", o, err)
	}
	a := &app{terminal: &terminal{}}
	a.flags.DataDir = r.data
	if others, _, err := a.openCalendars(o); others != nil || err != nil {
		t.Errorf("with --headers: %v, %v, want no calendars", others, err)
	}
}

// A configured proxy is for calendars too: their names are looked up there, and nothing goes around
// it.
func TestCalendarsAreAskedThroughTheProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		// SOCKS5 (RFC 1928): greeting, choice, then the request with the name.
		greeting, request := make([]byte, 3), make([]byte, 5+len("calendar.example"))
		io.ReadFull(conn, greeting)
		conn.Write([]byte{5, 0})
		io.ReadFull(conn, request)
		asked <- string(request[5:])
	})
	defer wg.Wait()
	defer l.Close()
	r := newRig(t)
	conf := filepath.Join(r.data, config.FileName)
	r.must(os.WriteFile(conf, append(r.read(conf), fmt.Sprintf("[spv]\nproxy = %q\n", l.Addr())...), 0o600))
	file, _ := r.promised("a", "https://calendar.example")
	r.ancre("upgrade", "--calendar", "https://calendar.example", file).is(t, exitPending, "no answer")
	select {
	case name := <-asked:
		if name != "calendar.example" {
			t.Errorf("the proxy was asked for %q", name)
		}
	default:
		t.Error("the proxy was not asked")
	}
}
