package server

import (
	"net/http"
	"sync/atomic"
	"time"

	"ancre/internal/meter"
)

// routeKind is a route as it is counted. Callers cannot make up names for an operator's graphs.
type routeKind int

const (
	toNowhere routeKind = iota
	toDigest
	toTimestamp
	toTip
	toPage
	toBlockHeight
	toBlock
	toBlocksTip
	toMerkleRoot
	numRoutes
)

var routeNames = [numRoutes]string{"other", RouteDigest, "timestamp", "tip", "page", "block-height", "block", "blocks-tip", "merkle-root"}

// RouteDigest is the name of the route on which digests come in.
const RouteDigest = "digest"

// Routes returns the names under which requests are counted. "other" counts requests to unknown
// paths.
func Routes() []string { return routeNames[:] }

// statuses have a counter each, for each route. Any other
// status counts as 500.
var statuses = []int{
	http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInternalServerError,
}

// meters count requests.
type meters struct {
	routes  [numRoutes]*meter.Outcomes // by status
	crowded atomic.Uint64              // digests refused because of Config.Digests
}

// begin sets the counters to zero. latency may be nil.
func (m *meters) begin(latency func(string) meter.Observer) {
	for i, name := range routeNames {
		var o meter.Observer
		if latency != nil {
			o = latency(name)
		}
		m.routes[i] = meter.NewOutcomes(statuses, http.StatusInternalServerError, o)
	}
}

// done counts a request that is being answered.
func (m *meters) done(q *request, status int) {
	kind := toNowhere
	if q.to != nil {
		kind = q.to.kind
	}
	m.routes[kind].Done(status, time.Since(q.began))
}

// Counts is what a server has answered since it was made.
type Counts struct {
	Requests []RequestCount // for each route: requests answered with 200, and each other status that has occurred
	Crowded  uint64         // digests refused because [Config.Digests] had come in the interval
}

// RequestCount is how many requests to one route were answered with one HTTP status.
type RequestCount struct {
	Route    string
	Status   int
	Requests uint64
}

// Counts returns the counters as they are now.
func (s *Server) Counts() Counts {
	out := Counts{Crowded: s.meters.crowded.Load()}
	for kind, name := range routeNames {
		s.meters.routes[kind].Each(func(status int, n uint64) {
			out.Requests = append(out.Requests, RequestCount{Route: name, Status: status, Requests: n})
		})
	}
	return out
}
