package daemon

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/internal/warning"
	"ancre/metrics"

	"go.yaml.in/yaml/v3"
)

const (
	alertsFile    = "../contrib/prometheus/alerts.yml"
	scrapeFile    = "../contrib/prometheus/prometheus.yml"
	dashboardFile = "../contrib/grafana/ancre.json"
)

var (
	// A metric in PromQL: its name, and what it is selected by.
	selector = regexp.MustCompile(`\b((?:ancre|go|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|ignoring|on)\s*\(([^)]*)\)`)
)

// Labels that Prometheus adds to every series, and the one of buckets.
var given = []string{"job", "instance", "le"}

// checkExpr looks each metric of an expression up in a scrape, with the labels and values that it
// is selected by: an alert with a slip of the pen is one that never fires.
func checkExpr(t *testing.T, where, expr string, scrape map[string]family) {
	t.Helper()
	known := slices.Clone(given)
	found := selector.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 && !strings.HasPrefix(expr, "up{") {
		t.Errorf("%s: %q names no metric", where, expr)
	}
	for _, m := range found {
		f, ok := scrape[m[1]]
		if !ok {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], "")
			if f, ok = scrape[base]; !ok || f.kind != string(metrics.Histogram) {
				t.Errorf("%s: there is no metric %s", where, m[1])
				continue
			}
		} else if f.kind == string(metrics.Histogram) {
			t.Errorf("%s: %s is a histogram: only its _bucket, _sum and _count are there", where, m[1])
		}
		for label := range f.labels {
			known = append(known, label)
		}
		for _, by := range matcher.FindAllStringSubmatch(m[2], -1) {
			label, op, value := by[1], by[2], by[3]
			values, ok := f.labels[label]
			if slices.Contains(given, label) {
				continue
			}
			if !ok {
				t.Errorf("%s: %s has no label %s", where, m[1], label)
				continue
			}
			wanted := []string{value}
			if strings.HasSuffix(op, "~") {
				wanted = strings.Split(value, "|")
			}
			for _, v := range wanted {
				if !slices.Contains(values, v) {
					t.Errorf("%s: %s never has %s=%q; there are %q", where, m[1], label, v, values)
				}
			}
		}
		// Counters are of use as rates, and nothing else is.
		if f.kind == string(metrics.Counter) != regexp.MustCompile(`(?:rate|increase)\(`+regexp.QuoteMeta(m[0])+`\[`).MatchString(expr) && f.kind != string(metrics.Histogram) {
			t.Errorf("%s: %s is a %s: counters want rate or increase, others none", where, m[1], f.kind)
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !slices.Contains(known, label) {
				t.Errorf("%s: no metric of it has the label %s", where, label)
			}
		}
	}
}

// metricLabels returns the labels that the metrics of an expression have, when it does not group
// them.
func metricLabels(expr string, scrape map[string]family) (labels []string) {
	if grouping.MatchString(expr) {
		return nil
	}
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		labels = slices.AppendSeq(labels, maps.Keys(scrape[m[1]].labels))
	}
	return labels
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAlertsNameOnlyWhatAScrapeHas(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(readFile(t, alertsFile), &file); err != nil {
		t.Fatal(err)
	}
	_, text := watched(t)
	scrape := families(t, text)
	seen := make(map[string]bool)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] {
				t.Errorf("a rule has the name %q, which is empty or not its own", r.Alert)
			}
			seen[r.Alert] = true
			checkExpr(t, r.Alert, r.Expr, scrape)
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s has the severity %q", r.Alert, s)
			}
			if len(r.Annotations["summary"]) < 40 || len(r.Annotations["remedy"]) < 40 || len(r.Annotations) != 2 {
				t.Errorf("%s tells nobody what is wrong and what to do: %q", r.Alert, r.Annotations)
			}
			for _, m := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(r.Annotations["summary"], -1) {
				if m[1] != "instance" && !regexp.MustCompile(`[{,(] ?`+m[1]+`[=!)]`).MatchString(r.Expr) && !slices.Contains(metricLabels(r.Expr, scrape), m[1]) {
					t.Errorf("%s names the label %s, which its series may not have", r.Alert, m[1])
				}
			}
			for _, m := range regexp.MustCompile(`see (Ancre[A-Za-z]+)`).FindAllStringSubmatch(r.Annotations["remedy"], -1) {
				if !regexp.MustCompile(`alert: ` + m[1] + `\n`).Match(readFile(t, alertsFile)) {
					t.Errorf("%s points to %s, which is no alert", r.Alert, m[1])
				}
			}
			for _, m := range regexp.MustCompile(`\bancre_[a-z_]+`).FindAllString(r.Annotations["remedy"], -1) {
				if _, ok := scrape[m]; !ok {
					t.Errorf("the remedy of %s names %s, which is no metric", r.Alert, m)
				}
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d alerts were read", len(seen))
	}
	// What the alerts count on to be told elsewhere.
	if job := "job_name: ancre "; !strings.Contains(string(readFile(t, scrapeFile)), job) {
		t.Errorf("%s has no %q, by which alerts know that ancred is down", scrapeFile, job)
	}
}

// No warning goes by unnoticed: each has an alert, and what is critical a critical one. Some have
// an alert on the figure that they are about.
func TestEveryWarningHasAnAlert(t *testing.T) {
	figures := map[*warning.Kind]string{
		warning.Overdue: "AncreAnchorOverdue", warning.Store: "AncreStoreReadOnly", warning.DiskLow: "AncreDiskLow",
		warning.BalanceLow: "AncreBalanceLow", warning.BudgetLow: "AncreBudgetUsed", warning.StaleTip: "AncreStaleTip",
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(readFile(t, alertsFile), &file); err != nil {
		t.Fatal(err)
	}
	by := make(map[string][]string) // the severities of the alerts that a name raises
	for _, rule := range file.Groups[0].Rules {
		for _, m := range regexp.MustCompile(`ancre_warnings\{name(=~|!~)"([^"]*)"\}`).FindAllStringSubmatch(rule.Expr, -1) {
			for _, k := range warning.Table() {
				if slices.Contains(strings.Split(m[2], "|"), k.Name()) == (m[1] == "=~") {
					by[k.Name()] = append(by[k.Name()], rule.Labels["severity"])
				}
			}
		}
		for k, alert := range figures {
			if alert == rule.Alert {
				by[k.Name()] = append(by[k.Name()], rule.Labels["severity"])
			}
		}
	}
	for _, k := range warning.Table() {
		if got := by[k.Name()]; len(got) != 1 || got[0] != string(k.Severity()) {
			t.Errorf("%s is %s, and its alerts are %q: want one, as severe", k.Name(), k.Severity(), got)
		}
	}
}

// dashboard is what is checked of the dashboard's file.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
			Definition string
		}
	}
	Panels []panel
}

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource source
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		Expr, RefID string
		Datasource  source
	}
}

type source struct{ Type, UID string }

// chosenSource is the Prometheus that the person who imports the dashboard chooses.
var chosenSource = source{"prometheus", "${datasource}"}

func TestDashboardShowsOnlyWhatAScrapeHas(t *testing.T) {
	var board dashboard
	if err := json.Unmarshal(readFile(t, dashboardFile), &board); err != nil {
		t.Fatal(err)
	}
	_, text := watched(t)
	scrape := families(t, text)
	vars := make(map[string]bool)
	for _, v := range board.Templating.List {
		vars[v.Name] = true
		if v.Type == "query" {
			checkExpr(t, v.Name, v.Definition, scrape)
		}
	}
	if !vars["datasource"] || !vars["instance"] || board.UID == "" || board.SchemaVersion < 36 {
		t.Errorf("the dashboard has the variables %v, the UID %q and the schema %d", vars, board.UID, board.SchemaVersion)
	}
	checkGrid(t, board.Panels)
	shown := make(map[string]bool)
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource != chosenSource {
			t.Errorf("%q shows nothing, or goes to the data source %+v", p.Title, p.Datasource)
		}
		for _, target := range p.Targets {
			if target.Datasource != chosenSource {
				t.Errorf("%q goes to the data source %+v", p.Title, target.Datasource)
			}
			checkExpr(t, p.Title, target.Expr, scrape)
			for _, m := range selector.FindAllStringSubmatch(target.Expr, -1) {
				shown[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], "")] = true
				if !strings.Contains(m[2], `instance=~"$instance"`) {
					t.Errorf("%q shows %s of all daemons, whichever is chosen", p.Title, m[1])
				}
			}
		}
	}
	// A dashboard of everything leaves these out on purpose.
	left := []string{"ancre_anchors_made_total", "ancre_anchor_versions_total", "ancre_fees_final_sats_total"}
	for _, m := range metrics.Table() {
		if !shown[m.Name] && !slices.Contains(left, m.Name) {
			t.Errorf("%s is on no panel", m.Name)
		}
	}
}

// checkGrid checks that panels have numbers of their own, and that none lies over another.
func checkGrid(t *testing.T, panels []panel) {
	t.Helper()
	taken := make(map[[2]int]int)
	ids := make(map[int]bool)
	for _, p := range panels {
		if ids[p.ID] {
			t.Errorf("two panels have the number %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != 0 || x >= 24 {
					t.Fatalf("%q lies over panel %d, or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.ID
			}
		}
	}
}
