//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/config"
)

// Root may read everything. The service may not, and the check is about the service.
func TestCheckAsRootLooksAsTheServicesUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "ancred-check") // others may search it, unlike a test's own directory
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data, secret := filepath.Join(dir, "data"), filepath.Join(dir, "secret")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("correct horse"), 0o600); err != nil { // root's
		t.Fatal(err)
	}
	flag := conf(t, dir, "[wallet]\npassphrase_file = "+quoted(secret)+"\n")
	call("check", flag).is(t, exitDone, "Checking as ", "warning  wallet.passphrase_file: ", secret+" has the mode -rw-------", "belongs to root:", "ancred would start.")
	if os.Geteuid() != 0 {
		t.Fatal("the process is not root any more")
	}

	// A file that root left there may or may not matter: the daemon says so if it does.
	network := filepath.Join(data, "regtest")
	if err := os.Mkdir(network, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(network, "left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(network, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	call("check", flag).is(t, exitDone, "warning  datadir: "+filepath.Join(network, "left")+" belongs to root", "ancred would start.")

	// Without a flag root finds the service's file. The service must not look for it in root's home
	// directory, which it cannot search.
	defer func(file, home string) { config.ServiceFile = file; os.Setenv("HOME", home) }(config.ServiceFile, os.Getenv("HOME"))
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	os.Setenv("HOME", home)
	config.ServiceFile = strings.TrimPrefix(flag, "--config=")
	call("check").is(t, exitDone, "Checking as ", "ancred would start.")

	// A configuration that only root can read is one that the service cannot.
	path := strings.TrimPrefix(flag, "--config=")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	call("check", flag).is(t, exitUsage, path+" has the mode -rw-------")
}
