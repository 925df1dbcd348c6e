package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/rpc"
	"ancre/spv"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// nodeTimeout is how long a node may take for one answer. bitcoind looks headers up in its memory.
const nodeTimeout = time.Minute

// bitcoindCookie is the name of bitcoind's cookie file.
const bitcoindCookie = ".cookie"

// bitcoind's own names: of the directory of each network's cookie below its data directory, and of
// the ports of its JSON-RPC (bitcoind -help). btcd's simnet has a port, and no cookie.
var (
	bitcoindDirs  = map[string]string{"mainnet": "", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
	bitcoindPorts = map[string]string{"mainnet": "8332", "testnet4": "48332", "signet": "38332", "regtest": "18443", "simnet": "18556"}
)

// nodeSource is the node at a URL: a bitcoind, or another ancred. Its credentials are those of --rpc-user
// or --rpc-cookie, or else, on this machine, the cookie where bitcoind puts it.
func (a *app) nodeSource(ctx context.Context, node string) (*source, error) {
	cfg, params, err := a.network()
	if err != nil {
		return nil, err
	}
	addr, err := nodeAddress(node, cfg.Network)
	if err != nil {
		return nil, err
	}
	client, err := a.nodeClient(ctx, node, addr, cfg.Network)
	if err != nil {
		return nil, err
	}
	client.Hint = "is the node running, with -server=1, and is this the address of its RPC?"
	headers := &nodeHeaders{client: client, params: params}
	return &source{
		HeaderSource: headers,
		kind:         "node",
		from:         client.URL(),
		trusted:      "headers from the node at " + client.URL(),
		caution:      "Each header fits its hash; that it is in the true chain is the word of that node, and of whoever runs it.",
		tip:          headers.tip,
		lacks:        headers.lacks,
		madeAtWill:   params.GenerateSupported,
		close:        func() error { client.Close(); return nil },
	}, nil
}

func (a *app) nodeClient(ctx context.Context, node, addr, network string) (*rpc.Client, error) {
	if a.rpcUser != "" {
		if a.rpcCookie != "" {
			return nil, usagef("--rpc-user and --rpc-cookie exclude each other")
		}
		password, err := a.password(ctx)
		if err != nil {
			return nil, err
		}
		return asUsage(rpc.NewClient(addr, a.rpcUser, password))
	}
	cookie := a.rpcCookie
	if cookie == "" {
		// This machine's cookie is no business of another one.
		if !isLoopback(addr) {
			return nil, usagef("--node %s is not on this machine: name --rpc-user, and put the password into %s", node, passwordVariable)
		}
		dir, known := bitcoindDirs[network]
		home, err := bitcoindHome()
		if !known || err != nil {
			return nil, usagef("--node %s: name its cookie file with --rpc-cookie, or a user with --rpc-user", node)
		}
		cookie = filepath.Join(home, dir, bitcoindCookie)
		if !exists(cookie) {
			return nil, usagef("--node %s: there is no cookie of a bitcoind at %s: name the file with --rpc-cookie, or a user with --rpc-user", node, cookie)
		}
	}
	return asUsage(rpc.NewCookieClient(addr, cookie))
}

func asUsage(c *rpc.Client, err error) (*rpc.Client, error) {
	if err != nil {
		return nil, &exitError{exitUsage, err}
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

// nodeAddress reads the value of --node: HOST, HOST:PORT or a URL, without credentials. Without a
// port it is the one that bitcoind has for the network.
func nodeAddress(node, network string) (string, error) {
	full := node
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err == nil && u.User != nil || strings.Contains(full, "@") {
		// Not repeated in the error: it holds a password.
		return "", usagef("--node holds a user or password, which others would see in the list of processes: use --rpc-cookie, or --rpc-user and %s", passwordVariable)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", usagef("--node %q: must be HOST, HOST:PORT, http://HOST:PORT or https://HOST:PORT", node)
	}
	if u.Port() == "" && u.Scheme == "http" {
		u.Host = net.JoinHostPort(u.Hostname(), bitcoindPorts[network])
	}
	return u.String(), nil
}

// nodeHeaders are the headers of a node that is not ours: it must be of the right network, and
// answer in time.
type nodeHeaders struct {
	client *rpc.Client
	params *chaincfg.Params

	mu    sync.Mutex
	known bool // that it is of the network
}

var _ proof.HeaderSource = (*nodeHeaders)(nil)

// Header implements [proof.HeaderSource].
func (n *nodeHeaders) Header(ctx context.Context, height uint64) (h proof.Header, err error) {
	err = n.ask(ctx, func(ctx context.Context) error {
		if err := n.checkNetwork(ctx); err != nil {
			return err
		}
		h, err = n.client.Header(ctx, height)
		return err
	})
	return h, err
}

func (n *nodeHeaders) tip(ctx context.Context) (height int64, err error) {
	err = n.ask(ctx, func(ctx context.Context) error {
		height, err = tipOf(n.client)(ctx)
		return err
	})
	return height, err
}

// lacks says how far the node is, which may be downloading the chain still.
func (n *nodeHeaders) lacks(ctx context.Context, _ uint64) (why, needed string) {
	var info rpc.BlockchainInfo
	err := n.ask(ctx, func(ctx context.Context) (err error) {
		info, err = n.client.BlockchainInfo(ctx)
		return err
	})
	switch {
	case err != nil:
		return "", "wait until the node has it, or name another source"
	case info.InitialBlockDownload || info.Blocks < info.Headers:
		return fmt.Sprintf("the node at %s is still syncing (block %s of %s)", n.client.URL(), humanize.Count(info.Blocks), humanize.Count(info.Headers)), "wait for the node, or name another source"
	}
	return fmt.Sprintf("the newest block of the node at %s is %s", n.client.URL(), humanize.Count(info.Blocks)), "wait until the node has it, or name another source"
}

// ask bounds how long the node may take.
func (n *nodeHeaders) ask(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	err := call(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the node at %s gave no answer within %v: is it the address of its RPC?", n.client.URL(), nodeTimeout)
	}
	return err
}

// checkNetwork compares the node's first block with the network's, once.
func (n *nodeHeaders) checkNetwork(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known {
		return nil
	}
	first, err := n.client.BlockHash(ctx, 0)
	if err != nil {
		return err
	}
	if first != n.params.GenesisHash.String() {
		of := "another network"
		for _, name := range spv.Networks() {
			if p, err := spv.Params(name); err == nil && p.GenesisHash.String() == first {
				of = name
			}
		}
		return fmt.Errorf("the node at %s is of %s, and headers of %s are wanted: name its network with --network, or another node", n.client.URL(), of, n.params.Name)
	}
	n.known = true
	return nil
}
