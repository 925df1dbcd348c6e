package spv

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// allowance is what a peer may send without being asked: so much at once, and so much each second
// after that.
type allowance struct {
	messages, messagesPerSecond int
	bytes, bytesPerSecond       int
}

// defaultAllowance is generous to an honest peer. That announces each block with some 100 bytes,
// pings every two minutes, and names up to 1,000 addresses in 540 kB (BIP155). A developer's node
// announces a thousand blocks at once. Messages are small beside what each costs: a goroutine for
// each subscriber, a getheaders for each unknown block.
var defaultAllowance = allowance{messages: 2000, messagesPerSecond: 50, bytes: 1 << 20, bytesPerSecond: 64 << 10}

// gate decides when a message of a peer is taken. Answers to questions are taken at once, as many
// as were asked for. Everything else is paid for from the peer's allowance.
type gate struct {
	messages, bytes *rate.Limiter

	mu   sync.Mutex
	owed map[string]int // answers that are still to come, by their command
}

func newGate(a allowance) *gate {
	return &gate{
		messages: rate.NewLimiter(rate.Limit(a.messagesPerSecond), a.messages),
		bytes:    rate.NewLimiter(rate.Limit(a.bytesPerSecond), a.bytes),
		owed:     make(map[string]int),
	}
}

// asked notes a message that is sent to the peer.
func (g *gate) asked(command string, length uint32) {
	q, ok := questions[command]
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.owed[q.answer] = min(g.owed[q.answer]+q.count(length), q.most)
}

// admit returns how long to wait before a message of the peer is taken. An error says that it is
// too large to be taken at all.
func (g *gate) admit(now time.Time, command string, length uint32) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.owed[command] > 0 {
		g.owed[command]--
		return 0, nil
	}
	size := frameHeader + int64(length)
	if size > int64(g.bytes.Burst()) {
		return 0, fmt.Errorf("sent a message of %d bytes that was not asked for", size)
	}
	return max(g.messages.ReserveN(now, 1).DelayFrom(now), g.bytes.ReserveN(now, int(size)).DelayFrom(now)), nil
}
