package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/wire/v2"
)

// Proxy is a connection between the daemon and a node that can be made to fail. Close it after use.
type Proxy struct {
	target string
	listen net.Listener
	wait   sync.WaitGroup

	mu        sync.Mutex
	conns     map[net.Conn]bool
	stalled   chan struct{} // nil: bytes flow; else closed when they do again
	drop      []string      // commands that do not reach the node
	swallowed int           // how many did not
	closed    bool
}

// NewProxy starts a proxy in front of target, which is HOST:PORT.
func NewProxy(target string) (*Proxy, error) {
	for range startTries {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue // someone was faster
		}
		return proxyAt(l, target), nil
	}
	return nil, errors.New("no port for a proxy")
}

func proxyAt(l net.Listener, target string) *Proxy {
	p := &Proxy{target: target, listen: l, conns: make(map[net.Conn]bool)}
	p.wait.Go(p.serve)
	return p
}

// Addr is where the proxy listens, as HOST:PORT.
func (p *Proxy) Addr() string { return p.listen.Addr().String() }

// Cut ends all connections. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Stall keeps connections and accepts new ones, but passes no byte in either direction. When it
// ends, the bytes that came meanwhile are passed on.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.stalled == nil:
		p.stalled = make(chan struct{})
	case !on && p.stalled != nil:
		close(p.stalled)
		p.stalled = nil
	}
}

// Swallow drops messages of these kinds ("getdata", "inv") on their way to the node, until it is
// called again.
func (p *Proxy) Swallow(commands ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = commands
}

// Swallowed returns the number of messages that were dropped so far.
func (p *Proxy) Swallowed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.swallowed
}

// Close ends everything.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Stall(false)
	err := p.listen.Close()
	p.Cut()
	p.wait.Wait()
	return err
}

func (p *Proxy) serve() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return // closed
		}
		node, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close() // the node is down: so is the line
			continue
		}
		if !p.hold(client, node) {
			client.Close()
			node.Close()
			return
		}
		// Each pump ends both connections, and so the other one.
		end := func() {
			client.Close()
			node.Close()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.conns, client)
			delete(p.conns, node)
		}
		p.wait.Go(func() {
			defer end()
			_ = p.toNode(client, node)
		})
		p.wait.Go(func() {
			defer end()
			_, _ = io.Copy(gate{p, client}, node)
		})
	}
}

// hold keeps connections for Cut, unless the proxy is closed.
func (p *Proxy) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.closed
}

// toNode passes messages on one by one. (Their frame: magic 4, command 12, length 4, checksum 4, as
// in the protocol without encryption.)
func (p *Proxy) toNode(client, node net.Conn) error {
	const headerSize, commandAt, lengthAt, sumAt = 24, 4, 16, 20
	out := gate{p, node}
	for {
		header := make([]byte, headerSize)
		if _, err := io.ReadFull(client, header); err != nil {
			return err
		}
		if magic := wire.BitcoinNet(binary.LittleEndian.Uint32(header)); magic != params.Net {
			return fmt.Errorf("a message begins with %x: is the line encrypted?", uint32(magic))
		}
		body := make([]byte, min(binary.LittleEndian.Uint32(header[lengthAt:sumAt]), wire.MaxMessagePayload))
		if _, err := io.ReadFull(client, body); err != nil {
			return err
		}
		command := string(header[commandAt:lengthAt])
		for len(command) > 0 && command[len(command)-1] == 0 {
			command = command[:len(command)-1]
		}
		p.mu.Lock()
		drop := slices.Contains(p.drop, command)
		if drop {
			p.swallowed++
		}
		p.mu.Unlock()
		if drop {
			continue
		}
		if _, err := out.Write(append(header, body...)); err != nil {
			return err
		}
	}
}

// gate is a connection that reads nothing while the proxy stalls.
type gate struct {
	p *Proxy
	net.Conn
}

func (g gate) Write(b []byte) (int, error) {
	g.p.mu.Lock()
	stalled := g.p.stalled
	g.p.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	return g.Conn.Write(b)
}
