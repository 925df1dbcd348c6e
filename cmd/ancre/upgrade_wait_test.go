package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// waitFor runs an upgrade --wait of one file whose calendar is polled without pause, with no daemon.
func (r *rig) waitFor(ctx context.Context, c *calendars, file string) (exit int, out, errs string) {
	r.t.Helper()
	r.http.Close()
	var o, e bytes.Buffer
	a := &app{terminal: &terminal{out: &o, err: &e, width: func() int { return 80 }}}
	a.flags.DataDir = r.data
	daemon, err := a.daemon(ctx)
	r.must(err)
	u := newUpgrader(a, daemon, c)
	u.every, u.seldom = time.Millisecond, time.Millisecond
	w := u.one(ctx, target{path: file})
	if w.Result != pending {
		r.t.Fatalf("%s: %s", w.Result, w.Reason)
	}
	return u.completeAll(ctx, []*waiter{w}), o.String(), e.String()
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
	following, _ := newFollowing(t, c.URL)
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
	following, _ := newFollowing(t, c.URL)
	exit, out, errs := r.waitFor(ctx, following, file)
	if exit != exitPending || !strings.Contains(out, "pending, waiting for the calendar at "+c.URL) || n.Load() != 3 {
		t.Errorf("exit %d after %d questions\nout: %s\nerr: %s", exit, n.Load(), out, errs)
	}
	if !bytes.Equal(r.read(file+proofSuffix), before) {
		t.Error("the proof was changed")
	}
}
