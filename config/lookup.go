package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
)

// Where the ancred that is a service of this machine keeps what it has. contrib/ancred.service and
// the packages agree with these paths.
const (
	ServiceDataDir = "/var/lib/ancre" // unless its configuration says otherwise
	ServiceUnit    = "ancred"
	ServiceGroup   = "ancre" // its members may submit, verify and read
)

// ServiceFile is the configuration of the service, and ServiceRunDir is where the cookie for its
// group lies. They are empty on systems that have no such service. Only tests change them.
var (
	ServiceFile   = onUnix("/etc/ancre/ancre.conf")
	ServiceRunDir = onUnix("/run/ancre")
)

// onUnix leaves out Windows: any user may make a folder such as C:\etc there.
func onUnix(path string) string {
	if runtime.GOOS == "windows" {
		return ""
	}
	return path
}

// Flags are the command-line flags that ancred and ancre share. An empty one was not given. Flags
// override the file.
type Flags struct {
	File    string // --config
	DataDir string // --datadir
	Network string // --network
}

// Command returns a command line with these flags, for messages.
func (f Flags) Command(program string) string {
	parts := []string{program}
	for _, flag := range []struct{ name, value string }{{"config", f.File}, {"datadir", f.DataDir}, {"network", f.Network}} {
		if flag.value != "" {
			parts = append(parts, "--"+flag.name, flag.value)
		}
	}
	return strings.Join(parts, " ")
}

// found is how [Flags.Load] came to a configuration.
type found struct {
	file    string // that was read; empty: none
	service bool   // it is the service's
	denied  error  // why the service's file, which belongs here, could not be read
}

// File returns the path of the file that [Flags.Load] read; empty: it read none.
func (c Config) File() string { return c.found.file }

// IsService reports whether this is the configuration of the service of this machine.
func (c Config) IsService() bool { return c.found.service }

// ServiceDenied returns why this user may not read the configuration of the service, if
// [Flags.Load] would have returned that one. c then has the defaults.
func (c Config) ServiceDenied() error { return c.found.denied }

// OnServiceMachine reports whether a service of this machine is the daemon that c is about, even if
// its configuration cannot be read.
func (c Config) OnServiceMachine() bool { return c.found.service || c.found.denied != nil }

// Load returns the defaults, overridden by the configuration file, overridden by the flags. The
// file is the first of
//
//  1. the one that the flags name; it must exist,
//  2. ancre.conf in the data directory, if it exists,
//  3. [ServiceFile], if it exists and this user may read it, and if the data directory is the
//     service's. Without --datadir it is, unless this user has a daemon in ~/.ancre.
func (f Flags) Load() (Config, error) {
	if f.Network != "" && !slices.Contains(Networks(), f.Network) {
		return Config{}, fmt.Errorf("--network %q: must be one of %s", f.Network, strings.Join(Networks(), ", "))
	}
	c, err := f.load()
	if err != nil {
		return Config{}, err
	}
	if f.DataDir != "" {
		c.DataDir = f.DataDir
	}
	if f.Network != "" {
		c.Network = f.Network
	}
	return c, nil
}

// load finds and reads the file.
func (f Flags) load() (Config, error) {
	path := f.File
	if path == "" {
		path = f.ownFile()
	}
	if path != "" {
		c, err := Load(path)
		c.found = found{file: path, service: isServiceFile(path)}
		return c, err
	}
	if f.DataDir == "" && HasDaemon(Default().DataDir) {
		return Default(), nil
	}
	return f.loadService()
}

// loadService reads the configuration of the service, if that is what the flags mean.
func (f Flags) loadService() (Config, error) {
	c := Default()
	if !isFile(ServiceFile) {
		return c, nil
	}
	service, err := Load(ServiceFile)
	dir := service.DataDir
	if err != nil {
		dir = ServiceDataDir // as far as can be known
	}
	switch {
	case f.DataDir != "" && !isSamePath(f.DataDir, dir):
		return c, nil // another daemon's
	case errors.Is(err, fs.ErrPermission):
		c.found.denied = err
		return c, nil
	}
	service.found = found{file: ServiceFile, service: true}
	return service, err
}

// ownFile returns ancre.conf in the data directory; empty if it does not exist.
func (f Flags) ownFile() string {
	dir := f.DataDir
	if dir == "" {
		dir = Default().DataDir
	}
	dir, err := expand(dir)
	if err != nil {
		return "" // no home directory, so no file in it: whether one is needed shows later
	}
	path := filepath.Join(dir, FileName)
	if !isFile(path) {
		return ""
	}
	return path // when it is there and cannot be read, Load says so
}

// isFile reports whether something is at a path, as far as this user can tell.
func isFile(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// HasDaemon reports whether a daemon has run in a data directory, on any network.
func HasDaemon(dir string) bool {
	dir, err := expand(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(Networks(), func(network string) bool {
		return isFile(filepath.Join(dir, network, datadir.Marker))
	})
}

// isServiceFile reports whether a path is that of the service's configuration.
func isServiceFile(path string) bool { return ServiceFile != "" && isSamePath(path, ServiceFile) }

// isSamePath compares two paths, however they are written.
func isSamePath(a, b string) bool {
	absolute := func(path string) (string, error) {
		path, err := expand(path)
		if err != nil {
			return "", err
		}
		return filepath.Abs(path)
	}
	one, err := absolute(a)
	other, err2 := absolute(b)
	return err == nil && err2 == nil && one == other
}

// UserDir returns the directory for what a user of the network keeps beside a daemon, such as
// headers for verifying. It is NetworkDir, unless that belongs to the service.
func (c Config) UserDir() (string, error) {
	if c.found.service && !isOwner(c.DataDir) {
		c.DataDir = Default().DataDir
	}
	return c.NetworkDir()
}

// isOwner reports whether this user may write in a data directory: it is his, or he is root.
func isOwner(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return os.Geteuid() == 0
	}
	uid, ok := atomicfile.OwnerOf(info)
	return !ok || os.Geteuid() == 0 || os.Geteuid() == uid
}
