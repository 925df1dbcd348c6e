package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"ancre/config"
	"ancre/internal/printable"
)

// newLogger makes the logger that the configuration asks for. Under systemd's journal, which has a
// time of its own, the text form leaves the time out.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level %q: must be debug, info, warn or error", c.Level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch c.Format {
	case "json":
		return slog.New(slog.NewJSONHandler(printable.NewWriter(w, printable.JSON), opts)), nil
	case "text":
		if os.Getenv("JOURNAL_STREAM") != "" {
			opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}
		}
		return slog.New(slog.NewTextHandler(printable.NewWriter(w, printable.Text), opts)), nil
	}
	return nil, fmt.Errorf("log.format %q: must be text or json", c.Format)
}
