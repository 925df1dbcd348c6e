package quota

import (
	"strings"
	"testing"
	"time"
)

// at is a quota of 10 for each user and 15 for all in 100 seconds, under a clock.
func at() (*Quota, *time.Time) {
	q, now := New(Limits{All: 15, EachUser: 10, Interval: 100 * time.Second, AllKey: "the.all", EachUserKey: "the.each"}), new(time.Time)
	*now = time.Unix(1_000, 0)
	q.now = func() time.Time { return *now }
	q.all.since = *now
	return q, now
}

func TestEachUserAndAllTogetherHaveALimit(t *testing.T) {
	q, now := at()
	if r := q.Take("a", 10); r != nil {
		t.Fatal(r)
	}
	r := q.Take("a", 2)
	if r == nil || r.Key != "the.each" || r.User != "a" || r.After != 20*time.Second || !strings.Contains(r.Error(), "the user a has") || !strings.Contains(r.Error(), "in 20s") {
		t.Fatalf("one user: %+v", r)
	}
	if r := q.Take("b", 5); r != nil {
		t.Fatal(r)
	}
	if r = q.Take("b", 1); r == nil || r.Key != "the.all" || r.User != "" || r.After != 7*time.Second {
		t.Fatalf("all users: %+v", r)
	}
	if q.Left("b") != 0 || q.Refused() != 2 {
		t.Errorf("%d left, %d refused", q.Left("b"), q.Refused())
	}
	*now = now.Add(20 * time.Second)
	if r := q.Take("a", 2); r != nil {
		t.Errorf("after the time that was told: %v", r)
	}
	if r := q.Take("b", 11); r == nil || r.After != 0 || !strings.Contains(r.Error(), "submit fewer") {
		t.Errorf("more than ever is allowed: %+v", r)
	}
	*now = now.Add(time.Hour)
	if q.Left("a") != 10 || q.Left("c") != 10 {
		t.Errorf("after a long time %d and %d are left, want 10 each", q.Left("a"), q.Left("c"))
	}
}

func TestWhatIsReturnedMayBeTakenAgain(t *testing.T) {
	q, _ := at()
	for range 50 {
		if r := q.Take("a", 10); r != nil {
			t.Fatal(r)
		}
		q.Return("a", 10)
	}
	q.Return("a", 50)
	if q.Left("a") != 10 {
		t.Errorf("%d are left, want no more than 10", q.Left("a"))
	}
}

func TestAWarningSaysWhoseLimitIsReached(t *testing.T) {
	q, now := at()
	if q.Warning() != "" {
		t.Errorf("before anything: %q", q.Warning())
	}
	q.Take("bob", 11)
	q.Take("alice", 11)
	if w := q.Warning(); !strings.Contains(w, "alice, bob") || !strings.Contains(w, "the.each = 10") {
		t.Errorf("two users: %q", w)
	}
	q.Take("bob", 10)
	q.Take("alice", 10)
	if w := q.Warning(); !strings.Contains(w, "the.all = 15") {
		t.Errorf("all users: %q", w)
	}
	*now = now.Add(usedUpFor)
	if q.Warning() != "" {
		t.Errorf("a while later: %q", q.Warning())
	}
}

func TestNoLimitMeansNone(t *testing.T) {
	q := New(Limits{Interval: time.Second})
	if q != nil || q.Take("a", 1<<40) != nil || q.Warning() != "" || q.Refused() != 0 || q.Left("a") < 1<<40 {
		t.Error("something is limited")
	}
	q.Return("a", 1)
	q = New(Limits{EachUser: 1, Interval: time.Second})
	if q.Take("a", 1) != nil || q.Take("b", 1) != nil || q.Take("b", 1) == nil {
		t.Error("only each user has a limit")
	}
	q = New(Limits{All: 1, Interval: time.Second})
	if q.Take("a", 1) != nil || q.Take("b", 1) == nil {
		t.Error("only all together have a limit")
	}
}
