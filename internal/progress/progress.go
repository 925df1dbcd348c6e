// Package progress shows on a terminal how far long work is: one line, drawn again and again, and
// gone when the work ends. Work of less than a second shows nothing.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ancre/internal/humanize"
)

const (
	showAfter = time.Second            // shorter work shows nothing
	drawEvery = 200 * time.Millisecond // a person sees no more
)

// Bar is a progress bar. Its methods do nothing on a nil Bar, so callers need not ask whether a
// person is there to see it. They are safe for concurrent use.
type Bar struct {
	out   io.Writer
	width func() int
	label string
	unit  func(int64) string
	begun time.Time
	bytes bool // it counts bytes, not files
	done  atomic.Int64

	mu    sync.Mutex // guards what is below, and the terminal's line
	total int64      // 0: not known
	shown bool

	once    sync.Once
	stop    chan struct{}
	stopped sync.WaitGroup
}

// Start begins to show progress on out, a terminal of that width. label says what is done, and what
// is counted: bytes if ofBytes is set, else the things that the label names. total is how many
// there are; 0 means that this is not known yet. The caller must call [Bar.Finish].
func Start(out io.Writer, width func() int, label string, total int64, ofBytes bool) *Bar {
	b := newBar(out, width, label, total, ofBytes, time.Now())
	b.stopped.Go(b.run)
	return b
}

func newBar(out io.Writer, width func() int, label string, total int64, ofBytes bool, begun time.Time) *Bar {
	b := &Bar{out: out, width: width, label: label, unit: humanize.Count[int64], total: total, bytes: ofBytes, begun: begun, stop: make(chan struct{})}
	if ofBytes {
		b.unit = humanize.Bytes
	}
	return b
}

func (b *Bar) run() {
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if now.Sub(b.begun) >= showAfter {
				b.mu.Lock()
				b.draw(now)
				b.mu.Unlock()
			}
		case <-b.stop:
			return
		}
	}
}

// AddBytes says that n more bytes are done. A bar of files ignores it.
func (b *Bar) AddBytes(n int64) {
	if b != nil && b.bytes {
		b.done.Add(n)
	}
}

// AddFile says that one more file is done. A bar of bytes ignores it.
func (b *Bar) AddFile() {
	if b != nil && !b.bytes {
		b.done.Add(1)
	}
}

// SetDone says how much is done in all.
func (b *Bar) SetDone(n uint64) {
	if b != nil {
		b.done.Store(int64(n))
	}
}

// SetTotal says how much there is to do, as far as it is known by now.
func (b *Bar) SetTotal(n int64) {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.total = n
	}
}

// Finish ends the display and clears its line. It may be called again.
func (b *Bar) Finish() {
	if b == nil {
		return
	}
	b.once.Do(func() { close(b.stop) })
	b.stopped.Wait()
	b.Above(func() {})
}

// Above lets print write lines where the bar is. The bar appears again below them.
func (b *Bar) Above(print func()) {
	if b == nil {
		print()
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown {
		fmt.Fprintf(b.out, "\r%s\r", strings.Repeat(" ", b.width()-1))
		b.shown = false
	}
	print()
}

// draw writes the line. The caller holds the lock.
func (b *Bar) draw(now time.Time) {
	done, took := b.done.Load(), now.Sub(b.begun)
	rate := int64(float64(done) / took.Seconds())
	line := fmt.Sprintf("%s %s, %s/s", b.label, b.unit(done), b.unit(rate))
	if b.total > 0 {
		fraction := min(1, float64(done)/float64(b.total))
		line = fmt.Sprintf("%s %s %3.0f%%  %s of %s, %s/s", b.label, Fraction(fraction, 14), 100*fraction, b.unit(done), b.unit(b.total), b.unit(rate))
		if rate > 0 && done < b.total {
			line += ", " + humanize.Duration(time.Duration(float64(b.total-done)/float64(rate)*float64(time.Second))) + " left"
		}
	}
	// One column is left free: a full line would scroll.
	width := max(b.width()-1, 10)
	if runes := []rune(line); len(runes) > width {
		line = string(runes[:width])
	}
	fmt.Fprintf(b.out, "\r%-*s", width, line)
	b.shown = true
}

// Fraction draws a fraction: "[###...........]".
func Fraction(fraction float64, width int) string {
	full := int(min(1, max(0, fraction)) * float64(width))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}
