package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"ancre/internal/httpserve"
	"ancre/rpc"
)

// limits are those of JSON-RPC's connections.
var limits = httpserve.Limits{
	Connections: 1_024,
	Reserve:     64,  // for "ancre status", whatever other machines do
	PerAddress:  256, // one machine that submits from many threads has enough
	Unlimited:   netip.Addr.IsLoopback,
	HeaderBytes: 16 << 10, // credentials and what proxies add
	ReadHeader:  10 * time.Second,
	Read:        time.Minute,     // 4 MiB over a slow line
	Write:       5 * time.Minute, // the longest a call may take
	Stall:       backupStall,
	Idle:        2 * time.Minute,
	Grace:       10 * time.Second,
}

// Serve answers on ln, but no request of a web page, until ctx is done, then takes no more
// connections, lets the calls that run come to their end, and returns nil. It closes ln. Another
// error means that the listener failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	guard := httpserve.Guard{Names: s.hosts, Refuse: func(w http.ResponseWriter, status int, why string) {
		s.refuse(w, status, errorf(rpc.CodeForbidden, "%s", why))
	}}
	return httpserve.Serve(ctx, ln, guard.Wrap(s), limits, s.log)
}
