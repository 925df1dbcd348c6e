package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"ancre/internal/command"
	"ancre/rpc"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// bitcoindCookie is the name of bitcoind's cookie file.
const bitcoindCookie = ".cookie"

// bitcoind's own names: the directory of each network's cookie below its data directory, and the
// ports of its JSON-RPC (bitcoind -help). btcd's simnet has a port but no cookie.
var (
	bitcoindDirs  = map[string]string{"mainnet": "", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
	bitcoindPorts = map[string]string{"mainnet": "8332", "testnet4": "48332", "signet": "38332", "regtest": "18443", "simnet": "18556"}
)

// nodeSource is the node at a URL: a bitcoind, or another ancred. Its credentials are those of
// --rpc-user or --rpc-cookie. Otherwise they come from bitcoind's cookie on this machine.
func (a *app) nodeSource(ctx context.Context, node, network string, params *chaincfg.Params) (verify.Source, func() error, error) {
	addr, err := nodeAddress(node, network)
	if err != nil {
		return nil, nil, err
	}
	client, err := a.nodeClient(ctx, node, addr, network)
	if err != nil {
		return nil, nil, err
	}
	client.Hint = "is the node running, with -server=1, and is this the address of its RPC?"
	src := &verify.NodeSource{
		Client: client, Params: params,
		OtherNetwork: "name its network with --network, or another node",
		Bitcoind:     "name a bitcoind with --node",
	}
	return src, func() error { client.Close(); return nil }, nil
}

func (a *app) nodeClient(ctx context.Context, node, addr, network string) (*rpc.Client, error) {
	if a.rpcUser != "" {
		if a.rpcCookie != "" {
			return nil, command.Usagef("--rpc-user and --rpc-cookie exclude each other")
		}
		password, err := a.password(ctx)
		if err != nil {
			return nil, err
		}
		return asUsage(rpc.NewClient(addr, a.rpcUser, password))
	}
	cookie := a.rpcCookie
	if cookie == "" {
		// The cookie of this machine must not be sent to another one.
		if !isLoopback(addr) {
			return nil, command.Usagef("--node %s is not on this machine: name --rpc-user, and put the password into %s", node, passwordVariable)
		}
		dir, known := bitcoindDirs[network]
		home, err := bitcoindHome()
		if !known || err != nil {
			return nil, command.Usagef("--node %s: name its cookie file with --rpc-cookie, or a user with --rpc-user", node)
		}
		cookie = filepath.Join(home, dir, bitcoindCookie)
		if !exists(cookie) {
			return nil, command.Usagef("--node %s: there is no cookie of a bitcoind at %s: name the file with --rpc-cookie, or a user with --rpc-user", node, cookie)
		}
	}
	return asUsage(rpc.NewCookieClient(addr, cookie))
}

func asUsage(c *rpc.Client, err error) (*rpc.Client, error) {
	if err != nil {
		return nil, command.Exit(exitUsage, err)
	}
	return c, nil
}

// bitcoindHome is bitcoind's data directory unless configured (Bitcoin Core, doc/files.md).
func bitcoindHome() (string, error) {
	if runtime.GOOS == "windows" {
		dir, err := os.UserConfigDir()
		return filepath.Join(dir, "Bitcoin"), err
	}
	home, err := os.UserHomeDir()
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "Bitcoin"), err
	}
	return filepath.Join(home, ".bitcoin"), err
}

// nodeAddress reads the value of --node: HOST, HOST:PORT or a URL, without credentials. The default
// port is bitcoind's for the network.
func nodeAddress(node, network string) (string, error) {
	full := node
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err == nil && u.User != nil || strings.Contains(full, "@") {
		// The error must not repeat the value: it holds a password.
		return "", command.Usagef("--node holds a user or password, which others would see in the list of processes: use --rpc-cookie, or --rpc-user and %s", passwordVariable)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", command.Usagef("--node %q: must be HOST, HOST:PORT, http://HOST:PORT or https://HOST:PORT", node)
	}
	if u.Port() == "" && u.Scheme == "http" {
		u.Host = net.JoinHostPort(u.Hostname(), bitcoindPorts[network])
	}
	return u.String(), nil
}
