package config

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// registerSample is what a person copies; it lies at the root of the repository.
const registerSample = "../register.sample.conf"

func parseRegister(name, text string) (Register, error) {
	c := DefaultRegister()
	err := c.parse(name, []byte(text))
	return c, err
}

func TestRegisterSampleEqualsTheDefaults(t *testing.T) {
	sample, err := os.ReadFile(registerSample)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"as shipped": sample, "uncommented": uncomment.ReplaceAll(sample, []byte("$1"))} {
		got, err := parseRegister(registerSample, string(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := DefaultRegister(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

// Every field of Register and of Body is a key of the table, every key of the table is a field, and
// both stand in register.sample.conf with a reason.
func TestRegisterSampleHoldsEveryKey(t *testing.T) {
	data, err := os.ReadFile(registerSample)
	if err != nil {
		t.Fatal(err)
	}
	inSample := sampleKeys(t, string(data))
	c, b := DefaultRegister(), Body{ID: "conseil"}
	inTable := make(map[string]bool)
	for _, s := range append(c.settings("/"), b.settings()...) {
		inTable[s.key] = true
	}
	fields := structKeys(reflect.TypeFor[Register](), "")
	fields = append(fields[:len(fields)-1], structKeys(reflect.TypeFor[Body](), "body.conseil.")[1:]...) // without Bodies, and the ID
	for _, key := range fields {
		if !inTable[key] {
			t.Errorf("%s is a field that no setting sets", key)
		}
		if !inSample[key] {
			t.Errorf("%s is missing in register.sample.conf", key)
		}
	}
	if len(inTable) != len(fields) || len(inSample) != len(fields) {
		t.Errorf("%d fields, %d settings, %d keys in register.sample.conf", len(fields), len(inTable), len(inSample))
	}
}

func TestEveryKeyOfTheRegisterReachesItsField(t *testing.T) {
	const file = `
datadir = "data"
network = "signet"
publish = ["convocation", "deliberation"]
[node]
rpc = "https://node.example:8443"
user = "registre"
password_file = "password"
[page]
listen = ":8080"
url = "https://registre.example.org"
name = "Commune de Sainte-Foy"
name_en = "Sainte-Foy"
siret = "217 500 016 00019"
language = "en"
site = "https://www.example.org/"
colour = "#123456"
time_zone = "Indian/Reunion"
logo = "logo.png"
css = "/etc/page.css"
texts = "texts"
footer = ["Site de la commune https://www.example.org/", "Nous écrire mailto:mairie@example.org"]
accessibility = "partial"
embed = ["https://www.example.org"]
trusted_proxies = ["127.0.0.1"]
[body.bureau]
name = "Bureau"
[body.conseil]
clear_days = 3
name_en = "Council"
[watch]
dir = "depot"
settle = "10s"
sweep = "5m"
[control]
socket = "/run/r.sock"
[log]
level = "debug"
format = "json"
[metrics]
listen = "localhost:1792"
pprof = true
[notify]
command = ["/bin/tell"]
[backup]
dir = "/var/backups/register"
keep = 3
`
	got, err := parseRegister("/etc/ancre/register.conf", file)
	if err != nil {
		t.Fatal(err)
	}
	want := Register{
		DataDir: "/etc/ancre/data", Network: "signet", Publish: []string{"convocation", "deliberation"},
		Node: RegisterNode{RPC: "https://node.example:8443", User: "registre", PasswordFile: "/etc/ancre/password"},
		Page: RegisterPage{Listen: ":8080", URL: "https://registre.example.org", Name: "Commune de Sainte-Foy", NameEN: "Sainte-Foy", SIRET: "21750001600019",
			Language: "en", Site: "https://www.example.org/", Colour: "#123456", TimeZone: "Indian/Reunion", Logo: "/etc/ancre/logo.png", CSS: "/etc/page.css", Texts: "/etc/ancre/texts",
			Footer:        []string{"Site de la commune https://www.example.org/", "Nous écrire mailto:mairie@example.org"},
			Accessibility: "partial", Embed: []string{"https://www.example.org"}, TrustedProxies: []string{"127.0.0.1/32"}},
		Watch:   RegisterWatch{Dir: "/etc/ancre/depot", Settle: 10 * time.Second, Sweep: 5 * time.Minute},
		Control: RegisterControl{Socket: "/run/r.sock"},
		Log:     Log{Level: "debug", Format: "json"},
		Metrics: Metrics{Listen: "localhost:1792", Pprof: true},
		Notify:  Notify{Command: []string{"/bin/tell"}},
		Backup:  RegisterBackup{Dir: "/var/backups/register", Keep: 3},
		Bodies: []Body{{ID: "bureau", Name: "Bureau", ClearDays: 5},
			{ID: "conseil", Name: "Conseil municipal", NameEN: "Council", ClearDays: 3}}, // in the order of the file
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	want.Node.Cookie = "x" // it excludes user; see TestErrorsOfTheRegistersConfiguration
	differs(t, reflect.ValueOf(want), reflect.ValueOf(DefaultRegister()), "Register")
	if got, err := parseRegister("/c", "[node]\ncookie = \"/run/c\"\n"); err != nil || got.Node.Cookie != "/run/c" {
		t.Errorf("node.cookie: %+v, %v", got.Node, err)
	}
}

func TestErrorsOfTheRegistersConfiguration(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"unknown key", "datadri = \"x\"\n", `f.conf:1: unknown key "datadri": the file has the keys and sections datadir, network, publish, [node], [page]`},
		{"the families are named too", "x = 1\n", "[body.NAME]"},
		{"unknown key in a section", "[page]\n\nport = 1\n", `f.conf:3: unknown key "page.port": section [page] has the keys listen, url`},
		{"unknown key of a body", "[body.conseil]\ndays = 3\n", `f.conf:2: unknown key "body.conseil.days": section [body.conseil] has the keys name, name_en, clear_days`},
		{"a body without a name", "[body.bureau]\nclear_days = 3\n", `[body.bureau] needs a name`},
		{"a body's name in capitals", "[body.Bureau]\nname = \"x\"\n", `f.conf:1: [body.Bureau]: the name of a body in addresses must have lower-case letters`},
		{"a body's name that looks like a second meeting", "[body.bureau-2]\nname = \"x\"\n", `at most`},
		{"a body as a value", "body = \"conseil\"\n", `f.conf:1: body: must be a section with a name of its own, [body.NAME]`},
		{"a body without brackets", "[body]\nconseil = 1\n", `must be a section, [body.conseil]`},
		{"an unknown kind", "publish = [\"délibération\"]\n", `must be one of convocation, agenda`},
		{"an address with a path", "[page]\nurl = \"https://example.org/registre\"\n", `without a path`},
		{"a wrong SIRET", "[page]\nsiret = \"21750001600018\"\n", `is not a SIRET`},
		{"a time zone that does not exist", "[page]\ntime_zone = \"Europe/Lyon\"\n", `f.conf:2: page.time_zone = "Europe/Lyon": must be the name of a time zone`},
		{"a language that the page has not", "[page]\nlanguage = \"de\"\n", `must be one of fr, en`},
		{"a colour by name", "[page]\ncolour = \"red\"\n", `with six digits`},
		{"a script in the footer", "[page]\nfooter = [\"x javascript:alert(1)\"]\n", `must be a text and an address`},
		{"a name that turns the line around", "[page]\nname = \"a\u202eb\"\n", `without control characters`},
		{"a password in an address", "[node]\nrpc = \"http://u:p@host:1\"\n", `node.user and node.password_file`},
		{"a user without a password", "[node]\nuser = \"u\"\n", `f.conf:2: node.user = "u": needs node.password_file`},
		{"a password without a user", "[node]\npassword_file = \"/p\"\n", `needs node.user`},
		{"a user and a cookie", "[node]\nuser = \"u\"\npassword_file = \"/p\"\ncookie = \"/c\"\n", `exclude each other`},
		{"two listeners at one address", "[metrics]\nlisten = \"127.0.0.1:14784\"\n", `is the address of page.listen too`},
		{"profiles for everybody", "[metrics]\nlisten = \":14792\"\npprof = true\n", `use a loopback address`},
		{"longer than the sweep", "[watch]\ndir = \"/d\"\nsettle = \"2m\"\n", `must not be longer than watch.sweep = "1m"`},
	} {
		if _, err := parseRegister("f.conf", c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestWhereTheRegistersConfigurationIsFound(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no service on Windows")
	}
	for _, c := range []struct {
		name            string
		own, service    string // contents; "-": none
		marker          bool   // this user has run a register
		flags           RegisterFlags
		dir, socketLast string
		onService       bool
	}{
		{"nothing is configured", "-", "-", false, RegisterFlags{}, "~/.ancre/register", "/.ancre/register/control.sock", false},
		{"the service's", "-", "", false, RegisterFlags{}, RegisterServiceDataDir, "RUN/control.sock", true},
		{"this user's comes first", "[log]\nlevel = \"warn\"\n", "", false, RegisterFlags{}, "~/.ancre/register", "/.ancre/register/control.sock", false},
		{"so does this user's register", "-", "", true, RegisterFlags{}, "~/.ancre/register", "/.ancre/register/control.sock", false},
		{"another data directory", "-", "", false, RegisterFlags{DataDir: "/srv/r"}, "/srv/r", "/srv/r/control.sock", false},
		{"the service's data directory", "-", "datadir = \"/srv/r\"\n", false, RegisterFlags{DataDir: "/srv/r"}, "/srv/r", "RUN/control.sock", true},
		{"a socket of its own", "-", "[control]\nsocket = \"/srv/r.sock\"\n", false, RegisterFlags{}, RegisterServiceDataDir, "/srv/r.sock", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, "")
			was, run := RegisterServiceFile, RegisterServiceRunDir
			RegisterServiceFile, RegisterServiceRunDir = filepath.Join(m.service, RegisterFileName), filepath.Join(m.service, "run")
			t.Cleanup(func() { RegisterServiceFile, RegisterServiceRunDir = was, run })
			if c.own != "-" {
				write(t, filepath.Join(m.home, ".ancre", RegisterFileName), c.own)
			}
			if c.service != "-" {
				write(t, RegisterServiceFile, c.service)
			}
			if c.marker {
				write(t, filepath.Join(m.home, ".ancre", "register", RegisterMarker), "")
			}
			got, err := c.flags.Load()
			if err != nil {
				t.Fatal(err)
			}
			socket, err := got.Socket()
			if want := strings.Replace(c.socketLast, "RUN", RegisterServiceRunDir, 1); err != nil || !strings.HasSuffix(socket, want) {
				t.Errorf("socket %s, %v; want %s", socket, err, want)
			}
			if got.DataDir != c.dir || got.OnServiceMachine() != c.onService {
				t.Errorf("data directory %s, of the service %v", got.DataDir, got.OnServiceMachine())
			}
		})
	}
}
