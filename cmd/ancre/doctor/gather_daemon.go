package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"ancre/internal/humanize"
	"ancre/internal/loopback"
	"ancre/rpc"
)

const (
	// askTime is how long the daemon or the calendar may take for an answer. They answer within
	// milliseconds.
	askTime = 6 * time.Second

	// feesTime is how long the estimate of fees may take. It may have to fetch blocks.
	feesTime = 10 * time.Second
)

// daemon asks the daemon. If that has no peers, this machine tries to reach nodes itself.
func (g *gatherer) daemon(ctx context.Context) {
	if g.Client == nil {
		why := fmt.Sprintf("%v", g.Problem)
		if _, ok := g.settings.Get(); !ok && !g.settings.denied {
			why = g.settings.missing
		}
		g.put(func(f *Facts) {
			f.RPC, f.Info, f.Fees = Missing[Port](why), Missing[rpc.Info](why), Missing[rpc.FeeEstimate](why)
		})
		g.reach(ctx)
		return
	}
	port, info := g.ask(ctx)
	g.put(func(f *Facts) { f.RPC, f.Info = Known(port), info })
	asked, ok := info.Get()
	if !ok {
		g.put(func(f *Facts) { f.Fees = Missing[rpc.FeeEstimate](noAnswer) })
	}
	if !g.Remote && (!ok || len(asked.Chain.Peers) == 0) {
		g.reach(ctx)
	}
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, feesTime)
	defer cancel()
	fees, err := g.Client.EstimateFee(ctx)
	if err != nil {
		g.put(func(f *Facts) { f.Fees = Missing[rpc.FeeEstimate](err.Error()) })
		return
	}
	g.put(func(f *Facts) { f.Fees = Known(fees) })
}

// tryNotify has the daemon run notify.command with a test event.
func (g *gatherer) tryNotify(ctx context.Context) {
	if g.Client == nil {
		return
	}
	result, err := g.Client.TestNotify(ctx)
	tried := Known(result)
	switch {
	case rpc.HasCode(err, rpc.CodeForbidden), errors.Is(err, fs.ErrPermission):
		tried = Denied[rpc.NotifyTest]()
	case errors.Is(err, context.DeadlineExceeded):
		tried = Missing[rpc.NotifyTest]("the command has not ended yet")
	case err != nil:
		tried = Missing[rpc.NotifyTest](humanize.ClipTo(err.Error(), 300))
	}
	g.put(func(f *Facts) { f.Notified = tried })
}

const noAnswer = "it does not answer"

// ask calls getinfo, and says who answers at the port of JSON-RPC.
func (g *gatherer) ask(ctx context.Context) (Port, Fact[rpc.Info]) {
	p := Port{Address: hostPort(g.Client.URL())}
	if !g.Remote {
		if isClosed(ctx, p.Address) {
			return p, Missing[rpc.Info](noAnswer)
		}
		p.Owner = listener(p.Address)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	info, err := g.Client.Info(ctx)
	if err == nil {
		p.State = Answers
		return p, Known(info)
	}
	p.State, p.Text = portState(err), humanize.ClipTo(err.Error(), 300)
	var refused *rpc.Error
	switch {
	case p.State == NoCookie && errors.Is(err, fs.ErrPermission):
		p.Denied = true
		return p, Fact[rpc.Info]{denied: true, missing: "you may not ask it"}
	case errors.As(err, &refused):
		return p, Missing[rpc.Info](refused.Message)
	}
	return p, Missing[rpc.Info](noAnswer)
}

// portState says who answered with an error.
func portState(err error) PortState {
	var refused *rpc.Error
	switch {
	case rpc.HasCode(err, rpc.CodeStarting):
		return Starting
	case errors.As(err, &refused):
		return Answers // and the role of this user does not allow the question
	case errors.Is(err, context.DeadlineExceeded):
		return Mute
	case errors.Is(err, syscall.ECONNREFUSED):
		return Closed
	case strings.Contains(err.Error(), "refuses the credentials"):
		return Refuses
	case errors.Is(err, rpc.ErrUnreachable), strings.Contains(err.Error(), "no JSON-RPC"):
		return Stranger
	}
	return NoCookie
}

// hostPort returns the HOST:PORT of a URL.
func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if u.Port() == "" {
		port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
		return net.JoinHostPort(u.Hostname(), port)
	}
	return u.Host
}

// isClosed reports whether nothing listens at an address.
func isClosed(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// calendar asks the calendar, at the address where it listens and at the one that proofs name.
func (g *gatherer) calendar(ctx context.Context) {
	if g.cfg.Calendar.Listen == "" {
		return
	}
	p := Port{Address: reachableAddress(g.cfg.Calendar.Listen)}
	if !isClosed(ctx, p.Address) {
		p.Owner = listener(p.Address)
		p.State, p.Text = askCalendar(ctx, "http://"+p.Address)
	}
	g.put(func(f *Facts) { f.Calendar = Known(p) })
	u, err := url.Parse(g.cfg.Calendar.URI)
	if err != nil || loopback.IsHost(u.Hostname()) || p.State != Answers {
		return
	}
	state, text := askCalendar(ctx, g.cfg.Calendar.URI)
	if state == Answers || state == Starting {
		text = ""
	}
	g.put(func(f *Facts) { f.Public = Known(text) })
}

// reachableAddress returns where programs on this machine reach a listener.
func reachableAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// askCalendar asks a calendar for its newest root, and says whether it answers as ours does.
func askCalendar(ctx context.Context, address string) (PortState, string) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/tip", nil)
	if err != nil {
		return Stranger, err.Error()
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	var wrapped *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Mute, "no answer came in time"
	case errors.As(err, &wrapped):
		return Stranger, wrapped.Err.Error()
	case err != nil:
		return Stranger, err.Error()
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	switch {
	case resp.Header.Get("Access-Control-Allow-Origin") != "*":
		return Stranger, "it answers with HTTP status " + resp.Status + ", and not as a calendar"
	case resp.StatusCode == http.StatusServiceUnavailable:
		return Starting, "it is starting"
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusTooManyRequests:
		return Answers, ""
	}
	return Stranger, "it answers with HTTP status " + resp.Status
}
