package spv

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/internal/warning"
)

// warned reports whether there is a warning with all the words.
func warned(c *Client, words ...string) bool {
	return slices.ContainsFunc(warning.Texts(c.Status().Warnings), func(w string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(w, word) })
	})
}

// wantWarnings waits until there are as many warnings as given ones, and each given one is
// contained in a warning.
func wantWarnings(t *testing.T, c *Client, want ...string) {
	t.Helper()
	var got []string
	defer func() {
		if t.Failed() {
			t.Logf("warnings: %q; want %q", got, want)
		}
	}()
	waitFor(t, "the warnings "+strings.Join(want, ", "), func() bool {
		status := c.Status()
		got = warning.Texts(status.Warnings)
		if slices.ContainsFunc(status.Warnings, func(w warning.Warning) bool { return w.Kind == nil }) {
			t.Errorf("not each of %q has a kind", got)
		}
		return len(got) == len(want) && !slices.ContainsFunc(want, func(w string) bool {
			return !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, w) })
		})
	})
}

func TestAStaleTipIsToldOf(t *testing.T) {
	t.Parallel()
	n, c, k := syncedWithClock(t, 20, strangers)
	k.forward(staleTip - 2*patience)
	wantWarnings(t, c)
	k.forward(2 * patience)
	wantWarnings(t, c, "the newest block is 9")
	if !c.Synced() {
		t.Error("a chain that stands still for 91 minutes is not acted on")
	}
	k.forward(freshTip)
	if c.Synced() {
		t.Error("a newest block of four hours ago is taken for the network's")
	}
	k.forward(-freshTip - staleTip)
	n.mine(1)
	waitAt(t, c, n)
	wantWarnings(t, c)
}

func TestABlockIsStaleFromItsAgeOn(t *testing.T) {
	t.Parallel()
	l := &look{c: &Client{public: true}, connected: map[string]bool{"peer": true}, reached: true, age: staleTip}
	if l.stale() {
		t.Errorf("stale after %v", l.age)
	}
	l.age++
	if !l.stale() {
		t.Errorf("not stale after %v", l.age)
	}
	l.c.public = false
	if l.stale() {
		t.Error("stale on a developer's network, where a chain may stand still for days")
	}
}

// A peer that claims more blocks does not hide that none come.
func TestAStaleTipIsToldOfAlsoWhenAPeerClaimsMore(t *testing.T) {
	t.Parallel()
	_, c, k := syncedWithClock(t, 20, strangers)
	k.forward(staleTip + time.Minute)
	p, err := c.position()
	if err != nil {
		t.Fatal(err)
	}
	p.target = p.headers + 1000
	has := func() bool {
		return warning.Has(c.warnings(p), warning.StaleTip)
	}
	waitFor(t, "the warning", has)
	c.state.mu.Lock()
	c.state.headersMoved = c.now()
	c.state.mu.Unlock()
	if has() {
		t.Error("old headers that are being synced raise a warning")
	}
}

func TestTooFewPeersAreToldOf(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	second, third := newRelay(t, n.p2p), newRelay(t, n.p2p)
	third.cut()
	c := openConfig(t, Config{Dir: newDir(t), AddPeers: []string{n.p2p, second.addr, third.addr}})
	k := strangers(c)
	startClient(t, c)
	waitAt(t, c, n)
	unreachable := third.addr + " cannot be reached"
	waitFor(t, "two peers", func() bool { return len(c.connected()) == 2 })
	k.forward(fewWarning - 2*patience)
	wantWarnings(t, c, unreachable)
	k.forward(2 * patience)
	wantWarnings(t, c, unreachable, "fewer than 3 peers have been connected for 10 minutes, now 2")
	third.mend()
	wantWarnings(t, c)
	third.cut()
	wantWarnings(t, c, unreachable) // the time begins again
}

func TestWhoWantsFewPeersIsNotWarnedOfThem(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	r := newRelay(t, n.p2p)
	c := openClient(t, newDir(t), n.p2p, r.addr)
	k := strangers(c)
	startClient(t, c)
	waitAt(t, c, n)
	waitFor(t, "two peers", func() bool { return len(c.connected()) == 2 })
	k.forward(2 * fewWarning)
	wantWarnings(t, c)
	r.cut()
	waitFor(t, "one peer", func() bool { return len(c.connected()) == 1 })
	k.forward(fewWarning)
	wantWarnings(t, c, r.addr+" cannot be reached", "fewer than 2 peers")
}

func TestAllPeersGoneIsToldOfAndOver(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	r := newRelay(t, n.p2p)
	c := openClient(t, newDir(t), r.addr)
	k := setClock(c)
	startClient(t, c)
	waitAt(t, c, n)
	r.cut()
	wantWarnings(t, c, "cannot be reached")
	k.forward(30 * time.Second)
	wantWarnings(t, c, "cannot be reached", "none of the nodes in spv.connect answers")
	k.forward(2 * time.Minute)
	wantWarnings(t, c, "cannot be reached", "no connection to any peer since 20")
	if !c.Synced() {
		t.Error("not synced after two minutes without peers")
	}
	k.forward(syncedAlone)
	if c.Synced() {
		t.Error("synced after twelve minutes without peers")
	}
	r.mend()
	n.mine(1)
	waitAt(t, c, n)
	wantWarnings(t, c)
}

func TestAClockThatIsBehindIsToldOf(t *testing.T) {
	t.Parallel()
	_, c, k := syncedWithClock(t, 20, setClock)
	k.forward(-maxAhead - 5*time.Minute)
	wantWarnings(t, c, "ahead of the clock of this machine")
}

func TestAPrunedPeerIsNamed(t *testing.T) {
	t.Parallel()
	n := newNode(t, "bitcoind", "-prune=550")
	n.mine(3)
	c := openClient(t, newDir(t), n.p2p)
	startClient(t, c)
	wantWarnings(t, c, n.p2p+" is pruned")
}

func TestFetchesThatFailForMinutesAreToldOf(t *testing.T) {
	t.Parallel()
	n, c, k := syncedWithClock(t, 20, setClock)
	c.state.fetched("block 1234", errors.New("no answer"), c.now())
	k.forward(fetchesFailing - time.Second)
	c.state.fetched("block 1234", errors.New("no answer"), c.now())
	wantWarnings(t, c)
	k.forward(time.Second)
	c.state.fetched("block 1234", errors.New("no answer"), c.now())
	wantWarnings(t, c, "block 1234: no answer")
	k.forward(lastFailure)
	wantWarnings(t, c) // nothing is fetched any more
	c.state.fetched("block 1235", errors.New("no answer"), c.now())
	wantWarnings(t, c, "block 1235: no answer")
	if _, err := c.Block(t.Context(), n.hashAt(5)); err != nil {
		t.Fatal(err)
	}
	wantWarnings(t, c)
}

// Each warning has its kind, by which the alerts go.
func TestEachWarningHasItsKind(t *testing.T) {
	t.Parallel()
	n, c := syncedClient(t, 20)
	waitFor(t, "the peer", func() bool { return len(c.connected()) == 1 })
	good, err := c.position()
	if err != nil {
		t.Fatal(err)
	}
	m := &c.state
	for _, tt := range []struct {
		kind   *warning.Kind
		public bool
		change func(p *position)
	}{
		{warning.HeadersStuck, false, func(p *position) { p.target += 1000; m.headersMoved = c.now().Add(-stuck) }},
		{warning.StaleTip, true, func(p *position) { p.headerTime = c.now().Add(-2 * staleTip) }},
		{warning.ClockBehind, false, func(p *position) { p.headerTime = c.now().Add(2 * maxAhead) }},
		{warning.FiltersBlock, false, func(p *position) { p.filters--; p.headerTime = c.now().Add(-48 * time.Hour) }},
		{warning.FiltersStuck, false, func(p *position) { p.filters--; m.filtersMoved = c.now().Add(-stuck) }},
		{warning.ClockOff, false, func(*position) { m.clocks.set = func() time.Duration { return -2 * clockWrong } }},
		{warning.FetchesFail, false, func(*position) { m.failing = failures{c.now().Add(-fetchesFailing), c.now(), "block 7"} }},
		{warning.FewPeers, true, func(*position) { m.lastEnough = c.now().Add(-fewWarning) }},
		{warning.NoPeers, false, func(*position) { m.peers, m.lastPeer = nil, c.now().Add(-aloneWarning) }},
	} {
		// The watching goroutine looks once a second, and may undo what is changed here.
		waitFor(t, "a warning "+tt.kind.Name(), func() bool {
			p := good
			m.mu.Lock()
			set := m.clocks.set
			tt.change(&p)
			m.mu.Unlock()
			c.public = tt.public
			if tt.kind == warning.FewPeers {
				c.cfg.Connect = nil
			}
			all := c.warnings(p)
			c.public, c.cfg.Connect = false, []string{n.p2p}
			m.mu.Lock()
			m.clocks.set, m.clocks.wrong, m.failing = set, false, failures{}
			m.mu.Unlock()
			return warning.Has(all, tt.kind)
		})
	}
	cp := c.peers.configured[0]
	for range dropsWarning {
		cp.dropped(c.now(), "lied")
	}
	if all := c.Status().Warnings; !warning.Has(all, warning.Peer) {
		t.Errorf("%q", all)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if all := c.Status().Warnings; len(all) != 1 || all[0].Kind != warning.HeadersUnreadable {
		t.Errorf("headers that cannot be read: %q", all)
	}

	c = openClient(t, newDir(t))
	startClient(t, c)
	waitFor(t, "a warning that no peers are named", func() bool { return warning.Has(c.Status().Warnings, warning.NoneNamed) })
}
