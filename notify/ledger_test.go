package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/internal/warning"
)

// start is when the lives of the tests begin.
var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// life is a ledger with a clock, and what was told.
type life struct {
	ledger
	now  time.Time
	told []string // "raised no_peers"
	fail bool     // the command fails
	runs int      // of the command
}

func newLife() *life { return &life{now: start} }

// pass lets time pass with these warnings. Within an hour there is a look every five seconds, as in
// the daemon, and later one a minute.
func (l *life) pass(d time.Duration, kinds ...*warning.Kind) *life {
	step := 5 * time.Second
	if d > time.Hour {
		step = time.Minute
	}
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(step) {
		var all []warning.Warning
		for _, k := range kinds {
			all = append(all, warning.New(k, "%s at %s", k.Name(), l.now.Format(time.TimeOnly)))
		}
		l.look(l.now, all)
		for {
			e, ok := l.next(l.now)
			if !ok {
				break
			}
			l.runs++
			if l.fail {
				l.failed(l.now, e, errors.New("exit status 1"))
				break
			}
			l.ledger.told(l.now, e)
			l.told = append(l.told, e.Event+" "+e.Kind)
		}
	}
	return l
}

// is checks what was told since the last call.
func (l *life) is(t *testing.T, want ...string) *life {
	t.Helper()
	if !slices.Equal(l.told, want) {
		t.Errorf("after %s: told %q, want %q", l.now.Sub(start), l.told, want)
	}
	l.told = nil
	return l
}

// restart forgets all that is not on disk.
func (l *life) restart(t *testing.T) *life {
	t.Helper()
	path := t.TempDir() + "/notify.json"
	data, err := l.encode()
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data))
	if l.ledger, err = load(path); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAWarningIsToldWhenItBeginsAndWhenItIsOver(t *testing.T) {
	l := newLife()
	l.pass(settle, warning.NoPeers).is(t)
	l.pass(time.Minute, warning.NoPeers).is(t, "raised no_peers")
	l.pass(time.Hour, warning.NoPeers).is(t)
	l.pass(settle).is(t)
	l.pass(time.Minute).is(t, "cleared no_peers")
	l.pass(48 * time.Hour).is(t)
	if len(l.Entries) != 0 {
		t.Errorf("the ledger remembers %d warnings that are long over", len(l.Entries))
	}
}

func TestWhatComesAndGoesAtTheStartIsNotTold(t *testing.T) {
	l := newLife()
	l.pass(90*time.Second, warning.NoPeers, warning.Wallet).pass(10 * time.Minute).is(t)
	if len(l.Entries) != 0 {
		t.Errorf("the ledger remembers %d warnings of which nobody was told", len(l.Entries))
	}
}

func TestAWarningThatFlapsIsToldOnce(t *testing.T) {
	l := newLife()
	for range 60 {
		l.pass(30*time.Second, warning.FewPeers).pass(30 * time.Second)
	}
	l.is(t, "raised few_peers")
	l.pass(time.Hour).is(t, "cleared few_peers")
}

func TestEachOfBothIsToldOnceADay(t *testing.T) {
	l := newLife()
	for range 12 { // an hour each
		l.pass(30*time.Minute, warning.FewPeers).pass(30 * time.Minute)
	}
	l.is(t, "raised few_peers", "cleared few_peers")
	// It began again during the day: that is told when the day is over.
	l.pass(11*time.Hour, warning.FewPeers).is(t)
	l.pass(2*time.Hour, warning.FewPeers).is(t, "raised few_peers")
	// A critical one does not wait for tomorrow.
	for range 3 {
		l.pass(50*time.Minute, warning.FewPeers, warning.Store).pass(50*time.Minute, warning.FewPeers)
	}
	l.is(t, "raised store", "cleared store", "raised store", "cleared store", "raised store", "cleared store")
}

func TestWarningsThatStayAreRemembered(t *testing.T) {
	l := newLife()
	l.pass(14*24*time.Hour+time.Hour, warning.MetricsListen).is(t, "raised metrics_listen", "reminder metrics_listen", "reminder metrics_listen")
	l = newLife()
	l.pass(2*24*time.Hour+time.Hour, warning.Overdue).is(t, "raised overdue", "reminder overdue", "reminder overdue")
}

func TestACommandThatFailsIsTriedAgain(t *testing.T) {
	l := newLife()
	l.fail = true
	l.pass(24*time.Hour, warning.NoPeers).is(t)
	if l.runs < 24 || l.runs > 40 {
		t.Errorf("the command was run %d times in a day in which it failed", l.runs)
	}
	if l.Failures != l.runs || l.Error != "exit status 1" || !slices.Equal(l.untold(), []string{"no_peers"}) {
		t.Errorf("%d failures, the last %q; untold %q", l.Failures, l.Error, l.untold())
	}
	// The warning is over before anybody was told: both are told, in order.
	l.pass(time.Hour)
	l.fail = false
	l.pass(2*time.Hour).is(t, "raised no_peers", "cleared no_peers")
	if l.Failures != 0 || l.Error != "" {
		t.Errorf("%d failures after a success, %q", l.Failures, l.Error)
	}
}

// An event that the command cannot take must not hold up the others.
func TestOneEventThatFailsHoldsUpNoOther(t *testing.T) {
	l := newLife()
	l.look(l.now, []warning.Warning{warning.New(warning.Overdue, "a"), warning.New(warning.NoPeers, "b")})
	l.now = l.now.Add(settle)
	l.look(l.now, []warning.Warning{warning.New(warning.Overdue, "a"), warning.New(warning.NoPeers, "b")})
	first, _ := l.next(l.now)
	l.now = l.now.Add(l.failed(l.now, first, errors.New("no")))
	second, ok := l.next(l.now)
	if !ok || second.Kind == first.Kind {
		t.Errorf("after %s failed: %s, %t", first.Kind, second.Kind, ok)
	}
}

func TestARestartKeepsWhatWasTold(t *testing.T) {
	l := newLife()
	l.pass(5*time.Minute, warning.NoPeers).is(t, "raised no_peers")
	for range 360 { // an hour of a daemon that is restarted every ten seconds
		l.restart(t).pass(5*time.Second).pass(5*time.Second, warning.NoPeers)
	}
	l.is(t)
	l.restart(t).pass(5*time.Minute).is(t, "cleared no_peers")
}

// The warning of a daemon that never runs for as long as a warning must last is told all the same.
func TestADaemonThatKeepsRestartingTells(t *testing.T) {
	l := newLife()
	for range 360 {
		l.restart(t).pass(5*time.Second).pass(5*time.Second, warning.Damage)
	}
	l.is(t, "raised damage")
}

func TestWhatCouldNotBeToldIsToldAfterARestart(t *testing.T) {
	l := newLife()
	l.fail = true
	l.pass(10*time.Minute, warning.NoPeers).is(t)
	failures := l.Failures
	l.restart(t)
	if l.Failures != failures || failures == 0 {
		t.Errorf("%d failures before the restart, %d after", failures, l.Failures)
	}
	l.fail = false
	l.pass(time.Hour).is(t, "raised no_peers", "cleared no_peers")
}

// A clock that is set back must neither silence warnings for years nor tell them at each look.
func TestAClockThatIsSetBack(t *testing.T) {
	l := newLife()
	l.now = start.AddDate(10, 0, 0)
	l.pass(time.Hour, warning.NoPeers).is(t, "raised no_peers")
	l.fail = true
	l.pass(time.Hour, warning.NoPeers, warning.Overdue).is(t)
	l.fail = false
	l.now = start
	l.pass(time.Hour, warning.NoPeers, warning.Overdue).is(t, "raised overdue")
	l.pass(25*time.Hour, warning.NoPeers, warning.Overdue).is(t, "reminder overdue", "reminder no_peers")
}

func TestItsOwnWarningIsNotToldThroughItself(t *testing.T) {
	newLife().pass(24*time.Hour, warning.Notify).is(t)
}

// Two warnings of one kind are one event with both texts.
func TestWarningsOfOneKindAreToldTogether(t *testing.T) {
	var l ledger
	all := []warning.Warning{warning.New(warning.Peer, "one"), warning.New(warning.Peer, "two")}
	l.look(start, all)
	l.look(start.Add(settle), all)
	e, ok := l.next(start.Add(settle))
	if !ok || e.Text != "one\ntwo" || e.says != warning.Peer.Says() || e.remedy != warning.Peer.Remedy() || e.Severity != "warning" || !e.Since.Equal(start) {
		t.Errorf("%+v, %t", e, ok)
	}
}

func TestADamagedFileIsAnErrorAndAnEmptyLedger(t *testing.T) {
	for content, want := range map[string]string{
		"{":                "is damaged",
		`{"format":2}`:     "has format 2",
		`{"warnings":[1]}`: "is damaged",
	} {
		path := t.TempDir() + "/notify.json"
		write(t, path, content)
		l, err := load(path)
		if err == nil || !strings.Contains(err.Error(), want) || len(l.Entries) != 0 {
			t.Errorf("%s: %v, %v", content, l, err)
		}
	}
	path := t.TempDir() + "/notify.json"
	write(t, path, `{"format":1,"warnings":{"no_such_kind":{"active":true},"peer":null,"no_peers":{"active":true}},"error":"a"}`)
	if l, err := load(path); err != nil || len(l.Entries) != 1 || l.Entries["no_peers"] == nil {
		t.Errorf("%v, %v", fmt.Sprint(l), err)
	}
}
