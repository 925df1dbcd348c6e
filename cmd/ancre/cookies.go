package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/datadir"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

// serviceStatus is the command that shows the state of this machine's service.
const serviceStatus = "systemctl status " + config.ServiceUnit

// cookies are the files in which a client on the daemon's machine finds its credentials.
type cookies struct {
	own     string // the administrator's, in the data directory
	group   string // that of a service, for the members of its group; empty: not looked for
	service bool   // the daemon is a service of this machine
	network string
	warn    func(format string, args ...any)

	member bool // the credentials are the group's
	warned bool
}

// findCookies returns where the daemon that the flags name keeps its cookies. A daemon of a
// directory that this user named, or that was used before, is never mistaken for the service.
func (a *app) findCookies(cfg config.Config) (*cookies, error) {
	dir, err := cfg.NetworkDir()
	if err != nil {
		return nil, command.Exit(exitUsage, err)
	}
	c := &cookies{own: filepath.Join(dir, datadir.Cookie), service: cfg.OnServiceMachine(), network: cfg.Network, warn: a.note}
	other := a.flags.DataDir != "" || exists(filepath.Join(dir, datadir.Marker))
	if config.ServiceRunDir != "" && (c.service || !other) {
		c.group = filepath.Join(config.ServiceRunDir, datadir.GroupCookie(cfg.Network))
	}
	return c, nil
}

// read returns the credentials of this run of the daemon: the administrator's where this user may
// read them, otherwise the group's. It is called again when the daemon has restarted.
func (c *cookies) read() (name, password string, err error) {
	name, password, err = rpc.ReadLocalCookie(c.own)
	if err == nil {
		c.member = false
		c.warnIfOpen(c.own)
		return name, password, nil
	}
	if c.group == "" || !isAbsent(err) {
		return "", "", err
	}
	name, password, groupErr := rpc.ReadLocalCookie(c.group)
	if groupErr == nil {
		c.member = true
		c.warnIfOpen(c.group)
		return name, password, nil
	}
	if !c.service && errors.Is(groupErr, fs.ErrNotExist) {
		return "", "", err
	}
	return "", "", c.explain(groupErr)
}

// isAbsent reports whether a file is not there, as far as this user may know.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// warnIfOpen says when every user of the machine can read a cookie. ancred never writes such a
// file.
func (c *cookies) warnIfOpen(path string) {
	const others = 0o007
	info, err := os.Lstat(path)
	if err != nil || c.warned || info.Mode().Perm()&others == 0 {
		return
	}
	if _, known := atomicfile.OwnerOf(info); known {
		c.warned = true
		c.warn("Warning: every user of this machine can use the daemon, because %s has the mode %s. Restart ancred, which writes it again.", path, info.Mode().Perm())
	}
}

// explain says why a user of this machine does not reach the service, and what to do.
func (c *cookies) explain(err error) error {
	dir := filepath.Dir(c.group)
	info, statErr := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w. %s", atomicfile.Denied(withoutAdvice(err)), howToJoin(info))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case statErr != nil:
		return fmt.Errorf("the ancred of this machine is a service, and it does not run (%s does not exist): \"%s\" says why, \"sudo systemctl start %s\" starts it",
			dir, serviceStatus, config.ServiceUnit)
	}
	return fmt.Errorf("the service of this machine has no cookie for %s (%s does not exist): \"%s\" says whether it runs, and --network names another network",
		c.network, c.group, serviceStatus)
}

// withoutAdvice returns the error of the file system alone.
func withoutAdvice(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at
	}
	return err
}

// howToJoin says how this user becomes a member of the group to which the service's directory
// belongs.
func howToJoin(dir fs.FileInfo) string {
	group, name := config.ServiceGroup, "NAME"
	me, err := user.Current()
	if err == nil {
		name = me.Username
	}
	gid := -1
	if dir != nil {
		if id, ok := atomicfile.GroupOf(dir); ok {
			gid = id
			group = atomicfile.GroupName(id)
		}
	}
	if err == nil && gid >= 0 {
		// The system's list, and what this session began with.
		listed, _ := me.GroupIds()
		if has, err := os.Getgroups(); err == nil && slices.Contains(listed, strconv.Itoa(gid)) && !slices.Contains(has, gid) {
			return fmt.Sprintf("%s is a member of the group %s, but not yet in this session: log in again", name, group)
		}
	}
	return fmt.Sprintf("The members of the group %s may stamp, verify and read: run \"sudo usermod -aG %s %s\" and log in again", group, group, name)
}

// asMember reports whether this user reaches the daemon as a member of the service's group.
func (a *app) asMember() bool { return a.cookies != nil && a.cookies.member }

// needsAdmin says how a member of the service's group does what only the administrator may do.
func needsAdmin(cmd *cobra.Command, err error) error {
	command := "sudo " + cmd.CommandPath()
	if cmd.Flags().NArg() > 0 {
		command += " …"
	}
	return fmt.Errorf("only the administrator may do this: use \"%s\" (%w)", command, err)
}

// wantAdmin fails early, before a verb asks questions, if the daemon would refuse what it does. The
// end of the program adds what [needsAdmin] says.
func (a *app) wantAdmin(cmd *cobra.Command) error {
	if _, err := a.daemon(cmd.Context()); err != nil {
		return err
	}
	if a.cookies == nil { // the user of a flag: only the daemon knows
		return nil
	}
	if _, _, err := a.cookies.read(); err != nil {
		return err
	}
	if a.asMember() {
		return &rpc.Error{Code: rpc.CodeForbidden, Message: "the members of the service's group may stamp, verify and read"}
	}
	return nil
}
