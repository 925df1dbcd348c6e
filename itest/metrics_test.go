package itest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ancre/itest/harness"
)

// watch has the daemon serve its metrics, from the next start on.
func (w *world) watch() {
	w.daemon.Set("metrics", "listen", fmt.Sprintf("%q", w.daemon.MetricsAddr()))
}

// fetch gets a path from the server of the metrics.
func (w *world) fetch(path string) (int, []byte) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://"+w.daemon.MetricsAddr()+path, nil)
	w.must(err)
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, body
}

// scrape returns every series with its value, under its name as it is written:
// ancre_batches{state="open"}.
func (w *world) scrape() map[string]float64 {
	w.Helper()
	status, body := w.fetch("/metrics")
	if status != http.StatusOK {
		w.Fatalf("/metrics is answered with %d: %s", status, body)
	}
	out := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		w.must(err)
		out[line[:at]] = value
	}
	return out
}

// series are values of a scrape.
type series map[string]float64

// wantScrape compares a scrape with what it should say. It returns the scrape.
func (w *world) wantScrape(when string, want series) map[string]float64 {
	w.Helper()
	got := w.scrape()
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			w.Errorf("%s: %s is %v (there: %t), want %v", when, name, v, ok, value)
		}
	}
	return got
}

// Each event changes the figures in which an operator looks for it, and no others.
func TestMetricsFollowWhatHappens(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.watch()
		w.daemon.Set("anchor", "target", `"1m"`) // so that a second version comes soon
		w.start()
		w.wantScrape("before there is a wallet", series{
			`ancre_started`: 1, `ancre_wallet_state{state="none"}`: 1, `ancre_wallet_state{state="ready"}`: 0, `ancre_ready`: 0,
			`ancre_warnings{name="wallet"}`: 1, `ancre_wallet_balance_sats{kind="confirmed"}`: 0, `ancre_digests_new_total`: 0,
			`ancre_batches{state="open"}`: 0, `ancre_batches{state="final"}`: 0, `ancre_oldest_pending_batch_age_seconds`: 0,
			`ancre_rpc_calls_total{code="0",method="submit"}`: 0, `ancre_store_read_only`: 0,
		})
		w.createWallet()
		w.fund()

		one, two := randomDigest(), randomDigest()
		w.submit(one)
		w.submit(one)
		w.call(nil, "submitbatch", []string{one, two, randomDigest()})
		w.wantRefused(w.daemon.Call(w.ctx, nil, "submit", "AB"), -8)
		message := sha256.Sum256([]byte(two))
		resp, err := http.Post("http://"+w.daemon.CalendarAddr()+"/digest", "application/octet-stream", bytes.NewReader(message[:]))
		w.must(err)
		resp.Body.Close()
		got := w.wantScrape("after digests came", series{
			`ancre_digests_accepted_total{interface="submit"}`: 2, `ancre_digests_accepted_total{interface="submitbatch"}`: 3,
			`ancre_digests_accepted_total{interface="calendar"}`: 1,
			`ancre_digests_new_total`:                            4, `ancre_digests_known_total`: 2,
			`ancre_stored_digests`: 4, `ancre_open_batch_digests`: 4, `ancre_batches{state="open"}`: 1, `ancre_queue_digests`: 0,
			`ancre_rpc_calls_total{code="0",method="submit"}`: 2, `ancre_rpc_calls_total{code="-8",method="submit"}`: 1,
			`ancre_rpc_call_seconds_count{method="submit"}`:              3,
			`ancre_calendar_requests_total{route="digest",status="200"}`: 1,
			`ancre_calendar_request_seconds_count{route="digest"}`:       1,
			`ancre_group_commit_digests_count`:                           3, // the second submit wrote nothing
			`ancre_group_commit_seconds_count`:                           3,
			`ancre_wallet_balance_sats{kind="confirmed"}`:                fundSats,
			`ancre_peers`:                   1,
			`ancre_warnings{name="wallet"}`: 0,
			`ancre_rpc_calls_total{code="0",method="sendtoaddress"}`:           0,
			`ancre_submits_refused_total{reason="busy"}`:                       0,
			`ancre_anchor_versions_total`:                                      0,
			`ancre_calendar_requests_total{route="block-height",status="200"}`: 0,
		})
		for _, name := range []string{`ancre_disk_used_bytes{part="store"}`, `ancre_disk_used_bytes{part="spv"}`, `ancre_disk_used_bytes{part="wallet"}`, `ancre_disk_free_bytes`, `ancre_disk_reserve_bytes`} {
			if got[name] <= 0 {
				t.Errorf("%s is %v, want something", name, got[name])
			}
		}

		w.call(nil, "closebatch")
		w.awaitInMempool(w.awaitState(one, "broadcast").TxID)
		w.watchFlight()

		w.mineUntilFinal()
		var proof any
		w.call(&proof, "getproof", one)
		h, err := w.node.Height(w.ctx)
		w.must(err)
		height, paid := float64(h), float64(w.anchors()[0].FeeSats)
		w.wantScrape("when it is final", series{
			`ancre_batches{state="final"}`: 2, `ancre_batches{state="broadcast"}`: 0, `ancre_batches{state="mined"}`: 0, `ancre_anchors{state="final"}`: 1,
			`ancre_fees_month_sats`: paid, `ancre_fees_final_sats_total`: paid, `ancre_oldest_unmined_batch_age_seconds`: 0, `ancre_oldest_pending_batch_age_seconds`: 0,
			`ancre_chain_height`: height, `ancre_chain_headers_height`: height, `ancre_wallet_balance_sats{kind="confirmed"}`: fundSats - paid,
			`ancre_proof_requests_total{state="complete"}`: 1, `ancre_anchor_versions_in_flight`: 0,
		})
	})
}

// watchFlight compares what is told of an anchor in flight, and of the version that replaces it.
func (w *world) watchFlight() {
	w.Helper()
	w.must(harness.Await(w.ctx, "the offer to be over", func(context.Context) (bool, string, error) {
		return w.scrape()[`ancre_anchor_broadcasts_total{result="offered"}`] >= 1, "", nil
	}))
	got := w.wantScrape("while it is in flight", series{
		`ancre_batches{state="broadcast"}`: 1, `ancre_batches{state="open"}`: 0, `ancre_anchors{state="broadcast"}`: 1, `ancre_anchors_made_total`: 1,
		`ancre_anchor_versions_total`: 1, `ancre_anchor_replacements_total`: 0, `ancre_anchor_versions_in_flight`: 1, `ancre_anchor_target_seconds`: 60,
		`ancre_fees_month_sats`: 0, `ancre_wallet_balance_sats{kind="spendable"}`: 0,
	})
	if got[`ancre_oldest_unmined_batch_age_seconds`] <= 0 {
		w.Error("the batch in flight has no age")
	}
	w.submit(randomDigest()) // joins the next version
	w.call(nil, "closebatch")
	w.blockWithoutUs("a version that replaces the first", func() bool { return w.scrape()[`ancre_anchor_replacements_total`] >= 1 })
	if got = w.scrape(); got[`ancre_anchor_versions_total`] != got[`ancre_anchor_replacements_total`]+1 || got[`ancre_anchor_versions_in_flight`] != got[`ancre_anchor_versions_total`] {
		w.Errorf("%v versions of one anchor, %v of them replacements, %v in flight", got[`ancre_anchor_versions_total`], got[`ancre_anchor_replacements_total`], got[`ancre_anchor_versions_in_flight`])
	}
}

// Counters start at zero with the process. Gauges show what the store holds.
func TestMetricsAfterACrash(t *testing.T) {
	w := newLonelyWorld(t)
	w.watch()
	w.start()
	w.submit(randomDigest())
	w.call(nil, "closebatch")
	w.submit(randomDigest())
	kept := series{`ancre_stored_digests`: 2, `ancre_batches{state="sealed"}`: 1, `ancre_batches{state="open"}`: 1, `ancre_open_batch_digests`: 1}
	before := w.wantScrape("before the crash", kept)
	w.crash()
	after := w.wantScrape("after the crash", kept)
	if before[`ancre_digests_new_total`] != 2 || after[`ancre_digests_new_total`] != 0 {
		t.Errorf("%v new digests before the crash and %v after it, want 2 and 0", before[`ancre_digests_new_total`], after[`ancre_digests_new_total`])
	}
	if after[`ancre_oldest_unmined_batch_age_seconds`] <= 0 {
		t.Error("the batch that waits has no age after the crash")
	}
	if after[`ancre_peers`] != 0 || after[`ancre_chain_synced`] != 0 {
		t.Errorf("without a node: %v peers, synced %v", after[`ancre_peers`], after[`ancre_chain_synced`])
	}
}

func TestProfilesOfARunningDaemon(t *testing.T) {
	w := newLonelyWorld(t)
	w.watch()
	w.start()
	if status, body := w.fetch("/debug/pprof/"); status != http.StatusNotFound || !strings.Contains(string(body), "metrics.pprof") {
		t.Errorf("profiles that are off: %d %q, want 404 and the key that turns them on", status, body)
	}
	w.must(w.daemon.Stop())
	w.daemon.Set("metrics", "pprof", "true")
	w.start()
	zipped := []byte{0x1f, 0x8b} // gzip, RFC 1952
	for _, path := range []string{"/debug/pprof/profile?seconds=1", "/debug/pprof/heap", "/debug/pprof/goroutine"} {
		if status, body := w.fetch(path); status != http.StatusOK || !bytes.HasPrefix(body, zipped) {
			t.Errorf("%s: %d, %d bytes, want a profile", path, status, len(body))
		}
	}
	if status, _ := w.fetch("/debug/pprof/profile?seconds=100000"); status != http.StatusBadRequest {
		t.Errorf("a profile of a day is answered with %d", status)
	}
}

func TestMetricsAreNotConfiguredToHarm(t *testing.T) {
	w := newLonelyWorld(t)
	addr := fmt.Sprintf("%q", w.daemon.MetricsAddr())
	for _, c := range []struct {
		name, listen, pprof string
		says                []string
	}{
		{"profiles for everybody", `":14790"`, "true", []string{"metrics.pprof = true", ":14790", "password", "127.0.0.1:14790"}},
		{"profiles nowhere", `"off"`, "true", []string{"metrics.pprof = true", "metrics.listen"}},
		{"profiles perhaps", addr, `"sometimes"`, []string{"metrics.pprof", "sometimes", "true or false"}},
		{"where JSON-RPC is", fmt.Sprintf("%q", w.daemon.Addr()), "false", []string{"metrics.listen", w.daemon.Addr(), "rpc.listen"}},
		{"no address", `"14790"`, "false", []string{"metrics.listen", "14790", "HOST:PORT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			w.daemon.Set("metrics", "listen", c.listen)
			w.daemon.Set("metrics", "pprof", c.pprof)
			w.wantNoStart(2, slices.Concat(c.says, []string{w.daemon.Config + ":"}))
		})
	}
}
