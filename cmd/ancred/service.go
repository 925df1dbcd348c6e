package main

import (
	"fmt"
	"os"
	"path/filepath"

	"ancre/config"
	"ancre/internal/atomicfile"
)

// refuseBesideService returns an error if a person starts the daemon by hand where it is a service
// of the machine. He would get a second daemon without data and without money or, as root, files in
// the service's directory that the service cannot open.
func refuseBesideService(flags config.Flags, cfg config.Config) error {
	if !cfg.OnServiceMachine() {
		return nil
	}
	const manage = "\"systemctl status " + config.ServiceUnit + "\" shows whether it runs, and \"sudo systemctl enable --now " + config.ServiceUnit + "\" starts it"
	const own = ". To run a separate ancred of your own, with its own data and wallet, name its directory: ancred --datadir ~/.ancre"
	dir, err := cfg.NetworkDir()
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Dir(dir))
	if err == nil && cfg.ServiceDenied() == nil {
		uid, known := atomicfile.OwnerOf(info)
		if !known || uid == os.Geteuid() {
			return nil
		}
		return fmt.Errorf("the ancred of this machine is a service with the configuration %s, and runs as %s, not as %s: %s%s",
			cfg.File(), atomicfile.UserName(uid), atomicfile.UserName(os.Geteuid()), manage, own)
	}
	if flags.File != "" { // as named, by a service manager that makes no directory
		return nil
	}
	return fmt.Errorf("the ancred of this machine is a service with the configuration %s: %s%s", config.ServiceFile, manage, own)
}

// refuseMember returns an error if a user who is neither root nor the service's calls a verb about
// the service: he cannot look into its directory.
func refuseMember(cfg config.Config, verb string) error {
	if !cfg.OnServiceMachine() || os.Geteuid() <= 0 {
		return nil
	}
	if denied := cfg.ServiceDenied(); denied != nil {
		return fmt.Errorf("%w: use \"sudo ancred %s\", or name another directory with --datadir", denied, verb)
	}
	dir, err := cfg.NetworkDir()
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return nil
	}
	if uid, known := atomicfile.OwnerOf(info); known && uid != os.Geteuid() {
		return fmt.Errorf("the ancred of this machine is a service, and its directory %s belongs to %s: use \"sudo ancred %s\", or name another directory with --datadir",
			filepath.Dir(dir), atomicfile.UserName(uid), verb)
	}
	return nil
}
