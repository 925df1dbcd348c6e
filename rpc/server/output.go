package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"ancre/internal/budget"
	"ancre/rpc"
)

const (
	// maxAnswersBytes is the memory for all large answers together, from before they are made until
	// they are written.
	maxAnswersBytes = 64 << 20

	// smallAnswer is the largest answer that needs no share of it. The number of connections bounds
	// the memory for small answers.
	smallAnswer = 16 << 10

	// sendAt is the size at which answers of an array are sent before the array is done, and how
	// much is written before the caller's progress is noted.
	sendAt = 64 << 10

	// maxWait is how long a call waits for memory or a place before it is refused as busy.
	maxWait = 30 * time.Second
)

// output is the answer to one request, until it is written.
type output struct {
	server *Server
	w      http.ResponseWriter
	ctx    context.Context
	user   string
	buf    []byte
	sent   int          // bytes that were sent; if any, the status was sent too
	place  *budget.Hold // among the arrays; nil: the request is not an array
	share  *budget.Hold // of the memory for answers
}

// begin prepares the output of a request.
func (o *output) begin(s *Server, w http.ResponseWriter, r *http.Request, user *rpc.User, buf []byte) {
	*o = output{server: s, w: w, ctx: r.Context(), user: user.Name, buf: buf}
}

// end releases what the answer held.
func (o *output) end() {
	o.place.Release()
	o.share.Release()
	*o = output{}
}

// size is the length of the answer so far.
func (o *output) size() int { return o.sent + len(o.buf) }

// cut returns a function that aborts the writing of an answer which its caller does not read.
func (o *output) cut() func() {
	control := http.NewResponseController(o.w)
	return func() { control.SetWriteDeadline(time.Unix(1, 0)) } // it fails only in tests, which have no connection
}

// enterArrays waits for a place among the arrays being answered.
func (o *output) enterArrays() (err error) {
	o.place, err = o.server.arrays.Acquire(o.ctx, o.user, 1, o.cut())
	return busyError(err, "too many arrays of calls at once: try again in a second, or send single calls")
}

// reserve waits for the memory that the answer to a call needs, unless the answer is small.
func (o *output) reserve(bytes int64) (err error) {
	if bytes <= smallAnswer {
		return nil
	}
	o.share, err = o.server.answers.Acquire(o.ctx, o.user, bytes, o.cut())
	return busyError(err, "too many large answers at once: try again in a second, or ask for less")
}

// busyError turns the error of a budget into an answer.
func busyError(err error, text string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, budget.ErrFull):
		return errorf(rpc.CodeBusy, "%s", text)
	}
	return errorf(rpc.CodeBusy, "the request was cancelled while it waited")
}

// flush sends the part of an array's answer that exists, if it is large or holds a share of the
// memory.
func (o *output) flush() {
	const opening = len("[")
	if o.share == nil && len(o.buf) < sendAt {
		return
	}
	if o.size() > opening {
		o.send()
	}
	o.share.Release()
	o.share = nil
}

// send writes a part of an answer whose total length is not known yet.
func (o *output) send() {
	if o.sent == 0 {
		o.w.Header()["Content-Type"] = contentType
		o.w.WriteHeader(http.StatusOK)
	}
	o.sent += len(o.buf)
	o.write(o.buf)
	o.buf = o.buf[:0]
}

// finish writes the rest of the answer.
func (o *output) finish(status int) {
	if o.sent > 0 {
		o.buf = append(o.buf, '\n')
		o.send()
		return
	}
	switch n := int64(len(o.buf)); {
	case n <= smallAnswer:
	case o.share == nil:
		o.share = o.server.answers.Take(o.user, n, o.cut())
	default:
		o.share.GrowTo(n)
	}
	if status == http.StatusNoContent {
		o.w.WriteHeader(status)
		return
	}
	o.buf = append(o.buf, '\n') // as bitcoind: kind to terminals
	o.server.head(o.w, status, len(o.buf))
	o.write(o.buf)
}

// write sends bytes to the caller. If the caller does not read them, write aborts the request, so
// that the answer does not look complete.
func (o *output) write(p []byte) {
	for _, hold := range []*budget.Hold{o.place, o.share} {
		if hold != nil {
			hold.Waits()
			defer hold.Works()
		}
	}
	for len(p) > 0 {
		n, err := o.w.Write(p[:min(len(p), sendAt)])
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if p = p[n:]; o.place != nil {
			o.place.Moved(n)
		}
		if o.share != nil {
			o.share.Moved(n)
		}
	}
}

// write sends a small answer.
func (s *Server) write(w http.ResponseWriter, status int, body []byte) {
	body = append(body, '\n')
	s.head(w, status, len(body))
	w.Write(body) // an error means that the client has gone
}

// head sends the headers of an answer.
func (s *Server) head(w http.ResponseWriter, status, length int) {
	const small = 1 << 10 // net/http itself adds the length of such bodies, at less cost
	h := w.Header()
	h["Content-Type"] = contentType
	if length > small {
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
	if status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "1") // second: the time of many group commits
	}
	w.WriteHeader(status)
}

// contentType is shared by all answers. It is never changed.
var contentType = []string{"application/json"}
