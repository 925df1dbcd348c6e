package config

import (
	"strings"
	"testing"
)

func TestMergeAddsWhatIsMissing(t *testing.T) {
	const now = "# The service.\n\ndatadir = \"/var/lib/ancre\"\n\n[anchor] # caps\nmax_fee = 5000\n\n[log]\nlevel = \"warn\""
	const old = `network = "signet"
datadir = "~/elsewhere"
[anchor]
max_fee = 9000
monthly_budget = 60000
[log]
level = "warn"
[batch]
interval = "1h"
[rpc]
auth = ["web:submit:00$0000000000000000000000000000000000000000000000000000000000000000"]
[wallet]
passphrase_file = "/home/greffe/pass"
`
	m, err := Merge("/new", []byte(now), "/old", []byte(old), "signet")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.Taken, " "); got != "network batch.interval anchor.monthly_budget rpc.auth" {
		t.Errorf("taken: %s", got)
	}
	if len(m.Left) != 2 || m.Left[0].Key != "wallet.passphrase_file" || m.Left[1].Key != "anchor.max_fee" {
		t.Errorf("left: %+v", m.Left)
	}
	c, err := parse("/new", m.Text)
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Text)
	}
	if c.Network != "signet" || c.DataDir != "/var/lib/ancre" || c.Anchor.MaxFeeSats != 5000 || c.Anchor.MonthlyBudget != 60000 || len(c.RPC.Auth) != 1 || c.Wallet.PassphraseFile != "" {
		t.Errorf("%+v\n%s", c, m.Text)
	}
	for _, line := range strings.Split(now, "\n") {
		if !strings.Contains(string(m.Text), line) {
			t.Errorf("%q is gone:\n%s", line, m.Text)
		}
	}
	again, err := Merge("/new", m.Text, "/old", []byte(old), "signet")
	if err != nil || len(again.Taken) != 0 || string(again.Text) != string(m.Text) {
		t.Errorf("a second time: %v, %v", again.Taken, err)
	}
}

func TestMergeKnowsTheNetworkOfTheData(t *testing.T) {
	for _, c := range []struct{ now, old, network, taken, err string }{
		{"", "network = \"signet\"\n", "mainnet", "", ""}, // its daemon ran with --network mainnet
		{"", "", "testnet4", "network", ""},
		{"network = \"testnet4\"\n", "", "testnet4", "", ""},
		{"network = \"testnet4\"\n", "", "mainnet", "", "sets network = \"testnet4\", and the data are of mainnet"},
		{"rpc = {listen = \"127.0.0.1:1\"}\n", "[rpc]\nhosts = [\"a\"]\n", "mainnet", "", "cannot be extended by a program: set there what /old sets (rpc.hosts)"},
		{"", "nonsense\n", "mainnet", "", "/old"},
	} {
		m, err := Merge("/new", []byte(c.now), "/old", []byte(c.old), c.network)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if got := strings.Join(m.Taken, " "); err != nil || got != c.taken {
			t.Errorf("%+v: taken %s, %v", c, got, err)
		}
	}
}
