package daemon

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/config"
	"ancre/internal/datadir"
	"ancre/internal/warning"
	"ancre/proof"
	"ancre/rpc"
)

// The calendar and the JSON-RPC are two doors of one house: what comes in at one is found at the
// other.
func TestDigestOfTheCalendarIsKnownToJSONRPC(t *testing.T) {
	c := testConfig(t)
	log, stop := starts(t, c)
	got := info(t, c, log)
	if got.Calendar.Listen == "" || got.Calendar.URI != c.Calendar.URI || !strings.Contains(log.String(), " calendar="+got.Calendar.Listen+" ") {
		t.Fatalf("getinfo tells of the calendar %+v; the log:\n%s", got.Calendar, log)
	}
	digest := sha256.Sum256([]byte("convocation"))
	resp, err := http.Post("http://"+got.Calendar.Listen+"/digest", "application/octet-stream", bytes.NewReader(digest[:]))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST /digest: %d, %v", resp.StatusCode, err)
	}
	ts, err := proof.ParseTimestamp(answer, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if uri, _ := ts.All()[0].URI(); uri != c.Calendar.URI {
		t.Errorf("the proof points to %q", uri)
	}
	dir, _ := c.NetworkDir()
	client, err := rpc.NewCookieClient("http://"+address(t, log), filepath.Join(dir, datadir.Cookie))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if e, err := client.Status(t.Context(), digest); err != nil || e.Digest != hex.EncodeToString(digest[:]) || e.State != "open" {
		t.Errorf("getstatus: %+v, %v", e, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if conn, err := net.Dial("tcp", got.Calendar.Listen); err == nil {
		conn.Close()
		t.Error("the calendar still listens after the stop")
	}
}

func TestCalendarThatIsOffIsNotThere(t *testing.T) {
	c := testConfig(t)
	c.Calendar.Listen = ""
	log, _ := starts(t, c)
	if got := info(t, c, log); got.Calendar.Listen != "" || !strings.Contains(log.String(), " calendar=off ") {
		t.Errorf("getinfo tells of the calendar %+v; the log:\n%s", got.Calendar, log)
	}
}

func TestCalendarsPortInUseIsNamedWithTheKey(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := testConfig(t)
	c.Calendar.Listen = l.Addr().String()
	err = Run(t.Context(), c, "test", new(output))
	if err == nil || !strings.Contains(err.Error(), "calendar.listen") || !strings.Contains(err.Error(), c.Calendar.Listen) || !strings.Contains(err.Error(), "off") {
		t.Errorf("a port in use: %v", err)
	}
	dir, _ := c.NetworkDir()
	for _, name := range []string{datadir.Store, datadir.Cookie} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s was begun although the port is in use (%v)", name, err)
		}
	}
}

// Proofs that point to 127.0.0.1 are of no use on the machine of whoever got them.
func TestProofsThatNobodyElseCanCompleteAreWarnedOf(t *testing.T) {
	const local, public = "http://127.0.0.1:14788", "https://ancre.example"
	for _, c := range []struct {
		name string
		config.Calendar
		forwarded, warned bool
	}{
		{"the default", config.Default().Calendar, false, false},
		{"the default, with a proxy in front", config.Default().Calendar, true, true},
		{"off", config.Calendar{URI: local}, false, false},
		{"for everybody", config.Calendar{Listen: ":14788", URI: local}, false, true},
		{"for the house", config.Calendar{Listen: "192.168.1.5:14788", URI: "http://localhost:14788"}, false, true},
		{"behind a proxy", config.Calendar{Listen: "127.0.0.1:14788", URI: local, TrustedProxies: []string{"127.0.0.1/32"}}, false, true},
		{"behind a proxy, with its name", config.Calendar{Listen: "127.0.0.1:14788", URI: public, TrustedProxies: []string{"127.0.0.1/32"}}, true, false},
		{"for everybody, with its name", config.Calendar{Listen: ":14788", URI: public}, true, false},
	} {
		if got := calendarWarning(c.Calendar, c.forwarded); (got != "") != c.warned || c.warned && (!strings.Contains(got, "calendar.uri") || !strings.Contains(got, c.URI)) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	c := testConfig(t)
	c.Calendar.TrustedProxies = []string{"127.0.0.1/32"}
	log, _ := starts(t, c)
	if got := info(t, c, log); !strings.Contains(strings.Join(got.Warnings, "\n"), "calendar.uri") {
		t.Errorf("getinfo warns of %q", got.Warnings)
	}
	awaitLog(t, log, "calendar.uri")
}

// A web server in front of a calendar that was not configured for it is noticed by its first
// request.
func TestAProxyInFrontOfACalendarThatIsNotConfiguredForItIsWarnedOf(t *testing.T) {
	c := testConfig(t)
	log, _ := starts(t, c)
	before := info(t, c, log)
	if text := strings.Join(before.Warnings, "\n"); strings.Contains(text, "calendar") {
		t.Errorf("getinfo warns of %q before there was a request", before.Warnings)
	}
	if status := asks(t, before.Calendar.Listen, "GET", "/", "", "Host: calendar.example", "X-Forwarded-For: 192.0.2.1"); status != http.StatusOK {
		t.Fatalf("the page is answered with %d", status)
	}
	got := info(t, c, log).Details
	for _, kind := range []*warning.Kind{warning.CalendarURI, warning.CalendarProxy} {
		if !slices.ContainsFunc(got, func(w rpc.Warning) bool { return w.Kind == kind.Name() }) {
			t.Errorf("no warning %s: %q", kind.Name(), got)
		}
	}
	awaitLog(t, log, "warning=calendar_proxy")
}

func TestARequestThatAProxyForwardedIsForgottenAfterADay(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name         string
		f            forwarded
		any, unnamed bool
	}{
		{"none", forwarded{}, false, false},
		{"one of an hour ago", forwarded{last: now.Add(-time.Hour)}, true, false},
		{"one of two days ago", forwarded{last: now.Add(-48 * time.Hour), unnamed: now.Add(-48 * time.Hour)}, false, false},
		{"an unnamed one of an hour ago", forwarded{last: now, unnamed: now.Add(-time.Hour)}, true, true},
	} {
		if any, unnamed := tt.f.recently(now); any != tt.any || unnamed != tt.unnamed {
			t.Errorf("%s: %t, %t", tt.name, any, unnamed)
		}
	}
}

// What is configured reaches the server: each client of a proxy is counted for itself.
func TestLimitsOfTheCalendarAreThoseConfigured(t *testing.T) {
	c := testConfig(t)
	c.Calendar.RateLimit, c.Calendar.TrustedProxies = 1, []string{"127.0.0.1/32"}
	log, _ := starts(t, c)
	got := info(t, c, log)
	ask := func(from string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://"+got.Calendar.Listen+"/tip", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	last := 0
	for range 1000 { // 10 at once are allowed, and one more each second, however slow this machine is
		if last = ask("192.0.2.1"); last == http.StatusTooManyRequests {
			break
		}
	}
	if other := ask("192.0.2.2"); last != http.StatusTooManyRequests || other != http.StatusNotFound {
		t.Errorf("a client of the proxy that asks too much is answered %d, another one %d", last, other)
	}
}
