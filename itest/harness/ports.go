package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken from below the range that the kernel gives to outgoing connections (32768 and up
// on Linux), so that a connection of someone else does not sit on a port between our choosing it
// and our program binding it, or while our program is down and about to come back on the same port.
const firstPort, lastPort = 16000, 31998

// taken holds the ports that this process has given out: the kernel does not know of them until a
// program binds them.
var taken sync.Map

// freePort returns a loopback port on which nothing listens, and that this process has not given
// out before. Another process may still be faster: whoever starts a program on it tries again on
// another one.
func freePort() (int, error) {
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
