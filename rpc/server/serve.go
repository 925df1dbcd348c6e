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

// limits are the limits of the RPC's connections.
var limits = httpserve.Limits{
	Connections: 1_024,
	Reserve:     64,  // kept for this machine, so that "ancre status" always gets in
	PerAddress:  256, // enough for a machine that submits from many threads
	Unlimited:   netip.Addr.IsLoopback,
	HeaderBytes: 16 << 10, // credentials, and what proxies add
	ReadHeader:  10 * time.Second,
	Read:        time.Minute,     // 4 MiB over a slow line
	Write:       5 * time.Minute, // the longest a call may take
	Stall:       backupStall,
	Idle:        2 * time.Minute,
	Grace:       10 * time.Second,
}

// Serve answers requests on ln until ctx is done. Then it accepts no more connections, waits for
// the running calls to end, and returns nil. Any other return means that the listener failed. Serve
// closes ln, and refuses requests that come from web pages.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer context.AfterFunc(ctx, s.endWaits)()
	guard := httpserve.Guard{Names: s.hosts, Refuse: func(w http.ResponseWriter, status int, why string) {
		s.refuse(w, status, errorf(rpc.CodeForbidden, "%s", why))
	}}
	return httpserve.Serve(ctx, ln, guard.Wrap(s), limits, s.log)
}
