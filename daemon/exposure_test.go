package daemon

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"ancre/config"
	"ancre/internal/warning"
	"ancre/rpc"
)

// asks sends a request with headers of its own, and returns the status.
func asks(t *testing.T, addr, verb, path, body string, headers ...string) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n", verb, path, len(body))
	for _, h := range headers {
		fmt.Fprintf(conn, "%s\r\n", h)
	}
	fmt.Fprintf(conn, "\r\n%s", body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s asks a browser for a password", path)
	}
	return resp.StatusCode
}

// Every way in but the calendar's is closed to web pages, whatever they ask for.
func TestWebPagesReachNothingButTheCalendar(t *testing.T) {
	c := testConfig(t)
	c.Metrics = config.Metrics{Listen: "127.0.0.1:0", Pprof: true}
	c.RPC.Hosts = []string{"ancre.example"}
	log, _ := starts(t, c)
	got, main := info(t, c, log), address(t, log)
	for _, way := range []struct {
		addr, verb, path string
		open             int // what a program is answered
	}{
		{main, "POST", "/", 401}, {main, "OPTIONS", "/", 405}, {main, "GET", "/backup", 401}, {main, "GET", "/headers", 401}, {main, "GET", "/nowhere", 404},
		{got.Metrics.Listen, "GET", "/", 200}, {got.Metrics.Listen, "GET", "/metrics", 200}, {got.Metrics.Listen, "GET", "/debug/pprof/", 200},
		{got.Metrics.Listen, "GET", "/debug/pprof/cmdline", 200}, {got.Metrics.Listen, "GET", "/nowhere", 404},
	} {
		for _, ours := range []string{"Host: " + way.addr, "Host: localhost", "Host: ancre.example"} {
			if status := asks(t, way.addr, way.verb, way.path, "", ours); status != way.open {
				t.Errorf("%s %s with %q is answered with %d, want %d", way.verb, way.path, ours, status, way.open)
			}
		}
		for _, foreign := range [][]string{{"Host: " + way.addr, "Origin: https://evil.example"}, {"Host: localhost", "Origin: null"}, {"Host: evil.example"}, {"Host: localhost", "Sec-Fetch-Site: cross-site"}} {
			if status := asks(t, way.addr, way.verb, way.path, "", foreign...); status != http.StatusForbidden {
				t.Errorf("%s %s of a web page (%q) is answered with %d", way.verb, way.path, foreign, status)
			}
		}
	}
	for _, headers := range [][]string{{"Host: evil.example", "Origin: https://evil.example"}, {"Host: " + got.Calendar.Listen}} {
		if status := asks(t, got.Calendar.Listen, "GET", "/", "", headers...); status != 200 {
			t.Errorf("the calendar's page with %q is answered with %d", headers, status)
		}
	}
}

// Digests cost money. Web pages hand none in at a calendar for this machine, and strangers none
// where nothing bounds what they cost.
func TestDigestsOfStrangersAreTakenWhereTheirCostIsBounded(t *testing.T) {
	const evil = "Origin: https://evil.example"
	proxy := []string{"127.0.0.1/32"}
	type request struct {
		name    string
		headers []string
		want    int
	}
	for _, c := range []struct {
		name     string
		proxies  []string
		budget   int64
		limit    int
		warned   bool
		requests []request
	}{
		{"for this machine alone", nil, 0, 10, false, []request{
			{"a program", nil, 200},
			{"a page of this machine", []string{"Origin: http://localhost:3000"}, 200},
			{"a page of elsewhere", []string{evil}, 403},
			{"a frame", []string{"Origin: null"}, 403},
		}},
		{"public without a budget", proxy, 0, 10, true, []request{
			{"a program of this machine", []string{"X-Forwarded-For: 127.0.0.1"}, 200},
			{"a stranger", []string{"X-Forwarded-For: 192.0.2.1"}, 403},
			{"a stranger who claims to be here", []string{"X-Forwarded-For: 127.0.0.1, 192.0.2.1"}, 403},
			{"a stranger of whom the proxy says nothing", nil, 403},
		}},
		{"public without a limit", proxy, 100_000, 0, true, []request{{"a stranger", []string{"X-Forwarded-For: 192.0.2.1"}, 403}}},
		{"public with both", proxy, 100_000, 10, false, []request{
			{"a stranger", []string{"X-Forwarded-For: 192.0.2.1"}, 200},
			{"a page of elsewhere", []string{"X-Forwarded-For: 192.0.2.1", evil}, 200},
		}},
	} {
		cfg := testConfig(t)
		cfg.Calendar.TrustedProxies, cfg.Anchor.MonthlyBudget, cfg.Calendar.MaxDigests = c.proxies, c.budget, c.limit
		log, stop := starts(t, cfg)
		got := info(t, cfg, log)
		for _, r := range c.requests {
			if status := asks(t, got.Calendar.Listen, "POST", "/digest", "12345678901234567890123456789012", append(r.headers, "Host: a")...); status != r.want {
				t.Errorf("%s: a digest of %s is answered with %d, want %d", c.name, r.name, status, r.want)
			}
		}
		if warned := strings.Contains(strings.Join(got.Warnings, "\n"), "anchor.monthly_budget"); warned != c.warned {
			t.Errorf("%s: getinfo warns of %q", c.name, got.Warnings)
		}
		if c.warned {
			awaitLog(t, log, "anchor.monthly_budget")
		}
		stop()
		if logged := strings.Contains(log.String(), "anchor.monthly_budget"); logged != c.warned {
			t.Errorf("%s: the log warns of it: %t, want %t\n%s", c.name, logged, c.warned, log)
		}
	}
}

// Who listens beyond loopback is told what that means: in the log, by getinfo and by the metrics.
func TestListenersForOtherMachinesAreWarnedOf(t *testing.T) {
	for listen, warned := range map[string]bool{"127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false, ":1": true, "0.0.0.0:1": true, "[::]:1": true, "192.168.1.5:1": true, "ancre.example:1": true} {
		if got := rpcWarning(config.RPC{Listen: listen}); (got != "") != warned || warned && (!strings.Contains(got, "rpc.listen = \""+listen) || !strings.Contains(got, "TLS")) {
			t.Errorf("%s: %q", listen, got)
		}
		c := config.Default()
		c.Calendar.Listen = listen
		if got := strangersWarning(c); (got != "") != warned || warned && !strings.Contains(got, "anchor.monthly_budget") {
			t.Errorf("a calendar at %s: %q", listen, got)
		}
		all := config.Config{RPC: config.RPC{Listen: listen}, Calendar: config.Calendar{Listen: listen}, Metrics: config.Metrics{Listen: listen}}
		if got := exposureWarnings(all); warned != warning.Has(got, warning.RPCListen) || warned != warning.Has(got, warning.MetricsListen) ||
			warned != warning.Has(got, warning.CalendarBudget) || warned != (len(got) == 3) || !warned && len(got) != 0 {
			t.Errorf("%s: %v", listen, got)
		}
	}
}

// A calendar whose address is public is public, however it is reached.
func TestACalendarWithAPublicAddressIsWarnedOf(t *testing.T) {
	for uri, warned := range map[string]bool{"http://127.0.0.1:14788": false, "http://localhost": false, "https://ancre.example": true, "http://192.168.1.5:14788": true} {
		c := config.Default()
		c.Calendar.URI = uri
		if got := strangersWarning(c); (got != "") != warned {
			t.Errorf("%s: %q", uri, got)
		}
		c.Calendar.Listen = "" // off
		if got := strangersWarning(c); got != "" {
			t.Errorf("%s, and nothing listens: %q", uri, got)
		}
		c.Calendar.Listen, c.Anchor.MonthlyBudget = "127.0.0.1:1", 100_000
		if got := strangersWarning(c); got != "" {
			t.Errorf("%s, with a budget: %q", uri, got)
		}
	}
}

// The quota that is configured holds, and one that is used up is a warning.
func TestAQuotaThatIsUsedUpIsWarnedOf(t *testing.T) {
	c := testConfig(t)
	line, password, err := rpc.NewUser("mail", rpc.RoleSubmit)
	if err != nil {
		t.Fatal(err)
	}
	c.RPC.Auth, c.RPC.MaxUserDigests = []string{line}, 2
	log, _ := starts(t, c)
	if got := info(t, c, log); strings.Contains(strings.Join(got.Warnings, "\n"), "max_user_digests") {
		t.Errorf("warned before: %q", got.Warnings)
	}
	client, err := rpc.NewClient(address(t, log), "mail", password)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 2 { // handing in again does not count
		for i := range 2 {
			if _, err := client.Submit(t.Context(), [32]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := client.Submit(t.Context(), [32]byte{9}); !rpc.HasCode(err, rpc.CodeQuota) || !strings.Contains(err.Error(), "try again in 3h") {
		t.Errorf("a digest too many: %v", err)
	}
	if got := info(t, c, log); !strings.Contains(strings.Join(got.Warnings, "\n"), "refuses digests of mail") {
		t.Errorf("getinfo warns of %q", got.Warnings)
	}
}
