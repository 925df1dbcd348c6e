// Package btclogslog lets libraries that log through btclog (btcsuite, neutrino) write to a
// log/slog logger.
//
// These libraries get their logger by a package-level function UseLogger, so one process has one
// logger for each library. Their levels say what matters to the library, not to an operator of
// ancred, so [New] lowers them.
package btclogslog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/btcsuite/btclog"
)

// logger implements [btclog.Logger].
type logger struct {
	to    *slog.Logger
	level atomic.Uint32 // a btclog.Level: the library's own threshold, besides that of the slog handler
}

// New returns a btclog logger that writes to the given logger. If that is nil, it discards all
// messages. It changes the levels:
//
//   - Information, debug and trace become debug: what a library reports is detail to an operator.
//   - A warning becomes information: these libraries warn of each peer that disconnects.
//   - An error becomes a warning: these libraries cure most of their errors themselves.
//   - Critical becomes an error.
func New(to *slog.Logger) btclog.Logger {
	if to == nil {
		return btclog.Disabled
	}
	l := &logger{to: to}
	l.level.Store(uint32(btclog.LevelTrace))
	return l
}

// slogLevel returns the slog level for a library's level.
func slogLevel(level btclog.Level) slog.Level {
	switch {
	case level <= btclog.LevelInfo:
		return slog.LevelDebug
	case level == btclog.LevelWarn:
		return slog.LevelInfo
	case level == btclog.LevelError:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// enabled reports whether a message is logged. Others are not even formatted: some libraries pass
// closures that print whole blocks.
func (l *logger) enabled(level btclog.Level) bool {
	return level >= l.Level() && l.to.Enabled(context.Background(), slogLevel(level))
}

func (l *logger) printf(level btclog.Level, format string, params []any) {
	if l.enabled(level) {
		l.to.Log(context.Background(), slogLevel(level), fmt.Sprintf(format, params...))
	}
}

func (l *logger) print(level btclog.Level, v []any) {
	if l.enabled(level) {
		l.to.Log(context.Background(), slogLevel(level), strings.TrimSuffix(fmt.Sprintln(v...), "\n"))
	}
}

func (l *logger) Tracef(format string, params ...any) { l.printf(btclog.LevelTrace, format, params) }
func (l *logger) Debugf(format string, params ...any) { l.printf(btclog.LevelDebug, format, params) }
func (l *logger) Infof(format string, params ...any)  { l.printf(btclog.LevelInfo, format, params) }
func (l *logger) Warnf(format string, params ...any)  { l.printf(btclog.LevelWarn, format, params) }
func (l *logger) Errorf(format string, params ...any) { l.printf(btclog.LevelError, format, params) }
func (l *logger) Criticalf(format string, params ...any) {
	l.printf(btclog.LevelCritical, format, params)
}

func (l *logger) Trace(v ...any)    { l.print(btclog.LevelTrace, v) }
func (l *logger) Debug(v ...any)    { l.print(btclog.LevelDebug, v) }
func (l *logger) Info(v ...any)     { l.print(btclog.LevelInfo, v) }
func (l *logger) Warn(v ...any)     { l.print(btclog.LevelWarn, v) }
func (l *logger) Error(v ...any)    { l.print(btclog.LevelError, v) }
func (l *logger) Critical(v ...any) { l.print(btclog.LevelCritical, v) }

func (l *logger) Level() btclog.Level         { return btclog.Level(l.level.Load()) }
func (l *logger) SetLevel(level btclog.Level) { l.level.Store(uint32(level)) }
