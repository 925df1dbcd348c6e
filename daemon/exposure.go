package daemon

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"

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
