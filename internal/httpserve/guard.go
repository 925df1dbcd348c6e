package httpserve

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"ancre/internal/humanize"
	"ancre/internal/loopback"
)

// Guard keeps web pages away from a server that is for programs. A browser sends requests to any
// address that a page names, also to servers that only its user can reach. So Guard refuses a
// request with the origin of a page. It also refuses a request for a host that is not ours: the
// name of a page may have been made to point here (DNS rebinding).
type Guard struct {
	// Names are the hosts that callers may name besides loopback and the address of the connection:
	// names from the configuration, of this machine or of a proxy in front.
	Names []string

	// Refuse answers a refused request, with a status and a sentence.
	Refuse func(w http.ResponseWriter, status int, why string)
}

// Wrap returns a handler that passes requests to next, except those from web pages.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := g.objection(r); why != "" {
			w.Header().Set("Connection", "close") // the body is not read
			g.Refuse(w, http.StatusForbidden, why)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// objection says why a request is refused. It is empty if the request is allowed.
func (g Guard) objection(r *http.Request) string {
	if _, ok := r.Header["Origin"]; ok {
		return "the request has an Origin header, so a web page sent it: this server is for programs, which send none"
	}
	// Browsers say where each request comes from (Fetch Metadata). "none" means that a person typed
	// the address, "same-origin" that a page of ours has a link.
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

// ours reports whether a request names a host of ours. A request of HTTP/1.0 may name no host: no
// browser sends that.
func (g Guard) ours(r *http.Request) bool {
	host := hostOf(r.Host)
	if host == "" || host == "localhost" {
		return r.Host == "" || host != ""
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		// An address cannot be made to point elsewhere, but a port may be forwarded. Only the
		// address of the connection is certainly ours.
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

// hostOf returns the host of HOST or HOST:PORT: in lower case, without brackets and without a dot
// at the end.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// quoteHost quotes a host that a stranger sent. net/http has already refused control characters.
func quoteHost(host string) string {
	return `"` + humanize.Clip(host) + `"`
}

// LocalOrigin reports whether an Origin header names a page of this machine. "null" does not count:
// any page can make a frame with that origin.
func LocalOrigin(origin string) bool {
	_, host, ok := strings.Cut(origin, "://")
	if host = hostOf(host); !ok || host == "" {
		return false
	}
	return loopback.IsHost(host)
}
