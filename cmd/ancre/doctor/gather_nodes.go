package doctor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"ancre/spv"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"golang.org/x/net/proxy"
)

const (
	// nodeTime is how long a node may take to answer, proxyTime how long one behind a proxy may.
	nodeTime  = 6 * time.Second
	proxyTime = 12 * time.Second

	maxNodes = 6 // that are tried
	maxSeeds = 4 // that are looked up
)

// services are what a node must offer to be of use; a DNS seed is asked for such nodes.
const services = wire.SFNodeNetwork | wire.SFNodeWitness | wire.SFNodeCF

// reach tries to reach Bitcoin nodes, as the daemon would: the configured ones, or those that the
// DNS seeds name, and all through the proxy if there is one.
//
// Without the configuration nothing is tried: it may name a proxy that hides this machine.
func (g *gatherer) reach(ctx context.Context) {
	if _, ok := g.settings.Get(); !ok {
		why := g.settings.missing
		if g.settings.denied {
			why = "not tried, because you may not read the configuration, which may name a proxy"
		}
		g.put(func(f *Facts) { f.Reach = Fact[Reach]{denied: g.settings.denied, missing: why} })
		return
	}
	params, err := spv.Params(g.cfg.Network)
	if err != nil {
		g.put(func(f *Facts) { f.Reach = Missing[Reach](err.Error()) })
		return
	}
	r := reachNodes(ctx, params, g.cfg.SPV.Connect, g.cfg.SPV.AddPeers, g.cfg.SPV.Proxy)
	g.put(func(f *Facts) { f.Reach = Known(r) })
}

func reachNodes(ctx context.Context, params *chaincfg.Params, connect, add []string, through string) Reach {
	r := Reach{Port: params.DefaultPort}
	dial, timeout := new(net.Dialer).DialContext, nodeTime
	if through != "" {
		conn, err := (&net.Dialer{Timeout: nodeTime}).DialContext(ctx, "tcp", through)
		if err != nil {
			r.ProxyErr = plainDial(err)
			return r
		}
		conn.Close()
		socks, err := proxy.SOCKS5("tcp", through, nil, new(net.Dialer))
		if err != nil {
			r.ProxyErr = err.Error()
			return r
		}
		dial, timeout = socks.(proxy.ContextDialer).DialContext, proxyTime
	}
	nodes := connect
	if len(connect) == 0 {
		nodes = add
		switch seeds := params.DNSSeeds; {
		case len(seeds) == 0 && len(add) == 0:
			r.NoSeeds = true
			return r
		case through != "": // the proxy looks the names up
			for _, seed := range seeds {
				nodes = append(nodes[:len(nodes):len(nodes)], seed.Host)
			}
		default:
			nodes = append(nodes[:len(nodes):len(nodes)], r.lookUp(ctx, seeds)...)
		}
	}
	r.Tries = make([]Try, min(len(nodes), maxNodes))
	var all sync.WaitGroup
	for i := range r.Tries {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			r.Tries[i] = tryNode(ctx, dial, withPort(nodes[i], params.DefaultPort), params.Net)
		})
	}
	all.Wait()
	return r
}

// lookUp asks the DNS seeds for nodes, and returns one or two of each.
func (r *Reach) lookUp(ctx context.Context, seeds []chaincfg.DNSSeed) (nodes []string) {
	seeds = seeds[:min(len(seeds), maxSeeds)]
	answers := make([][]net.IP, len(seeds))
	errs := make([]error, len(seeds))
	var all sync.WaitGroup
	for i, seed := range seeds {
		host := seed.Host
		if seed.HasFiltering {
			host = fmt.Sprintf("x%x.%s", uint64(services), host)
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, nodeTime)
			defer cancel()
			answers[i], errs[i] = net.DefaultResolver.LookupIP(ctx, "ip", host)
		})
	}
	all.Wait()
	r.Lookups = len(seeds)
	for i, err := range errs {
		if err != nil {
			r.NotFound++
			r.Lookup = plainDial(err)
			continue
		}
		// IPv4 first: many machines have no IPv6, and that is not what is wrong with them.
		var four, six []string
		for _, ip := range answers[i] {
			if ip.To4() != nil {
				four = append(four, ip.String())
			} else {
				six = append(six, ip.String())
			}
		}
		if len(four) == 0 {
			four = six
		}
		nodes = append(nodes, four[:min(len(four), 2)]...)
	}
	return nodes
}

// withPort adds the port of the network to a HOST without one.
func withPort(node, port string) string {
	if _, _, err := net.SplitHostPort(node); err == nil {
		return node
	}
	return net.JoinHostPort(strings.Trim(node, "[]"), port)
}

// tryNode greets a node as a peer would, and says what it answers.
func tryNode(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error), addr string, magic wire.BitcoinNet) Try {
	t := Try{Address: addr}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		t.Err, t.Timeout = plainDial(err), isTimeout(err)
		return t
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	version, err := greet(conn, magic)
	switch {
	case ctx.Err() != nil:
		t.Err = "it accepts the connection and does not answer"
	case err != nil:
		t.Err = "it does not answer as a Bitcoin node of this network: " + err.Error()
	default:
		t.Filters = version.Services&wire.SFNodeCF != 0
		t.Ahead = time.Until(version.Timestamp).Round(time.Second)
	}
	return t
}

// greet sends a version message and returns the node's.
func greet(conn net.Conn, magic wire.BitcoinNet) (*wire.MsgVersion, error) {
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	nobody := wire.NewNetAddressIPPort(net.IPv4zero, 0, 0)
	hello := wire.NewMsgVersion(nobody, nobody, binary.LittleEndian.Uint64(nonce[:]), 0)
	if err := wire.WriteMessage(conn, hello, wire.ProtocolVersion, magic); err != nil {
		return nil, err
	}
	const patience = 4 // messages that may come before it
	for range patience {
		msg, _, err := wire.ReadMessage(conn, wire.ProtocolVersion, magic)
		if errors.Is(err, wire.ErrUnknownMessage) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if version, ok := msg.(*wire.MsgVersion); ok {
			return version, nil
		}
	}
	return nil, errors.New("it sends no version")
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// plainDial puts an error of a connection or a look-up into few words.
func plainDial(err error) string {
	var dns *net.DNSError
	var system syscall.Errno
	switch {
	case isTimeout(err):
		return "no answer in time"
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &system):
		return system.Error()
	}
	return err.Error()
}
