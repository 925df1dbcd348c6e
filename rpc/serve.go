package rpc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of connections.
const (
	maxConnections    = 1_024            // more wait to be accepted
	maxHeaderBytes    = 16 << 10         // credentials and what proxies add
	readHeaderTimeout = 10 * time.Second //
	readTimeout       = time.Minute      // headers and body: 4 MiB over a slow line
	writeTimeout      = 5 * time.Minute  // from the headers to the end of the answer: the longest a call may take
	idleTimeout       = 2 * time.Minute  // between requests of a connection
	stopTimeout       = 10 * time.Second // for the calls that run when the server is told to stop
)

// Serve answers on ln until ctx is done, then takes no more connections, lets the calls that run come to their end, and returns nil. It closes
// ln. Another error means that the listener failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, s, stopTimeout, s.log)
}

// serve is an HTTP server with our limits, for one listener: JSON-RPC's here, and whatever else this package will offer over HTTP. Calls that
// still run when grace is over have their contexts cancelled and their connections cut; serve returns when the last has ended.
func serve(ctx context.Context, ln net.Listener, handler http.Handler, grace time.Duration, log *slog.Logger) error {
	// Calls outlive ctx: the one that told us to stop among them.
	calls, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	// Handlers hold running while they run; nothing of ours runs after Serve.
	var running sync.RWMutex
	ended := false
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.RLock()
			defer running.RUnlock()
			if !ended {
				handler.ServeHTTP(w, r)
			}
		}),
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		BaseContext:       func(net.Listener) context.Context { return calls },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections: no news to an operator
	}
	defer func() {
		cancelCalls()
		running.Lock() // waits for the handlers
		defer running.Unlock()
		ended = true
	}()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(netutil.LimitListener(ln, maxConnections)) }()

	select {
	case err := <-failed:
		server.Close()
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		log.Warn("calls were cut off: they did not end in time", "grace", grace)
		server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
