package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/internal/warning"
	"ancre/metrics"

	"go.yaml.in/yaml/v3"
)

const alertsFile = "../../contrib/prometheus/register-alerts.yml"

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(text, &file); err != nil || len(file.Groups) != 1 {
		t.Fatalf("%d groups, %v", len(file.Groups), err)
	}
	return file.Groups[0].Rules
}

// An alert on a metric that does not exist never fires.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	known := []string{}
	for _, m := range metrics.RegisterTable() {
		known = append(known, m.Name)
	}
	for _, r := range rules(t) {
		if r.Annotations["summary"] == "" || len(r.Annotations["remedy"]) < 20 || r.Labels["severity"] == "" {
			t.Errorf("%s: %+v: want a summary, a remedy and a severity", r.Alert, r)
		}
		for _, name := range regexp.MustCompile(`\bancre_[a-z_]+`).FindAllString(r.Expr+" "+r.Annotations["remedy"], -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s names %s, which is no metric", r.Alert, name)
			}
		}
	}
}

// No warning goes by unnoticed: each has one alert, as severe as it is.
func TestEveryWarningOfTheRegisterHasAnAlert(t *testing.T) {
	by := make(map[string][]string)
	for _, r := range rules(t) {
		for _, m := range regexp.MustCompile(`ancre_register_warnings\{name(=~|!~|=)"([^"]*)"\}`).FindAllStringSubmatch(r.Expr, -1) {
			for _, k := range warning.RegisterTable() {
				if slices.Contains(strings.Split(m[2], "|"), k.Name()) == (m[1] != "!~") {
					by[k.Name()] = append(by[k.Name()], r.Labels["severity"])
				}
			}
		}
	}
	for _, k := range warning.RegisterTable() {
		if got := by[k.Name()]; len(got) != 1 || got[0] != string(k.Severity()) {
			t.Errorf("%s is %s, and its alerts are %q: want one, as severe", k.Name(), k.Severity(), got)
		}
	}
}

// Prometheus itself says when they fire.
func TestAlertsFireAndEnd(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on PATH")
	}
	rulesPath, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	fmt.Fprintf(&file, "rule_files:\n  - %s\nevaluation_interval: 1m\ntests:\n", rulesPath)
	for _, c := range []struct {
		alert, series string
		fires, silent int // minutes
		severity      string
	}{
		{"AncreRegisterDown", `up{job="ancre-register",instance="i"}: "1x9 0x19 1x60"`, 16, 12, "critical"},
		{"AncreRegisterNodeAway", `ancre_register_warnings{name="register_node",instance="i"}: "0x9 1x40 0x60"`, 30, 20, "warning"},
		{"AncreRegisterDamaged", `ancre_register_warnings{name="register_store",instance="i"}: "0x9 1x40 0x60"`, 12, 8, "critical"},
		{"AncreRegisterWarns", `ancre_register_warnings{name="register_watch",instance="i"}: "0x9 1x60 0x60"`, 45, 30, "warning"},
		{"AncreRegisterPageFails", `ancre_register_page_requests_total{status="5xx",class="page",instance="i"}: "0x9 0+5x40"`, 25, 9, "warning"},
	} {
		name, values, _ := strings.Cut(c.series, ": ")
		fmt.Fprintf(&file, "  - interval: 1m\n    input_series:\n      - series: '%s'\n        values: %s\n    promql_expr_test:\n", name, values)
		for minute, want := range map[int]int{c.fires: 1, c.silent: 0} {
			fmt.Fprintf(&file, "      - expr: count(ALERTS{alertname=%q,alertstate=\"firing\",severity=%q}) or vector(0)\n        eval_time: %dm\n        exp_samples: [{labels: '{}', value: %d}]\n", c.alert, c.severity, minute, want)
		}
	}
	path := filepath.Join(t.TempDir(), "tests.yml")
	if err := os.WriteFile(path, []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "test", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, file.String())
	}
}
