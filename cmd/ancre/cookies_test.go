package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/config"
	"ancre/internal/datadir"
	"ancre/rpc"
)

// service makes the rig's daemon the service of this machine. A user of it, who is not an
// administrator, has an empty home directory, which is returned.
func (r *rig) service() (home string) {
	r.t.Helper()
	file, run := config.ServiceFile, config.ServiceRunDir
	r.t.Cleanup(func() { config.ServiceFile, config.ServiceRunDir = file, run })
	config.ServiceFile, config.ServiceRunDir = filepath.Join(r.data, config.FileName), r.run
	conf := "datadir = " + quoted(r.data) + "\n" + string(r.read(config.ServiceFile))
	if err := os.WriteFile(config.ServiceFile, []byte(conf), 0o640); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Remove(r.adminCookie()); err != nil { // it is there, and this user cannot read it
		r.t.Fatal(err)
	}
	home = r.t.TempDir()
	r.t.Setenv("HOME", home)
	r.t.Setenv("USERPROFILE", home)
	return home
}

func quoted(path string) string { return `"` + filepath.ToSlash(path) + `"` }

func (r *rig) adminCookie() string { return filepath.Join(r.data, "regtest", datadir.Cookie) }

func (r *rig) groupCookie() string { return filepath.Join(r.run, datadir.GroupCookie("regtest")) }

func TestTheGroupStampsVerifiesAndReads(t *testing.T) {
	r := newRig(t)
	r.service()
	file := r.write("a.pdf", "a")
	for _, args := range [][]string{{"status"}, {"stamp", file}, {"status", file}, {"batches"}, {"wallet", "balance"}, {"rpc", "getblockcount"}} {
		if a := call(session{}, args...); a.exit != exitDone {
			t.Errorf("ancre %s: %+v", strings.Join(args, " "), a)
		}
	}
	call(session{}, "verify", file+".ots").is(t, exitPending)
}

func TestTheGroupIsToldWhatNeedsTheAdministrator(t *testing.T) {
	r := newRig(t)
	r.service()
	for _, args := range [][]string{{"wallet", "create"}, {"wallet", "unlock"}, {"wallet", "address"}, {"wallet", "send", testAddress, "1000"},
		{"backup", r.path("b")}, {"rpc", "stop"}, {"rpc", "closebatch"}} {
		// Nothing was typed: what asks first, fails with another error.
		a := call(session{person: true}, args...).is(t, exitFailed)
		verb := strings.Join(args[:min(len(args), 2)], " ")
		if args[0] != "wallet" {
			verb = args[0] + " …"
		} else if len(args) > 2 {
			verb += " …"
		}
		if strings.Count(a.err, `use "sudo ancre `+verb+`"`) != 1 {
			t.Errorf("ancre %s: %s", strings.Join(args, " "), a.err)
		}
	}
	call(session{}, "--json", "wallet", "create").is(t, exitFailed, `"code":-2`)
}

// A cookie of the daemon's directory is the administrator's, and comes first.
func TestTheAdministratorNeedsNoFlags(t *testing.T) {
	r := newRig(t)
	admin := string(r.read(r.adminCookie()))
	r.service()
	if err := os.WriteFile(r.adminCookie(), []byte(admin), 0o600); err != nil {
		t.Fatal(err)
	}
	call(session{}, "wallet", "address").is(t, exitDone, testAddress)
	call(session{}, "--datadir", r.data, "wallet", "address").is(t, exitDone, testAddress)
}

// A digest must not go to another daemon than the one that the user means.
func TestADaemonOfOnesOwnIsNotTheService(t *testing.T) {
	r := newRig(t)
	home := r.service()
	file := r.write("a.pdf", "a")
	other := t.TempDir()
	call(session{}, "--datadir", other, "--network", "regtest", "stamp", file).is(t, exitFailed, filepath.Join(other, "regtest", datadir.Cookie), "does not seem to run")

	marker := filepath.Join(home, ".ancre", "regtest", datadir.Marker)
	if err := os.MkdirAll(filepath.Dir(marker), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(marker, []byte(`{"format":1,"network":"regtest"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	call(session{}, "--network", "regtest", "stamp", file).is(t, exitFailed, filepath.Join(home, ".ancre", "regtest", datadir.Cookie), "does not seem to run")
	if len(r.daemon.digests) != 0 {
		t.Error("a digest reached the service")
	}
	call(session{}, "--config", config.ServiceFile, "stamp", file).is(t, exitDone)
}

func TestAServiceThatDoesNotRunIsExplained(t *testing.T) {
	r := newRig(t)
	r.service()
	if err := os.Remove(r.groupCookie()); err != nil {
		t.Fatal(err)
	}
	call(session{}, "status").is(t, exitFailed, "no cookie for regtest", serviceStatus, "--network")
	if err := os.Remove(r.run); err != nil {
		t.Fatal(err)
	}
	call(session{}, "status").is(t, exitFailed, "it does not run", serviceStatus, "sudo systemctl start ancred")
}

// A restart of the daemon makes new credentials. A client that runs on finds them.
func TestAClientFindsTheNewCookie(t *testing.T) {
	r := newRig(t)
	r.service()
	right := string(r.read(r.groupCookie()))
	if err := os.WriteFile(r.groupCookie(), []byte(rpc.GroupUser+":of-the-run-before"), 0o640); err != nil {
		t.Fatal(err)
	}
	a := &app{terminal: &terminal{err: os.Stderr}, flags: config.Flags{}}
	client, err := a.daemon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with the credentials of the run before: %v", err)
	}
	if err := os.WriteFile(r.groupCookie(), []byte(right), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Info(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestACookieThatEverybodyReadsIsAWarning(t *testing.T) {
	r := newRig(t)
	r.service()
	if a := call(session{}, "status").is(t, exitDone); strings.Contains(a.err, "Warning") {
		t.Errorf("without reason: %s", a.err)
	}
	if err := os.Chmod(r.groupCookie(), 0o644); err != nil {
		t.Fatal(err)
	}
	a := call(session{}, "status").is(t, exitDone)
	if _, err := os.Stat("/etc/passwd"); err == nil && !strings.Contains(a.err, "has the mode -rw-r--r--") {
		t.Errorf("no warning: %s", a.err)
	}
}
