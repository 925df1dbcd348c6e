package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sampleFile is what a person copies; it lies at the root of the repository.
const sampleFile = "../sample.conf"

// uncomment turns "#key = value" into "key = value"; comments have a space after the #.
var uncomment = regexp.MustCompile(`(?m)^#([a-z_]+ = )`)

func TestSampleEqualsTheDefaults(t *testing.T) {
	sample, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"as shipped": sample, "uncommented": uncomment.ReplaceAll(sample, []byte("$1"))} {
		got, err := parse(sampleFile, data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := Default(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

// Every field of Config is a key of the table, every key of the table is a field, and both stand in
// sample.conf with a reason.
func TestSampleHoldsEveryKey(t *testing.T) {
	data, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	inSample := sampleKeys(t, string(data))
	fields := structKeys(reflect.TypeFor[Config](), "")
	var c Config
	inTable := make(map[string]bool)
	for _, s := range c.settings("/") {
		inTable[s.key] = true
	}
	for _, key := range fields {
		if !inTable[key] {
			t.Errorf("%s is a field of Config that no setting sets", key)
		}
		if !inSample[key] {
			t.Errorf("%s is missing in sample.conf", key)
		}
	}
	if len(inTable) != len(fields) || len(inSample) != len(fields) {
		t.Errorf("%d fields, %d settings, %d keys in sample.conf", len(fields), len(inTable), len(inSample))
	}
}

// sampleKeys returns the keys of a sample. Each has a comment before it.
func sampleKeys(t *testing.T, sample string) map[string]bool {
	t.Helper()
	inSample := make(map[string]bool)
	section, previous := "", ""
	for line := range strings.SplitSeq(sample, "\n") {
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]") + "."
		}
		if m := uncomment.FindStringSubmatch(line); m != nil {
			key := section + strings.TrimSuffix(m[1], " = ")
			inSample[key] = true
			if !strings.HasPrefix(previous, "# ") {
				t.Errorf("%s: no comment says why one would change it", key)
			}
		}
		previous = line
	}
	return inSample
}

func structKeys(of reflect.Type, prefix string) []string {
	var keys []string
	for i := range of.NumField() {
		f := of.Field(i)
		if !f.IsExported() { // no key
			continue
		}
		key := prefix + f.Tag.Get("toml")
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, structKeys(f.Type, key+".")...)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

func TestEveryKeyReachesItsField(t *testing.T) {
	const file = `
datadir = "data"
network = "signet"
[spv]
connect = ["10.0.0.1", "node.example:8333", "[2001:db8::1]:8333", "2001:db8::2"]
add_peers = ["abcdefghijklmnop.onion:8333"]
proxy = "127.0.0.1:9050"
headers_import = ["/h/block", "filter"]
[wallet]
passphrase_file = "/run/pass"
price = "59999.5 EUR"
[batch]
interval = "90m"
max_digests = 5
[anchor]
confirmations = 3
target = "45m"
max_feerate = 7
max_fee = 1234
monthly_budget = 5678
[rpc]
listen = ":1478"
auth = ["alice:submit:00ff$aa11"]
hosts = ["ancre.example", "2001:db8::7"]
max_digests = 6000
max_user_digests = 0
[calendar]
listen = "[::1]:1588"
uri = "https://ancre.example:8443"
rate_limit = 25
max_digests = 5000
trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "::1", "::ffff:192.168.0.0/112"]
[log]
level = "debug"
format = "json"
[metrics]
listen = "localhost:1790"
pprof = true
[notify]
command = ["/usr/bin/tell me", "", "it's \"quoted\""]
[backup]
keep = 3
copy = ["/usr/bin/scp", "-q", "{file}", "other:"]
`
	got, err := parse("/etc/ancre/ancre.conf", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DataDir: "/etc/ancre/data",
		Network: "signet",
		SPV: SPV{
			Connect:       []string{"10.0.0.1", "node.example:8333", "[2001:db8::1]:8333", "2001:db8::2"},
			AddPeers:      []string{"abcdefghijklmnop.onion:8333"},
			Proxy:         "127.0.0.1:9050",
			HeadersImport: []string{"/h/block", "/etc/ancre/filter"},
		},
		Wallet:   Wallet{PassphraseFile: "/run/pass", Price: "59999.5 EUR"},
		Batch:    Batch{Interval: 90 * time.Minute, MaxDigests: 5},
		Anchor:   Anchor{Confirmations: 3, Target: 45 * time.Minute, MaxFeeRate: 7, MaxFeeSats: 1234, MonthlyBudget: 5678},
		RPC:      RPC{Listen: ":1478", Auth: []string{"alice:submit:00ff$aa11"}, Hosts: []string{"ancre.example", "2001:db8::7"}, MaxDigests: 6000},
		Calendar: Calendar{Listen: "[::1]:1588", URI: "https://ancre.example:8443", RateLimit: 25, MaxDigests: 5000, TrustedProxies: []string{"127.0.0.1/32", "10.0.0.0/8", "::1/128", "192.168.0.0/16"}},
		Log:      Log{Level: "debug", Format: "json"},
		Metrics:  Metrics{Listen: "localhost:1790", Pprof: true},
		Notify:   Notify{Command: []string{"/usr/bin/tell me", "", `it's "quoted"`}},
		Backup:   Backup{Keep: 3, Copy: []string{"/usr/bin/scp", "-q", "{file}", "other:"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	// Nothing above may be a default, or a key that sets nothing would pass.
	differs(t, reflect.ValueOf(got), reflect.ValueOf(Default()), "Config")
}

func differs(t *testing.T, a, b reflect.Value, name string) {
	t.Helper()
	for i := range a.NumField() {
		if !a.Type().Field(i).IsExported() {
			continue
		}
		field := name + "." + a.Type().Field(i).Name
		if a.Field(i).Kind() == reflect.Struct {
			differs(t, a.Field(i), b.Field(i), field)
		} else if reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			t.Errorf("%s is the default in this test", field)
		}
	}
}

func TestErrorsNameFileLineKeyValueAndWhatIsAllowed(t *testing.T) {
	tests := []struct {
		name, file, want string
	}{
		{"unknown key in a section", "\n[batch]\n\nintervall = \"6h\"\n", `f.conf:4: unknown key "batch.intervall": section [batch] has the keys interval, max_digests`},
		{"keys are matched with their case", "[batch]\nInterval = \"6h\"\n", `f.conf:2: unknown key "batch.Interval"`},
		{"unknown key at the top", "netwrok = \"signet\"\n", `f.conf:1: unknown key "netwrok": the file has the keys and sections datadir, network, [spv], [wallet]`},
		{"a host with a port", "[rpc]\nhosts = [\"ancre.example:443\"]\n", `f.conf:2: rpc.hosts = ["ancre.example:443"]: entry 1: "ancre.example:443" must be a name or an IP address, without a port`},
		{"a command that is searched for", "[notify]\ncommand = [\"mail\", \"it@example.org\"]\n", `f.conf:2: notify.command = ["mail", "it@example.org"]: must begin with the absolute path of a program`},
		{"a command in one string", "[notify]\ncommand = \"/usr/bin/mail it@example.org\"\n", `f.conf:2: notify.command = "/usr/bin/mail it@example.org": must be an array of strings`},
		{"a command with a zero byte", "[notify]\ncommand = [\"/bin/a\\u0000b\"]\n", "f.conf:2: notify.command"},
		{"a quota below zero", "[rpc]\nmax_digests = -1\n", "f.conf:2: rpc.max_digests = -1: must be 0 for no limit, or a whole number from 1 to 1000000000"},
		{"unknown section", "\n\n[metric]\nlisten = \"x\"\n", `f.conf:3: unknown key "metric": the file has the keys and sections datadir, network,`},
		{"unknown section that is only implied", "\n[a.b.c]\nd = 1\n", `f.conf:2: unknown key "a"`},
		{"unknown dotted key", "\nbatch.x.y = 1\n", `f.conf:2: unknown key "batch.x"`},
		{"a section that is a value", "\nbatch = 5\n", "f.conf:2: batch: must be a section, [batch], with the keys interval, max_digests"},
		{"an array of sections", "[[batch]]\ninterval = \"6h\"\n", "f.conf:1: batch: must be a section"},
		{"a value that is a section", "\n[batch.interval]\nx = 1\n", "f.conf:2: batch.interval = (a table): must be a time"},
		{"syntax", "network = \"signet\"\nlevel = = 1\n", "f.conf:2: "},
		{"the same key twice", "network = \"signet\"\nnetwork = \"signet\"\n", "f.conf:2: "},
		{"not text", "network = \"\xff\"\n", "f.conf:1: "},

		{"network", "network = \"Signet\"\n", `f.conf:1: network = "Signet": must be one of mainnet, testnet4, signet, regtest, simnet`},
		{"a string without quotes is told as such", "[log]\nlevel = 3\n", `f.conf:2: log.level = 3: must be a string, in quotes`},
		{"log level", "[log]\nlevel = \"trace\"\n", `log.level = "trace": must be one of debug, info, warn, error`},
		{"data directory", "datadir = \"\"\n", `datadir = "": must name a directory`},
		{"duration without unit", "[batch]\ninterval = 6\n", `f.conf:2: batch.interval = 6: must be a time from 1s to 168h as a string with units, such as "6h"`},
		{"duration too long", "[batch]\ninterval = \"8760h\"\n", `batch.interval = "8760h": must be a time from 1s to 168h`},
		{"duration too short", "[batch]\ninterval = \"1ms\"\n", `batch.interval = "1ms": must be a time from 1s`},
		{"negative duration", "[batch]\ninterval = \"-6h\"\n", `must be a time from 1s`},
		{"number too small", "[batch]\nmax_digests = 0\n", `batch.max_digests = 0: must be a whole number from 1 to 16777216`},
		{"number too large", "[anchor]\nconfirmations = 101\n", `anchor.confirmations = 101: must be a whole number from 1 to 100`},
		{"number with a point", "[anchor]\nmax_feerate = 1.5\n", `anchor.max_feerate = 1.5: must be a whole number from 1 to 10000`},
		{"number as a string", "[anchor]\nmax_fee = \"5\"\n", `anchor.max_fee = "5": must be a whole number from 200 to 10000000`},
		{"target below a minute", "[anchor]\ntarget = \"59s\"\n", `anchor.target = "59s": must be a time from 1m to 168h`},
		{"budget below an anchor", "[anchor]\nmonthly_budget = 199\n", `anchor.monthly_budget = 199: must be 0 for no limit, or a whole number from 200 to 1000000000`},
		{"negative budget", "[anchor]\nmonthly_budget = -1\n", `anchor.monthly_budget = -1: must be 0 for no limit`},
		{"budget as a string", "[anchor]\nmonthly_budget = \"0\"\n", `anchor.monthly_budget = "0": must be 0 for no limit`},
		{"a fee above the budget", "[anchor]\nmax_fee = 2000\nmonthly_budget = 1999\n", `f.conf:2: anchor.max_fee = 2000: is more than anchor.monthly_budget = 1999: `},
		{"a budget below the fee that nobody set", "[anchor]\n\nmonthly_budget = 49_999\n", `f.conf:3: anchor.monthly_budget = 49999: is less than anchor.max_fee, which is 50000 by default: `},
		{"peer with a scheme", "[spv]\nconnect = [\n  \"10.0.0.1\",\n  \"http://x\",\n]\n", `f.conf:2: spv.connect = ["10.0.0.1", "http://x"]: entry 2: `},
		{"peers as a string", "[spv]\nadd_peers = \"10.0.0.1\"\n", `spv.add_peers = "10.0.0.1": must be an array of strings`},
		{"peer with a wrong port", "[spv]\nadd_peers = [\"x:99999\"]\n", `entry 1: port "99999" must be a number from 1 to 65535`},
		{"peer that is a number", "[spv]\nadd_peers = [5]\n", `entry 1 must be a string, in quotes`},
		{"peer that is empty", "[spv]\nadd_peers = [\"\"]\n", `entry 1: host "" must be a name or an IP address`},
		{"proxy without port", "[spv]\nproxy = \"127.0.0.1\"\n", `"127.0.0.1" must be HOST:PORT, such as`},
		{"proxy without host", "[spv]\nproxy = \":9050\"\n", `host "" must be a name or an IP address`},
		{"one header file", "[spv]\nheaders_import = [\"a\"]\n", `spv.headers_import = ["a"]: must be empty, or name two files`},
		{"listen without port", "[rpc]\nlisten = \"127.0.0.1\"\n", `rpc.listen = "127.0.0.1": "127.0.0.1" must be HOST:PORT`},
		{"listen on port 0", "[rpc]\nlisten = \"127.0.0.1:0\"\n", `port "0" must be a number from 1 to 65535`},
		{"auth without a role", "[rpc]\nauth = [\"alice:secret\"]\n", `rpc.auth = (not shown): entry 1: must be NAME:ROLES:SALT$HASH`},
		{"auth with an unknown role", "[rpc]\nauth = [\"alice:root:aa$bb\"]\n", `the role of alice, "root", must be one of submit, verify, read, admin`},
		{"URI with a path", "[calendar]\nuri = \"https://x/y\"\n", `calendar.uri = "https://x/y": must be http://HOST`},
		{"URI with a slash at the end", "[calendar]\nuri = \"https://x/\"\n", `must be http://HOST`},
		{"URI of another scheme", "[calendar]\nuri = \"ftp://x\"\n", `must be http://HOST`},
		{"URI with a user", "[calendar]\nuri = \"http://u@x\"\n", `holds '@': only letters, digits`},
		{"URI with a port that is none", "[calendar]\nuri = \"http://x:\"\n", `port "" must be a number`},
		{"calendar without port", "[calendar]\nlisten = \"127.0.0.1\"\n", `calendar.listen = "127.0.0.1": "127.0.0.1" must be HOST:PORT`},
		{"calendar where JSON-RPC is", "[calendar]\nlisten = \"127.0.0.1:14780\"\n", `f.conf:2: calendar.listen = "127.0.0.1:14780": is the address of both rpc.listen and calendar.listen`},
		{"JSON-RPC where the calendar is", "\n[rpc]\nlisten = \"127.0.0.1:14788\"\n", `f.conf:3: rpc.listen = "127.0.0.1:14788": is the address of both rpc.listen and`},
		{"too many for a calendar", "[calendar]\nmax_digests = 1000000001\n", `calendar.max_digests = 1000000001: must be 0 for no limit, or a whole number from 1 to 1000000000`},
		{"negative rate", "[calendar]\nrate_limit = -1\n", `calendar.rate_limit = -1: must be 0 for no limit, or a whole number from 1 to 100000`},
		{"proxy that is a name", "[calendar]\ntrusted_proxies = [\"localhost\"]\n", `entry 1: "localhost" must be an IP address`},
		{"proxy with a port", "[calendar]\ntrusted_proxies = [\"127.0.0.1:80\"]\n", `entry 1: "127.0.0.1:80" must be an IP address`},
		{"everybody a proxy", "[calendar]\ntrusted_proxies = [\"::1\", \"0.0.0.0/0\"]\n", `entry 2: 0.0.0.0/0 includes everyone`},
		{"everybody a proxy, written as IPv6", "[calendar]\ntrusted_proxies = [\"::ffff:0.0.0.0/96\"]\n", `::ffff:0.0.0.0/96 includes everyone`},
		{"a network that is none", "[calendar]\ntrusted_proxies = [\"10.1.2.3/8\"]\n", `entry 1: 10.1.2.3/8 has bits set beyond its prefix length: write 10.0.0.0/8`},
		{"metrics on every interface, with profiles", "[metrics]\nlisten = \":1790\"\npprof = true\n", `f.conf:3: metrics.pprof = true: metrics.listen = ":1790" needs no password, so anyone who reaches it could slow`},
		{"metrics for the house, with profiles", "[metrics]\nlisten = \"192.168.1.5:1790\"\npprof = true\n", `f.conf:3: metrics.pprof = true: metrics.listen = "192.168.1.5:1790" needs no password`},
		{"metrics at a name, with profiles", "[metrics]\npprof = true\nlisten = \"ancre.example:1790\"\n", `f.conf:2: metrics.pprof = true: metrics.listen = "ancre.example:1790" needs no password`},
		{"profiles nowhere", "[metrics]\npprof = true\n", `f.conf:2: metrics.pprof = true: needs metrics.listen, which is off`},
		{"profiles in quotes", "[metrics]\npprof = \"yes\"\n", `f.conf:2: metrics.pprof = "yes": must be true or false, without quotes`},
		{"metrics without port", "[metrics]\nlisten = \"127.0.0.1\"\n", `metrics.listen = "127.0.0.1": "127.0.0.1" must be HOST:PORT`},
		{"metrics where JSON-RPC is", "[metrics]\nlisten = \"127.0.0.1:14780\"\n", `f.conf:2: metrics.listen = "127.0.0.1:14780": is the address of rpc.listen too`},
		{"metrics where the calendar is", "[metrics]\nlisten = \"127.0.0.1:14788\"\n", `f.conf:2: metrics.listen = "127.0.0.1:14788": is the address of calendar.listen too`},
		{"no backup to keep", "[backup]\nkeep = 0\n", `f.conf:2: backup.keep = 0: must be a whole number from 1 to 10000`},
		{"a copy of nothing", "[backup]\ncopy = [\"/usr/bin/rsync\", \"other:\"]\n", `f.conf:2: backup.copy = ["/usr/bin/rsync", "other:"]: must have {file} in one of its arguments`},
		{"a copy by a program that is searched for", "[backup]\ncopy = [\"scp\", \"{file}\"]\n", `f.conf:2: backup.copy = ["scp", "{file}"]: must begin with the absolute path`},
		{"a copy by the backup", "[backup]\ncopy = [\"/{file}\"]\n", `must have {file} in one of its arguments`},
		{"URI that is too long", "[calendar]\nuri = \"http://" + strings.Repeat("a", 1000) + "\"\n", `at most 1000 bytes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse("f.conf", []byte(test.file))
			if err == nil {
				t.Fatalf("accepted:\n%s", test.file)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "f.conf:") {
				t.Errorf("\n got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestABudgetOfOneAnchorOrNoneIsFine(t *testing.T) {
	for _, file := range []string{"max_fee = 1000\nmonthly_budget = 1000", "monthly_budget = 50_000", "monthly_budget = 0"} {
		if _, err := parse("f.conf", []byte("[anchor]\n"+file+"\n")); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Proofs point to where the calendar is, unless they are told better: else they would ask a port
// where nobody is, or another daemon.
func TestProofsPointToWhereTheCalendarListens(t *testing.T) {
	for _, c := range []struct{ file, listen, uri string }{
		{"", "127.0.0.1:14788", "http://127.0.0.1:14788"},
		{"listen = \"127.0.0.1:1588\"", "127.0.0.1:1588", "http://127.0.0.1:1588"},
		{"listen = \":1588\"", ":1588", "http://127.0.0.1:1588"},
		{"listen = \"0.0.0.0:1588\"", "0.0.0.0:1588", "http://127.0.0.1:1588"},
		{"listen = \"192.168.1.5:1588\"", "192.168.1.5:1588", "http://192.168.1.5:1588"},
		{"listen = \"[::1]:1588\"", "[::1]:1588", "http://localhost:1588"},
		{"listen = \"\"", "", "http://127.0.0.1:14788"},
		{"listen = \"off\"", "", "http://127.0.0.1:14788"},
		{"uri = \"https://a.example\"", "127.0.0.1:14788", "https://a.example"},
		{"listen = \":1588\"\nuri = \"https://a.example\"", ":1588", "https://a.example"},
	} {
		got, err := parse("f.conf", []byte("[calendar]\n"+c.file+"\n"))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if got.Calendar.Listen != c.listen || got.Calendar.URI != c.uri {
			t.Errorf("%q listens on %q, and proofs point to %q; want %q, %q", c.file, got.Calendar.Listen, got.Calendar.URI, c.listen, c.uri)
		}
		if _, err := calendarURI(got.Calendar.URI); err != nil {
			t.Errorf("%q: proofs cannot point to %q: %v", c.file, got.Calendar.URI, err)
		}
	}
}

func TestErrorsDoNotRepeatPasswordHashes(t *testing.T) {
	_, err := parse("f.conf", []byte("[rpc]\nauth = [\"alice:root:5417$4711beef\"]\n"))
	if err == nil || strings.Contains(err.Error(), "4711beef") {
		t.Errorf("got %v", err)
	}
}

func TestFlagsWinOverTheFile(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, FileName), "network = \"signet\"\n[log]\nlevel = \"warn\"\n")
	c, err := Flags{DataDir: dir}.Load()
	if err != nil || c.Network != "signet" || c.DataDir != dir || c.Log.Level != "warn" {
		t.Errorf("the data directory's own file: %+v, %v", c, err)
	}
	c, err = Flags{File: path, DataDir: "/elsewhere", Network: "regtest"}.Load()
	if err != nil || c.Network != "regtest" || c.Log.Level != "warn" {
		t.Errorf("a named file, and flags: %+v, %v", c, err)
	}
	if got, err := c.NetworkDir(); err != nil || got != filepath.FromSlash("/elsewhere/regtest") {
		t.Errorf("NetworkDir is %q, %v", got, err)
	}
	if _, err := (Flags{Network: "mainet"}).Load(); err == nil || !strings.Contains(err.Error(), `--network "mainet": must be one of mainnet,`) {
		t.Errorf("a wrong network: %v", err)
	}
}

func TestANamedFileMustExist(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.conf")
	if _, err := (Flags{File: missing}).Load(); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v", err)
	}
	if c, err := (Flags{DataDir: t.TempDir()}).Load(); err != nil || c.RPC.Listen != Default().RPC.Listen {
		t.Errorf("no file in the data directory: %v", err)
	}
}

func TestHomeDirectoryIsOnlyNeededWhenItIsUsed(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "") // Windows
	t.Setenv("home", "")        // Plan 9
	c, err := Flags{}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if dir, err := c.NetworkDir(); err == nil || !strings.Contains(err.Error(), "--datadir") {
		t.Errorf("NetworkDir without a home is %q, %v", dir, err)
	}
	if c, err = (Flags{DataDir: t.TempDir()}).Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NetworkDir(); err != nil {
		t.Error(err)
	}
}

func TestHomeDirectoryHoldsTheData(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	write(t, filepath.Join(home, ".ancre", FileName), "network = \"testnet4\"\n[wallet]\npassphrase_file = \"~/pass\"\n")
	c, err := Flags{}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if dir, err := c.NetworkDir(); err != nil || dir != filepath.Join(home, ".ancre", "testnet4") {
		t.Errorf("NetworkDir is %q, %v", dir, err)
	}
	if want := filepath.Join(home, "pass"); c.Wallet.PassphraseFile != want {
		t.Errorf("passphrase_file is %q, want %q", c.Wallet.PassphraseFile, want)
	}
}

func TestClientsReachADaemonThatListensEverywhere(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", ":1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "[::1]:1": "[::1]:1", "host:1": "host:1",
	} {
		c := Default()
		c.RPC.Listen = listen
		if got := c.RPCAddress(); got != want {
			t.Errorf("%s is reached at %s, want %s", listen, got, want)
		}
	}
}

func TestAHugeFileIsNotRead(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "big"), strings.Repeat("#", maxFileSize+1))
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "is it the right file?") {
		t.Errorf("got %v", err)
	}
}

// Whatever stands in the file: no panic, an error begins with the file's name, and what is accepted
// is within bounds.
func FuzzParse(f *testing.F) {
	if sample, err := os.ReadFile(sampleFile); err == nil {
		f.Add(uncomment.ReplaceAll(sample, []byte("$1")))
	}
	f.Add([]byte("[a.b.c]\nd = 1\n"))
	f.Add([]byte("[[batch]]\n[[batch]]\n"))
	f.Add([]byte("batch = { interval = \"5h\" }\n\"\" = {}\n"))
	f.Add([]byte("[spv]\nconnect = [[1, 2], {a = 1}, 1979-05-27]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("f.conf", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.conf:") {
				t.Errorf("no position: %v", err)
			}
			return
		}
		if c.Batch.Interval < time.Second || c.Batch.MaxDigests < 1 || c.Anchor.Confirmations < 1 || c.Anchor.MaxFeeRate < 1 ||
			c.Anchor.Target < time.Minute || c.Anchor.MonthlyBudget < 0 || c.Anchor.MonthlyBudget > 0 && c.Anchor.MonthlyBudget < c.Anchor.MaxFeeSats ||
			c.Network == "" || c.DataDir == "" || c.RPC.Listen == "" || strings.HasSuffix(c.Calendar.URI, "/") {
			t.Errorf("accepted %+v", c)
		}
	})
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPassphraseIsTheOneLineOfItsFile(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{"correct horse": "correct horse", " a b \n": " a b ", "windows\r\n": "windows"} {
		got, err := ReadPassphrase(write(t, filepath.Join(dir, "ok"), content))
		if err != nil || string(got) != want {
			t.Errorf("%q gives %q, %v", content, got, err)
		}
	}
	for _, content := range []string{"", "\n", "two\nlines", "two\n\n", strings.Repeat("x", 5000)} {
		got, err := ReadPassphrase(write(t, filepath.Join(dir, "bad"), content))
		if err == nil {
			t.Errorf("%.20q gives %q", content, got)
		} else if len(content) > 2 && strings.Contains(err.Error(), content[:3]) {
			t.Errorf("the error holds the passphrase: %v", err)
		}
	}
	if _, err := ReadPassphrase(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there gives a passphrase")
	}
}
