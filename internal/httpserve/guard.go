package httpserve

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard keeps web pages away from a server that is for programs. A browser sends requests wherever
// a page tells it to, with the reach of the person in front of it. So a request that names a page's
// origin is refused, and one that names a host which is not ours: a page whose own name was made to
// point here (DNS rebinding).
type Guard struct {
	// Names are the hosts that callers may name beside loopback and the address that they reach us
	// at: a name in the configuration, of this machine or of a proxy in front.
	Names []string

	// Refuse answers a request that is not let through, with a status and a sentence.
	Refuse func(w http.ResponseWriter, status int, why string)
}

// Wrap returns a handler that lets through to next what is not a page's.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := g.objection(r); why != "" {
			w.Header().Set("Connection", "close") // no body is read
			g.Refuse(w, http.StatusForbidden, why)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// objection says why a request is refused; "": it is not.
func (g Guard) objection(r *http.Request) string {
	if _, ok := r.Header["Origin"]; ok {
		return "the request has an Origin header, so a web page sent it: this server is for programs, which send none"
	}
	// Browsers say of each request where it comes from (Fetch Metadata). "none" is a person who
	// typed the address, "same-origin" a link on a page of ours.
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "none", "same-origin":
	default:
		return "a web page of another site sent the request (Sec-Fetch-Site): this server is for programs"
	}
	if !g.ours(r) {
		return "the host " + quoteHost(r.Host) + " is not a name of this server: use 127.0.0.1 or localhost, or add the name to rpc.hosts in ancre.conf"
	}
	return ""
}

// ours reports whether a request names a host of ours. One of HTTP/1.0 may name none: no browser
// sends that.
func (g Guard) ours(r *http.Request) bool {
	host := hostOf(r.Host)
	if host == "" || host == "localhost" {
		return r.Host == "" || host != ""
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		// Nobody can make an address point elsewhere, but a port may be forwarded: only the address
		// of the connection is ours for sure.
		addr = addr.Unmap()
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if addr.IsLoopback() || local != nil && addr == PeerAddress(local) {
			return true
		}
	}
	for _, name := range g.Names {
		if host == hostOf(name) {
			return true
		}
	}
	return false
}

// hostOf returns the host of HOST or HOST:PORT, in lower case, without brackets and the dot of a
// full name.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// quoteHost shows what a stranger sent: net/http has refused control characters in it already.
func quoteHost(host string) string {
	const enough = 80
	if len(host) > enough {
		host = host[:enough] + "…"
	}
	return `"` + host + `"`
}

// LocalOrigin reports whether an Origin header names a page of this machine. "null" does not: any
// page can make a frame that has it.
func LocalOrigin(origin string) bool {
	_, host, ok := strings.Cut(origin, "://")
	if host = hostOf(host); !ok || host == "" {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
