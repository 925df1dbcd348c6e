package spv

import (
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"golang.org/x/time/rate"
)

// allowance is what a peer may send without being asked: so much at once, and so much each second
// after that.
type allowance struct {
	messages, messagesPerSecond int
	bytes, bytesPerSecond       int
}

// defaultAllowance is generous to an honest peer. Such a peer announces each block with some 100
// bytes, pings every two minutes, and names up to 1,000 addresses in 540 kB (BIP155). A developer's
// node may announce a thousand blocks at once. The messages themselves are small beside what each
// costs: a goroutine for each subscriber, a getheaders for each unknown block.
var defaultAllowance = allowance{messages: 2000, messagesPerSecond: 50, bytes: 1 << 20, bytesPerSecond: 64 << 10}

// inboundLimit decides when a message of a peer is taken. It takes answers at once, as many as were
// asked for. Every other message uses up the peer's allowance.
type inboundLimit struct {
	messages, bytes *rate.Limiter

	mu   sync.Mutex
	owed map[string]int // answers that are still to come, by their command
}

func newInboundLimit(a allowance) *inboundLimit {
	return &inboundLimit{
		messages: rate.NewLimiter(rate.Limit(a.messagesPerSecond), a.messages),
		bytes:    rate.NewLimiter(rate.Limit(a.bytesPerSecond), a.bytes),
		owed:     make(map[string]int),
	}
}

// asked notes a message that is sent to the peer.
func (l *inboundLimit) asked(command string, length uint32) {
	q, ok := questions[command]
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed[q.answer] = min(l.owed[q.answer]+q.count(length), q.most)
}

// admit returns how long to wait before a message of the peer is taken. An error says that the
// message is too large to be taken at all.
func (l *inboundLimit) admit(now time.Time, command string, length uint32) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owed[command] > 0 {
		l.owed[command]--
		return 0, nil
	}
	size := frameHeader + int64(length)
	if size > int64(l.bytes.Burst()) {
		return 0, fmt.Errorf("sent a message of %d bytes that was not asked for", size)
	}
	return max(l.messages.ReserveN(now, 1).DelayFrom(now), l.bytes.ReserveN(now, int(size)).DelayFrom(now)), nil
}

// question says which answer a message asks for.
type question struct {
	answer string
	most   int                     // answers that may be owed at a time
	count  func(length uint32) int // answers to one message
}

func one(uint32) int { return 1 }

// inventorySize is the length of one entry of a getdata message: a type and a hash.
const inventorySize = 36

// questions are the messages of neutrino that have long answers. All other answers fit the
// allowance.
var questions = map[string]question{
	wire.CmdGetHeaders:   {wire.CmdHeaders, 16, one},
	wire.CmdGetCFHeaders: {wire.CmdCFHeaders, 64, one},
	wire.CmdGetCFCheckpt: {wire.CmdCFCheckpt, 64, one},
	wire.CmdGetCFilters:  {wire.CmdCFilter, 4 * wire.MaxGetCFiltersReqRange, func(uint32) int { return wire.MaxGetCFiltersReqRange }},
	wire.CmdGetData:      {wire.CmdBlock, 256, func(length uint32) int { return int(length / inventorySize) }},
}
