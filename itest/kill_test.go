package itest

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

var (
	killsFlag = flag.Int("kills", 100, "how often TestKill9UnderLoad kills the daemon, over all kinds of nodes")
	seedFlag  = flag.Uint64("killseed", 0, "seed of its choices, as it logged them; 0: a new one")
)

const (
	shortKills = 6

	// killCycle bounds one kill with its restart on a busy machine. Usually it takes a second.
	killCycle = 8 * time.Second

	// momentWithin is how long the test waits for a moment. After that it kills the daemon anyway.
	momentWithin = 3 * time.Second

	// keptSample is how many of the older acknowledgements are checked after each kill. Newer ones,
	// since the kill before, are all checked.
	keptSample = 200
)

// The daemon is killed again and again at full load. Clients submit digests as fast as they are
// answered: one by one, by the thousand, and at the calendar. Batches are sealed and paid for, and
// blocks come and go. After each kill each acknowledged digest is in its place. In the end all are
// final, and the blocks show that each batch was paid for exactly once.
func TestKill9UnderLoad(t *testing.T) {
	kinds, kills := nodeKinds(t), *killsFlag
	if testing.Short() {
		kinds, kills = kinds[:1], shortKills
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-killseed=%d", seed)
	t.Parallel()
	for i, kind := range kinds {
		share := (kills + i) / len(kinds)
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorldFor(t, kind, patience+time.Duration(share)*killCycle)
			newKiller(w, seed+uint64(i)).run(share)
		})
	}
}

// nodeKinds returns the kinds of nodes that this machine has. A missing kind is a skipped subtest.
func nodeKinds(t *testing.T) []string {
	kinds := []string{"btcd"}
	if _, missing := harness.FindBitcoind(); missing != nil {
		t.Run("bitcoind", func(t *testing.T) { t.Skip(missing) })
		return kinds
	}
	return append(kinds, "bitcoind")
}

// killer kills the daemon at chosen moments.
type killer struct {
	*load
	flood *flood
	sky   *weather
	dice  *rand.Rand
	seed  uint64
	since int64 // in the daemon's log: where its newest start begins
	times map[string]int
}

func newKiller(w *world, seed uint64) *killer {
	return &killer{load: &load{world: w}, seed: seed, dice: rand.New(rand.NewPCG(seed, 1)), times: make(map[string]int)}
}

// moment is when the daemon is killed.
type moment struct {
	name   string
	weight int
	mined  bool // what waits is mined before the daemon starts, so that it finds a payment mined, and makes the next
	await  func(*killer)
}

// moments favour the times at which something is half done. Each waits for its event, and then a
// short random time.
var moments = []moment{
	{"before it answers", 15, false, nil}, // see cycle
	{"when it just answers", 10, false, func(k *killer) { k.littleMore(20 * time.Millisecond) }},
	{"after an acknowledgement", 25, false, func(k *killer) { k.awaitAcks(1 + k.dice.IntN(20)) }},
	{"while a batch is closed", 12, false, func(k *killer) { k.closing() }},
	{"when a batch is sealed", 8, false, func(k *killer) { k.awaitLog(15*time.Millisecond, `msg="batch sealed"`) }},
	{"while an anchor is built", 5, true, func(k *killer) { k.awaitPaying(20*time.Millisecond, `msg="anchor mined"`) }},
	{"between store and broadcast", 16, true, func(k *killer) { k.awaitPaying(0, stored...) }},
	{"while an anchor is broadcast", 10, true, func(k *killer) { k.awaitPaying(100*time.Millisecond, stored...) }},
	{"when a block comes", 6, false, func(k *killer) { k.awaitSynced(); k.sky.ask(mineSoon); k.littleMore(150 * time.Millisecond) }},
	{"when blocks are undone", 6, true, func(k *killer) { k.awaitSynced(); k.sky.ask(stormSoon); k.littleMore(150 * time.Millisecond) }},
	{"at any time", 10, false, func(k *killer) { k.littleMore(600 * time.Millisecond) }},
}

// stored is what the daemon logs between storing a transaction and broadcasting it.
var stored = []string{`msg="anchor stored"`, `msg="anchor replaced"`}

func (k *killer) pick() moment {
	sum := 0
	for _, m := range moments {
		sum += m.weight
	}
	n := k.dice.IntN(sum)
	for _, m := range moments {
		if n -= m.weight; n < 0 {
			return m
		}
	}
	panic("unreachable")
}

func (k *killer) run(kills int) {
	k.Helper()
	k.daemon.Set("batch", "interval", `"1s"`)
	k.daemon.Set("calendar", "rate_limit", "0")
	k.daemon.Set("calendar", "max_digests", "0")
	k.startQuick(0)
	for range 4 { // some coins, so that a lost lease would show
		_, err := k.node.SendTo(k.ctx, k.address, 5_000_000)
		k.must(err)
	}
	k.must(k.node.Mine(k.ctx, 1, ""))
	k.awaitBalance(4 * 5_000_000)
	k.must(k.daemon.Kill9())

	k.load = k.startLoad(k.seed)
	k.flood = k.startFlood(k.seed)
	k.sky = k.startWeather(k.seed)
	began, checked := time.Now(), 0
	for range kills {
		checked = k.cycle(checked)
	}
	took := time.Since(began)
	k.sky.halt()
	k.flood.halt()
	k.halt()
	k.start()
	k.wantAllFinal()
	k.flood.wantKept(k.flood.promised(), k.dice)
	k.wantPaidOnce()
	told := fmt.Sprintf("%d batches, %d anchors, %d payments in %d blocks", len(k.batches()), len(k.anchors()), len(k.payments()), k.sky.blocks)
	k.must(k.daemon.Stop())
	k.flood.wantAllStored()
	if k.Failed() {
		return // what was promised does not hold: no figures
	}
	k.Logf("%d kills in %s, %.2f s each: %d digests acknowledged, %s; lost 0, paid twice 0\nkilled: %s",
		kills, took.Round(time.Second), took.Seconds()/float64(kills), uint64(k.acked())+k.flood.acks, told, k.told())
}

// cycle starts the daemon, checks, and kills it. Acknowledgements up to checked were checked
// before.
func (k *killer) cycle(checked int) int {
	k.Helper()
	m := k.pick()
	if m.mined {
		<-k.sky.ask(mineSoon)
	}
	k.since = k.daemon.LogSize()
	k.must(k.daemon.Launch())
	defer func() { k.must(k.daemon.Kill9()) }()
	if m.await == nil {
		k.times[m.name]++
		k.littleMore(120 * time.Millisecond)
		return checked
	}
	// What was acknowledged before the kill: clients go on as soon as the daemon answers.
	acked, promised := k.acked(), k.flood.promised()
	k.must(k.daemon.AwaitUp(k.ctx))
	k.wantKept(checked, acked, keptSample, k.dice)
	k.flood.wantKept(promised, k.dice)
	k.wantSealedForEver()
	m.await(k)
	k.times[m.name]++
	return acked
}

// littleMore waits a random time of at most most.
func (k *killer) littleMore(most time.Duration) {
	if most > 0 {
		pause(k.ctx, time.Duration(k.dice.Int64N(int64(most))))
	}
}

// awaitAcks waits for some acknowledgements from now on.
func (k *killer) awaitAcks(n int) {
	ctx, cancel := context.WithTimeout(k.ctx, momentWithin)
	defer cancel()
	for want := k.acked() + n; k.acked() < want; {
		select {
		case <-k.acks:
		case <-ctx.Done():
			return
		}
	}
}

// closing asks the daemon to close the batch, and does not wait for the answer.
func (k *killer) closing() {
	k.awaitAcks(1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = k.daemon.Call(k.ctx, nil, "closebatch") // its answer may never come
	}()
	k.littleMore(12 * time.Millisecond)
	k.must(k.daemon.Kill9())
	<-done
}

// awaitLog waits until this run of the daemon has logged one of the words, and a short random time
// longer.
func (k *killer) awaitLog(more time.Duration, words ...string) {
	k.awaitLogAnd(func() {}, more, words...)
}

// awaitPaying is awaitLog while block after block is mined, so that the payment in flight is mined
// and the next one can be made.
func (k *killer) awaitPaying(more time.Duration, words ...string) {
	k.awaitSynced()
	k.awaitLogAnd(func() { <-k.sky.ask(mineSoon) }, more, words...)
}

func (k *killer) awaitLogAnd(meanwhile func(), more time.Duration, words ...string) {
	ctx, cancel := context.WithTimeout(k.ctx, momentWithin)
	defer cancel()
	look, now := time.NewTicker(time.Millisecond), time.NewTicker(300*time.Millisecond)
	defer look.Stop()
	defer now.Stop()
	for {
		text := k.daemon.LogFrom(k.since)
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) {
			k.littleMore(more)
			return
		}
		select {
		case <-look.C:
		case <-now.C:
			meanwhile()
		case <-ctx.Done():
			return
		}
	}
}

// awaitSynced waits until the daemon is in sync: only then does it pay.
func (k *killer) awaitSynced() { k.awaitLog(0, `msg="light client synced"`) }

// wantAllFinal mines until every batch is final, and checks each digest once more.
func (k *killer) wantAllFinal() {
	k.Helper()
	k.call(nil, "closebatch")
	k.mineUntilFinal()
	k.must(k.fault)
	taken, oneOf := make(map[string]string), make(map[uint64]string)
	k.states(k.book, func(was, now rpc.Entry) {
		if now.Batch != was.Batch || now.Index != was.Index || now.State != "final" {
			k.Fatalf("in the end %s, acknowledged as %s", describe(now), describe(was))
		}
		place := fmt.Sprint(now.Batch, " ", now.Index)
		if other, twice := taken[place]; twice {
			k.Fatalf("%s and %s are at one place: batch %d, index %d", other, now.Digest, now.Batch, now.Index)
		}
		taken[place], oneOf[now.Batch] = now.Digest, now.Digest
	})
	for _, digest := range oneOf { // one of each batch
		var p rpc.Proof
		k.call(&p, "getproof", digest)
		var v rpc.Verification
		k.call(&v, "verifyproof", digest, p.Proof)
		if !p.Complete || v.Result != "valid" {
			k.Fatalf("proof of %s: %+v, want it complete and valid", digest, v)
		}
	}
}

func (k *killer) told() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(k.times)) {
		parts = append(parts, fmt.Sprintf("%d %s", k.times[name], name))
	}
	return strings.Join(parts, ", ")
}

// weather makes blocks until it is stopped. Meanwhile only weather uses the node.
type weather struct {
	w      *world
	dice   *rand.Rand
	asked  chan request
	stop   context.CancelFunc
	over   chan struct{} // closed when it has ended
	err    error         // why, then
	blocks int           // how many were on top, one after the other; read after halt
}

// wish is a request to the weather.
type wish int

const (
	mineSoon  wish = iota // a block with all that waits
	stormSoon             // a reorganisation
)

type request struct {
	wish
	done chan struct{}
}

// The weather's own blocks are so rare that most starts find no new one. The daemon is in
// sync at once then, and goes on to pay.
const (
	calmLeast = 500 * time.Millisecond
	calmMost  = 2500 * time.Millisecond
)

func (w *world) startWeather(seed uint64) *weather {
	ctx, stop := context.WithCancel(w.ctx)
	s := &weather{w: w, dice: rand.New(rand.NewPCG(seed, 2)), asked: make(chan request), stop: stop, over: make(chan struct{})}
	go func() {
		defer close(s.over)
		s.err = s.last(ctx)
	}()
	return s
}

// ask has the weather do something at once. The channel is closed when that is done.
func (s *weather) ask(x wish) (done <-chan struct{}) {
	r := request{x, make(chan struct{})}
	select {
	case s.asked <- r:
	case <-s.over: // halt tells why
		close(r.done)
	}
	return r.done
}

func (s *weather) halt() {
	s.w.Helper()
	s.stop()
	<-s.over
	s.w.must(s.err)
}

func (s *weather) last(ctx context.Context) error {
	const mine, empty, storm = 12, 15, 20
	for {
		kind, r := s.dice.IntN(storm), request{done: make(chan struct{})}
		timer := time.NewTimer(calmLeast + time.Duration(s.dice.Int64N(int64(calmMost-calmLeast))))
		select {
		case <-timer.C:
		case r = <-s.asked:
			kind = 0
			if r.wish == stormSoon {
				kind = empty
			}
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			close(r.done)
			return nil
		}
		// The node is not interrupted in the middle of a call: only the test's own end does that.
		var err error
		switch {
		case kind < mine:
			err = s.w.node.Mine(s.w.ctx, 1, "")
		case kind < empty:
			err = s.w.node.MineEmpty(s.w.ctx, 1)
		default:
			err = s.w.node.Reorg(s.w.ctx, 1+s.dice.IntN(3))
		}
		close(r.done)
		if err != nil {
			return fmt.Errorf("weather: %w", err)
		}
		s.blocks++
	}
}
