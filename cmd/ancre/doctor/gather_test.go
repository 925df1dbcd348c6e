package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ancre/config"
	"ancre/rpc"
	"ancre/spv"

	"github.com/btcsuite/btcd/wire/v2"
)

// A step that never ends holds nothing up, and what it sees afterwards changes nothing.
func TestAStepThatHangsHoldsNothingUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var told []string
	c := &collector{facts: unseen(time.Minute), progress: func(s []string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, strings.Join(s, "+"))
	}}
	release, late, quick := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c.start(ctx, "quick", func(context.Context) {
		c.put(func(f *Facts) { f.Log = Known(7) })
		close(quick)
	})
	c.start(ctx, "stuck", func(context.Context) {
		<-release
		c.put(func(f *Facts) { f.Jobs = Known([]Job{}) })
		close(late)
	})
	<-quick
	cancel()
	f := c.wait(ctx)
	close(release)
	<-late
	if lines, ok := f.Log.Get(); !ok || lines != 7 {
		t.Errorf("what was seen in time is lost: %+v", f.Log)
	}
	if _, ok := f.Jobs.Get(); ok {
		t.Error("what was seen too late is taken")
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(strings.Join(told, " "), "stuck") {
		t.Errorf("told of %q", told)
	}
}

func TestWhoAnswersAtThePort(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want PortState
	}{
		{&rpc.Error{Code: rpc.CodeStarting, Message: "opening"}, Starting},
		{&rpc.Error{Code: rpc.CodeForbidden, Message: "your role"}, Answers},
		{fmt.Errorf("read: %w", fs.ErrPermission), NoCookie},
		{errors.New("the service does not run"), NoCookie},
		{context.DeadlineExceeded, Mute},
		{fmt.Errorf("%w: %w", rpc.ErrUnreachable, syscall.ECONNREFUSED), Closed},
		{fmt.Errorf("%w: malformed HTTP", rpc.ErrUnreachable), Stranger},
	} {
		if got := portState(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

// The words of package rpc by which two cases are told apart.
func TestWhoAnswersAtThePortOfOtherServers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   PortState
	}{
		{"a daemon that refuses", http.StatusUnauthorized, `{"error":{"code":-2,"message":"credentials"}}`, Refuses},
		{"a web server", http.StatusNotFound, "<html>", Stranger},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.body)
		}))
		client, err := rpc.NewClient(server.URL, "user", "password")
		if err != nil {
			t.Fatal(err)
		}
		g := &gatherer{Target: Target{Client: client}}
		port, info := g.ask(t.Context())
		if _, ok := info.Get(); ok || port.State != tt.want || port.Address != server.Listener.Addr().String() || strings.Contains(port.Text, "password\"") {
			t.Errorf("%s: %+v, want %d", tt.name, port, tt.want)
		}
		client.Close()
		server.Close()
	}
}

func TestACalendarIsKnownByItsAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cors   string
		status int
		want   PortState
	}{
		{"a calendar without an anchor", "*", http.StatusNotFound, Answers},
		{"a calendar", "*", http.StatusOK, Answers},
		{"a calendar that starts", "*", http.StatusServiceUnavailable, Starting},
		{"a web server", "", http.StatusOK, Stranger},
		{"a web server without the calendar behind it", "*", http.StatusBadGateway, Stranger},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tt.cors != "" {
				w.Header().Set("Access-Control-Allow-Origin", tt.cors)
			}
			w.WriteHeader(tt.status)
		}))
		if got, text := askCalendar(t.Context(), server.URL); got != tt.want || (text == "") != (got == Answers) {
			t.Errorf("%s: %d %q, want %d", tt.name, got, text, tt.want)
		}
		server.Close()
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if got, text := askCalendar(t.Context(), closed.URL); got != Stranger || !strings.Contains(text, "refused") {
		t.Errorf("nothing: %d %q", got, text)
	}
}

// fakeNode answers a greeting with services and a clock.
func fakeNode(t *testing.T, magic wire.BitcoinNet, services wire.ServiceFlag, ahead time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, _, err := wire.ReadMessage(conn, wire.ProtocolVersion, magic); err == nil {
				nobody := wire.NewNetAddressIPPort(net.IPv4zero, 0, 0)
				v := wire.NewMsgVersion(nobody, nobody, 7, 0)
				v.Services, v.Timestamp = services, time.Now().Add(ahead)
				_ = wire.WriteMessage(conn, v, wire.ProtocolVersion, magic)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestNodesAreGreeted(t *testing.T) {
	params, err := spv.Params("regtest")
	if err != nil {
		t.Fatal(err)
	}
	good := fakeNode(t, params.Net, services, time.Hour)
	bare := fakeNode(t, params.Net, wire.SFNodeNetwork, 0)
	foreign := fakeNode(t, wire.MainNet, services, 0)
	closed := httptest.NewServer(nil)
	nobody := closed.Listener.Addr().String()
	closed.Close()
	r := reachNodes(t.Context(), params, []string{good, bare, foreign, nobody}, nil, "")
	if len(r.Tries) != 4 || r.NoSeeds {
		t.Fatalf("%+v", r)
	}
	if got := r.Tries[0]; got.Err != "" || !got.Filters || got.Ahead < 59*time.Minute || got.Ahead > time.Hour {
		t.Errorf("a good node: %+v", got)
	}
	if got := r.Tries[1]; got.Err != "" || got.Filters {
		t.Errorf("a node without filters: %+v", got)
	}
	if got := r.Tries[2]; !strings.Contains(got.Err, "network") {
		t.Errorf("a node of another network: %+v", got)
	}
	if got := r.Tries[3]; got.Err != "connection refused" || got.Timeout {
		t.Errorf("nobody: %+v", got)
	}
	if r := reachNodes(t.Context(), params, nil, nil, ""); !r.NoSeeds {
		t.Errorf("regtest without nodes: %+v", r)
	}
	if r := reachNodes(t.Context(), params, []string{good}, nil, nobody); r.ProxyErr != "connection refused" || len(r.Tries) != 0 {
		t.Errorf("a proxy that is down: %+v", r)
	}
}

func TestWhatTimedatectlShows(t *testing.T) {
	for out, want := range map[string]NTP{
		"Timezone=Etc/UTC\nCanNTP=yes\nNTP=yes\nNTPSynchronized=yes\n": {On: true, Synced: true},
		"CanNTP=yes\nNTP=no\nNTPSynchronized=no\n":                     {},
		"CanNTP=no\nNTP=no\nNTPSynchronized=no\n":                      {None: true},
	} {
		if got := parseClock(out); got != want {
			t.Errorf("%q: %+v, want %+v", out, got, want)
		}
	}
}

// A configuration that cannot be read may name a proxy: nothing is asked past it.
func TestWithoutAConfigurationNoNodeIsAsked(t *testing.T) {
	for _, settings := range []Fact[Settings]{Denied[Settings](), Missing[Settings]("unknown key")} {
		g := &gatherer{collector: &collector{facts: &Facts{}}, cfg: config.Default(), settings: settings}
		g.reach(t.Context())
		if g.facts.Reach.known || g.facts.Reach.denied != settings.denied || g.facts.Reach.missing == "" {
			t.Errorf("%+v", g.facts.Reach)
		}
	}
}

func TestWhatSystemctlShows(t *testing.T) {
	got := parseUnit("a.service", "LoadState=loaded\nUnitFileState=enabled\nActiveState=activating\nSubState=auto-restart\nNRestarts=3\nActiveEnterTimestamp=Fri 2026-01-02 12:00:00 UTC\n")
	want := Service{Unit: "a.service", Load: "loaded", Enabled: "enabled", Active: "activating", Sub: "auto-restart", Restarts: 3, Since: testTime}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := parseUnit("a", "LoadState=not-found\nActiveEnterTimestamp=\nNRestarts=\n"); got != (Service{Unit: "a", Load: "not-found"}) {
		t.Errorf("%+v", got)
	}
}
