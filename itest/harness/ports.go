package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken from below the range that the kernel gives to outgoing connections (32768 and up
// on Linux). Otherwise a connection could take a port before our program binds it, or while our
// program restarts on the same port.
const firstPort, lastPort = 16000, 31998

// taken holds the ports that this process has given out: the kernel does not know of them until a
// program binds them.
var taken sync.Map

// FreePort returns a loopback port on which nothing listens, and that this process has not given
// out before. Another process may still take it first. The caller then tries another port.
func FreePort() (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if _, used := taken.LoadOrStore(port, true); used {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		l.Close()
		return port, nil
	}
	return 0, fmt.Errorf("no free loopback port between %d and %d", firstPort, lastPort)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
