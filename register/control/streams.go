package control

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// doneTrailer follows a streamed answer that is whole. Without it, the answer was cut off.
const doneTrailer = "Ancre-Complete"

// stream answers with what write writes. If write fails before it has written anything, the answer
// is its error; later, the answer is cut off.
func (s *Server) stream(w http.ResponseWriter, write func(io.Writer) error) error {
	out := &lazyHeader{w: w}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", doneTrailer)
	if err := write(out); err != nil {
		if !out.begun {
			w.Header().Del("Trailer")
			return err
		}
		return fmt.Errorf("%w: %w", errCutOff, err)
	}
	w.Header().Set(doneTrailer, "yes")
	return nil
}

// lazyHeader remembers whether anything was written.
type lazyHeader struct {
	w     http.ResponseWriter
	begun bool
}

func (l *lazyHeader) Write(p []byte) (int, error) {
	l.begun = l.begun || len(p) > 0
	return l.w.Write(p)
}

func (s *Server) export(w http.ResponseWriter, r *http.Request) error {
	if s.Export == nil {
		return invalidf("this register has no page to export: set page.listen in register.conf, and restart the register")
	}
	return s.archive(w, r, s.Export)
}

func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	return s.archive(w, r, s.Backup)
}

func (s *Server) archive(w http.ResponseWriter, r *http.Request, write func(context.Context, io.Writer) error) error {
	leave, err := enter(s.streams, "exports and backups")
	if err != nil {
		return err
	}
	defer leave()
	return s.stream(w, func(out io.Writer) error { return write(r.Context(), out) })
}

func (s *Server) reportBackup(w http.ResponseWriter, r *http.Request) error {
	var report BackupReport
	if err := decode(w, r, &report); err != nil {
		return err
	}
	if err := s.Reported(report); err != nil {
		return err
	}
	return answer(w, report)
}
