package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// server is one of the two that are measured.
type server struct {
	name, addr, user, password string
	calendar                   string // where it takes POST /digest
	pid                        int

	seed    [32]byte      // the digests are SHA256(seed ‖ counter): all new, and different in each run
	counter atomic.Uint64 // of digests that were sent
	sample  []string      // of digests that were acknowledged, as hex; owned by load
}

// sampleEvery says of how many calls a worker keeps one digest, to be asked back.
const sampleEvery = 997

// patience is how long a call may take before the run fails.
const patience = time.Minute

// load submits on all connections for a while, each waiting for its answer before the next call.
func (s *server) load(ctx context.Context, j job, length time.Duration) (figures, error) {
	if s.seed == [32]byte{} {
		if _, err := rand.Read(s.seed[:]); err != nil {
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
		g.Go(func() error { return w.run(ctx, start.Add(length)) })
	}
	if err := g.Wait(); err != nil {
		return figures{}, err
	}
	elapsed := time.Since(start)
	cpu = cpuTime(s.pid) - cpu
	var calls []time.Duration
	for _, w := range workers {
		calls = append(calls, w.took...)
		s.sample = append(s.sample, w.sample...)
	}
	slices.Sort(calls)
	return figures{
		perSecond: float64(len(calls)*j.digests) / elapsed.Seconds(),
		cpu:       cpu / time.Duration(len(calls)*j.digests),
		p50:       calls[len(calls)/2],
		p99:       calls[len(calls)*99/100],
	}, nil
}

// worker is one connection. It speaks HTTP by itself: the load and the servers share the machine, and net/http's client
// would take as much of it as a server.
type worker struct {
	s      *server
	digits int  // of digests in a call
	raw    bool // POST /digest
	conn   net.Conn
	r      *bufio.Reader
	body   []byte
	out    []byte
	answer bytes.Buffer
	took   []time.Duration
	sample []string
}

func (s *server) dial(ctx context.Context, j job) (*worker, error) {
	var dialer net.Dialer
	addr := s.addr
	if j.calendar {
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
	return &worker{s: s, digits: j.digests, raw: j.calendar, conn: conn, r: bufio.NewReaderSize(conn, size)}, nil
}

// run makes calls until the end. It fails on the first that is refused.
func (w *worker) run(ctx context.Context, end time.Time) error {
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for n := 0; time.Now().Before(end) || n == 0; n++ {
		digest := w.compose()
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
		if n%sampleEvery == 0 {
			w.sample = append(w.sample, digest)
		}
	}
	return nil
}

// compose writes the next request, and returns one of its digests.
func (w *worker) compose() (digest string) {
	var text [64]byte
	var sum [32]byte
	next := func() []byte {
		var b [40]byte
		copy(b[:], w.s.seed[:])
		binary.BigEndian.PutUint64(b[32:], w.s.counter.Add(1))
		sum = sha256.Sum256(b[:])
		hex.Encode(text[:], sum[:])
		return text[:]
	}
	w.body = w.body[:0]
	if w.raw {
		next()
		w.out = append(w.out[:0], "POST /digest HTTP/1.1\r\nHost: "...)
		w.out = append(w.out, w.s.calendar...)
		w.out = append(w.out, "\r\nAccept: application/vnd.opentimestamps.v1\r\nContent-Length: 32\r\n\r\n"...)
		w.out = append(w.out, sum[:]...)
		return string(text[:])
	}
	if w.digits == 1 {
		w.body = append(w.body, `{"jsonrpc":"2.0","id":1,"method":"submit","params":["`...)
		w.body = append(w.body, next()...)
		w.body = append(w.body, `"]}`...)
	} else {
		w.body = append(w.body, `{"jsonrpc":"2.0","id":1,"method":"submitbatch","params":[["`...)
		for i := range w.digits {
			if i > 0 {
				w.body = append(w.body, `","`...)
			}
			w.body = append(w.body, next()...)
		}
		w.body = append(w.body, `"]]}`...)
	}
	w.out = fmt.Appendf(w.out[:0], "POST / HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		w.s.addr, base64.StdEncoding.EncodeToString([]byte(w.s.user+":"+w.s.password)), len(w.body))
	w.out = append(w.out, w.body...)
	return string(text[:])
}

// call sends the request and reads the answer, which must be a result.
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
	accepted := w.raw && len(answer) > 0 || bytes.Contains(answer[:min(len(answer), 64)], []byte(`"result":`))
	if resp.StatusCode != http.StatusOK || !accepted {
		return fmt.Errorf("%s: %s", resp.Status, answer[:min(len(answer), 300)])
	}
	if resp.Close {
		return errors.New("it closed the connection")
	}
	return nil
}
