package daemon

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// alertCase is what Prometheus sees, a sample a minute unless it says otherwise, and when the alert
// fires.
type alertCase struct {
	alert  string
	series map[string]string // in the notation of promtool: "0x4 1x9" is five times 0, ten times 1
	fires  []time.Duration   // at these times
	silent []time.Duration   // it does not fire at these: before, and when it is over
	every  time.Duration     // between two samples; 0: a minute
}

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30
	reserve  = 256 * mebibyte
)

func minutes(n ...int) (at []time.Duration) {
	for _, m := range n {
		at = append(at, time.Duration(m)*time.Minute)
	}
	return at
}

// warns are the cases of alerts that look at the daemon's own warnings.
func warns(alert, name string, after int) alertCase {
	return alertCase{alert, map[string]string{
		`ancre_warnings{name="` + name + `"}`: fmt.Sprintf("0x9 1x%d 0x60", after+19), // wrong from minute 10 on
	}, minutes(10+after, 20+after), minutes(9, 10+after-1, 30+after+1), 0}
}

// alertCases has one case at least for each alert.
func alertCases() []alertCase {
	free := func(samples string) map[string]string {
		return map[string]string{"ancre_disk_free_bytes": samples, "ancre_disk_reserve_bytes": fmt.Sprintf("%dx4000", reserve)}
	}
	wallet := func(state string) map[string]string {
		return map[string]string{
			`ancre_wallet_balance_sats{kind="confirmed"}`: "100000x9 3000x99 100000x60",
			`ancre_wallet_balance_sats{kind="pending"}`:   "0x200",
			"ancre_anchor_fee_sats":                       "153x200",
			`ancre_wallet_state{state="none"}`:            state,
		}
	}
	tip := func(target string) map[string]string {
		return map[string]string{
			"ancre_chain_tip_age_seconds": "60x9 6000x39 60x60", "ancre_chain_height": "800000x200", "ancre_chain_target_height": target,
		}
	}
	return []alertCase{
		{"AncreDown", map[string]string{`up{job="ancre"}`: "1x9 0x19 1x60"}, minutes(15, 25), minutes(9, 14, 31), 0},
		{"AncreDown", map[string]string{`up{job="other"}`: "1x60"}, minutes(5, 50), minutes(4), 0},
		{"AncreStartsForLong", map[string]string{"ancre_started": "1x9 0x39 1x60"}, minutes(25, 45), minutes(24, 51), 0},
		{"AncreStoreReadOnly", map[string]string{"ancre_store_read_only": "0x9 1x9 0x60"}, minutes(11, 19), minutes(10, 21), 0},
		{"AncreDiskLow", free(fmt.Sprintf("%dx9 %dx59 %dx60", 10*gibibyte, gibibyte, 10*gibibyte)), minutes(40, 65), minutes(39, 71), 0},
		// The first hours of a new machine take 20 GiB, then nothing more.
		{"AncreDiskFills", free(fmt.Sprintf("%d-%dx19 %dx300", 50*gibibyte, gibibyte, 30*gibibyte)), nil, minutes(60, 150, 300, 1300, 1500, 2000), 10 * time.Minute},
		// 14 GiB a day, of 80, until somebody enlarges the disk.
		{"AncreDiskFills", free(fmt.Sprintf("%d-%dx179 %dx200", 80*gibibyte, 100*mebibyte, 800*gibibyte)), minutes(1440+30, 1790), minutes(600, 1300, 3500), 10 * time.Minute},
		{"AncreRefusesSubmits", map[string]string{`ancre_submits_refused_total{reason="busy"}`: "0x9 0+5x29 145x60"}, minutes(20, 35), minutes(9, 14, 50), 0},
		{"AncreRefusesSubmits", map[string]string{`ancre_submits_refused_total{reason="invalid"}`: "0+5x60"}, nil, minutes(20, 50), 0},
		warns("AncreDamaged", "damage", 0),
		{"AncreAnchorOverdue", map[string]string{"ancre_anchor_overdue": "0x9 1x99 0x60"}, minutes(70, 105), minutes(69, 111), 0},
		{"AncreBalanceLow", wallet("0x200"), minutes(70, 105), minutes(69, 111), 0},
		{"AncreBalanceLow", wallet("1x200"), nil, minutes(70, 105), 0},
		{"AncreBudgetUsed", map[string]string{"ancre_fees_budget_sats": "100000x200", "ancre_fees_month_sats": "1000x9 95000x99 1000x60"},
			minutes(70, 105), minutes(69, 111), 0},
		{"AncreBudgetUsed", map[string]string{"ancre_fees_budget_sats": "0x200", "ancre_fees_month_sats": "95000x200"}, nil, minutes(70, 105), 0},
		warns("AncreWalletUnusable", "wallet", 30),
		warns("AncreNotPassedOn", "offer_refused", 15),
		{"AncreWalletStruggles", map[string]string{"ancre_wallet_revivals_total": "0x3 0+1x5 5x300"}, minutes(120, 1000), minutes(20, 1700), 10 * time.Minute},
		{"AncreStaleTip", tip("800000x200"), minutes(20, 45), minutes(19, 51), 0},
		{"AncreStaleTip", tip("800100x200"), nil, minutes(20, 45), 0}, // it is still synchronising
		{"AncreNotSynced", map[string]string{"ancre_chain_synced": "1x9 0x239 1x60"}, minutes(190, 245), minutes(189, 251), 0},
		warns("AncreFewPeers", "no_peers", 15),
		{"AncreCommitsSlowly", map[string]string{
			`ancre_group_commit_seconds_bucket{le="1"}`:    "0+60x9 540x59 540+60x60",
			`ancre_group_commit_seconds_bucket{le="5"}`:    "0+60x9 540+60x59 4140+60x60",
			`ancre_group_commit_seconds_bucket{le="+Inf"}`: "0+60x9 540+60x59 4140+60x60",
		}, minutes(40, 65), minutes(9, 20, 90), 0},
		{"AncreLoginsRefused", map[string]string{"ancre_rpc_refused_logins_total": "0x9 0+5x19 95x60"}, minutes(20, 30), minutes(9, 60), 0},
		warns("AncreBackupMissing", "backup_old", 30),
		warns("AncreBackupMissing", "backup_failed", 30),
		warns("AncreWarns", "clock_off", 30),
		{"AncreMetricsMissing", map[string]string{`ancre_scrape_ok{part="disk"}`: "1x9 0x39 1x60"}, minutes(25, 45), minutes(24, 51), 0},
	}
}

// Each alert fires when it should and ends when the cause is gone, by Prometheus' own word.
func TestAlertsFireAndEnd(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on PATH (Debian: prometheus)")
	}
	alerts, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	type sample struct {
		Labels string `yaml:"labels"`
		Value  int    `yaml:"value"`
	}
	type query struct {
		Expr    string   `yaml:"expr"`
		At      string   `yaml:"eval_time"`
		Samples []sample `yaml:"exp_samples"`
	}
	type series struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	type test struct {
		Name     string   `yaml:"name"`
		Interval string   `yaml:"interval"`
		Input    []series `yaml:"input_series"`
		Queries  []query  `yaml:"promql_expr_test"`
	}
	tests := make(map[time.Duration][]test)
	fires := make(map[string]bool)
	for i, c := range alertCases() {
		every := cmp.Or(c.every, time.Minute)
		one := test{Name: fmt.Sprintf("%s, case %d", c.alert, i), Interval: every.String()}
		for _, name := range slices.Sorted(maps.Keys(c.series)) {
			one.Input = append(one.Input, series{name, c.series[name]})
		}
		firing := fmt.Sprintf(`count(ALERTS{alertname=%q,alertstate="firing"})`, c.alert)
		for _, at := range c.fires {
			fires[c.alert] = true
			one.Queries = append(one.Queries, query{firing, at.String(), []sample{{"{}", 1}}})
		}
		for _, at := range c.silent {
			one.Queries = append(one.Queries, query{firing, at.String(), nil})
		}
		tests[every] = append(tests[every], one)
	}
	var file struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal(readFile(t, alertsFile), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if !fires[r.Alert] {
				t.Errorf("no case shows that %s fires", r.Alert)
			}
		}
	}
	for every, tests := range tests {
		raw, err := yaml.Marshal(map[string]any{"rule_files": []string{alerts}, "evaluation_interval": every.String(), "tests": tests})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "alerts_test.yml")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, strings.TrimSpace(string(out)))
		}
	}
}
