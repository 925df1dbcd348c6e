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
	// maxPromises is how many promises of one proof are asked for. Honest proofs hold a handful. A
	// stranger's proof might hold thousands, all of one calendar that they want to harm.
	maxPromises = 16

	// maxRelays is how often an answer may lead on to another allowed calendar, as those of
	// aggregators do.
	maxRelays = 3

	// busyTimeout is how long in all a busy calendar is waited for.
	busyTimeout = time.Minute
)

// CalendarClient asks one calendar. [*calendar.Client] implements it.
type CalendarClient interface {
	Timestamp(ctx context.Context, uri string, commitment []byte) (*proof.Timestamp, error)
}

var _ CalendarClient = (*calendar.Client)(nil)

// Clock tells the time and waits. Tests have faster ones.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error // nil, or why it ended early
}

// CalendarsConfig says which calendars may be asked, and how.
type CalendarsConfig struct {
	Client  CalendarClient
	Allowed *calendar.Whitelist // all others are skipped, whatever a proof names

	// HowToAllow returns what allows the calendar at uri, as in "--calendar URI". It may be nil.
	HowToAllow func(uri string) string

	// Clock is the machine's clock if nil.
	Clock Clock
}

// Calendars asks calendars for what they promised. It leaves a busy calendar alone for as long as
// that wants, and asks the others. It is safe for concurrent use.
type Calendars struct {
	config CalendarsConfig

	mu   sync.Mutex              // guards what follows
	busy map[string]busyCalendar // by address
}

// busyCalendar is a calendar that wanted to be left alone when it was asked last.
type busyCalendar struct {
	status int       // of HTTP
	until  time.Time // it is not asked before
	gaveUp bool      // it was waited for in vain, and is not waited for once more
}

// NewCalendars returns calendars to ask. It sends nothing yet.
func NewCalendars(c CalendarsConfig) *Calendars {
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	return &Calendars{config: c, busy: make(map[string]busyCalendar)}
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

// follow asks the calendars for what they promised in f, all at once. It returns f with their
// answers merged, and the result of each promise. It skips the promises in answered, and adds those
// that it looked at. It compares blocks with headers, unless headers is nil, and verifies nothing
// else. It cannot fail: a calendar can only make a proof better.
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

// askAll asks for at most most promises, and only of allowed calendars.
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

// whyNot says why a calendar is not asked, or nothing if it is.
func (c *Calendars) whyNot(uri string, most int) string {
	switch err := c.config.Allowed.Check(uri); {
	case errors.Is(err, calendar.ErrNotListed) && c.config.HowToAllow == nil:
		return "is not one of the calendars that are asked" + explainLoopback(uri)
	case errors.Is(err, calendar.ErrNotListed):
		return "is asked only with " + c.config.HowToAllow(humanize.Clip(uri)) + explainLoopback(uri)
	case err != nil:
		return fmt.Sprintf("is not asked: its address %v", err)
	case most <= 0:
		return fmt.Sprintf("is not asked: the proof holds more than %d promises", maxPromises)
	}
	return ""
}

// ask asks one calendar, and waits for a busy one if that is not long. After a calendar was waited
// for in vain, it is asked for further proofs without waiting, until it answers: a thousand proofs
// must not wait a minute each.
func (c *Calendars) ask(ctx context.Context, p promise) (*proof.Timestamp, error) {
	for left := c.maxWait(p.uri); ; {
		var answer *proof.Timestamp
		err := c.backingOff(p.uri)
		if err == nil {
			answer, err = c.config.Client.Timestamp(ctx, p.uri, []byte(p.msg))
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
		if err := c.config.Clock.Sleep(ctx, busy.RetryAfter); err != nil {
			return nil, err
		}
	}
}

// maxWait returns how long a busy calendar is waited for.
func (c *Calendars) maxWait(uri string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[uri].gaveUp {
		return 0
	}
	return busyTimeout
}

// backingOff returns a [*calendar.BusyError] if the calendar must not be asked now.
func (c *Calendars) backingOff(uri string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.busy[uri]
	left := b.until.Sub(c.config.Clock.Now())
	if left <= 0 {
		return nil
	}
	return &backoffError{&calendar.BusyError{Status: b.status, RetryAfter: left}, b.until}
}

// backoffError says that a calendar was not asked because it is busy. It names a time, so that its
// text stays the same when it is said again.
type backoffError struct {
	*calendar.BusyError
	until time.Time
}

func (e *backoffError) Error() string {
	return fmt.Sprintf("it is busy (HTTP status %d), and is not asked before %s", e.Status, humanize.Time(e.until))
}

func (e *backoffError) Unwrap() error { return e.BusyError }

// setBusy remembers whether a calendar that was asked is busy.
func (c *Calendars) setBusy(uri string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var busy *calendar.BusyError
	if !errors.As(err, &busy) {
		delete(c.busy, uri)
		return
	}
	b := c.busy[uri]
	b.status, b.until = busy.Status, c.config.Clock.Now().Add(busy.RetryAfter)
	c.busy[uri] = b
}

// giveUp remembers that a calendar was waited for in vain.
func (c *Calendars) giveUp(uri string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.busy[uri]; ok { // otherwise it has answered meanwhile
		b.gaveUp = true
		c.busy[uri] = b
	}
}
