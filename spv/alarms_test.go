package spv

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// strangers makes a client that is not started yet take regtest for a public network.
func strangers(c *Client) *clock {
	c.public = true
	return setClock(c)
}

// wantWarnings waits until the warnings are as many as the given ones, and each has the words of one.
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
		got = status.Warnings
		if len(status.Alarms) != len(got) || slices.ContainsFunc(status.Alarms, func(kind string) bool { return !slices.Contains(Alarms(), kind) }) {
			t.Errorf("the kinds of %q are %q, want one of Alarms for each", got, status.Alarms)
		}
		return len(got) == len(want) && !slices.ContainsFunc(want, func(w string) bool {
			return !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, w) })
		})
	})
}

func TestAStaleTipIsToldOf(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	c := openClient(t, t.TempDir(), n.p2p)
	k := strangers(c)
	startClient(t, c)
	waitAt(t, c, n)
	k.forward(staleTip - time.Minute)
	wantWarnings(t, c)
	k.forward(2 * time.Minute)
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

// A peer that claims more does not hide that nothing comes.
func TestAStaleTipIsToldOfAlsoWhenAPeerClaimsMore(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	c := openClient(t, t.TempDir(), n.p2p)
	k := strangers(c)
	startClient(t, c)
	waitAt(t, c, n)
	k.forward(staleTip + time.Minute)
	p, err := c.position()
	if err != nil {
		t.Fatal(err)
	}
	p.target = p.headers + 1000
	has := func() bool {
		return slices.ContainsFunc(c.alarms(p), func(a alarm) bool { return a.kind == "stale tip" })
	}
	waitFor(t, "the alarm", has)
	c.state.mu.Lock()
	c.state.headersMoved = c.now()
	c.state.mu.Unlock()
	if has() {
		t.Error("old headers that are being synced are an alarm")
	}
}

func TestTooFewPeersAreToldOf(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	second, third := newRelay(t, n.p2p), newRelay(t, n.p2p)
	third.cut()
	c := openConfig(t, Config{Dir: t.TempDir(), AddPeers: []string{n.p2p, second.addr, third.addr}})
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
	wantWarnings(t, c, unreachable) // the time counts anew
}

func TestWhoWantsFewPeersIsNotWarnedOfThem(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	r := newRelay(t, n.p2p)
	c := openClient(t, t.TempDir(), n.p2p, r.addr)
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
	c := openClient(t, t.TempDir(), r.addr)
	k := setClock(c)
	startClient(t, c)
	waitAt(t, c, n)
	r.cut()
	wantWarnings(t, c, "cannot be reached")
	k.forward(aloneWarning)
	wantWarnings(t, c, "cannot be reached", "no peer has been connected for 2 minutes")
	if !c.Synced() {
		t.Error("not synced after two minutes without peers")
	}
	k.forward(alone)
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
	n := newNode(t, "btcd")
	n.mine(20)
	c := openClient(t, t.TempDir(), n.p2p)
	k := setClock(c)
	startClient(t, c)
	waitAt(t, c, n)
	k.forward(-maxAhead - 5*time.Minute)
	wantWarnings(t, c, "ahead of the clock of this machine")
}

func TestAPrunedPeerIsNamed(t *testing.T) {
	t.Parallel()
	n := newNode(t, "bitcoind", "-prune=550")
	n.mine(3)
	c := openClient(t, t.TempDir(), n.p2p)
	startClient(t, c)
	wantWarnings(t, c, n.p2p+" is pruned")
}

func TestFetchesThatFailForMinutesAreToldOf(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	c := openClient(t, t.TempDir(), n.p2p)
	k := setClock(c)
	startClient(t, c)
	waitAt(t, c, n)
	c.state.fetched("block 1234", errors.New("no answer"), c.now())
	k.forward(failing - time.Second)
	c.state.fetched("block 1234", errors.New("no answer"), c.now())
	wantWarnings(t, c)
	k.forward(time.Second)
	c.state.fetched("block 1234", errors.New("no answer"), c.now())
	wantWarnings(t, c, "block 1234: no answer")
	k.forward(lastFailure)
	wantWarnings(t, c) // nobody asks any more
	c.state.fetched("block 1235", errors.New("no answer"), c.now())
	wantWarnings(t, c, "block 1235: no answer")
	if _, err := c.Block(t.Context(), n.hashAt(5)); err != nil {
		t.Fatal(err)
	}
	wantWarnings(t, c)
}

func TestAnAlarmIsLoggedWhenItBeginsAndWhenItEnds(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := &Client{log: slog.New(slog.NewTextHandler(&log, nil))}
	var told map[string]string
	for _, now := range [][]alarm{
		nil,
		{{"stale tip", "91 minutes"}, {"", "of one peer"}},
		{{"stale tip", "92 minutes"}},
		{{"stale tip", "93 minutes"}, {"few peers", "one"}},
		{{"few peers", "one"}},
	} {
		told = c.tell(told, now)
	}
	var lines []string
	for line := range strings.Lines(log.String()) {
		_, line, _ = strings.Cut(line, "level=")
		lines = append(lines, strings.TrimSpace(line))
	}
	want := []string{
		`WARN msg="alarm of the light client" alarm="stale tip" what="91 minutes"`,
		`WARN msg="alarm of the light client" alarm="few peers" what=one`,
		`INFO msg="alarm of the light client is over" alarm="stale tip"`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("logged %q\nwant %q", lines, want)
	}
}
