package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/cmd/ancre/doctor"
	"ancre/config"
	"ancre/internal/datadir"
	"ancre/rpc"
)

// examined is the document that doctor prints.
type examined struct {
	Healthy                   bool
	Failed, Warnings, Unknown int
	Results                   []doctor.Result
}

// examine runs the doctor on the rig.
func (r *rig) examine(args ...string) (e examined, a answer) {
	r.t.Helper()
	a = r.ancre(append([]string{"doctor", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(a.out), &e); err != nil {
		r.t.Fatalf("%v\n%s%s", err, a.out, a.err)
	}
	return e, a
}

// of returns the first result of a check.
func (e examined) of(check string) doctor.Result {
	if i := slices.IndexFunc(e.Results, func(r doctor.Result) bool { return r.Check == check }); i >= 0 {
		return e.Results[i]
	}
	return doctor.Result{}
}

func TestDoctorAsksTheDaemon(t *testing.T) {
	r := newRig(t)
	e, a := r.examine()
	a.is(t, exitFailed)
	if e.Healthy || e.Failed == 0 {
		t.Errorf("%+v", e)
	}
	for check, want := range map[string]doctor.Status{"rpc": doctor.Fine, "wallet": doctor.Failed, "next_batch": doctor.Fine, "sync": doctor.Fine, "disk": doctor.Fine, "warnings": doctor.Fine} {
		if got := e.of(check); got.Status != want {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	if got := e.of("wallet").Remedy; !strings.Contains(got, "wallet create") || !strings.Contains(got, "--datadir "+r.data) {
		t.Errorf("the remedy cannot be pasted: %q", got)
	}
	failed, warnings, unknown := doctor.Count(e.Results, doctor.Failed), doctor.Count(e.Results, doctor.Warning), doctor.Count(e.Results, doctor.Unknown)
	if failed != e.Failed || warnings != e.Warnings || unknown != e.Unknown {
		t.Errorf("the counts are wrong: %+v", e)
	}
	text := r.ancre("doctor").is(t, exitFailed, "failed   wallet: there is no wallet", "         -> ancre --datadir ", "fine     rpc: ", " failed")
	if text.err != "" {
		t.Errorf("said on standard error: %s", text.err)
	}
	quiet := r.ancre("doctor", "-q").is(t, exitFailed, "failed   wallet: ")
	if quiet.out != "" || strings.Contains(quiet.err, "fine ") || strings.Contains(quiet.err, "unknown ") {
		t.Errorf("out %q, err %q", quiet.out, quiet.err)
	}
}

func TestDoctorWorksWithoutADaemon(t *testing.T) {
	r := newRig(t)
	address := r.http.Listener.Addr().String()
	r.http.Close()
	e, a := r.examine()
	a.is(t, exitFailed)
	if got := e.of("rpc"); got.Status != doctor.Failed || !strings.Contains(got.Text, "nothing listens at "+address) || got.Remedy == "" {
		t.Errorf("%+v", got)
	}
	for _, check := range []string{"peers", "wallet", "backup", "next_anchor"} {
		if got := e.of(check); got.Status != doctor.Unknown {
			t.Errorf("%+v", got)
		}
	}
	r.ancre("doctor").is(t, exitFailed, "unknown  peers, sync, wallet, ")
}

func TestDoctorWorksWithoutAConfigurationAndWithAWrongOne(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.data, config.FileName)
	r.must(os.WriteFile(file, []byte("[rpc]\nlisten = \"127.0.0.1:1\"\n[calendar]\nlistem = \"off\"\n"), 0o600))
	e, a := r.examine()
	a.is(t, exitFailed)
	if got := e.of("configuration"); got.Status != doctor.Failed || !strings.Contains(got.Text, "listem") || !strings.Contains(got.Remedy, "ancred check") {
		t.Errorf("%+v", got)
	}
	a = r.ancre("doctor").is(t, exitFailed, ": not looked at while the configuration is wrong\n")
	if strings.Count(a.out, "listem") != 1 {
		t.Errorf("what is wrong is said more than once:\n%s", a.out)
	}
	r.must(os.Remove(file))
	if e, _ = r.examine("--network", "regtest"); e.of("configuration").Status == doctor.Failed {
		t.Errorf("%+v", e.of("configuration"))
	}
}

// What doctor prints goes into mails.
func TestDoctorPrintsNoSecret(t *testing.T) {
	r := newRig(t)
	line, password, err := rpc.NewUser("clerk", rpc.RoleSubmit)
	r.must(err)
	const passphrase = "correct horse battery staple"
	secret := r.write("passphrase", passphrase)
	conf := string(r.read(filepath.Join(r.data, config.FileName)))
	cookie := strings.TrimSpace(string(r.read(filepath.Join(r.data, "regtest", datadir.Cookie))))
	_, hash, _ := strings.Cut(line, "$")
	_, cookiePassword, _ := strings.Cut(cookie, ":")
	t.Setenv(passwordVariable, password)
	t.Setenv("PATH", fakeSystem(t))
	conf += fmt.Sprintf("[wallet]\npassphrase_file = %q\n", secret)
	conf = strings.Replace(conf, "[rpc]\n", fmt.Sprintf("[rpc]\nauth = [%q]\n", line), 1)
	for name, text := range map[string]string{
		"right": conf,
		"wrong": strings.Replace(conf, "auth = [", "auth = [5, ", 1),
		"typo":  strings.Replace(conf, "auth = [\"clerk:", "auth = [\"clerk", 1),
	} {
		r.must(os.WriteFile(filepath.Join(r.data, config.FileName), []byte(text), 0o600))
		for _, args := range [][]string{{"doctor"}, {"doctor", "--json"}, {"doctor", "-q"}, {"--rpc-user", "clerk", "doctor"}, {"--rpc-cookie", secret, "doctor"}} {
			a := r.ancre(args...)
			for what, s := range map[string]string{"passphrase": passphrase, "password": password, "hash": hash, "cookie": cookiePassword, "job of cron": "hunter2"} {
				if strings.Contains(a.out+a.err, s) {
					t.Errorf("%s, %q: the %s is printed\n%s%s", name, args, what, a.out, a.err)
				}
			}
			if args[0] == "doctor" && len(args) == 1 && !strings.Contains(a.out, " rpc") {
				t.Errorf("%s: nothing was looked at\n%s%s", name, a.out, a.err)
			}
		}
	}
}

// fakeSystem returns a PATH with a crontab that holds a secret.
func fakeSystem(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho '0 * * * * ANCRE_RPC_PASSWORD=hunter2 ancre stamp -q -r /srv'\n"
	if err := os.WriteFile(filepath.Join(dir, "crontab"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// On a terminal, a line shows what is waited for, and is gone at the end.
func TestDoctorShowsWhatItWaitsFor(t *testing.T) {
	r := newRig(t)
	a := r.with(session{terminal: true}, "doctor")
	if !strings.Contains(a.err, "Looking at ") || !strings.HasSuffix(a.err, "\r\x1b[K") {
		t.Errorf("%q", a.err)
	}
}
