package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ancre/internal/printable"
)

const (
	progressAfter = time.Second            // shorter work shows nothing
	progressEvery = 200 * time.Millisecond // a person sees no more
)

// progress shows on a terminal how far long work is. Its methods work on nil, which shows nothing.
type progress struct {
	out   io.Writer
	width func() int
	label string
	unit  func(int64) string
	begun time.Time
	total int64 // 0: not known
	bytes bool  // it counts bytes, not files
	done  atomic.Int64

	mu    sync.Mutex // guards the terminal's line, and total once it runs
	shown bool

	once    sync.Once
	stop    chan struct{}
	stopped sync.WaitGroup
}

// startProgress begins to show progress if somebody sits at a terminal. Whoever starts it calls
// finish.
func (a *app) startProgress(label string, total int64, ofBytes bool) *progress {
	if !a.errTerm || a.json {
		return nil
	}
	p := &progress{out: printable.Raw(a.err), width: a.width, label: label, total: total, bytes: ofBytes, begun: time.Now(), stop: make(chan struct{})}
	if p.unit = byteCount; !ofBytes {
		p.unit = count[int64] // the label says that these are files
	}
	p.stopped.Go(p.run)
	return p
}

func (p *progress) run() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if now.Sub(p.begun) >= progressAfter {
				p.mu.Lock()
				p.draw(now)
				p.mu.Unlock()
			}
		case <-p.stop:
			return
		}
	}
}

// addBytes says that n more bytes are read.
func (p *progress) addBytes(n int64) {
	if p != nil && p.bytes {
		p.done.Add(n)
	}
}

// addFile says that one more file is done.
func (p *progress) addFile() {
	if p != nil && !p.bytes {
		p.done.Add(1)
	}
}

// setDone says how much is done in all.
func (p *progress) setDone(n uint64) {
	if p != nil {
		p.done.Store(int64(n))
	}
}

// setTotal says how much there is to do, as far as it is known by now.
func (p *progress) setTotal(n int64) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.total = n
	}
}

// finish ends the display and clears its line. It may be called again.
func (p *progress) finish() {
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.stop) })
	p.stopped.Wait()
	p.above(func() {})
}

// above lets print write lines where the bar is; it appears again below them.
func (p *progress) above(print func()) {
	if p == nil {
		print()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width()-1))
		p.shown = false
	}
	print()
}

func (p *progress) draw(now time.Time) {
	done, took := p.done.Load(), now.Sub(p.begun)
	rate := int64(float64(done) / took.Seconds())
	line := fmt.Sprintf("%s %s, %s/s", p.label, p.unit(done), p.unit(rate))
	if p.total > 0 {
		fraction := min(1, float64(done)/float64(p.total))
		line = fmt.Sprintf("%s %s %3.0f%%  %s of %s, %s/s", p.label, bar(fraction, 14), 100*fraction, p.unit(done), p.unit(p.total), p.unit(rate))
		if rate > 0 && done < p.total {
			line += ", " + roughly(time.Duration(float64(p.total-done)/float64(rate)*float64(time.Second))) + " left"
		}
	}
	// One column is left free: a full line would scroll.
	width := max(p.width()-1, 10)
	if runes := []rune(line); len(runes) > width {
		line = string(runes[:width])
	}
	fmt.Fprintf(p.out, "\r%-*s", width, line)
	p.shown = true
}

// bar draws a fraction.
func bar(fraction float64, width int) string {
	full := int(min(1, max(0, fraction)) * float64(width))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// byteCount writes a size for a person.
func byteCount(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.95 {
		f, i = f/1000, i+1
	}
	return fmt.Sprintf("%.1f %cB", f, units[i])
}

// count writes a number with separators of thousands.
func count[N int | int32 | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// plural writes a number of things.
func plural[N int | int32 | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// roughly writes a duration as a person would say it.
func roughly(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return plural(int64((d+time.Second-1)/time.Second), "second", "seconds")
	case d < 90*time.Minute:
		return plural(int64((d+30*time.Second)/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int64((d+30*time.Minute)/time.Hour), "hour", "hours")
	}
	return plural(int64((d+12*time.Hour)/(24*time.Hour)), "day", "days")
}

// clock writes a time as it is written everywhere here.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
