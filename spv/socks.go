package spv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// SOCKS5 (RFC 1928), and the command RESOLVE by which Tor extends it (torspec, socks-extensions).
const (
	socksVersion    = 5
	socksNoAuth     = 0
	socksResolve    = 0xf0
	socksDomain     = 3
	socksIPv4       = 1
	socksIPv6       = 4
	socksNotCommand = 7
)

var errNoResolve = errors.New("the proxy does not look up names (it is not Tor): name peers in spv.connect or spv.add_peers instead")

// resolveThrough asks a SOCKS5 proxy for the address of a name. Tor answers; most other proxies
// only connect.
func resolveThrough(ctx context.Context, proxy, host string) (net.IP, error) {
	if len(host) > 255 {
		return nil, fmt.Errorf("a name of %d bytes: at most 255 are allowed", len(host))
	}
	var nd net.Dialer
	conn, err := nd.DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	// If the context has no deadline, or ends before it, the connection is closed, which ends the
	// exchange.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	if _, err := conn.Write([]byte{socksVersion, 1, socksNoAuth}); err != nil {
		return nil, err
	}
	var choice [2]byte
	if _, err := io.ReadFull(conn, choice[:]); err != nil {
		return nil, err
	}
	if choice != [2]byte{socksVersion, socksNoAuth} {
		return nil, errors.New("it is not a SOCKS5 proxy, or asks for a password")
	}

	request := append([]byte{socksVersion, socksResolve, 0, socksDomain, byte(len(host))}, host...)
	if _, err := conn.Write(append(request, 0, 0)); err != nil {
		return nil, err
	}
	var reply [4]byte
	if _, err := io.ReadFull(conn, reply[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errNoResolve
		}
		return nil, err
	}
	switch {
	case reply[0] != socksVersion:
		return nil, errors.New("it does not answer as a SOCKS5 proxy")
	case reply[1] == socksNotCommand:
		return nil, errNoResolve
	case reply[1] != 0:
		return nil, fmt.Errorf("SOCKS5 error %d", reply[1])
	}
	var ip net.IP
	switch reply[3] {
	case socksIPv4:
		ip = make(net.IP, net.IPv4len)
	case socksIPv6:
		ip = make(net.IP, net.IPv6len)
	default:
		return nil, fmt.Errorf("SOCKS5 answer with address type %d: it must be an IPv4 or IPv6 address", reply[3])
	}
	if _, err := io.ReadFull(conn, ip); err != nil {
		return nil, err
	}
	return ip, nil
}
