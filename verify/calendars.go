package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ancre/calendar"
	"ancre/internal/humanize"
	"ancre/proof"
)

const (
	// maxPromises is how many promises of calendars one proof may have us ask for: honest ones hold
	// a handful, and a stranger's might hold thousands, all of one calendar that they do not like.
	maxPromises = 16

	// maxRelays is how often an answer may send us on to another listed calendar, as aggregators
	// do.
	maxRelays = 3

	// busyPatience is how long in all a calendar that is busy is waited for before we go on without
	// it.
	busyPatience = time.Minute
)

// CalendarClient asks one calendar. [*calendar.Client] implements it.
type CalendarClient interface {
	Timestamp(ctx context.Context, uri string, commitment []byte) (*proof.Timestamp, error)
}

var _ CalendarClient = (*calendar.Client)(nil)

// Clock tells the time and waits. Time passes faster in tests.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error // nil, or why it ended early
}

// CalendarsConfig says which calendars may be asked, and how.
type CalendarsConfig struct {
	Client  CalendarClient
	Allowed *calendar.Whitelist // all others are skipped, whatever a proof names

	// HowToAllow says what allows the calendar at uri, as in "--calendar URI". nil: nothing can.
	HowToAllow func(uri string) string

	// Clock is the machine's if nil.
	Clock Clock
}

// Calendars asks calendars for what they promised. A calendar that is busy is left alone for as
// long as it wants, while others are asked. Any number of goroutines may use it at once.
type Calendars struct {
	CalendarsConfig

	mu   sync.Mutex              // guards what follows
	busy map[string]busyCalendar // by address
}

// busyCalendar is one that wanted to be left alone when it was asked last.
type busyCalendar struct {
	status int       // of HTTP
	until  time.Time // it is not asked before
	gaveUp bool      // it was waited for in vain, and is not waited for once more
}

// NewCalendars returns calendars none of which is busy. It asks nobody yet.
func NewCalendars(c CalendarsConfig) *Calendars {
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	return &Calendars{CalendarsConfig: c, busy: make(map[string]busyCalendar)}
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow asks the calendars for what they promised in f, all at once, and returns f with what they
// answered, and what became of each promise. It leaves out the promises in answered, and adds those
// that it looked at. It fails in nothing: a calendar can only make a proof better, and an answer
// that cannot be taken in says so. What calendars attest is compared with headers, unless that is
// nil, and not verified otherwise.
func (c *Calendars) follow(ctx context.Context, f *proof.File, answered map[promise]bool, headers proof.HeaderSource) (*proof.File, []Answer) {
	if c == nil {
		return f, nil
	}
	var all []Answer
	for range maxRelays {
		next := promises(f, answered)
		if len(next) == 0 {
			break
		}
		timestamps, answers := c.askAll(ctx, next, maxPromises-len(all), headers)
		for i, t := range timestamps {
			if t == nil {
				continue
			}
			better, err := graft(f, t)
			if err != nil {
				answers[i].fail("its answer does not fit into the proof: %v", err)
				continue
			}
			f = better
		}
		all = append(all, answers...)
	}
	return f, all
}

// askAll asks for the promises, for no more than most of them, and those of allowed calendars only.
func (c *Calendars) askAll(ctx context.Context, list []promise, most int, headers proof.HeaderSource) ([]*proof.Timestamp, []Answer) {
	timestamps := make([]*proof.Timestamp, len(list))
	answers := make([]Answer, len(list))
	var wg sync.WaitGroup
	for i, p := range list {
		answers[i].Calendar = p.uri
		if why := c.whyNot(p.uri, most); why != "" {
			answers[i].Result, answers[i].Reason = AnswerSkipped, why
			continue
		}
		most--
		wg.Go(func() {
			t, err := c.ask(ctx, p)
			if answers[i].take(t, err) && answers[i].check(ctx, t, headers) {
				timestamps[i] = t
			}
		})
	}
	wg.Wait()
	return timestamps, answers
}

// whyNot says why a calendar is not asked for a promise; empty when it is.
func (c *Calendars) whyNot(uri string, most int) string {
	switch err := c.Allowed.Check(uri); {
	case errors.Is(err, calendar.ErrNotListed) && c.HowToAllow == nil:
		return "is not one of the calendars that are asked" + explainLoopback(uri)
	case errors.Is(err, calendar.ErrNotListed):
		return "is asked only with " + c.HowToAllow(humanize.Clip(uri)) + explainLoopback(uri)
	case err != nil:
		return fmt.Sprintf("is not asked: its address %v", err)
	case most <= 0:
		return fmt.Sprintf("is not asked: the proof holds more than %d promises", maxPromises)
	}
	return ""
}

// ask asks one calendar, and waits for one that is busy, as long as that is not long. One that was
// waited for in vain is asked for further proofs only when it wants to be, and then once for each,
// until it answers: a thousand proofs must not wait a minute each.
func (c *Calendars) ask(ctx context.Context, p promise) (*proof.Timestamp, error) {
	for left := c.maxWait(p.uri); ; {
		var answer *proof.Timestamp
		err := c.backingOff(p.uri)
		if err == nil {
			answer, err = c.Client.Timestamp(ctx, p.uri, []byte(p.msg))
			c.setBusy(p.uri, err)
		}
		var busy *calendar.BusyError
		if !errors.As(err, &busy) {
			return answer, err
		}
		if busy.RetryAfter > left {
			c.giveUp(p.uri)
			return nil, err
		}
		left -= busy.RetryAfter
		if err := c.Clock.Sleep(ctx, busy.RetryAfter); err != nil {
			return nil, err
		}
	}
}

// maxWait is how long a busy calendar is waited for.
func (c *Calendars) maxWait(uri string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[uri].gaveUp {
		return 0
	}
	return busyPatience
}

// backingOff returns why a calendar is not asked at the moment, as a [*calendar.BusyError], or nil
// if it is asked.
func (c *Calendars) backingOff(uri string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.busy[uri]
	left := b.until.Sub(c.Clock.Now())
	if left <= 0 {
		return nil
	}
	return &backoffError{&calendar.BusyError{Status: b.status, RetryAfter: left}, b.until}
}

// backoffError says that a calendar was not asked, because it had said that it is busy. It names a
// time, which stays the same when it is said again and again.
type backoffError struct {
	*calendar.BusyError
	until time.Time
}

func (e *backoffError) Error() string {
	return fmt.Sprintf("it is busy (HTTP status %d), and is not asked before %s", e.Status, humanize.Time(e.until))
}

func (e *backoffError) Unwrap() error { return e.BusyError }

// setBusy keeps whether a calendar that was asked is busy.
func (c *Calendars) setBusy(uri string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var busy *calendar.BusyError
	if !errors.As(err, &busy) {
		delete(c.busy, uri)
		return
	}
	b := c.busy[uri]
	b.status, b.until = busy.Status, c.Clock.Now().Add(busy.RetryAfter)
	c.busy[uri] = b
}

// giveUp keeps that a calendar was waited for in vain.
func (c *Calendars) giveUp(uri string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.busy[uri]; ok { // else it answered somebody meanwhile
		b.gaveUp = true
		c.busy[uri] = b
	}
}
