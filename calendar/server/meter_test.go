package server

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"ancre/internal/meter"
)

// tallied is a histogram that counts its measurements.
type tallied struct{ n int }

func (t *tallied) Observe(float64) { t.n++ }

// Every answer is counted under a name of ours, also those of unknown paths. Otherwise strangers
// could make the operator's database grow.
func TestRequestsAreCountedByRouteAndStatus(t *testing.T) {
	latencies := make(map[string]*tallied)
	r := newRig(t, Config{RateLimit: 1, Digests: 2, Interval: time.Hour, Latency: func(route string) meter.Observer {
		latencies[route] = new(tallied)
		return latencies[route]
	}})
	for i, path := range []string{"/digest", "/digest", "/digest", "/timestamp/zz", "/block-height/1", "/block/x", "/tip", "/", "/somebody/s/name"} {
		method := "GET"
		if path == "/digest" {
			method = "POST"
		}
		r.ask(method, path, "", "from", "192.0.2.1:1"+string(rune('0'+i)))
	}
	r.ask("OPTIONS", "/digest", "", "from", "192.0.2.5:1")
	r.ask("GET", "/digest", "", "from", "192.0.2.5:1")
	for range 20 {
		r.ask("POST", "/digest", "x", "from", "192.0.2.9:1")
	}

	got := r.Counts()
	count := func(route string, status int) (n uint64) {
		i := slices.IndexFunc(got.Requests, func(c RequestCount) bool { return c.Route == route && c.Status == status })
		if i >= 0 {
			n = got.Requests[i].Requests
		}
		return n
	}
	for _, want := range []RequestCount{
		{"digest", 200, 2}, {"digest", 204, 1}, {"digest", 405, 1}, {"timestamp", 400, 1}, {"timestamp", 200, 0}, {"block-height", 200, 1},
		{"tip", 404, 1}, {"page", 200, 1}, {"other", 404, 1},
	} {
		if n := count(want.Route, want.Status); n != want.Requests {
			t.Errorf("%s with status %d: %d requests, want %d", want.Route, want.Status, n, want.Requests)
		}
	}
	if crowded, limited := got.Crowded, count("digest", 429); crowded != count("digest", 503) || crowded == 0 || limited == 0 || crowded+limited != 21 {
		t.Errorf("%d digests were turned away for the intake (%d with 503), %d for the rate; want some of both, 21 together", crowded, count("digest", 503), limited)
	}
	for _, c := range got.Requests {
		if !slices.Contains(Routes(), c.Route) {
			t.Errorf("the path %q of a caller is counted", c.Route)
		}
	}
	if n := latencies["digest"].n; n != 25 || latencies["other"].n != 1 || len(latencies) != len(Routes()) {
		t.Errorf("%d latencies of digests, %d of others, %d histograms; want 25, 1, %d", n, latencies["other"].n, len(latencies), len(Routes()))
	}
}

// A digest that is refused because it comes from a stranger is the operator's choice. It must not
// count as a defect of ours, which alerts watch for.
func TestARefusedStrangerIsNotCountedAsADefect(t *testing.T) {
	r := newRig(t, Config{Strangers: errors.New("this calendar is for its own machine")})
	if resp := r.ask("POST", "/digest", "x", "from", "192.0.2.1:1"); resp.StatusCode != http.StatusForbidden {
		t.Fatalf("status %d, want 403", resp.StatusCode)
	}
	refused := RequestCount{Route: RouteDigest, Status: http.StatusForbidden, Requests: 1}
	if got := r.Counts().Requests; !slices.Contains(got, refused) || slices.ContainsFunc(got, func(c RequestCount) bool { return c.Status == http.StatusInternalServerError }) {
		t.Errorf("counted are %+v, want %+v and no 500", got, refused)
	}
}
