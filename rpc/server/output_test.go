package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/internal/budget"
	"ancre/internal/humanize"
	"ancre/rpc"
)

// listen serves a rig as the daemon does, with the limits for connections.
func (r *rig) listen(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// begins connects and sends the beginning of a request: its headers, for a body of size, and body.
func (r *rig) begins(t *testing.T, addr string, role rpc.Role, body string, size int) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: waitLong}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(waitLong))
	req, _ := http.NewRequest(http.MethodPost, "http://"+addr, nil)
	req.SetBasicAuth(string(role), r.pass[role])
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", addr, req.Header.Get("Authorization"), size, body)
	return conn
}

const waitLong = 2 * time.Minute // when a test gives up

func answerOf(t *testing.T, conn net.Conn) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// wide makes the answers of getanchor large, and counts them.
type wide struct {
	*memBatcher
	asked atomic.Int64
}

func (w *wide) Anchor(ctx context.Context, id uint64) (batcher.AnchorStatus, error) {
	w.asked.Add(1)
	return w.memBatcher.Anchor(ctx, id)
}

// newWide returns a rig whose getanchor answers with some 2×size bytes.
func newWide(t *testing.T, size int) (*rig, *wide) {
	t.Helper()
	r := newRig(t)
	r.withAnchor()
	r.batcher.anchors[0].Anchor.Versions[0].Tx.TxOut[0].PkScript = make([]byte, size)
	w := &wide{memBatcher: r.batcher}
	r.server.Provide(Services{Batcher: w, Chain: r.chain, Wallet: r.wallet, Node: fixedNode{}})
	return r, w
}

const getAnchor1 = `{"id":1,"method":"getanchor","params":[1]}`

// The calls of an array run only as fast as the client reads their answers.
func TestTheAnswersOfAnArrayLeaveAsTheyAreTaken(t *testing.T) {
	const calls, size = 40, 1 << 20
	r, w := newWide(t, size/2)
	addr := r.listen(t)
	body := "[" + strings.Repeat(getAnchor1+",", calls-1) + getAnchor1 + "]"
	conn := r.begins(t, addr, rpc.RoleRead, body, len(body))
	for deadline := time.Now().Add(waitLong); w.asked.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the array is not worked on")
		}
	}
	// The array stops before all calls have run: sockets buffer a few MiB, and the answers have 40.
	for last := int64(-1); last != w.asked.Load(); time.Sleep(300 * time.Millisecond) {
		last = w.asked.Load()
	}
	if n := w.asked.Load(); n > 3*calls/4 {
		t.Errorf("%d of %d calls ran for a caller who takes no answer", n, calls)
	}
	status, answer := answerOf(t, conn)
	var answers []struct {
		Result json.RawMessage
		Error  *rpc.Error
	}
	if err := json.Unmarshal([]byte(answer), &answers); err != nil || status != 200 || len(answers) != calls {
		t.Fatalf("status %d, %d answers, %v", status, len(answers), err)
	}
	for i, a := range answers {
		if last := i > maxAnswerBytes/size; (a.Error != nil) != last && i != maxAnswerBytes/size {
			t.Fatalf("answer %d: %v", i, a.Error)
		}
	}
}

// A caller who does not read its answer loses the memory, or the place, that another caller waits
// for.
func TestACallerWhoDoesNotReadHoldsNobodyUp(t *testing.T) {
	const large = 16 << 20 // of an answer: more than sockets buffer
	array := "[" + strings.Repeat(getAnchor1+",", 9) + getAnchor1 + "]"
	submits := `[` + strings.Repeat(submitMany(6_000)+",", 9) + submitMany(6_000) + "]"
	for _, c := range []struct {
		name     string
		role     rpc.Role
		attack   string
		other    rpc.Role
		question string
		answers  int64 // what there is for answers, and how many arrays may run
		arrays   int64
	}{
		{"one large answer", rpc.RoleRead, getAnchor1, rpc.RoleAdmin, getAnchor1, costGetAnchor, maxArrays},
		{"an array of large answers", rpc.RoleRead, array, rpc.RoleAdmin, `[{"id":1,"method":"uptime"}]`, maxAnswersBytes, 1},
		{"an array of submits", rpc.RoleSubmit, submits, rpc.RoleRead, `[{"id":1,"method":"uptime"}]`, maxAnswersBytes, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := newWide(t, large/2)
			r.server.answers = budget.New(c.answers, waitLong)
			r.server.arrays = budget.New(c.arrays, waitLong)
			addr := r.listen(t)
			for range 3 {
				r.begins(t, addr, c.role, c.attack, len(c.attack))
			}
			conn := r.begins(t, addr, c.other, c.question, len(c.question))
			if status, answer := answerOf(t, conn); status != 200 || !strings.Contains(answer, `"error":null`) {
				t.Errorf("%d %s", status, humanize.ClipTo(answer, 300))
			}
		})
	}
}

// submitMany is a call of submitbatch with n digests.
func submitMany(n int) string {
	var b strings.Builder
	b.WriteString(`{"id":1,"method":"submitbatch","params":[[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%064x"`, i)
	}
	b.WriteString("]]}")
	return b.String()
}

// Calls of help are short, and their answers are long. Only a few of a thousand are in memory.
func TestAnArrayOfCallsForHelpLeavesAsItIsMade(t *testing.T) {
	r := newRig(t)
	body := `[` + strings.Repeat(`{"method":"help"},`, maxCalls-1) + `{"method":"help"}]`
	resp := r.do(t, http.MethodPost, rpc.RoleSubmit, strings.NewReader(body))
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !json.Valid(answer) || len(answer) < 10*sendAt {
		t.Fatalf("%d, %d bytes, %v", resp.StatusCode, len(answer), err)
	}
	if resp.ContentLength != -1 {
		t.Errorf("its length, %d, was known before it was sent: all of it was in memory", resp.ContentLength)
	}
}

// A call that is refused for lack of memory has had no effect, and is told when to try again. Small
// calls need no memory.
func TestACallThatFindsNoMemoryIsRefusedAsBusy(t *testing.T) {
	r := newRig(t)
	r.server.answers = budget.New(1, time.Millisecond)
	r.server.arrays = budget.New(1, time.Millisecond)
	defer r.server.answers.Take("somebody", 1, nil).Release()
	for _, method := range []string{"listbatches", "listanchors"} {
		if _, err := r.call(t, rpc.RoleRead, method, "[0,1000]"); err == nil || err.Code != rpc.CodeBusy || !strings.Contains(err.Message, "try again") {
			t.Errorf("%s: %v", method, err)
		}
	}
	if _, err := r.call(t, rpc.RoleRead, "listtransactions", "[1000]"); err == nil || err.Code != rpc.CodeBusy || r.wallet.asked != "" {
		t.Errorf("listtransactions: %v, and the wallet was asked for %q", err, r.wallet.asked)
	}
	resp := r.do(t, http.MethodPost, rpc.RoleSubmit, strings.NewReader(submitMany(1_000)))
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || len(r.batcher.at) != 0 {
		t.Errorf("submitbatch: %d, Retry-After %q, %d digests taken", resp.StatusCode, resp.Header.Get("Retry-After"), len(r.batcher.at))
	}
	// In an array only the call that needs memory is refused.
	if status, answer := r.post(t, rpc.RoleRead, `[{"id":1,"method":"uptime"},{"id":2,"method":"listbatches","params":[0,1000]},{"id":3,"method":"listbatches"}]`); status != 200 ||
		!strings.HasPrefix(answer, `[{"result":0,"error":null,"id":1},{"result":null,"error":{"code":-32000,`) || !strings.HasSuffix(answer, `{"result":[],"error":null,"id":3}]`) {
		t.Errorf("an array: %d %s", status, answer)
	}
	defer r.server.arrays.Take("somebody", 1, nil).Release()
	if status, answer := r.post(t, rpc.RoleRead, `[{"id":1,"method":"uptime"}]`); status != 503 || !strings.Contains(answer, `"code":-32000`) {
		t.Errorf("an array too many: %d %s", status, answer)
	}
	if _, err := r.call(t, rpc.RoleSubmit, "submit", `["`+someDigest+`"]`); err != nil {
		t.Errorf("submit: %v", err)
	}
}

// Bodies that are announced and do not arrive delay no other caller, neither before their first
// bytes nor after them.
func TestBodiesThatDoNotArriveHoldNobodyUp(t *testing.T) {
	for name, begun := range map[string]int{"announced": 0, "begun": smallBody + 1, "almost there": maxBody - 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			addr := r.listen(t)
			r.server.bodies = budget.New(maxBody, waitLong)
			r.begins(t, addr, rpc.RoleSubmit, strings.Repeat(" ", begun), maxBody)
			for range 8 {
				r.begins(t, addr, rpc.RoleSubmit, strings.Repeat(" ", min(begun, smallBody+1)), maxBody)
			}
			body := submitMany(1_000)
			began := time.Now()
			if status, answer := answerOf(t, r.begins(t, addr, rpc.RoleAdmin, body, len(body))); status != 200 || !strings.Contains(answer, `"error":null`) {
				t.Errorf("%d %s after %v", status, humanize.ClipTo(answer, 300), time.Since(began))
			}
			if took := time.Since(began); took > limits.Read*5/6 {
				t.Errorf("a large call took %v: it waited until the others' time was over", took)
			}
		})
	}
}

// A body of any size that arrives in pieces is read completely.
func TestABodyInPiecesIsTakenWhole(t *testing.T) {
	r := newRig(t)
	addr := r.listen(t)
	for _, n := range []int{1, 200, 300, 2_000} { // below and above what needs memory of its own
		body := submitMany(n)
		half := len(body) / 2
		conn := r.begins(t, addr, rpc.RoleSubmit, body[:half], len(body))
		io.WriteString(conn, body[half:])
		if status, answer := answerOf(t, conn); status != 200 || strings.Count(answer, `"digest"`) != n {
			t.Errorf("%d digests: %d, %d in the answer", n, status, strings.Count(answer, `"digest"`))
		}
	}
	conn := r.begins(t, addr, rpc.RoleSubmit, strings.Repeat(" ", smallBody+10), maxBody)
	conn.(*net.TCPConn).CloseWrite()
	if status, answer := answerOf(t, conn); status != 400 || !strings.Contains(answer, "broke off: unexpected EOF") {
		t.Errorf("half a body: %d %s", status, answer)
	}
}

// The body of a client without credentials is not read, and its connection is closed.
func TestNothingIsReadOfWhoHasNoCredentials(t *testing.T) {
	r := newRig(t)
	addr := r.listen(t)
	r.pass["nobody"] = "guessed"
	for _, path := range []string{"/", "/backup", "/headers", "/nowhere"} {
		conn := r.begins(t, addr, "nobody", "", 0)
		conn.Close()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(waitLong))
		verb := map[bool]string{true: "POST", false: "GET"}[path == "/" || path == "/nowhere"]
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", verb, path, addr, maxBody)
		reader := bufio.NewReader(conn)
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		io.Copy(io.Discard, resp.Body)
		if want := map[bool]int{true: 404, false: 401}[path == "/nowhere"]; resp.StatusCode != want || !resp.Close {
			t.Errorf("%s: %d, want %d and the connection closed", path, resp.StatusCode, want)
		}
		if _, err := reader.ReadByte(); err == nil {
			t.Errorf("%s: the connection goes on", path)
		}
	}
}

// A client that does not read its headers makes room for the next one.
func TestAStreamThatIsNotTakenMakesRoom(t *testing.T) {
	r := newRig(t)
	r.server.Provide(Services{Batcher: r.batcher, Chain: r.chain, Wallet: r.wallet, Node: fixedNode{}, Headers: func(_ context.Context, w io.Writer) error {
		for range 64 { // more than sockets buffer
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
		return nil
	}})
	addr := r.listen(t)
	req, _ := http.NewRequest(http.MethodGet, "http://"+addr, nil)
	req.SetBasicAuth(string(rpc.RoleRead), r.pass[rpc.RoleRead])
	for range maxExports {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /headers HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n", addr, req.Header.Get("Authorization"))
	}
	client, err := rpc.NewClient(addr, string(rpc.RoleAdmin), r.pass[rpc.RoleAdmin])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		body, err := client.Headers(t.Context())
		if err == nil {
			n, err := io.Copy(io.Discard, body)
			if body.Close(); n == 64<<20 && err == nil {
				return
			}
			t.Fatalf("%d bytes, %v", n, err)
		}
		if !rpc.HasCode(err, rpc.CodeBusy) || time.Since(began) > backupStall*5/6 {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
}
