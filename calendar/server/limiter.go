package server

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"ancre/internal/httpserve"

	"golang.org/x/time/rate"
)

const (
	// burst is how many seconds' worth of requests an address may send at once: "ots upgrade" of a
	// folder sends many.
	burst = 10

	// maxAddresses is how many addresses have a count of their own, which takes some 15 MiB. If
	// more come within seconds, the others share the requests of crowd addresses.
	maxAddresses = 65_536
	crowd        = 100

	// sweepEvery is how often, at most, quiet addresses are forgotten. An address is quiet when
	// forgetting it gains it nothing.
	sweepEvery = time.Second

	// maxHops is how many addresses of X-Forwarded-For are read, from the last one on.
	maxHops = 16
)

// limiter limits the requests of each address. A nil limiter allows everything.
type limiter struct {
	perSecond int
	proxies   []netip.Prefix
	now       func() time.Time
	most      int // maxAddresses; tests lower it

	mu     sync.Mutex
	table  map[netip.Prefix]*rate.Limiter
	others *rate.Limiter
	swept  time.Time
}

func newLimiter(perSecond int, proxies []netip.Prefix) *limiter {
	if perSecond == 0 {
		return nil
	}
	return &limiter{
		perSecond: perSecond,
		proxies:   proxies,
		now:       time.Now,
		most:      maxAddresses,
		table:     make(map[netip.Prefix]*rate.Limiter),
		others:    rate.NewLimiter(rate.Limit(crowd*perSecond), crowd*burst*perSecond),
	}
}

// allow counts a request and reports whether it may be answered.
func (l *limiter) allow(r *http.Request) bool {
	if l == nil {
		return true
	}
	now := l.now()
	return l.of(httpserve.AddressKey(l.client(r)), now).AllowN(now, 1)
}

// of returns the count of an address.
func (l *limiter) of(key netip.Prefix, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.table[key]; one != nil {
		return one
	}
	if len(l.table) >= l.most {
		l.sweep(now)
	}
	if len(l.table) >= l.most {
		return l.others
	}
	one := rate.NewLimiter(rate.Limit(l.perSecond), burst*l.perSecond)
	l.table[key] = one
	return one
}

// sweep forgets addresses that may send as many requests as a new one.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	for key, one := range l.table {
		if one.TokensAt(now) >= float64(one.Burst()) {
			delete(l.table, key)
		}
	}
}

// client returns the address of the client: that of the connection, unless it is a proxy of ours. A
// proxy appends the address of its client to X-Forwarded-For, after whatever the client claims. So
// the last address that is not a proxy of ours counts.
func (l *limiter) client(r *http.Request) netip.Addr {
	peer := parseIP(r.RemoteAddr)
	if len(l.proxies) == 0 || !l.isProxy(peer) {
		return peer
	}
	chain := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for range maxHops {
		rest, last := cutLast(chain)
		addr := parseIP(last)
		if !addr.IsValid() {
			break // not an address: the request counts for the proxy that passed it on
		}
		if peer = addr; !l.isProxy(peer) {
			break
		}
		chain = rest
	}
	return peer
}

// isProxy reports whether an address is a proxy of ours.
func (l *limiter) isProxy(a netip.Addr) bool {
	for _, p := range l.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// cutLast splits a list at its last comma.
func cutLast(list string) (before, last string) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], strings.TrimSpace(list[i+1:])
	}
	return "", strings.TrimSpace(list)
}

// parseIP reads an IP address with or without a port. It returns the zero Addr for anything else.
func parseIP(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap()
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}
