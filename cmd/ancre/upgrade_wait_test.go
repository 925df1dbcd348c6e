package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ancre/calendar"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// fastClock is a clock on which time passes when somebody waits.
type fastClock struct{ passed atomic.Int64 }

func (c *fastClock) Now() time.Time { return testTime.Add(time.Duration(c.passed.Load())) }

func (c *fastClock) Sleep(_ context.Context, d time.Duration) error {
	c.passed.Add(int64(d))
	return nil
}

// fastCalendars asks these calendars, and no others, with a clock of its own.
func fastCalendars(t *testing.T, allowed ...string) (*verify.Calendars, *fastClock) {
	t.Helper()
	list := &calendar.Whitelist{}
	for _, a := range allowed {
		if err := list.Add(a); err != nil {
			t.Fatal(err)
		}
	}
	client, clock := calendar.NewClient(calendar.ClientConfig{}), &fastClock{}
	t.Cleanup(client.Close)
	return verify.NewCalendars(verify.CalendarsConfig{Client: client, Allowed: list, Clock: clock}), clock
}

// waitFor runs an upgrade --wait of files whose calendars are polled without pause, with no daemon.
func (r *rig) waitFor(ctx context.Context, c *verify.Calendars, files ...string) (exit int, out, errs string) {
	r.t.Helper()
	r.http.Close()
	var o, e bytes.Buffer
	a := &app{terminal: &terminal{out: &o, err: &e, width: func() int { return 80 }}}
	a.flags.DataDir = r.data
	daemon, err := a.daemon(ctx)
	r.must(err)
	u := newUpgrader(a, daemon, c, &chaincfg.RegressionNetParams)
	u.every, u.seldom = time.Millisecond, time.Millisecond
	var waiting []*waiter
	for _, file := range files {
		w := u.one(ctx, target{path: file})
		if w.Result != pending {
			r.t.Fatalf("%s: %s", w.Result, w.Reason)
		}
		waiting = append(waiting, w)
	}
	return u.completeAll(ctx, waiting), o.String(), e.String()
}

func TestWaitAsksCalendarsUntilTheyHaveIt(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, leaves := r.promised("a", c.URL)
	answer := r.anchored(leaves[0])
	var n atomic.Int32
	c.does(func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1, 2:
			http.Error(w, "Pending confirmation in Bitcoin blockchain", http.StatusNotFound)
		case 3:
			w.WriteHeader(http.StatusBadGateway) // it comes back
		case 4:
			http.Error(w, "waiting for 6 confirmations", http.StatusNotFound)
		default:
			w.Write(answer)
		}
	})
	following, _ := fastCalendars(t, c.URL)
	exit, out, errs := r.waitFor(t.Context(), following, file)
	if exit != exitDone || !strings.Contains(out, "complete, in Bitcoin block 1") || r.kinds(file) != "bitcoin" {
		t.Errorf("exit %d, the proof holds %s\nout: %s\nerr: %s", exit, r.kinds(file), out, errs)
	}
	for _, said := range []string{"waiting: the calendar at " + c.URL + `, which says "Pending`, "HTTP status 502", "waiting for 6 confirmations"} {
		if strings.Count(errs, said) != 1 {
			t.Errorf("%q is said %d times in\n%s", said, strings.Count(errs, said), errs)
		}
	}
}

func TestInterruptedWaitForACalendarSaysThatItIsPending(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, _ := r.promised("a", c.URL)
	before := r.read(file + proofSuffix)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var n atomic.Int32
	c.does(func(w http.ResponseWriter, q *http.Request) {
		if n.Add(1) == 3 {
			interrupt()
			<-q.Context().Done()
			return
		}
		http.Error(w, "Pending confirmation in Bitcoin blockchain", http.StatusNotFound)
	})
	following, _ := fastCalendars(t, c.URL)
	exit, out, errs := r.waitFor(ctx, following, file)
	if exit != exitPending || !strings.Contains(out, "pending, waiting for the calendar at "+c.URL) || n.Load() != 3 {
		t.Errorf("exit %d after %d questions\nout: %s\nerr: %s", exit, n.Load(), out, errs)
	}
	if !bytes.Equal(r.read(file+proofSuffix), before) {
		t.Error("the proof was changed")
	}
}

// The bug that it catches: one calendar that wants to be left alone for a day keeps us for a day
// from all others.
func TestABusyCalendarDelaysNoOther(t *testing.T) {
	r, busy, other := newRig(t), newFakeCalendar(t), newFakeCalendar(t)
	first, firstLeaves := r.promised("first", busy.URL)
	second, secondLeaves := r.promised("second", other.URL)
	firstAnswer, secondAnswer := r.anchored(firstLeaves[0]), r.anchored(secondLeaves[0])
	following, clock := fastCalendars(t, busy.URL, other.URL)
	const day = 24 * time.Hour
	var n atomic.Int32
	busy.does(func(w http.ResponseWriter, _ *http.Request) {
		if clock.Now().Before(testTime.Add(day)) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Write(firstAnswer)
	})
	other.does(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) < 4 {
			http.Error(w, "Pending confirmation in Bitcoin blockchain", http.StatusNotFound)
			return
		}
		clock.passed.Store(int64(day)) // the busy one has it when this one had it
		w.Write(secondAnswer)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	exit, out, errs := r.waitFor(ctx, following, first, second)
	if exit != exitDone || r.kinds(first) != "bitcoin" || r.kinds(second) != "bitcoin" {
		t.Errorf("exit %d, the proofs hold %s and %s\nout: %s\nerr: %s", exit, r.kinds(first), r.kinds(second), out, errs)
	}
	if got := busy.questions(); got != 2 {
		t.Errorf("the busy one was asked %d times, want once, and again when its day was over", got)
	}
	// That it is left alone is not told anew in each round: once with what the other says, and at
	// most once without.
	if said := "not asked before 2026-01-03 03:04 UTC"; !strings.Contains(errs, said) || strings.Count(errs, "\n") > 3 {
		t.Errorf("want %q, on few lines, in\n%s", said, errs)
	}
}
