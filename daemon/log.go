package daemon

import (
	"io"
	"log/slog"

	"ancre/config"
	"ancre/internal/service"
)

// newLogger makes the logger that the configuration asks for.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, error) {
	return service.NewLogger(w, c.Level, c.Format)
}
