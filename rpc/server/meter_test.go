package server

import (
	"net/http"
	"slices"
	"testing"

	"ancre/internal/meter"
	"ancre/rpc"
)

// lastSeen is a histogram that counts its measurements.
type lastSeen struct{ n int }

func (l *lastSeen) Observe(float64) { l.n++ }

// Whatever callers send, only names of ours are counted. Otherwise a caller could make the
// operator's database grow.
func TestCallsAreCountedByMethodAndCodeAndForeignNamesAsOne(t *testing.T) {
	r := newRig(t)
	latencies := make(map[string]*lastSeen)
	server := New(Config{Users: r.server.users, Latency: func(method string) meter.Observer {
		latencies[method] = new(lastSeen)
		return latencies[method]
	}})
	server.Provide(*r.server.services.Load())
	r.http.Config.Handler = server

	digest := `"` + someDigest + `"`
	for _, body := range []string{
		`{"id":1,"method":"submit","params":[` + digest + `]}`,
		`{"id":1,"method":"submitbatch","params":[[` + digest + `,` + digest + `]]}`,
		`[{"id":1,"method":"getblockcount"},{"id":2,"method":"uptime"},{"id":3,"method":"x1"}]`,
		`{"id":1,"method":"getblockhash","params":[-1]}`,
		`{"id":1,"method":"x2"}`,
		`{"id":1}`,
	} {
		r.post(t, rpc.RoleAdmin, body)
	}
	got := server.Counts()
	count := func(method string, code int) uint64 {
		i := slices.IndexFunc(got.Calls, func(c CallCount) bool { return c.Method == method && c.Code == code })
		if i < 0 {
			return 0
		}
		return got.Calls[i].Calls
	}
	for _, want := range []CallCount{
		{"submit", 0, 1}, {"submitbatch", 0, 1}, {"getblockcount", 0, 1}, {"uptime", 0, 1},
		{"getblockhash", rpc.CodeInvalidParameter, 1}, {UnknownMethod, rpc.CodeUnknownMethod, 2}, {UnknownMethod, rpc.CodeInvalidRequest, 1}, {"help", 0, 0},
	} {
		if n := count(want.Method, want.Code); n != want.Calls {
			t.Errorf("%s with code %d: %d calls, want %d", want.Method, want.Code, n, want.Calls)
		}
	}
	if want := []DigestCount{{"submit", 1}, {"submitbatch", 2}}; !slices.Equal(got.Digests, want) {
		t.Errorf("digests %+v, want %+v", got.Digests, want)
	}
	for _, c := range got.Calls {
		if server.methods[c.Method] == nil && c.Method != UnknownMethod {
			t.Errorf("the name %q of a caller is counted", c.Method)
		}
	}
	if n := latencies["submit"].n; n != 1 || latencies[UnknownMethod].n != 3 || len(latencies) != len(server.table)+1 {
		t.Errorf("%d latencies of submit, %d of what is no method, and %d histograms; want 1, 3 and one for each method and one more", n, latencies[UnknownMethod].n, len(latencies))
	}
}

func TestRefusedLoginsAreCounted(t *testing.T) {
	r := newRig(t)
	r.pass[rpc.RoleRead] = "wrong"
	if status, _ := r.post(t, rpc.RoleRead, `{"id":1,"method":"uptime"}`); status != http.StatusUnauthorized {
		t.Fatalf("a wrong password is answered with %d", status)
	}
	if n := r.server.Counts().RefusedLogins; n != 1 {
		t.Errorf("%d refused logins are counted, want 1", n)
	}
}
