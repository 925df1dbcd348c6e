package service

import (
	"fmt"
	"io"
	"log/slog"

	"ancre/internal/journal"
	"ancre/internal/printable"
)

// NewLogger makes the logger of a daemon, for a level and a format as the configurations have them.
// For systemd's journal each line begins with its priority, and the text form leaves out the time,
// which the journal has.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log.level %q: must be debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: least}
	inJournal := journal.Reads(w)
	var newHandler func(io.Writer) slog.Handler
	switch format {
	case "json":
		newHandler = func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(printable.NewWriter(w, printable.JSON), opts)
		}
	case "text":
		if inJournal {
			opts.ReplaceAttr = withoutTime
		}
		newHandler = func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(printable.NewWriter(w, printable.Text), opts)
		}
	default:
		return nil, fmt.Errorf("log.format %q: must be text or json", format)
	}
	if inJournal {
		return slog.New(journal.NewHandler(w, newHandler)), nil
	}
	return slog.New(newHandler(w)), nil
}

// withoutTime leaves out the time of a record.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
