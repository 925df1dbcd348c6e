package daemon

import (
	"fmt"
	"io"
	"log/slog"

	"ancre/config"
	"ancre/internal/journal"
	"ancre/internal/printable"
)

// newLogger makes the logger that the configuration asks for. For systemd's journal each line
// begins with its priority, and the text form leaves out the time, which the journal has.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level %q: must be debug, info, warn or error", c.Level)
	}
	opts := &slog.HandlerOptions{Level: level}
	inJournal := journal.Reads(w)
	var newHandler func(io.Writer) slog.Handler
	switch c.Format {
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
		return nil, fmt.Errorf("log.format %q: must be text or json", c.Format)
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
