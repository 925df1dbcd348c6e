// Package btclogslog lets libraries that log through btclog (btcsuite, neutrino) write to a
// log/slog logger.
//
// These libraries take their logger by a package-level UseLogger, so one process has one of them.
// Their levels say what matters to the library, not to an operator of ours: whoever uses this
// package chooses with [New] how loud they may be.
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

// New returns a btclog logger that writes to the given one; nil discards all. Information, debug
// and trace arrive at slog's debug level, because what a library finds worth telling is detail to
// us; warnings arrive as information, since these libraries warn of a peer that hangs up; errors
// arrive as warnings, since what they call an error they mostly cure themselves. Only what they
// call critical stays an error.
func New(to *slog.Logger) btclog.Logger {
	if to == nil {
		return btclog.Disabled
	}
	l := &logger{to: to}
	l.level.Store(uint32(btclog.LevelTrace))
	return l
}

// slogLevel says how loud a library's message is here.
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

// enabled spares the formatting of what nobody reads: some libraries pass closures that dump whole
// blocks.
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
