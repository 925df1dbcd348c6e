package btclogslog

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/btcsuite/btclog"
)

// Forwarder is for libraries whose logger is a package variable. That variable must not change
// while their goroutines run. So it is set to [Forwarder.Logger] once, and the messages go to the
// logger that [Forwarder.Set] got last. The zero value discards all messages.
type Forwarder struct {
	to atomic.Pointer[slog.Logger]
}

// Set changes where the messages go.
func (f *Forwarder) Set(to *slog.Logger) { f.to.Store(to) }

// Logger returns a logger that forwards.
func (f *Forwarder) Logger() btclog.Logger { return New(slog.New(forward{f})) }

// forward is the slog handler of a Forwarder. btclogslog adds no attributes and no groups, so these
// need not follow a later Set.
type forward struct{ f *Forwarder }

func (h forward) handler() slog.Handler {
	if to := h.f.to.Load(); to != nil {
		return to.Handler()
	}
	return slog.DiscardHandler
}

func (h forward) Enabled(ctx context.Context, level slog.Level) bool {
	return h.handler().Enabled(ctx, level)
}

func (h forward) Handle(ctx context.Context, r slog.Record) error { return h.handler().Handle(ctx, r) }
func (h forward) WithAttrs(attrs []slog.Attr) slog.Handler        { return h.handler().WithAttrs(attrs) }
func (h forward) WithGroup(name string) slog.Handler              { return h.handler().WithGroup(name) }
