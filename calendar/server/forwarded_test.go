package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestRequestsThatAProxyForwardsForOthersAreNoted(t *testing.T) {
	const proxy, other = "10.0.0.1:5", "127.0.0.1:5"
	for _, tt := range []struct {
		name          string
		from          string
		headers       http.Header
		last, unnamed bool
	}{
		{"a program of this machine", other, nil, false, false},
		{"a client behind a proxy that is not configured", other, http.Header{"X-Forwarded-For": {"192.0.2.1"}}, true, true},
		{"a client behind a configured proxy", proxy, http.Header{"X-Forwarded-For": {"192.0.2.1"}}, true, false},
		{"a client of the house", other, http.Header{"X-Forwarded-For": {"192.168.1.7"}}, true, true},
		{"a program of this machine behind a proxy", other, http.Header{"X-Forwarded-For": {"127.0.0.1"}}, false, false},
		{"a program of this machine behind a proxy, by IPv6", other, http.Header{"X-Forwarded-For": {"::1"}}, false, false},
		{"a client that claims to be here", other, http.Header{"X-Forwarded-For": {"127.0.0.1, 192.0.2.1"}}, true, true},
		{"two headers, of which the proxy wrote the last", other, http.Header{"X-Forwarded-For": {"192.0.2.1", "127.0.0.1"}}, false, false},
		{"an address with a port", other, http.Header{"X-Forwarded-For": {"127.0.0.1:4711"}}, false, false},
		{"an empty header", other, http.Header{"X-Forwarded-For": {""}}, false, false},
		{"nginx with X-Real-IP", other, http.Header{"X-Real-Ip": {"2001:db8::1"}}, true, true},
		{"RFC 7239", other, http.Header{"Forwarded": {`for=127.0.0.1, proto=https;For="[2001:db8::1]:4711"`}}, true, true},
		{"RFC 7239 for this machine", other, http.Header{"Forwarded": {`for="[::1]:4711"`}}, false, false},
		{"RFC 7239 for a client without an address", other, http.Header{"Forwarded": {`for=unknown;proto=https`}}, true, true},
		{"RFC 7239 without a client", other, http.Header{"Forwarded": {`proto=https`}}, false, false},
	} {
		r := newRig(t, Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		req := httptest.NewRequest(http.MethodGet, "/tip", nil)
		req.RemoteAddr = tt.from
		if tt.headers != nil {
			req.Header = tt.headers
		}
		r.ServeHTTP(httptest.NewRecorder(), req)
		if last, unnamed := r.Forwarded(); last.IsZero() == tt.last || unnamed.IsZero() == tt.unnamed {
			t.Errorf("%s: %v, %v; want times: %t, %t", tt.name, last, unnamed, tt.last, tt.unnamed)
		}
	}
}
