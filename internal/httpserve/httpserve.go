// Package httpserve runs an HTTP server with a limit for each resource. All listeners of the daemon
// use it.
//
// The promise: whatever peers send, or do not send, a server uses no more connections, header bytes
// and time than its [Limits] say. Peers that only hold connections cannot keep others out: the
// connection that has been idle longest makes room. When [Serve] returns, none of its goroutines
// runs any more.
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

// Limits are what peers may use of a server. A limit may be zero only if its comment says so.
type Limits struct {
	Connections int           // further ones displace idle ones, or wait
	Reserve     int           // how many of them are kept for loopback and for Unlimited
	HeaderBytes int           // of a request, including its first line; net/http adds 4 KiB
	ReadHeader  time.Duration // for the headers of a request
	Read        time.Duration // for headers and body together
	Write       time.Duration // from the headers to the end of the answer: how long a request may take
	Stall       time.Duration // while the peer reads nothing of the answer; 0: only Write counts
	Idle        time.Duration // between the requests of a connection; shorter when all connections are taken
	Grace       time.Duration // for the running requests when the server stops

	// PerAddress is how many connections one address may have (for IPv6 one /64, see [AddressKey]).
	// The server closes further ones at once. 0: there is no limit.
	//
	// Unlimited says which addresses have no such limit: proxies, through which all clients come.
	// nil: none.
	PerAddress int
	Unlimited  func(netip.Addr) bool
}

// Serve answers requests on ln until ctx is done. Then it accepts no more connections, waits for
// the running requests to end, and returns nil. When the grace is over it cancels the contexts of
// the requests that still run and closes their connections, and waits for their handlers. Any other
// return means that the listener failed. Serve closes ln.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler, limits Limits, log *slog.Logger) error {
	// Requests outlive ctx, such as the one that stopped the daemon.
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	// Handlers hold running while they run, so that none runs after Serve.
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
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections do not matter to an operator
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
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Grace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("aborted requests that did not end in time", "grace", limits.Grace)
		server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
