package calendar

import (
	"sync/atomic"
	"time"

	"ancre/rpc"
)

// routeKind is what a path leads to, for counting: who asks cannot make names for an operator's
// graphs.
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

// RouteDigest is the name of the route by which digests come in.
const RouteDigest = "digest"

// Routes returns the names under which requests are counted; "other" are those to paths that lead
// nowhere.
func Routes() []string { return routeNames[:] }

// statuses are those that answers have, each with a counter of its own for each route. The last
// counts what is not among them: none today.
var statuses = [...]int{200, 204, 400, 404, 405, 429, 503, 500}

// meters count requests.
type meters struct {
	requests [numRoutes][len(statuses)]atomic.Uint64
	crowded  atomic.Uint64 // digests that were turned away, for Config.Digests
	latency  [numRoutes]rpc.Observer
}

func (m *meters) begin(latency func(string) rpc.Observer) {
	if latency == nil {
		return
	}
	for i, name := range routeNames {
		m.latency[i] = latency(name)
	}
}

// done counts a request that is being answered.
func (m *meters) done(q *request, status int) {
	kind := toNowhere
	if q.to != nil {
		kind = q.to.kind
	}
	at := 0
	for at < len(statuses)-1 && statuses[at] != status {
		at++
	}
	m.requests[kind][at].Add(1)
	if o := m.latency[kind]; o != nil {
		o.Observe(time.Since(q.began).Seconds())
	}
}

// Counts is what a server has answered since it was made.
type Counts struct {
	Requests []RequestCount // of each route those that were answered with 200, and each other status that occurred
	Crowded  uint64         // digests that were turned away because [Config.Digests] had come in the interval
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
		for i, status := range statuses {
			if n := s.meters.requests[kind][i].Load(); n > 0 || i == 0 {
				out.Requests = append(out.Requests, RequestCount{Route: name, Status: status, Requests: n})
			}
		}
	}
	return out
}
