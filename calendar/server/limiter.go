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
	// burst is for how many seconds an address may ask at once what it may ask a second: "ots
	// upgrade" of a folder comes in a burst.
	burst = 10

	// maxAddresses is how many addresses are counted each for itself: some 15 MiB. Whoever comes
	// when there are more, all of them in the last seconds, shares crowd addresses' worth with the
	// others.
	maxAddresses = 65_536
	crowd        = 100

	// sweepEvery is how often, at most, addresses are forgotten that have been quiet for so long
	// that forgetting gives them nothing.
	sweepEvery = time.Second

	// maxHops is how many addresses of X-Forwarded-For are looked at, from the nearest on.
	maxHops = 16
)

// limiter bounds the requests of each address. A nil one allows everything.
type limiter struct {
	perSecond int
	proxies   []netip.Prefix
	now       func() time.Time
	most      int // maxAddresses; tests make it small

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

// allow counts a request, and says whether it may be answered.
func (l *limiter) allow(r *http.Request) bool {
	if l == nil {
		return true
	}
	now := l.now()
	return l.of(httpserve.AddressKey(l.client(r)), now).AllowN(now, 1)
}

// of returns what counts the requests of an address.
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

// sweep forgets addresses that may ask as much as one that was never seen.
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

// client returns the address that asks: the connection's, unless that is a proxy of ours. A proxy
// appends to X-Forwarded-For whom it asks for, after whatever its client claims; so the address
// that counts is the last one that is no proxy of ours.
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
			break // of what does not make sense, the proxy that passed it on is to blame
		}
		if peer = addr; !l.isProxy(peer) {
			break
		}
		chain = rest
	}
	return peer
}

// isProxy says whether an address is one of our proxies'.
func (l *limiter) isProxy(a netip.Addr) bool {
	for _, p := range l.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// cutLast cuts a list at its last comma.
func cutLast(list string) (before, last string) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], strings.TrimSpace(list[i+1:])
	}
	return "", strings.TrimSpace(list)
}

// parseIP reads an IP address with or without a port; the zero Addr stands for anything else.
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
