package spv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"ancre/internal/humanize"
)

const (
	// aloneWarning is how long the client may have no peer before the operator is warned. The first
	// peer is there within seconds.
	aloneWarning = 30 * time.Second

	// aloneWarningProxy is the same behind a proxy: Tor takes up to a minute to be ready, and a
	// configured peer is dialed for up to dialTimeoutProxy.
	aloneWarningProxy = 2 * time.Minute
)

// aloneWarning returns how long this client may have no peer before the operator is warned.
func (c *Client) aloneWarning() time.Duration {
	if c.peers.proxy != "" {
		return aloneWarningProxy
	}
	return aloneWarning
}

// attempts counts how attempts to find a peer ended, since a peer was last connected. The warning
// that there is no peer names the likely cause from them.
type attempts struct {
	mu sync.Mutex
	attemptCounts
}

type attemptCounts struct {
	dialed     int // connections that were tried
	accepted   int // those that the other side accepted
	timedOut   int
	unroutable int   // those for which this machine has no route
	proxyDown  error // why the proxy itself could not be reached, the last time

	lookups      int // names that were looked up
	lookupErrors int
	lookupErr    error // the last one
}

// dial notes how an attempt to connect ended. proxied says that it went through a proxy.
func (a *attempts) dial(err error, proxied bool) {
	var timeout net.Error
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dialed++
	switch {
	case err == nil:
		a.accepted++
	case proxied && isProxyDown(err):
		a.proxyDown = innermost(err)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		a.unroutable++
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		a.timedOut++
	}
}

// isProxyDown reports whether an attempt failed because the proxy did not accept the connection. If
// it did, and refuses or fails to connect further, it says so in its protocol, not by an error of
// the operating system.
func isProxyDown(err error) bool {
	var system syscall.Errno
	return errors.As(err, &system)
}

// innermost returns the error that all others are wrapped around: "connection refused" without the
// addresses.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// lookup notes how the look-up of a name ended.
func (a *attempts) lookup(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lookups++
	if err != nil {
		a.lookupErrors++
		a.lookupErr = err
	}
}

// connected begins anew, because a peer is connected.
func (a *attempts) connected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attemptCounts = attemptCounts{}
}

func (a *attempts) counts() attemptCounts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attemptCounts
}

// alone is what is known when no peer is connected.
type alone struct {
	since   time.Time // no peer has been connected
	port    string    // on which peers of this network listen
	proxy   string    // HOST:PORT; empty: none
	connect bool      // only configured peers are used
	attemptCounts
}

// text says that there is no peer, and the likely cause.
func (a alone) text() string {
	return fmt.Sprintf("no connection to any peer since %s: %s", humanize.Time(a.since), a.cause())
}

func (a alone) cause() string {
	switch {
	case a.proxy != "" && a.proxyDown != nil:
		return fmt.Sprintf("the proxy %s cannot be reached (%v). Start it, or correct spv.proxy", a.proxy, a.proxyDown)
	case a.proxy != "":
		return fmt.Sprintf("all connections go through the proxy %s (spv.proxy). Does it reach the Internet, and does it allow TCP port %s?", a.proxy, a.port)
	case a.dialed == 0 && a.lookups > 0 && a.lookups == a.lookupErrors:
		return fmt.Sprintf("no name of a Bitcoin node can be looked up (%v). Is this machine connected to the Internet, and does its DNS work?", innermost(a.lookupErr))
	case a.dialed > 0 && a.dialed == a.unroutable:
		return "this machine has no route to any of them. Is it connected to the Internet?"
	case a.connect:
		return fmt.Sprintf("none of the nodes in spv.connect answers%s. Do they run, and does the firewall allow outbound TCP connections to them?", a.tried())
	}
	return fmt.Sprintf("is outbound TCP %s allowed by the firewall?%s", a.port, a.tried())
}

// tried says what came of the attempts, unless there were none.
func (a alone) tried() string {
	if a.dialed == 0 {
		return ""
	}
	s := fmt.Sprintf(" (%s to connect", humanize.Plural(a.dialed, "attempt", "attempts"))
	if a.timedOut > 0 {
		s += fmt.Sprintf(", %d without an answer", a.timedOut)
	}
	if a.accepted > 0 {
		s += fmt.Sprintf(", %d accepted, but none by a node that ancred can use", a.accepted)
	}
	return s + ")"
}
