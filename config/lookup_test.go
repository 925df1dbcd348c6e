package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ancre/internal/datadir"
)

func TestMain(m *testing.M) {
	ServiceFile, ServiceRunDir, RegisterServiceFile, RegisterServiceRunDir = "", "", "", "" // this machine may have a service
	os.Exit(m.Run())
}

// machine is a machine with a service, and the home directory of a user on it.
type machine struct {
	home, service string // directories; the service's holds its ancre.conf
}

// newMachine makes a machine whose service has that configuration; empty: it has no service.
func newMachine(t *testing.T, conf string) machine {
	t.Helper()
	m := machine{home: t.TempDir(), service: t.TempDir()}
	was := ServiceFile
	ServiceFile = filepath.Join(m.service, FileName)
	t.Cleanup(func() { ServiceFile = was })
	t.Setenv("HOME", m.home)
	t.Setenv("USERPROFILE", m.home)
	if conf != "" {
		write(t, ServiceFile, conf)
	}
	return m
}

// ownDaemon makes what a daemon of the user's own leaves.
func (m machine) ownDaemon(t *testing.T) {
	t.Helper()
	write(t, filepath.Join(m.home, ".ancre", "signet", datadir.Marker), "{}")
}

const serviceConf = "network = \"testnet4\"\n"

func TestTheServicesConfigurationIsFoundLast(t *testing.T) {
	for _, c := range []struct {
		name    string
		service string
		prepare func(machine) Flags
		network string
		is      bool // the service's
	}{
		{"a user without a daemon uses the service's", serviceConf, func(machine) Flags { return Flags{} }, "testnet4", true},
		{"flags override it", serviceConf, func(machine) Flags { return Flags{Network: "regtest"} }, "regtest", true},
		{"no service", "", func(machine) Flags { return Flags{} }, "mainnet", false},
		{"ancre.conf in the home directory comes first", serviceConf, func(m machine) Flags {
			write(t, filepath.Join(m.home, ".ancre", FileName), "network = \"simnet\"\n")
			return Flags{}
		}, "simnet", false},
		{"a daemon in the home directory, of any network, comes first", serviceConf, func(m machine) Flags { m.ownDaemon(t); return Flags{} }, "mainnet", false},
		{"headers for verifying are no daemon", serviceConf, func(m machine) Flags {
			write(t, filepath.Join(m.home, ".ancre", "mainnet", datadir.Verifier, "headers"), "")
			return Flags{}
		}, "testnet4", true},
		{"another data directory is not the service's", serviceConf, func(machine) Flags { return Flags{DataDir: t.TempDir()} }, "mainnet", false},
		{"the service's data directory is", serviceConf, func(machine) Flags { return Flags{DataDir: ServiceDataDir + "/"} }, "testnet4", true},
		{"wherever it is", "network = \"testnet4\"\ndatadir = \"/srv/ancre\"\n", func(machine) Flags { return Flags{DataDir: "/srv/ancre"} }, "testnet4", true},
		{"a named file comes before all", serviceConf, func(m machine) Flags {
			return Flags{File: write(t, filepath.Join(m.home, "other.conf"), "")}
		}, "mainnet", false},
		{"the service's file may be named", serviceConf, func(m machine) Flags { m.ownDaemon(t); return Flags{File: ServiceFile} }, "testnet4", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags := c.prepare(newMachine(t, c.service))
			got, err := flags.Load()
			if err != nil || got.Network != c.network || got.IsService() != c.is || got.OnServiceMachine() != c.is || got.ServiceDenied() != nil {
				t.Errorf("network %s, service %v, %v; want %s, %v", got.Network, got.IsService(), err, c.network, c.is)
			}
		})
	}
}

// Without a line for datadir, "~/.ancre" would give the service a second, empty data directory.
func TestTheServicesDataDirectoryNeedsNoLine(t *testing.T) {
	newMachine(t, serviceConf)
	c, err := Flags{}.Load()
	if err != nil || c.DataDir != ServiceDataDir || c.File() != ServiceFile {
		t.Errorf("%s of %s, %v", c.DataDir, c.File(), err)
	}
}

func TestABrokenConfigurationOfTheServiceIsAnError(t *testing.T) {
	newMachine(t, "netwrok = \"signet\"\n")
	for _, flags := range []Flags{{}, {DataDir: ServiceDataDir}} {
		if _, err := flags.Load(); err == nil || !strings.Contains(err.Error(), "netwrok") {
			t.Errorf("%+v: %v", flags, err)
		}
	}
	if _, err := (Flags{DataDir: t.TempDir()}).Load(); err != nil {
		t.Errorf("another daemon has nothing to do with it: %v", err)
	}
}

// Whoever may not read the service's file still verifies with the defaults, and is told why he
// cannot reach the daemon.
func TestTheServicesConfigurationMayBeUnreadable(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("root reads everything: TestTheGroupUsesTheService tries it as another user")
	}
	m := newMachine(t, serviceConf)
	if err := os.Chmod(ServiceFile, 0); err != nil {
		t.Fatal(err)
	}
	c, err := Flags{}.Load()
	if err != nil || c.ServiceDenied() == nil || !c.OnServiceMachine() || c.IsService() || c.Network != "mainnet" {
		t.Errorf("%+v, %v", c, err)
	}
	m.ownDaemon(t)
	if c, err = (Flags{}).Load(); err != nil || c.OnServiceMachine() {
		t.Errorf("with a daemon of his own: %+v, %v", c, err)
	}
}

// A member of the group may not write in the service's data directory.
func TestWhatAUserKeepsIsHis(t *testing.T) {
	m := newMachine(t, "datadir = \""+filepath.ToSlash(t.TempDir())+"\"\n")
	c, err := Flags{}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if dir, err := c.UserDir(); err != nil || filepath.Dir(dir) != filepath.Clean(c.DataDir) {
		t.Errorf("the owner of the service's directory uses %s, %v", dir, err)
	}
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		return
	}
	c.DataDir = "/" // root's
	if dir, err := c.UserDir(); err != nil || dir != filepath.Join(m.home, ".ancre", "mainnet") {
		t.Errorf("another user uses %s, %v", dir, err)
	}
}
