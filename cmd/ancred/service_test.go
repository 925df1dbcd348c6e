package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ancre/config"
)

// newService makes this machine one with a service, whose data directory is dir.
func newService(t *testing.T, dir string) {
	t.Helper()
	was := config.ServiceFile
	t.Cleanup(func() { config.ServiceFile = was })
	config.ServiceFile = filepath.Join(t.TempDir(), config.FileName)
	conf := fmt.Sprintf("network = \"regtest\"\ndatadir = %q\n[calendar]\nlisten = \"off\"\n", filepath.ToSlash(dir))
	if err := os.WriteFile(config.ServiceFile, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whoever starts ancred by hand beside a service would get a second daemon, without data and money.
func TestADaemonBesideTheServiceIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	newService(t, dir)
	for _, args := range [][]string{nil, {"--network", "signet"}} {
		call(args...).is(t, exitUsage, "is a service", config.ServiceFile, "systemctl status ancred", "ancred --datadir ~/.ancre")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a data directory was made")
	}
}

func TestTheServicesDirectoryIsForItsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives directories to others")
	}
	dir := t.TempDir()
	newService(t, dir)
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--config", config.ServiceFile}} {
		call(args...).is(t, exitUsage, "not as root", "systemctl status ancred")
	}
}

// The unit of earlier versions had the configuration in the data directory. Its caps must not be
// forgotten silently.
func TestASecondConfigurationOfTheServiceIsRefused(t *testing.T) {
	dir := t.TempDir()
	newService(t, dir)
	old := filepath.Join(dir, config.FileName)
	if err := os.WriteFile(old, []byte("[anchor]\nmonthly_budget = 60000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--config", config.ServiceFile}, {"check", "--config", config.ServiceFile}} {
		call(args...).is(t, exitFailed, "two configurations", old, config.ServiceFile)
	}
}
