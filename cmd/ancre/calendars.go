package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ancre/calendar"
	"ancre/internal/humanize"
	"ancre/proof"

	"github.com/spf13/pflag"
)

const (
	// maxPromises is how many promises of calendars one proof may have us ask for: honest ones hold
	// a handful, and a stranger's might hold thousands, all of one calendar that they do not like.
	maxPromises = 16

	// maxAttestations is how many attestations one answer may add: honest ones add one.
	// Verification looks at 256 blocks of a proof, and one calendar must not fill these up before
	// another's is looked at.
	maxAttestations = 16

	// maxRelays is how often an answer may send us on to another listed calendar, as aggregators
	// do.
	maxRelays = 3

	// busyPatience is how long in all a calendar that is busy is waited for before we go on without
	// it.
	busyPatience = time.Minute
)

// calendarOptions are the flags that say which calendars are asked besides the well-known ones and
// the daemon's.
type calendarOptions struct {
	allowed []string
	offline bool // none is
}

func (o *calendarOptions) addTo(f *pflag.FlagSet) {
	f.StringArrayVar(&o.allowed, "calendar", nil, "ask the calendar at `URL` too, where a proof names it; may be given several times")
}

// addOffline is for commands that can do without calendars.
func (o *calendarOptions) addOffline(f *pflag.FlagSet) {
	f.BoolVar(&o.offline, "offline", false, "ask no calendar for what it promised")
}

// check makes --headers imply --offline: who brings the headers in a file wants nobody to be asked.
func (o *calendarOptions) check(src sourceOptions) error {
	for flag, set := range map[string]bool{"--offline": o.offline, "--headers": src.headers != ""} {
		if set && len(o.allowed) > 0 {
			return fmt.Errorf("%s and --calendar exclude each other: one says that no calendar is asked, the other which one is", flag)
		}
	}
	o.offline = o.offline || src.headers != ""
	return nil
}

// calendars are those that a command may ask for what they promised. Nil asks none.
type calendars struct {
	client *calendar.Client
	list   *calendar.Whitelist
	pause  func(context.Context, time.Duration) error // waits: time passes faster in tests

	now func() time.Time // the clock

	// headers are what the blocks of answers are compared with, as far as they answer; nil: nothing
	// is.
	headers *source

	mu   sync.Mutex              // guards what follows
	busy map[string]busyCalendar // by address
}

// busyCalendar is one that wanted to be left alone when it was asked last.
type busyCalendar struct {
	status int       // of HTTP
	until  time.Time // it is not asked before
	gaveUp bool      // it was waited for in vain, and is not waited for once more
}

// restError says that a calendar was not asked, because it had said that it is busy. It names a
// time, which stays the same when it is told again and again.
type restError struct {
	*calendar.BusyError
	until time.Time
}

func (e *restError) Error() string {
	return fmt.Sprintf("it is busy (HTTP status %d) and left alone until %s", e.Status, humanize.Time(e.until))
}

func (e *restError) Unwrap() error { return e.BusyError }

// openCalendars lists the well-known calendars, the daemon's own, and those that the flags allow.
// Whoever opens them closes them.
func (a *app) openCalendars(o calendarOptions) (*calendars, error) {
	if o.offline {
		return nil, nil
	}
	cfg, err := a.configuration()
	if err != nil {
		return nil, err // also because a proxy may stand in it: nothing must go around that
	}
	list := calendar.WellKnown()
	for _, s := range o.allowed {
		if err := list.Add(s); err != nil {
			return nil, usagef("--calendar: %w", err)
		}
	}
	// The daemon promises at whatever address its operator chose. One that cannot be asked is left
	// to the daemon.
	_ = list.Add(cfg.Calendar.URI)
	client := calendar.NewClient(calendar.ClientConfig{Proxy: cfg.SPV.Proxy, UserAgent: "ancre/" + versionText()})
	return &calendars{client: client, list: list, pause: pause, now: time.Now, busy: make(map[string]busyCalendar)}, nil
}

func (c *calendars) close() {
	if c != nil {
		c.client.Close()
	}
}

// pause waits, or returns why it did not.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// calendarTold is what became of one promise, for --json as it is.
type calendarTold struct {
	Calendar string  `json:"calendar"`          // the address that the proof names
	Result   outcome `json:"result"`            // complete, pending, failed, or skipped: it was not asked
	Reason   string  `json:"reason,omitempty"`  // in words; of a calendar that is pending, its own
	Height   uint64  `json:"height,omitempty"`  // the lowest block that its answer names
	Checked  bool    `json:"checked,omitempty"` // the daemon's headers have that block with that root

	retryAfter time.Duration // it does not want to be asked before
}

// words puts it into a part of a sentence.
func (t calendarTold) words() string {
	at := "the calendar at " + clip(t.Calendar)
	switch {
	case t.Result == complete:
		return at + " has the proof"
	case t.Result == skipped:
		return "waiting for " + at + ", which " + t.Reason
	case t.Result == failed || t.retryAfter > 0:
		return "waiting for " + at + ": " + t.Reason
	case t.Reason == "":
		return "waiting for " + at + ", which has nothing yet"
	}
	return fmt.Sprintf("waiting for %s, which says %q", at, t.Reason)
}

// elsewhere explains a promise at an address of this machine: whoever was sent such a proof finds a
// calendar of their own there, or none.
func elsewhere(uri string) string {
	if !isLoopback(uri) {
		return ""
	}
	return "; an address of this machine means the machine on which it was stamped"
}

// sayTold puts all that have one of these results into words, the first few of them.
func sayTold(told []calendarTold, results ...outcome) string {
	var said []string
	have := make(map[string]bool)
	for _, t := range told {
		if words := t.words(); slices.Contains(results, t.Result) && !have[words] {
			have[words] = true
			said = append(said, words)
		}
	}
	return few(said)
}

// few joins parts of a sentence, and leaves out those that nobody would read.
func few(parts []string) string {
	const enough = 3
	if n := len(parts) - enough; n > 0 {
		parts = append(slices.Clone(parts[:enough]), fmt.Sprintf("and %d more", n))
	}
	return strings.Join(parts, "; ")
}

// promise is what a calendar promised: it has the rest for whoever comes back with the message.
type promise struct{ uri, msg string }

// promises lists what a proof waits for that is not in seen yet, and adds it there.
func promises(f *proof.File, seen map[promise]bool) []promise {
	var list []promise
	for _, a := range f.Attestations() {
		uri, ok := a.URI()
		if p := (promise{uri, string(a.Msg)}); ok && !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list
}

// follow asks the calendars for what they promised in f, all at once, and returns f with what they
// answered, and what each of them said. Promises in seen are left out, and those that were looked
// at are added. It fails in nothing: a calendar can only make a proof better, and one whose answer
// cannot be taken in is told as such. What they attest is not verified.
func (c *calendars) follow(ctx context.Context, f *proof.File, seen map[promise]bool) (*proof.File, []calendarTold) {
	if c == nil {
		return f, nil
	}
	var told []calendarTold
	for range maxRelays {
		next := promises(f, seen)
		if len(next) == 0 {
			break
		}
		answers, said := c.askAll(ctx, next, maxPromises-len(told))
		for i, answer := range answers {
			if answer == nil {
				continue
			}
			better, err := graft(f, answer)
			if err != nil {
				said[i].Result, said[i].Reason = failed, fmt.Sprintf("its answer cannot be taken in: %v", err)
				continue
			}
			f = better
		}
		told = append(told, said...)
	}
	return f, told
}

// askAll asks for the promises, for no more than most of them, and those that are listed only.
func (c *calendars) askAll(ctx context.Context, list []promise, most int) ([]*proof.Timestamp, []calendarTold) {
	answers := make([]*proof.Timestamp, len(list))
	told := make([]calendarTold, len(list))
	var wg sync.WaitGroup
	for i, p := range list {
		told[i].Calendar = p.uri
		switch err := c.list.Check(p.uri); {
		case errors.Is(err, calendar.ErrNotListed):
			told[i].Result, told[i].Reason = skipped, fmt.Sprintf("is asked only with --calendar %s", clip(p.uri))+elsewhere(p.uri)
			continue
		case err != nil:
			told[i].Result, told[i].Reason = skipped, fmt.Sprintf("is not asked: its address %v", err)
			continue
		case most <= 0:
			told[i].Result, told[i].Reason = skipped, fmt.Sprintf("is not asked: the proof holds more than %d promises", maxPromises)
			continue
		}
		most--
		wg.Go(func() {
			answer, err := c.ask(ctx, p)
			if told[i].take(answer, err) && told[i].check(ctx, answer, c.headers) {
				answers[i] = answer
			}
		})
	}
	wg.Wait()
	return answers, told
}

// ask asks one calendar, and waits for one that is busy, as long as that is not long. One that was
// waited for in vain is asked for further proofs only when it wants to be, and then once for each,
// until it answers: a thousand proofs must not wait a minute each.
func (c *calendars) ask(ctx context.Context, p promise) (*proof.Timestamp, error) {
	for left := c.patience(p.uri); ; {
		var answer *proof.Timestamp
		err := c.rests(p.uri)
		if err == nil {
			answer, err = c.client.Timestamp(ctx, p.uri, []byte(p.msg))
			c.note(p.uri, err)
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
		if err := c.pause(ctx, busy.RetryAfter); err != nil {
			return nil, err
		}
	}
}

// patience is how long a calendar is waited for.
func (c *calendars) patience(uri string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[uri].gaveUp {
		return 0
	}
	return busyPatience
}

// rests returns why a calendar is not asked at the moment, if it is not: each is left alone by
// itself, while others are asked.
func (c *calendars) rests(uri string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.busy[uri]
	left := b.until.Sub(c.now())
	if left <= 0 {
		return nil
	}
	return &restError{&calendar.BusyError{Status: b.status, RetryAfter: left}, b.until}
}

// note keeps whether a calendar that was asked is busy.
func (c *calendars) note(uri string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var busy *calendar.BusyError
	if !errors.As(err, &busy) {
		delete(c.busy, uri)
		return
	}
	b := c.busy[uri]
	b.status, b.until = busy.Status, c.now().Add(busy.RetryAfter)
	c.busy[uri] = b
}

// giveUp keeps that a calendar was waited for in vain.
func (c *calendars) giveUp(uri string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.busy[uri]; ok { // else it answered somebody meanwhile
		b.gaveUp = true
		c.busy[uri] = b
	}
}

// take fills in what came of asking, and reports whether the answer says something new.
func (t *calendarTold) take(answer *proof.Timestamp, err error) bool {
	var not *calendar.PendingError
	var busy *calendar.BusyError
	switch {
	case errors.As(err, &not):
		t.Result, t.Reason = pending, not.Text
	case errors.As(err, &busy):
		t.Result, t.Reason, t.retryAfter = pending, err.Error(), busy.RetryAfter
	case errors.Is(err, calendar.ErrNoAnswer):
		t.Result, t.Reason = failed, err.Error()+elsewhere(t.Calendar)
	case err != nil:
		t.Result, t.Reason = failed, err.Error()
	case len(answer.All()) > maxAttestations:
		t.Result, t.Reason = failed, fmt.Sprintf("its answer holds %d attestations, no more than %d are taken in", len(answer.All()), maxAttestations)
	case namesBlock(answer):
		if t.Height = lowestBlock(answer); t.Height > proof.MaxHeight {
			t.Result, t.Reason = failed, fmt.Sprintf("it names Bitcoin block %d, and no block can be as high: its answer is refused", t.Height)
			return false
		}
		t.Result = complete
		return true
	default:
		// Another calendar's promise, or an attestation of a kind that is not known here: worth
		// keeping, and no block.
		t.Result = pending
		return true
	}
	return false
}

// check compares the blocks that an answer names with headers, and reports whether the answer is
// worth taking in. It is not when it contradicts the chain. Without an answer from the headers it
// stays unchecked.
func (t *calendarTold) check(ctx context.Context, answer *proof.Timestamp, src *source) bool {
	if t.Result != complete || src == nil {
		return true
	}
	checks, err := proof.CheckAll(ctx, answer, src)
	if err != nil {
		return true
	}
	for _, c := range checks {
		switch c.Outcome {
		case proof.OutcomeInvalid:
			t.Result, t.Checked, t.Reason = failed, false, "it names a false block, and its answer is refused: "+c.Reason
			return false
		case proof.OutcomeValid:
			if !t.Checked || c.Header.Height < t.Height {
				t.Checked, t.Height = true, c.Header.Height
			}
		}
	}
	return true
}

// namesBlock reports whether a timestamp leads to a Bitcoin block, true or not.
func namesBlock(t *proof.Timestamp) bool {
	return slices.ContainsFunc(t.All(), func(a proof.Attested) bool { return a.Kind() == proof.KindBitcoin })
}

// lowestBlock is the lowest height that a timestamp names, 0 when it names none.
func lowestBlock(t *proof.Timestamp) uint64 {
	lowest, named := uint64(0), false
	for _, a := range t.All() {
		if h, ok := a.Height(); ok && a.Kind() == proof.KindBitcoin && (!named || h < lowest) {
			lowest, named = h, true
		}
	}
	return lowest
}

// graft returns f with what answer says of the message that it is about, which is one of the
// messages in f. F is not changed.
func graft(f *proof.File, answer *proof.Timestamp) (*proof.File, error) {
	// Put together unsorted, and made one tree once, in the end: a stranger's proof may hold the
	// message a hundred times, each above all the others.
	var at func(*proof.Timestamp) *proof.Timestamp
	at = func(t *proof.Timestamp) *proof.Timestamp {
		u := &proof.Timestamp{Msg: t.Msg, Attestations: t.Attestations}
		for _, b := range t.Branches {
			u.Branches = append(u.Branches, proof.Branch{Op: b.Op, Next: at(b.Next)})
		}
		if bytes.Equal(t.Msg, answer.Msg) {
			u.Attestations = slices.Concat(u.Attestations, answer.Attestations)
			u.Branches = append(u.Branches, answer.Branches...)
		}
		return u
	}
	// Written once: only what can be written and read again is taken in.
	data, err := (&proof.File{HashOp: f.HashOp, Digest: f.Digest, Timestamp: at(f.Timestamp)}).Marshal()
	if err != nil {
		return nil, err
	}
	return proof.Parse(data)
}

// better returns what a proof is worth with what its promises led to by now. The daemon is asked
// first where it is the source of the headers, which is cheap, then the calendars. They can make a
// proof valid, and nothing worse: when what they answered does not hold, the proof is what it was,
// and the reason tells of it. The file is not changed.
func (c *calendars) better(ctx context.Context, src *source, f *proof.File, digest []byte, was proof.Result, r *fileResult) (proof.Result, error) {
	waits := slices.ContainsFunc(was.Checks, func(k proof.Check) bool { return k.Outcome == proof.OutcomePending })
	if c == nil || !waits || was.Outcome == proof.OutcomeValid {
		return was, nil
	}
	blockless := !f.IsComplete() // before others add to it
	seen := make(map[promise]bool)
	var known daemonKnows
	if src.daemon != nil {
		// One that does not know the digest, or is not there, is told of when a header is needed.
		if k, err := fromDaemon(ctx, src.daemon, f, seen); err == nil {
			known, f = k, k.file
		}
	}
	if !known.complete {
		f, r.Calendars = c.follow(ctx, f, seen)
	}
	if err := ctx.Err(); err != nil {
		return was, err
	}
	if said := sayTold(r.Calendars, pending, failed, skipped); said != "" {
		if was.Outcome != proof.OutcomePending {
			said = was.Reason + "; " + said
		}
		was.Reason = said
	}
	answered := sayTold(r.Calendars, complete)
	if known.complete {
		answered = "the daemon has the proof"
	}
	if answered == "" {
		return was, nil
	}
	now, err := proof.Verify(ctx, f, digest, src)
	switch {
	case err != nil && ctx.Err() != nil:
		return was, err
	case err != nil:
		was.Reason += fmt.Sprintf("; %s, and it cannot be checked here: %v; to check it, %s", answered, err, otherSources)
		return was, nil
	case now.Outcome == proof.OutcomeUnverifiable:
		was.Reason += fmt.Sprintf("; %s, and it cannot be checked here: %s", answered, now.Reason)
		return was, nil
	case now.Outcome != proof.OutcomeValid:
		was.Reason += fmt.Sprintf("; %s, and it does not hold here: %s", answered, now.Reason)
		return was, nil
	}
	if was.Outcome == proof.OutcomeInvalid {
		now.Reason, r.blockless = "what the file itself says of Bitcoin does not hold: \"ancre upgrade\" adds what does", true
	} else {
		now.Reason, r.blockless = "the proof in the file is still pending: \"ancre upgrade\" completes it", blockless
	}
	if r.Path != nil {
		if r.Path, err = proof.Explain(f); err != nil {
			return was, err
		}
	}
	return now, nil
}
