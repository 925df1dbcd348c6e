package spv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheLikelyCauseOfHavingNoPeerIsNamed(t *testing.T) {
	t.Parallel()
	dns := &net.DNSError{Err: "no such host", Name: "seed.example"}
	for _, tt := range []struct {
		name string
		alone
		want []string
	}{
		{"nothing is known", alone{}, []string{"no connection to any peer since 2026-01-02 03:04 UTC: is outbound TCP 8333 allowed by the firewall?"}},
		{"a firewall drops what is sent", alone{attemptCounts: attemptCounts{dialed: 12, timedOut: 11, lookups: 2}},
			[]string{"is outbound TCP 8333 allowed by the firewall? (12 attempts to connect, 11 without an answer)"}},
		{"other programs answer", alone{attemptCounts: attemptCounts{dialed: 1, accepted: 1}}, []string{"1 attempt to connect, 1 accepted, but none"}},
		{"no names are found", alone{attemptCounts: attemptCounts{lookups: 3, lookupErrors: 3, lookupErr: fmt.Errorf("look up: %w", dns)}},
			[]string{"no such host", "DNS"}},
		{"some names are found", alone{attemptCounts: attemptCounts{lookups: 3, lookupErrors: 2, lookupErr: dns}}, []string{"firewall"}},
		{"there is no route", alone{attemptCounts: attemptCounts{dialed: 3, unroutable: 3}}, []string{"no route", "connected to the Internet"}},
		{"there is no route for IPv6 alone", alone{attemptCounts: attemptCounts{dialed: 4, unroutable: 3, timedOut: 1}}, []string{"firewall"}},
		{"the configured nodes do not answer", alone{connect: true, attemptCounts: attemptCounts{dialed: 2}}, []string{"spv.connect", "2 attempts", "firewall"}},
		{"a proxy", alone{proxy: "127.0.0.1:9050", attemptCounts: attemptCounts{dialed: 2}}, []string{"proxy 127.0.0.1:9050 (spv.proxy)", "8333"}},
		{"a proxy that is down", alone{proxy: "127.0.0.1:9050", attemptCounts: attemptCounts{dialed: 2, proxyDown: syscall.ECONNREFUSED}},
			[]string{"the proxy 127.0.0.1:9050 cannot be reached (connection refused)", "spv.proxy"}},
	} {
		tt.since, tt.port = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "8333"
		for _, want := range tt.want {
			if got := tt.text(); !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", tt.name, got, want)
			}
		}
	}
}

func TestAttemptsAreCountedByHowTheyEnded(t *testing.T) {
	t.Parallel()
	dialed := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	system := func(n syscall.Errno) error { return dialed(os.NewSyscallError("connect", n)) }
	var a attempts
	for _, err := range []error{nil, dialed(context.DeadlineExceeded), dialed(os.ErrDeadlineExceeded), system(syscall.ENETUNREACH), system(syscall.EHOSTUNREACH),
		system(syscall.ECONNREFUSED)} {
		a.dial(err, false)
	}
	a.lookup(nil)
	a.lookup(errors.New("a riddle"))
	got := a.counts()
	if got.lookupErr == nil || got.proxyDown != nil {
		t.Errorf("%+v", got)
	}
	got.lookupErr = nil
	if want := (attemptCounts{dialed: 6, accepted: 1, timedOut: 2, unroutable: 2, lookups: 2, lookupErrors: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	a.connected()
	if got := a.counts(); got != (attemptCounts{}) {
		t.Errorf("%+v after a peer was connected", got)
	}
	a.dial(&net.OpError{Op: "socks connect", Err: errors.New("connection refused")}, true) // the proxy's word of the node
	if got := a.counts(); got.proxyDown != nil {
		t.Errorf("the proxy is said to be down: %v", got.proxyDown)
	}
	a.dial(&net.OpError{Op: "socks connect", Err: system(syscall.ECONNREFUSED)}, true)
	if got := a.counts(); got.proxyDown != syscall.ECONNREFUSED {
		t.Errorf("the proxy is down: %v", got.proxyDown)
	}
}

// The real dialer counts, directly and through a proxy.
func TestAClientThatReachesNoPeerSaysWhy(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	c := openConfig(t, Config{Dir: newDir(t), Connect: []string{"127.0.0.1:1"}, Proxy: nobody})
	k := setClock(c)
	startClient(t, c)
	waitFor(t, "an attempt", func() bool { return c.peers.attempts.counts().proxyDown != nil })
	k.forward(aloneWarning)
	if warned(c, "no connection to any peer") {
		t.Error("warned after half a minute, in which Tor may not be ready")
	}
	k.forward(aloneWarningProxy)
	waitFor(t, "the warning", func() bool {
		return warned(c, "no connection to any peer since", "the proxy "+nobody+" cannot be reached", "refused")
	})
}
