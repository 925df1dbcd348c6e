package daemon

import (
	"os"
	"path/filepath"
	"strings"

	"ancre/internal/datadir"
	"ancre/rpc"
)

// writeCookies writes the credentials of this run for clients on this machine, and removes them
// when the daemon stops. The administrator's are in the data directory. If systemd made a directory
// for this run, the group's are there. Without those the daemon runs all the same.
func (d *node) writeCookies() ([]rpc.User, error) {
	path := filepath.Join(d.dir, datadir.Cookie)
	admin, err := rpc.WriteCookie(path)
	if err != nil {
		return nil, err
	}
	d.onClose(func() error { return rpc.RemoveCookie(path, admin) })
	users := []rpc.User{admin}

	shared := groupCookie(d.cfg.Network)
	if shared == "" {
		return users, nil
	}
	group, err := rpc.WriteGroupCookie(shared)
	if err != nil {
		d.log.Warn("the members of the service's group cannot use ancre without sudo", "err", err)
		return users, nil
	}
	d.onClose(func() error { return rpc.RemoveCookie(shared, group) })
	return append(users, group), nil
}

// groupCookie returns the path of the cookie for the service's group; empty if this is no service.
func groupCookie(network string) string {
	// systemd separates several directories by colons (RuntimeDirectory=).
	dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, datadir.GroupCookie(network))
}
