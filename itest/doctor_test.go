package itest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/rpc"
)

// diagnosis is what "ancre doctor --json" prints.
type diagnosis struct {
	Healthy bool `json:"healthy"`
	Results []struct {
		Check  string `json:"check"`
		Status string `json:"status"`
		Text   string `json:"text"`
		Remedy string `json:"remedy"`
	} `json:"results"`
	printed string
}

// doctor runs the doctor, and wants an exit status.
func (w *world) doctor(exit int) (d diagnosis) {
	w.Helper()
	began := time.Now()
	res := w.ancre(exit, "--json", "doctor")
	if took := time.Since(began); took > time.Minute {
		w.Errorf("the doctor took %v", took)
	}
	w.must(json.Unmarshal([]byte(res.Stdout), &d))
	d.printed = res.Stdout + res.Stderr
	return d
}

// String is the results, a line each.
func (d diagnosis) String() string {
	var b strings.Builder
	for _, r := range d.Results {
		fmt.Fprintf(&b, "%s %s: %s -> %s\n", r.Status, r.Check, r.Text, r.Remedy)
	}
	return b.String()
}

// wants wants a check to have a result of a status with some words in it or in its remedy.
func (d diagnosis) wants(t *testing.T, check, status, words string) {
	t.Helper()
	for _, r := range d.Results {
		if r.Check == check && r.Status == status && strings.Contains(r.Text+" -> "+r.Remedy, words) {
			return
		}
	}
	t.Errorf("no result of %s is %s with %q:\n%s", check, status, words, d)
}

// One daemon through what happens to daemons.
func TestDoctorSaysWhatIsWrong(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.must(w.daemon.WriteConfig())
		d := w.doctor(1)
		d.wants(t, "rpc", "failed", "nothing listens at "+w.daemon.Addr())
		d.wants(t, "wallet", "unknown", "does not answer")
		d.wants(t, "network", "fine", "1 of 1 node answered")

		w.start()
		_, err := w.daemon.AwaitInfo(w.ctx, "a peer", hasPeers)
		w.must(err)
		d = w.doctor(1)
		d.wants(t, "wallet", "failed", "wallet create")
		d.wants(t, "peers", "fine", "1 peer, all serve compact filters")
		d.wants(t, "network", "fine", "1 node")

		w.createWallet()
		d = w.doctor(1)
		d.wants(t, "wallet", "failed", "the wallet is empty")
		w.fund()
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.submit(strings.Repeat("ab", 32))
		d = w.doctor(0)
		if !d.Healthy {
			t.Errorf("not healthy:\n%s", d)
		}
		d.wants(t, "rpc", "fine", "answers at "+w.daemon.Addr())
		d.wants(t, "daemons", "fine", fmt.Sprintf("(process %d)", w.daemon.PID()))
		d.wants(t, "configuration", "fine", w.daemon.Config)
		d.wants(t, "calendar", "fine", "only programs on this machine")
		d.wants(t, "sync", "fine", "synced to block")
		d.wants(t, "disk", "fine", "are free under")
		d.wants(t, "wallet", "fine", "50,000 sat to spend")
		d.wants(t, "next_batch", "fine", "is open with 1 digest, and is sealed at ")
		d.wants(t, "next_anchor", "fine", "it costs about ")
		d.wants(t, "warnings", "fine", "")
		w.wantNoSecret(d.printed)

		w.askThroughProxy()
		d = w.doctor(0)
		d.wants(t, "calendar", "warning", "calendar.uri")
		d.wants(t, "calendar", "warning", "calendar.trusted_proxies")

		w.must(w.node.Kill9())
		_, err = w.daemon.AwaitInfo(w.ctx, "no peer", func(i rpc.Info) bool { return !hasPeers(i) })
		w.must(err)
		d = w.doctor(1)
		d.wants(t, "network", "failed", "none of the nodes in spv.connect answers")

		w.daemon.Set("calendar", "listem", `"off"`)
		w.must(w.daemon.Stop())
		w.must(w.daemon.WriteConfig())
		d = w.doctor(1)
		d.wants(t, "configuration", "failed", "listem")
		w.wantNoSecret(d.printed)
	})
}

func hasPeers(i rpc.Info) bool { return len(i.Chain.Peers) > 0 }

// askThroughProxy asks the calendar as a web server does for somebody elsewhere.
func (w *world) askThroughProxy() {
	w.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://"+w.daemon.CalendarAddr()+"/tip", nil)
	w.must(err)
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	resp.Body.Close()
}

// wantNoSecret wants what was printed to hold neither the passphrase nor the cookie.
func (w *world) wantNoSecret(printed string) {
	w.Helper()
	if strings.Contains(printed, passphrase) {
		w.Errorf("the passphrase is printed:\n%s", printed)
	}
	cookie, err := os.ReadFile(filepath.Join(w.daemon.NetDir(), ".cookie"))
	if _, password, ok := strings.Cut(string(cookie), ":"); err == nil && (!ok || strings.Contains(printed, strings.TrimSpace(password))) {
		w.Errorf("the cookie is printed:\n%s", printed)
	}
}
