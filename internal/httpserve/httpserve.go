// Package httpserve runs an HTTP server whose every resource is bounded, for each listener of the
// daemon: JSON-RPC's and the calendar's.
//
// The promise: whatever peers send, or do not send, a server holds no more connections, header
// bytes and time than its [Limits] say. Peers that only hold connections keep nobody out: the one
// that has been idle longest makes room. When Serve returns, nothing of it runs any more.
package httpserve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limits bound what peers may take of a server. Only what says so may be zero.
type Limits struct {
	Connections int           // more displace the idle ones, or wait
	Reserve     int           // of them, for loopback and those that Unlimited names
	HeaderBytes int           // of a request, its first line included; net/http adds 4 KiB
	ReadHeader  time.Duration // for the headers of a request
	Read        time.Duration // for headers and body together
	Write       time.Duration // from the headers to the end of the answer: the longest a request may take
	Stall       time.Duration // while the peer takes nothing of an answer; 0: only Write counts
	Idle        time.Duration // between the requests of a connection; less when all are taken
	Grace       time.Duration // for the requests that run when the server is told to stop

	// PerAddress is how many connections one address may have (of IPv6: one /64, see [AddressKey]);
	// the next is closed at once. 0: as many as it likes. Unlimited names the addresses that this
	// is not for: proxies, which bring everybody. nil: none.
	PerAddress int
	Unlimited  func(netip.Addr) bool
}

// Serve answers on ln until ctx is done, then takes no more connections, lets the requests that run
// come to their end, and returns nil. It closes ln. Requests that still run when the grace is over
// have their contexts cancelled and their connections cut; Serve returns when the last has ended.
// Another error means that the listener failed.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler, limits Limits, log *slog.Logger) error {
	// Requests outlive ctx: the one that told us to stop among them.
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	// Handlers hold running while they run; nothing of ours runs after Serve.
	var running sync.RWMutex
	ended := false
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.RLock()
			defer running.RUnlock()
			if !ended {
				body := watchBody(r)
				handler.ServeHTTP(w, r)
				body.linger(w, r)
			}
		}),
		MaxHeaderBytes:    limits.HeaderBytes,
		ReadHeaderTimeout: limits.ReadHeader,
		ReadTimeout:       limits.Read,
		WriteTimeout:      limits.Write,
		IdleTimeout:       limits.Idle,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections: no news to an operator
	}
	defer func() {
		cancelRequests()
		running.Lock() // waits for the handlers
		defer running.Unlock()
		ended = true
	}()
	admitting := newGate(ln, limits, log)
	server.ConnState, server.ConnContext = admitting.changed, withConn
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(admitting) }()

	select {
	case err := <-failed:
		server.Close()
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Grace)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		log.Warn("requests were cut off: they did not end in time", "grace", limits.Grace)
		server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
