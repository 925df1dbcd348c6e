package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// RegisterFileName is the name of the register's configuration file.
const RegisterFileName = "register.conf"

// Where the ancre-register that is a service of this machine keeps what it has.
// contrib/ancre-register.service and the packages agree with these paths.
const (
	RegisterServiceDataDir = "/var/lib/ancre-register" // unless its configuration says otherwise
	RegisterServiceUnit    = "ancre-register"
	RegisterServiceGroup   = "ancre-register" // its members may use the verbs
	registerSocket         = "control.sock"
)

// RegisterServiceFile is the configuration of the service, and RegisterServiceRunDir is where its
// socket lies. They are empty on systems that have no such service. Only tests change them.
var (
	RegisterServiceFile   = onUnix("/etc/ancre/register.conf")
	RegisterServiceRunDir = onUnix("/run/ancre-register")
)

// RegisterMarker is what a register leaves in its data directory.
const RegisterMarker = "register.db"

// RegisterFlags are the flags of ancre-register that say which register is meant. An empty one was
// not given. Flags override the file.
type RegisterFlags struct {
	File    string // --config
	DataDir string // --datadir
}

// Command returns a command line with these flags, for messages.
func (f RegisterFlags) Command(program string) string {
	return strings.TrimSuffix(Flags{File: f.File, DataDir: f.DataDir}.Command(program), " ")
}

// Load returns the defaults, overridden by the configuration file, overridden by the flags. The
// file is the first of
//
//  1. the one that the flags name; it must exist,
//  2. with --datadir, register.conf in that directory; without, ~/.ancre/register.conf; if it
//     exists,
//  3. [RegisterServiceFile], if it exists and this user may read it, and if the data directory is
//     the service's. Without --datadir it is, unless this user has a register in ~/.ancre/register.
func (f RegisterFlags) Load() (Register, error) {
	c, err := f.load()
	if err != nil {
		return Register{}, err
	}
	if f.DataDir != "" {
		c.DataDir = f.DataDir
	}
	return c, nil
}

func (f RegisterFlags) load() (Register, error) {
	path := f.File
	if path == "" {
		path = f.ownFile()
	}
	if path != "" {
		c, err := loadRegister(path)
		c.found = found{file: path, service: RegisterServiceFile != "" && isSamePath(path, RegisterServiceFile)}
		return c, err
	}
	if f.DataDir == "" && hasRegister(DefaultRegister().DataDir) {
		return DefaultRegister(), nil
	}
	return f.loadService()
}

// loadService reads the configuration of the service, if that is what the flags mean.
func (f RegisterFlags) loadService() (Register, error) {
	c := DefaultRegister()
	if !isFile(RegisterServiceFile) {
		return c, nil
	}
	service, err := loadRegister(RegisterServiceFile)
	dir := service.DataDir
	if err != nil {
		dir = RegisterServiceDataDir // as far as can be known
	}
	switch {
	case f.DataDir != "" && !isSamePath(f.DataDir, dir):
		return c, nil // another register's
	case errors.Is(err, fs.ErrPermission):
		c.DataDir, c.found.denied = RegisterServiceDataDir, err
		return c, nil
	}
	service.found = found{file: RegisterServiceFile, service: true}
	return service, err
}

// ownFile returns register.conf beside or in the data directory; empty if it does not exist.
func (f RegisterFlags) ownFile() string {
	dir := f.DataDir
	if dir == "" {
		dir = filepath.Dir(DefaultRegister().DataDir)
	}
	dir, err := expand(dir)
	if err != nil {
		return "" // no home directory, so no file in it: whether one is needed shows later
	}
	if path := filepath.Join(dir, RegisterFileName); isFile(path) {
		return path // when it is there and cannot be read, loadRegister says so
	}
	return ""
}

// hasRegister reports whether a register has run in a data directory.
func hasRegister(dir string) bool {
	dir, err := expand(dir)
	return err == nil && isFile(filepath.Join(dir, RegisterMarker))
}

// File returns the path of the file that [RegisterFlags.Load] read; empty: it read none.
func (c Register) File() string { return c.found.file }

// OnServiceMachine reports whether a service of this machine is the register that c is about, even
// if its configuration cannot be read.
func (c Register) OnServiceMachine() bool { return c.found.service || c.found.denied != nil }

// Denied returns why this user may not read the service's configuration, if [RegisterFlags.Load]
// would have returned that one. c then has the defaults.
func (c Register) Denied() error { return c.found.denied }

// Dir returns the absolute path of the data directory.
func (c Register) Dir() (string, error) {
	dir, err := expand(c.DataDir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w: name one with --datadir", err)
	}
	return filepath.Abs(dir)
}

// Socket returns the path of the socket by which the verbs reach the running register: that of the
// configuration, or control.sock in the directory that systemd makes for the service's run, or in
// the data directory.
func (c Register) Socket() (string, error) {
	if c.Control.Socket != "" {
		return c.Control.Socket, nil
	}
	if c.OnServiceMachine() && RegisterServiceRunDir != "" {
		return filepath.Join(RegisterServiceRunDir, registerSocket), nil
	}
	dir, err := c.Dir()
	return filepath.Join(dir, registerSocket), err
}
