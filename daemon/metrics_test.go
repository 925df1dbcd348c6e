package daemon

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/batcher/store/pebblestore"
	"ancre/config"
	"ancre/internal/warning"
	"ancre/metrics"
	"ancre/rpc"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// get asks the metrics' listener.
func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// family is a metric as a scrape tells it: its kind, and the values that each label has.
type family struct {
	kind   string
	labels map[string][]string
}

// families parses a scrape.
func families(t *testing.T, text string) map[string]family {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]family)
	for name, f := range parsed {
		of := family{kind: strings.ToLower(f.GetType().String()), labels: make(map[string][]string)}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				of.labels[l.GetName()] = append(of.labels[l.GetName()], l.GetValue())
			}
		}
		out[name] = of
	}
	return out
}

// watched runs a daemon that tells how it stands, and returns its scrape.
func watched(t *testing.T) (c config.Config, scrape string) {
	t.Helper()
	c = testConfig(t)
	c.Metrics.Listen = "127.0.0.1:0"
	log, _ := starts(t, c)
	status, scrape := get(t, info(t, c, log).Metrics.Listen, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, scrape)
	}
	return c, scrape
}

// The table and the daemon say the same: nothing that is documented is missing, and Prometheus' own
// linter finds nothing.
func TestScrapeHasEveryMetricOfTheTable(t *testing.T) {
	c, scrape := watched(t)
	problems, err := promlint.New(strings.NewReader(scrape)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "ancre_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	got := families(t, scrape)
	for _, m := range metrics.Table() {
		f, ok := got[m.Name]
		if !ok {
			t.Errorf("%s is in the table, and no scrape has it", m.Name)
			continue
		}
		if f.kind != string(m.Kind) {
			t.Errorf("%s is a %s in the table, and a %s in a scrape", m.Name, m.Kind, f.kind)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if _, ok := got[name]; !ok {
			t.Errorf("nothing is told of the process: %s is missing", name)
		}
	}
	if f := got["ancre_build_info"]; f.labels["network"][0] != c.Network || f.labels["version"][0] != "test" {
		t.Errorf("ancre_build_info has the labels %v", f.labels)
	}
	for line := range strings.SplitSeq(scrape, "\n") {
		if (strings.HasPrefix(line, "ancre_scrape_ok{") || strings.HasPrefix(line, "ancre_started ")) && !strings.HasSuffix(line, " 1") {
			t.Errorf("%s, want 1", line)
		}
	}
}

func warningNames() (names []string) {
	for _, kind := range warning.Table() {
		names = append(names, kind.Name())
	}
	return names
}

// Every warning that getinfo shows has a name, and each name is told also while nobody is warned:
// an alert for one that is not there yet would never fire.
func TestEveryWarningHasAName(t *testing.T) {
	_, scrape := watched(t)
	names := families(t, scrape)["ancre_warnings"].labels["name"]
	if !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(warningNames()))) || len(names) < 35 {
		t.Errorf("warnings are told of by the names %q, want %q", names, warningNames())
	}
	if !strings.Contains(scrape, `ancre_warnings{name="wallet"} 1`) {
		t.Errorf("there is no wallet, and nothing warns of it:\n%s", scrape)
	}
}

func TestProfilesAreThereOnlyWhenAskedFor(t *testing.T) {
	for _, on := range []bool{false, true} {
		c := testConfig(t)
		c.Metrics = config.Metrics{Listen: "127.0.0.1:0", Pprof: on}
		log, _ := starts(t, c)
		addr := info(t, c, log).Metrics.Listen
		want := map[bool]int{false: http.StatusNotFound, true: http.StatusOK}[on]
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
			if status, body := get(t, addr, path); status != want || !on && !strings.Contains(body, "metrics.pprof") {
				t.Errorf("profiles on: %t; %s is answered with %d %q", on, path, status, body)
			}
		}
	}
}

func TestMetricsThatAreOffAreNotThere(t *testing.T) {
	c := testConfig(t)
	log, _ := starts(t, c)
	if got := info(t, c, log); got.Metrics != (rpc.MetricsInfo{}) || !strings.Contains(log.String(), " metrics=off ") {
		t.Errorf("getinfo tells of metrics at %+v; the log:\n%s", got.Metrics, log)
	}
}

func TestMetricsPortInUseIsNamedWithTheKey(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := testConfig(t)
	c.Metrics.Listen = l.Addr().String()
	err = Run(t.Context(), c, "test", new(output))
	if err == nil || !strings.Contains(err.Error(), "metrics.listen") || !strings.Contains(err.Error(), c.Metrics.Listen) || !strings.Contains(err.Error(), "off") {
		t.Errorf("a port in use: %v", err)
	}
}

// A disk that cannot be seen is told as what it is to the store: of no use. What else there is to
// tell is told.
func TestADiskThatCannotBeSeenIsToldOf(t *testing.T) {
	d := &node{dir: t.TempDir(), disk: func() (pebblestore.Disk, error) {
		return pebblestore.Disk{ReserveBytes: 5, ReadOnly: true}, errors.New("input/output error")
	}}
	for name, size := range map[string]int{"store/000001.sst": 1000, "store/deeper/x": 24, "wallet/wallet.db": 7} {
		path := filepath.Join(d.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, size), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	got := make(map[string]float64)
	err := d.scrapeDisk(func(m *metrics.Metric, value float64, labels ...string) { got[m.Name+strings.Join(labels, "")] = value })
	want := map[string]float64{"ancre_store_read_only": 1, "ancre_disk_reserve_bytes": 5, "ancre_disk_used_bytesstore": 1024, "ancre_disk_used_bytesspv": 0, "ancre_disk_used_byteswallet": 7}
	if err == nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v and an error", got, err, want)
	}
}

// There is no password: whoever has it listen for others is told what that means, and is not warned
// for ever.
func TestMetricsForOtherMachinesAreWarnedOf(t *testing.T) {
	for listen, warned := range map[string]bool{"": false, "127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false, ":1": true, "0.0.0.0:1": true, "192.168.1.5:1": true, "ancre.example:1": true} {
		got := metricsWarning(config.Metrics{Listen: listen})
		if (got != "") != warned || warned && !strings.Contains(got, fmt.Sprintf("metrics.listen = %q", listen)) {
			t.Errorf("%q: %q", listen, got)
		}
	}
}
