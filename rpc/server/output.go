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
	// maxAnswersBytes is what all large answers may hold in memory at once, from before they are
	// made until they are written.
	maxAnswersBytes = 64 << 20

	// smallAnswer needs no part of that: small answers are bounded by the number of connections.
	smallAnswer = 16 << 10

	// sendAt is from how many bytes on the answers of an array leave before the array is done, and
	// how much is written between two looks at how the caller takes it.
	sendAt = 64 << 10

	// patience is how long a call waits for memory or a place before it is refused as busy.
	patience = 30 * time.Second
)

// output is the answer to one request, until it is written.
type output struct {
	server *Server
	w      http.ResponseWriter
	ctx    context.Context
	user   string
	buf    []byte
	sent   int          // bytes that left already: the status did, too
	place  *budget.Hold // among the arrays; nil: the request is none
	part   *budget.Hold // of the memory for answers
}

// begin prepares the output of a request.
func (o *output) begin(s *Server, w http.ResponseWriter, r *http.Request, user *rpc.User, buf []byte) {
	*o = output{server: s, w: w, ctx: r.Context(), user: user.Name, buf: buf}
}

// end gives back what the answer held.
func (o *output) end() {
	o.place.Release()
	o.part.Release()
	*o = output{}
}

// size is how long the answer is so far.
func (o *output) size() int { return o.sent + len(o.buf) }

// cut ends the writing of an answer that its caller does not take.
func (o *output) cut() func() {
	control := http.NewResponseController(o.w)
	return func() { control.SetWriteDeadline(time.Unix(1, 0)) } // fails only where a test has no connection
}

// enterArrays waits for a place among the arrays that are worked on.
func (o *output) enterArrays() (err error) {
	o.place, err = o.server.arrays.Acquire(o.ctx, o.user, 1, o.cut())
	return busyError(err, "too many arrays of calls at once: try again in a second, or send single calls")
}

// reserve waits for the memory that the answer to a call will take, unless it is small.
func (o *output) reserve(bytes int64) (err error) {
	if bytes <= smallAnswer {
		return nil
	}
	o.part, err = o.server.answers.Acquire(o.ctx, o.user, bytes, o.cut())
	return busyError(err, "too many large answers at once: try again in a second, or ask for less")
}

// busyError makes an answer of a budget's error.
func busyError(err error, text string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, budget.ErrFull):
		return errorf(rpc.CodeBusy, "%s", text)
	}
	return errorf(rpc.CodeBusy, "the request was given up while it waited")
}

// flush sends what there is of an array's answer, once it is large or holds memory that others
// need.
func (o *output) flush() {
	const opening = len("[")
	if o.part == nil && len(o.buf) < sendAt {
		return
	}
	if o.size() > opening {
		o.send()
	}
	o.part.Release()
	o.part = nil
}

// send writes a part of an answer whose length is not known yet.
func (o *output) send() {
	if o.sent == 0 {
		o.w.Header()["Content-Type"] = contentType
		o.w.WriteHeader(http.StatusOK)
	}
	o.sent += len(o.buf)
	o.write(o.buf)
	o.buf = o.buf[:0]
}

// finish writes the answer, or the rest of it.
func (o *output) finish(status int) {
	if o.sent > 0 {
		o.buf = append(o.buf, '\n')
		o.send()
		return
	}
	switch n := int64(len(o.buf)); {
	case n <= smallAnswer:
	case o.part == nil:
		o.part = o.server.answers.Take(o.user, n, o.cut())
	default:
		o.part.GrowTo(n)
	}
	if status == http.StatusNoContent {
		o.w.WriteHeader(status)
		return
	}
	o.buf = append(o.buf, '\n') // as bitcoind: kind to terminals
	o.server.head(o.w, status, len(o.buf))
	o.write(o.buf)
}

// write hands bytes to the caller. It ends the request where he does not take them, so that the
// answer does not look whole.
func (o *output) write(p []byte) {
	for _, hold := range []*budget.Hold{o.place, o.part} {
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
		if o.part != nil {
			o.part.Moved(n)
		}
	}
}

// write sends an answer that is small.
func (s *Server) write(w http.ResponseWriter, status int, body []byte) {
	body = append(body, '\n')
	s.head(w, status, len(body))
	w.Write(body) // whoever went away does not get it
}

// head sends what comes before an answer.
func (s *Server) head(w http.ResponseWriter, status, length int) {
	const small = 1 << 10 // net/http tells the length of such bodies by itself, at less cost
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

// contentType is shared by all answers, and never changed.
var contentType = []string{"application/json"}
