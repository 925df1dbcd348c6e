package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"ancre/proof"

	"golang.org/x/sync/errgroup"
)

// server is a server that is measured: a daemon, or the floor.
type server struct {
	name, addr, user, password string
	calendar                   string // where it takes POST /digest
	pid                        int
	answers                    string // of the floor: the path at which it answers what it was given, whatever is asked; empty: a daemon

	fresh seed // of the digests that are submitted: new ones in each run
	supply
	sample []string // of digests that were acknowledged, as hex; owned by load

	stored seed     // of the digests that are asked for
	count  uint64   // how many of them are there, from 0 on
	key    [32]byte // of the store, which blinds them
	files  string   // directory of the store, which is read before each turn; empty: nothing is
}

// kind is what a call does.
type kind int

const (
	submit       kind = iota // JSON-RPC submit, or submitbatch when a call has several digests
	postDigest               // POST /digest
	getProof                 // JSON-RPC getproof of a digest that is stored
	getTimestamp             // GET /timestamp/HEX of one
)

// job is one kind of load.
type job struct {
	kind        kind
	name        string
	connections int
	digests     int // a call
}

// figures are the results of one measurement.
type figures struct {
	perSecond            float64       // digests
	cpu                  time.Duration // of the server, for each digest; 0: not known
	p50, p99, p999, most time.Duration // of one call
}

// sampleEvery is the number of calls of which a worker keeps one digest, to look it up later.
const sampleEvery = 997

// patience is how long a call may take before the run fails.
const patience = time.Minute

// restless bounds the time that servers get to become idle before the load goes on.
const restless = 2 * time.Minute

// rest waits until the servers are nearly idle: work that one of them has put off must not be
// measured in the turn of another.
func rest(ctx context.Context, servers ...*server) error {
	const look, little = 200 * time.Millisecond, 10 * time.Millisecond // of the processor, which is told in ticks of as much
	used := func() (sum time.Duration) {
		for _, s := range servers {
			sum += cpuTime(s.pid)
		}
		return sum
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	end := time.Now().Add(restless)
	for quiet, before := 0, used(); time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now := used()
		if now-before > little*time.Duration(len(servers)) {
			quiet = 0
		} else if quiet++; quiet == 3 {
			return nil
		}
		before = now
	}
	fmt.Print("(the servers did not come to rest) ")
	return nil
}

// lasting returns a function that is true for a time from now on.
func lasting(length time.Duration) func() bool {
	end := time.Now().Add(length)
	return func() bool { return time.Now().Before(end) }
}

// always is for loads that end with the supply of digests.
func always() bool { return true }

// load makes calls on all connections while more returns true, until the supply of digests ends.
// Each connection waits for an answer before its next call, and makes at least one call.
func (s *server) load(ctx context.Context, j job, more func() bool) (figures, error) {
	if s.fresh == (seed{}) {
		var err error
		if s.fresh, err = newSeed(); err != nil {
			return figures{}, err
		}
	}
	workers := make([]*worker, j.connections)
	for i := range workers {
		w, err := s.dial(ctx, j)
		if err != nil {
			return figures{}, err
		}
		defer w.conn.Close()
		workers[i] = w
	}
	g, ctx := errgroup.WithContext(ctx)
	start, cpu := time.Now(), cpuTime(s.pid)
	for _, w := range workers {
		g.Go(func() error { return w.run(ctx, more) })
	}
	if err := g.Wait(); err != nil {
		return figures{}, err
	}
	elapsed := time.Since(start)
	cpu = cpuTime(s.pid) - cpu
	var calls []time.Duration
	digests := 0
	for _, w := range workers {
		calls, digests = append(calls, w.took...), digests+w.digests
		s.sample = append(s.sample, w.sample...)
	}
	if len(calls) == 0 {
		return figures{}, errors.New("not one call was made")
	}
	slices.Sort(calls)
	at := func(q float64) time.Duration { return calls[int(q*float64(len(calls)-1))] }
	return figures{
		perSecond: float64(digests) / elapsed.Seconds(),
		cpu:       cpu / time.Duration(digests),
		p50:       at(0.5), p99: at(0.99), p999: at(0.999), most: at(1),
	}, nil
}

// worker is one connection. It writes HTTP itself: the load and the servers share the machine, and
// net/http's client would take as much processor time as a server.
type worker struct {
	s      *server
	job    job
	auth   string
	conn   net.Conn
	r      *bufio.Reader
	dice   *rand.Rand
	body   []byte
	out    []byte
	answer bytes.Buffer

	took    []time.Duration
	digests int
	sample  []string
}

func (s *server) dial(ctx context.Context, j job) (*worker, error) {
	var dialer net.Dialer
	addr := s.addr
	if j.kind == postDigest || j.kind == getTimestamp {
		addr = s.calendar
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	size := 64 << 10 // a thousand proofs come in one answer
	if j.digests == 1 {
		size = 4 << 10
	}
	return &worker{
		s: s, job: j, conn: conn, r: bufio.NewReaderSize(conn, size),
		dice: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		auth: base64.StdEncoding.EncodeToString([]byte(s.user + ":" + s.password)),
	}, nil
}

// run makes calls while more returns true. It fails on the first call that is refused.
func (w *worker) run(ctx context.Context, more func() bool) error {
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for n := 0; n == 0 || more(); n++ {
		digest, digests := w.compose()
		if digests == 0 {
			return nil
		}
		if err := w.conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil { // whose deadline has just been overwritten
			return err
		}
		start := time.Now()
		if err := w.call(); err != nil {
			return err
		}
		w.took = append(w.took, time.Since(start))
		w.digests += digests
		if w.job.kind <= postDigest && n%sampleEvery == 0 {
			w.sample = append(w.sample, hex.EncodeToString(digest[:]))
		}
	}
	w.s.done(w)
	return nil
}

// compose writes the next request. It returns one of its digests and their number: 0 if the supply
// has ended.
func (w *worker) compose() (digest [32]byte, digests int) {
	w.body = w.body[:0]
	if w.job.kind == getProof || w.job.kind == getTimestamp {
		digest = w.s.stored.digest(w.dice.Uint64N(w.s.count))
		w.ask(digest)
		return digest, 1
	}
	first, digests := w.s.take(w, w.job.digests)
	if digests == 0 {
		return digest, 0
	}
	digest = w.s.fresh.digest(first)
	switch {
	case w.job.kind == postDigest:
		w.out = append(w.out[:0], "POST /digest HTTP/1.1\r\nHost: "...)
		w.out = append(w.out, w.s.calendar...)
		w.out = append(w.out, "\r\nAccept: application/vnd.opentimestamps.v1\r\nContent-Length: 32\r\n\r\n"...)
		w.out = append(w.out, digest[:]...)
		return digest, digests
	case w.job.digests == 1:
		w.body = append(w.body, `{"jsonrpc":"2.0","id":1,"method":"submit","params":["`...)
		w.body = hex.AppendEncode(w.body, digest[:])
		w.body = append(w.body, `"]}`...)
	default:
		w.body = append(w.body, `{"jsonrpc":"2.0","id":1,"method":"submitbatch","params":[["`...)
		for i := range digests {
			if i > 0 {
				w.body = append(w.body, `","`...)
			}
			next := w.s.fresh.digest(first + uint64(i))
			w.body = hex.AppendEncode(w.body, next[:])
		}
		w.body = append(w.body, `"]]}`...)
	}
	w.post("/")
	return digest, digests
}

// ask writes a request for a proof of a digest that is stored.
func (w *worker) ask(digest [32]byte) {
	if w.job.kind == getProof {
		w.body = append(w.body, `{"jsonrpc":"2.0","id":1,"method":"getproof","params":["`...)
		w.body = hex.AppendEncode(w.body, digest[:])
		w.body = append(w.body, `"]}`...)
		w.post(cmp.Or(w.s.answers, "/"))
		return
	}
	leaf := proof.Leaf(digest[:], proof.Nonce(w.s.key, digest[:]))
	w.out = append(w.out[:0], "GET "...)
	if w.s.answers != "" {
		w.out = append(w.out, w.s.answers...)
	} else {
		w.out = append(w.out, "/timestamp/"...)
		w.out = hex.AppendEncode(w.out, leaf[:])
	}
	w.out = append(w.out, " HTTP/1.1\r\nHost: "...)
	w.out = append(w.out, w.s.calendar...)
	w.out = append(w.out, "\r\nAccept: application/vnd.opentimestamps.v1\r\n\r\n"...)
}

// post puts the head before the body.
func (w *worker) post(path string) {
	w.out = fmt.Appendf(w.out[:0], "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, w.s.addr, w.auth, len(w.body))
	w.out = append(w.out, w.body...)
}

// call sends the request and reads the answer, which must be what the job expects.
func (w *worker) call() error {
	if _, err := w.conn.Write(w.out); err != nil {
		return err
	}
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return err
	}
	w.answer.Reset()
	if _, err := w.answer.ReadFrom(resp.Body); err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	answer := w.answer.Bytes()
	accepted := len(answer) > 0
	switch w.job.kind {
	case submit:
		accepted = bytes.Contains(answer[:min(len(answer), 64)], []byte(`"result":`))
	case getProof:
		accepted = bytes.Contains(answer, []byte(`"complete":true`))
	}
	if resp.StatusCode != http.StatusOK || !accepted {
		return fmt.Errorf("%s: %s", resp.Status, answer[:min(len(answer), 300)])
	}
	if resp.Close {
		return errors.New("it closed the connection")
	}
	return nil
}
