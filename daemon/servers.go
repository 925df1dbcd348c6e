package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	calserver "ancre/calendar/server"
	"ancre/config"
	"ancre/metrics"
	"ancre/rpc"
	rpcserver "ancre/rpc/server"
)

// servers are what accepts digests.
type servers struct {
	rpc      *rpcserver.Server
	calendar *calserver.Server
}

// setPhase says what the daemon does before it can answer.
func (s servers) setPhase(phase string) {
	s.rpc.SetPhase(phase)
	s.calendar.SetPhase(phase)
}

// listeners are the open addresses of the servers; nil: the server is off.
type listeners struct{ rpc, calendar, metrics net.Listener }

// listen opens the configured addresses.
func (d *node) listen() (on listeners, err error) {
	on.rpc, err = d.listenOn("rpc.listen", d.cfg.RPC.Listen, "if another ancred is running, give one of them another address")
	if err != nil {
		return on, err
	}
	if d.cfg.Calendar.Listen != "" {
		on.calendar, err = d.listenOn("calendar.listen", d.cfg.Calendar.Listen,
			"if another ancred or an otsd is running, give one of them another address, or set calendar.listen to \"off\"")
		if err != nil {
			return on, err
		}
		d.calendarAddr = on.calendar.Addr().String()
	}
	if d.cfg.Metrics.Listen != "" {
		on.metrics, err = d.listenOn("metrics.listen", d.cfg.Metrics.Listen,
			"if another program uses the port, give metrics.listen another one, or set it to \"off\"")
		if err != nil {
			return on, err
		}
		d.metricsAddr = on.metrics.Addr().String()
	}
	return on, nil
}

// listenOn opens a configured address. key and remedy are for the error.
func (d *node) listenOn(key, address, remedy string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w: %s", key, address, err, remedy)
	}
	// This is for a listener that is never served: a server closes its own.
	d.onClose(func() error { ln.Close(); return nil })
	return ln, nil
}

// access says who may call.
type access struct {
	users   []rpc.User     // of JSON-RPC, beside the cookie
	proxies []netip.Prefix // of the calendar, whose X-Forwarded-For is believed
}

func parseAccess(cfg config.Config) (who access, err error) {
	for i, line := range cfg.RPC.Auth {
		u, err := rpc.ParseUser(line)
		if err != nil {
			return who, fmt.Errorf("rpc.auth, entry %d: %w", i+1, err)
		}
		if j := slices.IndexFunc(who.users, func(other rpc.User) bool { return other.Name == u.Name }); j >= 0 {
			return who, fmt.Errorf("rpc.auth, entry %d: the user %s has entry %d already: keep one of them; it may have several roles, separated by commas", i+1, u.Name, j+1)
		}
		who.users = append(who.users, u)
	}
	for i, network := range cfg.Calendar.TrustedProxies {
		p, err := netip.ParsePrefix(network)
		if err != nil {
			return who, fmt.Errorf("calendar.trusted_proxies, entry %d: %w", i+1, err)
		}
		who.proxies = append(who.proxies, p)
	}
	return who, nil
}

// serve starts the servers. Until provide is called they answer that the daemon starts. A server
// that fails calls failed, and so does a client that calls stop. stop waits for the requests that
// run.
func (d *node) serve(on listeners, who access, failed func()) (stop func() error, err error) {
	local, err := d.writeCookies()
	if err != nil {
		return nil, err
	}
	cfg := d.cfg
	d.metrics = metrics.NewServer(metrics.Config{Version: d.version, Network: cfg.Network, Profile: cfg.Metrics.Pprof,
		Hosts: hosts(cfg, cfg.Metrics.Listen), Log: d.log})
	d.quota = callerQuota(cfg)
	d.servers.rpc = rpcserver.New(rpcserver.Config{Users: append(who.users, local...), Log: d.log, Stop: failed, Started: d.started,
		Hosts: hosts(cfg, cfg.RPC.Listen), Quota: d.quota, Latency: d.callSeconds})
	d.servers.calendar = calserver.New(calserver.Config{URI: cfg.Calendar.URI, Log: d.log, RateLimit: cfg.Calendar.RateLimit, Proxies: who.proxies,
		Digests: cfg.Calendar.MaxDigests, Interval: cfg.Batch.Interval, Strangers: refusesStrangers(cfg), Latency: d.calendarSeconds})
	d.servers.setPhase("opening the data directory")
	stops := []func() error{
		serveOn(on.metrics, d.metrics, failed),
		serveOn(on.rpc, d.servers.rpc, failed),
		serveOn(on.calendar, d.servers.calendar, failed),
	}
	return sync.OnceValue(func() error {
		var errs []error
		for _, stop := range slices.Backward(stops) {
			errs = append(errs, stop())
		}
		return errors.Join(errs...)
	}), nil
}

// serveOn lets a server answer until stop is called, which waits for the requests that run. If the
// server fails it calls failed. Without a listener it does nothing.
func serveOn(listener net.Listener, server interface {
	Serve(context.Context, net.Listener) error
}, failed func()) (stop func() error) {
	if listener == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		defer failed()
		done <- server.Serve(ctx, listener)
	}()
	return func() error {
		cancel()
		return <-done
	}
}

// provide gives the servers the rooms that they speak for.
func (d *node) provide() {
	chain := chainService{d.chain, policy(d.cfg)}
	d.servers.rpc.Provide(rpcserver.Services{Batcher: d.batcher, Chain: chain, Wallet: walletService{d}, Node: d, Backup: d.backup, Backups: d.backups, Headers: d.chain.WriteHeaders,
		CalendarURI: d.cfg.Calendar.URI})
	d.servers.calendar.Provide(calserver.Services{Batcher: d.batcher, Chain: chain, Node: d, Confirmations: d.cfg.Anchor.Confirmations})
	d.metrics.Provide(d.scrape)
}
