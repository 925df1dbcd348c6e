package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"ancre/config"
	"ancre/internal/loopback"
	"ancre/internal/quota"
	"ancre/internal/warning"
)

// What other machines and web pages reach of this daemon, and what the operator is told of that.

// exposureWarnings are about listeners that are there for other machines.
func exposureWarnings(cfg config.Config) (all []warning.Warning) {
	for _, w := range []warning.Warning{
		{Kind: warning.RPCListen, Text: rpcWarning(cfg.RPC)},
		{Kind: warning.MetricsListen, Text: metricsWarning(cfg.Metrics)},
		{Kind: warning.CalendarBudget, Text: strangersWarning(cfg)},
	} {
		if w.Text != "" {
			all = append(all, w)
		}
	}
	return all
}

// forOthers reports whether a listener at HOST:PORT is there for other machines.
func forOthers(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && !loopback.IsHost(host)
}

// rpcWarning says when JSON-RPC is there for other machines. ancred itself speaks no TLS.
func rpcWarning(c config.RPC) string {
	if !forOthers(c.Listen) {
		return ""
	}
	return "rpc.listen = " + strconv.Quote(c.Listen) + " listens for other machines without TLS, so anyone on the network path can read the passwords of callers, " +
		"and spend the wallet's coins with an administrator's: listen on 127.0.0.1 behind a web server with TLS, or use a VPN"
}

// metricsWarning says when the metrics are there for other machines.
func metricsWarning(c config.Metrics) string {
	if !forOthers(c.Listen) {
		return ""
	}
	return "metrics.listen = " + strconv.Quote(c.Listen) + " listens for other machines without a password, so anyone who reaches it can read the wallet's balance: " +
		"have a firewall admit only the machine of Prometheus, or listen on 127.0.0.1"
}

// isPublic reports whether the calendar is there for other machines, by itself or through a proxy,
// or tells its callers so.
func isPublic(c config.Calendar) bool {
	uri, err := url.Parse(c.URI)
	named := err == nil && uri.Hostname() != "" && !loopback.IsHost(uri.Hostname())
	return c.Listen != "" && (forOthers(c.Listen) || len(c.TrustedProxies) > 0 || named)
}

// isBounded reports whether strangers can spend a known amount at most.
func isBounded(cfg config.Config) bool {
	return cfg.Anchor.MonthlyBudget > 0 && cfg.Calendar.MaxDigests > 0
}

// forwardedMemory is how long a request that a proxy forwarded is a reason for a warning.
const forwardedMemory = 24 * time.Hour

// forwarded says when requests of other machines last came to the calendar through a proxy. A time
// is zero if there was none.
type forwarded struct {
	last    time.Time
	unnamed time.Time // through a proxy that calendar.trusted_proxies does not name
}

// recently returns which of the requests are a reason for a warning.
func (f forwarded) recently(now time.Time) (any, unnamed bool) {
	return now.Sub(f.last) < forwardedMemory, now.Sub(f.unnamed) < forwardedMemory
}

// calendarWarning says when the calendar is there for other machines, by its configuration or
// because a proxy forwards requests to it, and the proofs that it hands out can be completed on
// this machine alone. That cannot be put right later: a proof keeps the address that it was given.
func calendarWarning(c config.Calendar, forwarded bool) string {
	host, _, err := net.SplitHostPort(c.Listen)
	uri, uriErr := url.Parse(c.URI)
	if err != nil || uriErr != nil || !loopback.IsHost(uri.Hostname()) {
		return ""
	}
	why := "the calendar serves other machines too"
	if loopback.IsHost(host) && len(c.TrustedProxies) == 0 {
		if !forwarded {
			return ""
		}
		why = "a web server forwards requests of other machines to the calendar"
	}
	return fmt.Sprintf("pending proofs point to %s, which only this machine can reach, but %s: set calendar.uri to "+
		"the public address of this server before it issues more proofs", c.URI, why)
}

// proxyWarning is for a calendar to which a proxy forwards requests that is not configured.
const proxyWarning = "a web server forwards requests of other machines to the calendar, and calendar.trusted_proxies does not name it. So ancred takes these requests for " +
	"the web server's own: all clients share one calendar.rate_limit, and a web server on this machine lets strangers submit digests that you pay for. " +
	"Set calendar.trusted_proxies to the address of the web server (for one on this machine: [\"127.0.0.1\", \"::1\"])"

// strangersWarning says when the calendar is there for others and takes no digests of theirs.
func strangersWarning(cfg config.Config) string {
	if !isPublic(cfg.Calendar) || isBounded(cfg) {
		return ""
	}
	return "the calendar listens for other machines, but no setting bounds what their digests cost. It refuses their digests until you set " +
		"anchor.monthly_budget (and calendar.max_digests, if that is 0) and restart ancred. Behind a proxy, set calendar.trusted_proxies too: otherwise their digests look like those of this machine"
}

// Reasons why the calendar refuses digests.
var (
	errUnbounded = errors.New("this calendar accepts no digests from other machines or web pages: its operator has not set anchor.monthly_budget or calendar.max_digests")
	errPages     = errors.New("this calendar serves programs on its own machine, and accepts no digests from web pages on other sites")
)

// refusesStrangers returns why the calendar refuses digests that come from elsewhere; nil: it takes
// them. Whoever hands digests in spends the operator's money, and any web page can do that through
// the browser of a person who reaches the calendar.
func refusesStrangers(cfg config.Config) error {
	switch {
	case !isPublic(cfg.Calendar):
		return errPages
	case !isBounded(cfg):
		return errUnbounded
	}
	return nil
}

// hosts are the names by which callers may reach a listener: those that are configured, the one
// that it listens at, and where other machines reach it the name of this one.
func hosts(cfg config.Config, listen string) []string {
	all := append([]string(nil), cfg.RPC.Hosts...)
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		all = append(all, host)
	}
	if name, err := os.Hostname(); err == nil && forOthers(listen) {
		all = append(all, name)
	}
	return all
}

// callerQuota is what users with the role submit may hand in.
func callerQuota(cfg config.Config) *quota.Quota {
	return quota.New(quota.Limits{
		All: cfg.RPC.MaxDigests, AllKey: "rpc.max_digests",
		EachUser: cfg.RPC.MaxUserDigests, EachUserKey: "rpc.max_user_digests",
		Interval: cfg.Batch.Interval,
	})
}
