// Package loopback tells this machine from others by name alone. It asks no resolver: a resolver's
// answer may be anyone's.
package loopback

import (
	"net/netip"
)

// IsHost reports whether a host, a name or an IP address without port and brackets, is this
// machine.
func IsHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
