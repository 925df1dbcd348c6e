package server

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"ancre/internal/budget"
	"ancre/rpc"
)

const (
	// maxBodiesBytes is the memory for all large bodies together. The number of connections bounds
	// the memory for small ones.
	maxBodiesBytes = 32 << 20

	// smallBody is the largest body that needs no share of it. A large body takes its share only
	// after its first bytes have come: a client that merely announces a body holds nothing.
	smallBody = 16 << 10

	// bodyPiece is how much of a large body is read before its progress is noted.
	bodyPiece = 64 << 10
)

// refusal is an error with the HTTP status of its answer.
type refusal struct {
	status int
	rpc.Error
}

// tooLong refuses a body that exceeds the limit.
func tooLong() *refusal {
	return &refusal{http.StatusRequestEntityTooLarge, *errorf(rpc.CodeInvalidRequest, "the request is longer than %d bytes: send less at once", maxBody)}
}

// readBody reads the request's body into buf.body. The caller releases the hold.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, user *rpc.User, buf *buffers) (*budget.Hold, *refusal) {
	size := r.ContentLength
	if size > maxBody {
		w.Header().Set("Connection", "close") // the body was not read
		return nil, tooLong()
	}
	known := size >= 0
	if !known {
		size = maxBody // chunked: the length is not known
	}
	from, end := io.Reader(r.Body), int(size)
	if !known {
		from, end = http.MaxBytesReader(w, r.Body, maxBody), maxBody+1 // it fails there
	}

	buf.body = slices.Grow(buf.body[:0], int(min(size, smallBody)))
	err := buf.fill(from, int(min(size, smallBody)), nil)
	if err != nil || known && size <= smallBody {
		return nil, bodyRefusal(w, err, known, nil)
	}
	control := http.NewResponseController(w)
	held, err := s.bodies.Acquire(r.Context(), user.Name, size, func() {
		control.SetReadDeadline(time.Unix(1, 0)) // it fails only in tests, which have no connection
	})
	if err != nil {
		w.Header().Set("Connection", "close") // the rest was not read
		return nil, &refusal{http.StatusServiceUnavailable, *errorf(rpc.CodeBusy, "too many large requests at once: try again in a second")}
	}
	held.Waits()
	if known {
		buf.body = slices.Grow(buf.body, int(size)-len(buf.body))
	}
	err = buf.fill(from, end, held)
	held.Works()
	return held, bodyRefusal(w, err, known, held)
}

// fill reads until b.body has size bytes or the source ends.
func (b *buffers) fill(from io.Reader, size int, held *budget.Hold) error {
	for len(b.body) < size {
		b.body = slices.Grow(b.body, 1)
		n, err := from.Read(b.body[len(b.body):min(cap(b.body), size, len(b.body)+bodyPiece)])
		b.body = b.body[:len(b.body)+n]
		if held != nil {
			held.Moved(n)
		}
		if err != nil {
			if len(b.body) == size && errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
	return nil
}

// bodyRefusal says what is wrong with a body that could not be read. It returns nil if it was read.
func bodyRefusal(w http.ResponseWriter, err error, known bool, held *budget.Hold) *refusal {
	if err == nil || !known && errors.Is(err, io.EOF) {
		return nil
	}
	w.Header().Set("Connection", "close") // the rest was not read
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return tooLong()
	}
	if held != nil && held.Cut() {
		return &refusal{http.StatusServiceUnavailable, *errorf(rpc.CodeBusy, "the request came slower than %d bytes a second while other requests waited: try again", budget.MinRate)}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &refusal{http.StatusBadRequest, *errorf(rpc.CodeInvalidRequest, "the request broke off: %v", err)}
}
