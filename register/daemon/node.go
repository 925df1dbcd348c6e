package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/loopback"
	"ancre/rpc"
)

// newNode returns the client of the node that the configuration names, or of the ancred of this
// machine. It sends nothing yet.
func newNode(cfg config.Register) (*rpc.Client, error) {
	n := cfg.Node
	local, err := localNode(cfg)
	if err != nil {
		return nil, err
	}
	address := n.RPC
	if address == "" {
		address = local.RPCAddress()
	}
	var c *rpc.Client
	switch {
	case n.User != "":
		c, err = rpc.NewClientFrom(address, func() (string, string, error) {
			password, err := readPassword(n.PasswordFile)
			return n.User, password, err
		})
	case n.Cookie != "":
		c, err = rpc.NewCookieClient(address, n.Cookie)
	case !isHere(address):
		return nil, fmt.Errorf("node.rpc = %q is on another machine, whose cookie is not here: set node.user and node.password_file", address)
	default:
		places, err := cookiePlaces(local)
		if err != nil {
			return nil, err
		}
		c, err = rpc.NewClientFrom(address, places.read)
		if err != nil {
			return nil, err
		}
		c.Hint = "is ancred running? \"ancre status\" says how it is"
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("node.rpc: %w", err)
	}
	c.Hint = "is ancred running there, and is node.rpc its address?"
	return c, nil
}

// localNode returns the configuration of the ancred of this machine: its service's, or that of this
// user's own.
func localNode(cfg config.Register) (config.Config, error) {
	node, err := config.Flags{Network: cfg.Network}.Load()
	if err != nil && cfg.Node.RPC == "" {
		return node, fmt.Errorf("the node's configuration: %w", err)
	}
	return node, nil
}

// isHere reports whether an address is on this machine.
func isHere(address string) bool {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	return err == nil && loopback.IsHost(u.Hostname())
}

// cookies are the files in which the register finds its credentials, in the order in which it
// looks.
type cookies []string

// cookiePlaces returns where the ancred of this machine writes cookies: that for the group of its
// service, which may submit, verify and read, and that of this user's own ancred.
func cookiePlaces(node config.Config) (cookies, error) {
	dir, err := node.NetworkDir()
	if err != nil {
		return nil, err
	}
	own := filepath.Join(dir, datadir.Cookie)
	if config.ServiceRunDir == "" {
		return cookies{own}, nil
	}
	group := filepath.Join(config.ServiceRunDir, datadir.GroupCookie(node.Network))
	if node.OnServiceMachine() {
		return cookies{group}, nil
	}
	return cookies{own, group}, nil
}

// read returns the credentials of this run of the node. It is called again when the node has
// restarted.
func (c cookies) read() (name, password string, err error) {
	for i, path := range c {
		name, password, err = rpc.ReadLocalCookie(path)
		if err == nil {
			return name, password, nil
		}
		if i+1 < len(c) && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		break
	}
	switch path := c[len(c)-1]; {
	case errors.Is(err, fs.ErrPermission):
		return "", "", fmt.Errorf("%w: the user of the register must be in the group %s, which \"sudo usermod -aG %s %s\" does; then restart the register",
			atomicfile.Denied(atPath(err)), config.ServiceGroup, config.ServiceGroup, config.RegisterServiceUnit)
	case errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("the ancred of this machine does not run (there is no cookie file %s): start it, or set node.rpc and node.user if it is on another machine", path)
	}
	return "", "", err
}

// atPath returns the error of the file system alone.
func atPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at
	}
	return err
}

// readPassword returns the only line of the file of a password.
func readPassword(path string) (string, error) {
	p, err := config.ReadPassphrase(path)
	if err != nil {
		return "", fmt.Errorf("node.password_file: %w", err)
	}
	return string(p), nil
}
