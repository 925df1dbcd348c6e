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
	return "rpc.listen = " + strconv.Quote(c.Listen) + " is there for other machines, and ancred speaks no TLS: everybody on the way reads the passwords of " +
		"callers, and whoever has an administrator's can spend the wallet; listen on 127.0.0.1 and put a web server with TLS in front, or a VPN between"
}

// metricsWarning says when the metrics are there for other machines.
func metricsWarning(c config.Metrics) string {
	if !forOthers(c.Listen) {
		return ""
	}
	return "metrics.listen = " + strconv.Quote(c.Listen) + " is there for other machines, and no password is asked for: everybody who reaches it " +
		"learns the wallet's balance and what ancred does; let a firewall admit the machine of Prometheus alone, or listen on 127.0.0.1"
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
	return "the calendar is there for other machines, and nothing bounds what their digests cost. It refuses them until you set anchor.monthly_budget " +
		"(and calendar.max_digests, if that is 0) and restart ancred. Behind a proxy set calendar.trusted_proxies too: without it their digests look like those of this machine"
}

// Reasons why the calendar refuses digests.
var (
	errUnbounded = errors.New("this calendar takes no digests of other machines or web pages: its operator has set no anchor.monthly_budget, or no calendar.max_digests")
	errPages     = errors.New("this calendar is for programs on its own machine, and takes no digests of web pages from elsewhere")
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
