package batcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ancre/batcher/decide"
	"ancre/batcher/store"
)

var (
	seedsFlag = flag.Uint64("seeds", 0, "how many lives TestSimulation lives, of seeds 1 on or those from -seed on (500 unless given)")
	seedFlag  = flag.Uint64("seed", 0, "without -seeds: live this life only, and tell its story")
)

// TestSimulation lives many lives of a daemon, each from one seed. The chain forks, peers hear
// nothing, mempools ask for more, the wallet runs dry, the clock jumps, the disk fails before or
// after a write took effect, and the process is killed between any two calls of the outside. The
// promises are checked after each step. Each life has a calm ending, in which every acknowledged
// digest must become final. A seed that fails prints its story, and -seed lives it again exactly.
func TestSimulation(t *testing.T) {
	first, lives := max(*seedFlag, 1), *seedsFlag
	if lives == 0 {
		lives = 500
	}
	if *seedFlag != 0 && *seedsFlag == 0 {
		l := newLife(*seedFlag, os.Stdout)
		l.live()
		if l.violation != "" {
			t.Fatalf("-seed=%d: %s", *seedFlag, l.violation)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(4000)) // lives are short and leave much behind
	var next, failed atomic.Uint64
	var had [numRare]atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > lives || failed.Load() != 0 {
					return
				}
				seed := first + n - 1
				l := newLife(seed, nil)
				l.live()
				if n%50_000 == 0 {
					fmt.Fprintf(os.Stderr, "%d of %d lives\n", n, lives)
				}
				for i, n := range l.judge.rare {
					if n {
						had[i].Add(1)
					}
				}
				if l.violation != "" {
					failed.CompareAndSwap(0, seed)
				}
			}
		})
	}
	wg.Wait()
	if seed := failed.Load(); seed != 0 {
		var story strings.Builder
		l := newLife(seed, &story)
		l.live()
		t.Fatalf("%s\n-seed=%d: %s", story.String(), seed, l.violation)
	}
	for i := range had {
		n := had[i].Load()
		t.Logf("%6d of %d lives had %s", n, lives, rareNames[i])
		if n == 0 && lives >= 5000 {
			t.Errorf("no life had %s: the simulation does not do what it says", rareNames[i])
		}
	}
}

// TestSimulationOfOneSeedIsTheSameEachTime checks that a seed that fails can be lived again.
// Nothing in a life depends on real time, on the order of a map or on which goroutine is first, in
// the simulator or in the package.
func TestSimulationOfOneSeedIsTheSameEachTime(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		var stories [2]strings.Builder
		for i := range stories {
			newLife(seed, &stories[i]).live()
		}
		if stories[0].String() != stories[1].String() {
			t.Errorf("seed %d has two stories", seed)
		}
		told, silent := newLife(seed, io.Discard), newLife(seed, nil)
		told.live()
		silent.live()
		if told.rng.Uint64() != silent.rng.Uint64() {
			t.Errorf("seed %d goes another way when its story is told", seed)
		}
	}
}

// What some lives must have had for the simulation to be worth its name.
const (
	rareReplaced = iota
	rareOlder
	rareLeftOut
	rareChained
	rareOther
	rareUndone
	rareFamily
	rareLost
	rareStolen
	rareDead
	rareGivenUp
	rareCombined
	rareNoChange
	rareFailed
	rareKilled
	rareMonth
	rareSlept
	rareRestored
	rareAdopted
	numRare
)

var rareNames = [numRare]string{
	"an anchor that was replaced",
	"an older version mined",
	"a batch left out",
	"an anchor on the change of another that left a batch out",
	"a fork that mined another version",
	"a final anchor undone",
	"an anchor in flight on the change of another in flight",
	"an anchor lost because another version of its parent was mined",
	"an anchor's coin spent by somebody else",
	"an anchor given up",
	"an anchor given up because its coin vanished",
	"coins combined",
	"an anchor without change",
	"a write that failed",
	"a kill",
	"a month that passed under a budget",
	"a long sleep",
	"a backup restored",
	"a version found in a block that the backup did not know",
}

var (
	// errKilled ends everything that the process does: nothing after it reaches the outside.
	errKilled = fmt.Errorf("killed: %w", store.ErrFailed)
	errBehind = errors.New("the wallet is behind")
)

// fate is what happens at one call of the outside.
type fate int

const (
	killBefore fate = iota + 1 // the process ends there
	killAfter
	failBefore // of writes: it fails, and the process knows
	failAfter
)

var fateNames = [...]string{"none", "killed before", "killed after", "failed before", "failed after"}

// life is the life of one seed: the world, the daemon in it, and what happens to both. One
// goroutine lives it. The goroutine of the committer, which writes digests, works only while the
// first one waits for it.
type life struct {
	seed  uint64
	rng   *rand.Rand
	out   io.Writer // where the story goes; nil: nowhere
	lines int

	clock  time.Time
	policy decide.Policy
	net    *network
	client *client
	purse  *purse
	disk   *memStore
	judge  *judge

	listener *listener

	image     *memStore // a backup
	imageWent states    // what the batches in it had gone through
	burns     int       // events until it is restored

	frail *frailStore // of the process that runs
	b     *Batcher
	stop  func()

	killed    bool
	doom      int // calls of the outside until something happens; 0: nothing will
	doomFate  fate
	weights   [numEvents]int
	kinds     [numKinds]int
	riches    int // how large deposits may be
	digests   uint64
	violation string
}

func newLife(seed uint64, story io.Writer) *life {
	l := &life{seed: seed, rng: rand.New(rand.NewPCG(seed, 0xa9c4e)), out: story, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	l.judge = newJudge(l)
	l.listener = newListener(l)
	l.net = newNetwork(l)
	l.client = newClient(l)
	l.purse = newPurse(l)
	l.disk = newMemStore(sha256.Sum256(binary.BigEndian.AppendUint64(nil, seed)))
	pick := func(of ...int64) int64 { return of[l.rng.IntN(len(of))] }
	l.policy = decide.Policy{
		Interval:      time.Duration(pick(10, 60, 360, 720)) * time.Minute,
		MaxDigests:    uint64(pick(2, 5, 30, 1000)),
		Confirmations: int32(1 + l.rng.IntN(6)),
		MaxFeeRate:    pick(2, 10, 50, 200),
		MaxFeeSats:    pick(700, 3_000, 20_000, 50_000),
		Target:        time.Duration(pick(30, 120, 360, 1440)) * time.Minute,
		BudgetSats:    pick(0, 0, 0, 1_500, 5_000, 20_000),
		Rebroadcast:   time.Duration(pick(1, 10, 60)) * time.Minute,
	}
	for e := range l.weights {
		l.weights[e] = events[e].weight * int(pick(0, 1, 3, 3, 9)) // each life has a temper of its own
	}
	l.weights[evStamp] = max(l.weights[evStamp], 40)
	l.weights[evBlock] = max(l.weights[evBlock], 60)
	for k := range l.kinds {
		l.kinds[k] = int(pick(0, 1, 3))
	}
	l.kinds[full]++
	l.riches = int(pick(3, 4, 7, 7, 7))
	return l
}

// say adds a line to the story.
func (l *life) say(format string, args ...any) {
	if l.out != nil {
		l.lines++
		fmt.Fprintf(l.out, "%4d  %s\n", l.lines, fmt.Sprintf(format, args...))
	}
}

// fail records the first broken promise, which ends the life.
func (l *life) fail(format string, args ...any) {
	if l.violation == "" {
		l.violation = fmt.Sprintf(format, args...)
		l.say("BROKEN: %s", l.violation)
	}
}

// chance is true once in n times.
func (l *life) chance(n int) bool { return l.rng.IntN(n) == 0 }

// fate returns what happens at a call of the outside. The story names it.
func (l *life) fate(what string) fate {
	if l.doom == 0 {
		return 0
	}
	if l.doom--; l.doom > 0 {
		return 0
	}
	l.say("%s: %s", what, fateNames[l.doomFate])
	if l.doomFate == killBefore || l.doomFate == killAfter {
		l.judge.rare[rareKilled] = true
	} else {
		l.judge.rare[rareFailed] = true
	}
	l.killed = l.doomFate == killBefore
	return l.doomFate
}

// outside does something in the world, unless the process is dead or dies at this call.
func (l *life) outside(what string, do func()) error {
	if l.killed {
		return errKilled
	}
	f := l.fate(what)
	if l.killed {
		return errKilled
	}
	do()
	if f != 0 {
		l.killed = true
		return errKilled
	}
	return nil
}

// start begins a process.
func (l *life) start() {
	l.killed, l.doom = false, 0
	l.frail = &frailStore{Store: l.disk, l: l}
	logger := slog.New(slog.DiscardHandler)
	if l.out != nil {
		logger = slog.New(slog.NewTextHandler(storyWriter{l}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	}
	b, err := New(Config{
		Store: l.frail, Chain: l.client, Wallet: l.purse, Policy: l.policy, URI: "http://127.0.0.1:14788",
		Logger: logger, Now: func() time.Time { return l.clock },
	})
	if err != nil {
		l.fail("P6: start: %v", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = b.committer.run(ctx) }()
	l.b, l.stop = b, func() { cancel(); <-ended }
	l.judge.waited = 0
	if err := b.leaseAll(ctx); err != nil && !l.judge.expected(err) {
		l.fail("P6: start: %v", err)
	}
	l.judge.leased()
}

// storyWriter puts the daemon's log into the story.
type storyWriter struct{ l *life }

func (w storyWriter) Write(p []byte) (int, error) {
	w.l.say("    %s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// restart ends the process, wherever it is, and begins another. Everything that is not on disk is
// lost, with the leases of the wallet.
func (l *life) restart() {
	l.killed = true
	l.stop()
	clear(l.purse.leases)
	l.start()
	l.judge.every()
}

// live is the whole life.
func (l *life) live() {
	defer func() {
		if r := recover(); r != nil {
			l.fail("panic: %v\n%s", r, debug.Stack())
		}
	}()
	l.say("policy: %+v", l.policy)
	l.start()
	if !l.chance(8) {
		for range 1 + l.rng.IntN(3) {
			l.fund()
		}
		l.mineAny()
		l.mineAny()
	}
	total := 0
	for _, w := range l.weights {
		total += w
	}
	for range 40 + l.rng.IntN(120) {
		at := l.rng.IntN(total)
		for e := range l.weights {
			if at -= l.weights[e]; at < 0 {
				events[e].happen(l)
				break
			}
		}
		if l.burns > 0 {
			if l.burns--; l.burns == 0 {
				l.restore()
			}
		}
		if !l.chance(8) { // sometimes the loops are slow
			l.work()
		}
		if l.violation != "" {
			break
		}
	}
	if l.violation == "" {
		l.ending()
	}
	l.stop()
}

// work is one round of the daemon's loops.
func (l *life) work() {
	ok := true
	if l.killed || l.frail.dead { // while it took digests
		l.die()
		return
	}
	for range 1 + l.rng.IntN(4)/3 {
		for _, step := range []func(context.Context) error{l.b.stepSeal, l.b.stepAnchor} {
			err := step(context.Background())
			switch {
			case l.killed || errors.Is(err, store.ErrFailed):
				l.die()
				return
			case err != nil && !l.judge.expected(err):
				l.fail("a step failed: %v", err)
			case err != nil:
				l.say("a step failed: %v", err)
				ok = false
			}
		}
	}
	if l.violation != "" {
		return
	}
	if ok && l.client.current() {
		l.judge.settled()
		l.judge.loud()
	} else {
		l.judge.waited = 0
	}
	if len(l.judge.order) > 0 && l.chance(4) {
		l.judge.prove(l.judge.order[l.rng.IntN(len(l.judge.order))])
	}
}

// die ends a process that was killed or whose store failed, and begins the next one, perhaps some
// blocks later.
func (l *life) die() {
	l.say("the process ends")
	l.killed = true
	for l.chance(3) {
		l.mineAny()
	}
	l.restart()
}

// endingBlocks is how many calm blocks may pass until everything is final: 100 for a coin that
// vanished, and some before and after.
const endingBlocks = 200

// ending gives the daemon what P2 requires: blocks, funds, and a market below the caps. Every
// digest that was ever acknowledged must become final.
func (l *life) ending() {
	l.say("the calm ending")
	l.net.deaf, l.net.market, l.net.minRate, l.net.increment = hears, 1, 0, 1
	l.client.unsynced, l.client.failing, l.client.estimate, l.client.floor, l.client.ratesErr = false, 0, 1, 1, nil
	l.client.see(l.net.active)
	l.purse.ready = nil
	l.frail.full = false
	l.doom = 0
	if l.policy.BudgetSats != 0 && l.chance(20) {
		l.month()
	}
	if l.policy.BudgetSats != 0 || l.killed || l.frail.dead || l.chance(2) {
		l.policy.BudgetSats = 0 // the operator lifts it
		l.restart()
	}
	l.deposit(1_000_000, l.net.height()+1)
	l.closeBatch()
	for i := 0; l.violation == ""; i++ {
		l.work()
		if l.allFinal() {
			break
		}
		if i == endingBlocks {
			l.fail("P2: %d calm blocks later something is not final", i)
			break
		}
		l.clock = l.clock.Add(10 * time.Minute)
		b := l.net.mine(full)
		l.say("block %d, of %d payments", b.height, len(b.txs))
		l.client.see(l.net.active)
	}
	proved := make(map[uint64]bool)
	for _, d := range l.judge.order {
		if l.violation != "" {
			return
		}
		st, err := l.b.Status(context.Background(), d)
		if err != nil || st.Progress.State != Final {
			l.fail("P2: digest %.4x is %s (%v)", d, st.Progress.State, err)
		}
		// Proofs of one anchor differ only in their path to its root.
		if !proved[st.Progress.Anchor] || l.chance(8) {
			proved[st.Progress.Anchor] = l.judge.prove(d)
		}
	}
	l.judge.every()
	l.listener.listen(true)
	if l.violation == "" {
		l.judge.released()
	}
}

// month advances the chain until all payments are older than the window of the budget.
func (l *life) month() {
	l.say("a month passes")
	for range decide.BudgetBlocks + l.rng.IntN(100) {
		l.net.mine(full)
	}
	for range 20 {
		l.client.see(l.net.active)
		l.work()
		if l.violation != "" {
			return
		}
		l.clock = l.clock.Add(10 * time.Minute)
		l.net.mine(full)
	}
	l.judge.rare[rareMonth] = true
}

// allFinal reports whether no batch waits and every anchor is final.
func (l *life) allFinal() bool {
	for _, b := range l.disk.batches {
		if b.Anchor == 0 {
			return false
		}
	}
	for _, a := range l.disk.anchors {
		if a.State != store.Final && a.State != store.Dead {
			return false
		}
	}
	return true
}
