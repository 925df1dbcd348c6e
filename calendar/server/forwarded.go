package server

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"ancre/internal/loopback"
)

// forwards remembers the requests that a proxy forwarded for clients on other machines, whatever
// calendar.trusted_proxies says. The daemon warns if its configuration does not fit them.
type forwards struct {
	last    atomic.Int64 // Unix seconds of the last one; 0: there was none
	unnamed atomic.Int64 // of the last one by a proxy that is not in Config.Proxies
}

// Forwarded returns when a proxy last forwarded a request of another machine, and when a proxy did
// that is not one of [Config.Proxies]. A time is zero if there was no such request.
func (s *Server) Forwarded() (last, unnamed time.Time) {
	return unixTime(s.forwards.last.Load()), unixTime(s.forwards.unnamed.Load())
}

func unixTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// noteForwarded notes a request that a proxy forwarded for another machine.
func (s *Server) noteForwarded(r *http.Request, now time.Time) {
	if !isForwarded(r.Header) {
		return
	}
	s.forwards.last.Store(now.Unix())
	if !s.proxies.isProxy(parseIP(r.RemoteAddr)) {
		s.forwards.unnamed.Store(now.Unix())
	}
}

// isForwarded reports whether a request names a client on another machine. A proxy adds the address
// of its client at the end of X-Forwarded-For or Forwarded (RFC 7239), or puts it into X-Real-IP.
// Any client can write these headers too, so nothing but a warning may depend on the answer.
func isForwarded(h http.Header) bool {
	if values := h["X-Forwarded-For"]; len(values) > 0 {
		_, last := cutLast(values[len(values)-1])
		return isElsewhere(last)
	}
	if values := h["X-Real-Ip"]; len(values) > 0 {
		return isElsewhere(values[len(values)-1])
	}
	if values := h["Forwarded"]; len(values) > 0 {
		_, last := cutLast(values[len(values)-1])
		for part := range strings.SplitSeq(last, ";") {
			if name, client, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(name, "for") {
				return isElsewhere(strings.Trim(client, `"`))
			}
		}
	}
	return false
}

// isElsewhere reports whether a client, as a proxy names it, is not on this machine. The name may
// be an address with or without a port, or "unknown".
func isElsewhere(client string) bool {
	client = strings.TrimSpace(client)
	if ap, err := netip.ParseAddrPort(client); err == nil {
		client = ap.Addr().String()
	}
	return client != "" && !loopback.IsHost(strings.Trim(client, "[]"))
}
