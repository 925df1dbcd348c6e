package spv

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// peerAddresses checks the addresses of configured peers, adds the default port where there is
// none, and drops repetitions.
func peerAddresses(peers []string, defaultPort string) ([]string, error) {
	seen := make(map[string]bool)
	var out []string
	for _, p := range peers {
		host, port, err := splitHostPort(p, defaultPort)
		if err != nil {
			return nil, fmt.Errorf("peer %q: %w", p, err)
		}
		addr := net.JoinHostPort(host, port)
		if !seen[addr] {
			seen[addr] = true
			out = append(out, addr)
		}
	}
	return out, nil
}

// checkProxy checks the address of a SOCKS5 proxy.
func checkProxy(addr string) error {
	if _, _, err := splitHostPort(addr, ""); err != nil {
		return fmt.Errorf("proxy %q: %w", addr, err)
	}
	return nil
}

// splitHostPort splits HOST, HOST:PORT, IPv6 or [IPv6]:PORT. If defaultPort is empty, the port must
// be given.
func splitHostPort(s, defaultPort string) (host, port string, err error) {
	want := "it must be HOST:PORT"
	if defaultPort != "" {
		want = "it must be HOST or HOST:PORT"
	}
	host, port = s, defaultPort
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		host = ip.String() // an IPv6 address has colons, and here no port
	} else if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	} else if strings.Contains(s, ":") {
		return "", "", errors.New(want)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q: %s, with a port from 1 to 65535", port, want)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() {
			return "", "", fmt.Errorf("%s is not the address of a single host", ip)
		}
		return host, port, nil
	}
	if !isHostName(host) {
		return "", "", fmt.Errorf("host %q: %s, where HOST is a name or an IP address", host, want)
	}
	return strings.ToLower(host), port, nil
}

// isHostName reports whether a host can be a DNS name or an onion service.
func isHostName(host string) bool {
	const longest = 253 // RFC 1035, written with dots
	other := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}
	return host != "" && len(host) <= longest && strings.IndexFunc(host, other) < 0
}
