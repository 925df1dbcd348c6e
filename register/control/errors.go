package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"ancre/register"
	"ancre/register/store"
)

// Codes of an [Error], which scripts may decide by.
const (
	CodeInvalid  = "invalid"   // what was asked for is not allowed
	CodeNotFound = "not_found" // there is no such meeting or document
	CodeChanged  = "changed"   // the file changed while it was read
	CodeBusy     = "busy"      // ask again in a moment
	CodeFull     = "full"      // the disk is full
	CodeDamaged  = "damaged"   // the database or a file is damaged
	CodeInternal = "internal"
)

// statuses are those of HTTP for the codes.
var statuses = map[string]int{
	CodeInvalid: http.StatusUnprocessableEntity, CodeNotFound: http.StatusNotFound, CodeChanged: http.StatusConflict,
	CodeBusy: http.StatusServiceUnavailable, CodeFull: http.StatusInsufficientStorage,
	CodeDamaged: http.StatusInternalServerError, CodeInternal: http.StatusInternalServerError,
}

// Error is a refusal of the register.
type Error struct {
	Message string `json:"error"` // a sentence for a person
	Code    string `json:"code"`
}

func (e *Error) Error() string { return e.Message }

// HasCode reports whether the register refused with that code.
func HasCode(err error, code string) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Code == code
}

func invalidf(format string, args ...any) error {
	return &Error{fmt.Sprintf(format, args...), CodeInvalid}
}

// asError gives an error of the register its code.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{err.Error(), e.Code}
	}
	for _, c := range []struct {
		sentinel error
		code     string
	}{
		{register.ErrInvalid, CodeInvalid},
		{store.ErrNotFound, CodeNotFound},
		{store.ErrFull, CodeFull},
		{store.ErrExists, CodeInvalid},
		{store.ErrDamaged, CodeDamaged},
	} {
		if errors.Is(err, c.sentinel) {
			return &Error{strings.TrimSuffix(err.Error(), ": "+c.sentinel.Error()), c.code}
		}
	}
	return &Error{err.Error(), CodeInternal}
}

// refuse answers with an error. Once a streamed answer has begun, it can only be cut off.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	if errors.Is(err, errCutOff) {
		s.Log.Warn("a streamed answer was cut off", "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler)
	}
	if r.Context().Err() != nil && !errors.Is(err, store.ErrFull) {
		s.Log.Debug("the caller is gone", "path", r.URL.Path, "err", err)
	} else if e.Code == CodeInternal || e.Code == CodeFull || e.Code == CodeDamaged {
		s.Log.Error("a verb failed", "path", r.URL.Path, "err", err)
	}
	if e.Code == CodeBusy {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statuses[e.Code])
	encode(w, e)
}

// errCutOff is wrapped by what goes wrong after a streamed answer has begun.
var errCutOff = errors.New("cut off")

// answer writes a result.
func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	encode(w, v)
	return nil
}

// encode writes JSON. An error means that the caller is gone.
func encode(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// decode reads the body of a request. Unknown members are an error: they would be typing errors.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return invalidf("the request is not the JSON that this register knows (%v): use the ancre-register of the same version", err)
	}
	return nil
}

// enter takes a place, and fails if none is free.
func enter(places chan struct{}, what string) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, &Error{fmt.Sprintf("the register is busy: %d %s are under way; try again in a moment", cap(places), what), CodeBusy}
	}
}

// interrupted reports whether a request ended because its caller went away.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF)
}
