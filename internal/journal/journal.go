// Package journal writes for systemd's journal: each line begins with its priority, as sd-daemon(3)
// describes it. `journalctl -p warning` then finds warnings.
package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// variable is where systemd says which device and inode the streams of a service are that lead to
// the journal.
const variable = "JOURNAL_STREAM"

// Reads reports whether the journal reads what is written to w. A program that a service starts
// inherits the variable, and may write elsewhere.
func Reads(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv(variable) == "" {
		return false
	}
	id, ok := identity(f)
	return ok && id == os.Getenv(variable)
}

// The priorities of sd-daemon(3), as they stand before a line.
const (
	Error   = "<3>"
	Warning = "<4>"
	Info    = "<6>"
	Debug   = "<7>"
)

// Priority returns the priority of a level.
func Priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return Error
	case level >= slog.LevelWarn:
		return Warning
	case level >= slog.LevelInfo:
		return Info
	}
	return Debug
}

// Line returns a line with its priority if the journal reads w. Otherwise it returns it as it is.
func Line(w io.Writer, priority, line string) string {
	if !Reads(w) {
		return line
	}
	return priority + line
}

// NewHandler returns a handler that writes each record as a handler from newHandler does, with its
// priority before it. newHandler must write each record with one call of Write.
func NewHandler(w io.Writer, newHandler func(io.Writer) slog.Handler) slog.Handler {
	h := &handler{by: make(map[string]slog.Handler)}
	for _, priority := range []string{Error, Warning, Info, Debug} {
		h.by[priority] = newHandler(&prefixed{w, priority})
	}
	return h
}

// handler has a handler for each priority.
type handler struct{ by map[string]slog.Handler }

func (h *handler) of(level slog.Level) slog.Handler { return h.by[Priority(level)] }

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.of(level).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(of slog.Handler) slog.Handler { return of.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return h.with(func(of slog.Handler) slog.Handler { return of.WithGroup(name) })
}

func (h *handler) with(change func(slog.Handler) slog.Handler) slog.Handler {
	c := &handler{by: make(map[string]slog.Handler)}
	for priority, of := range h.by {
		c.by[priority] = change(of)
	}
	return c
}

// prefixed writes each line with its priority, in one call.
type prefixed struct {
	w        io.Writer
	priority string
}

func (p *prefixed) Write(line []byte) (int, error) {
	n, err := fmt.Fprintf(p.w, "%s%s", p.priority, line)
	return max(n-len(p.priority), 0), err
}
