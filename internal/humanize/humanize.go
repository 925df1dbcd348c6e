// Package humanize writes numbers, sizes, times and lists as a person reads them, in English.
// Programs parse none of it: results for scripts hold plain numbers.
package humanize

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Integer is what this package writes.
type Integer interface {
	int | int32 | int64 | uint64
}

// Count writes a number with separators of thousands: "1,234".
func Count[N Integer](n N) string {
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

// Plural writes a number of things: "1 batch", "2 batches".
func Plural[N Integer](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Sats writes an amount of bitcoin: "20,000 sat". All amounts for people have this form.
func Sats[N Integer](n N) string { return Count(n) + " sat" }

// Bytes writes a size in decimal units: "1.0 kB".
func Bytes(n int64) string {
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

// Duration writes a duration in its largest useful unit: "2 hours".
func Duration(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return Plural(int64((d+time.Second-1)/time.Second), "second", "seconds")
	case d < 90*time.Minute:
		return Plural(int64((d+30*time.Second)/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return Plural(int64((d+30*time.Minute)/time.Hour), "hour", "hours")
	}
	return Plural(int64((d+12*time.Hour)/(24*time.Hour)), "day", "days")
}

// Difficulty writes the difficulty of a block: "53,911,173,001,054". Those of test networks are
// below 1: "4.7e-10".
func Difficulty(d float64) string {
	if d < 1 {
		return strconv.FormatFloat(d, 'g', 2, 64)
	}
	return Count(int64(d))
}

// Time writes a time to the minute, in UTC: "2026-01-02 03:04 UTC".
func Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Local writes a time to the minute in the zone of this machine, with its name: "2026-01-02 04:04
// CET". For JSON and for what others read, there is [Time].
func Local(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

// Wrap breaks a text between words, so that no line is wider than width. Each line after the first
// begins with indent spaces. first is how wide what stands before the text is. A word that is wider
// than a line has a line of its own.
func Wrap(text string, width, first, indent int) string {
	var b strings.Builder
	at := first
	for i, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// Clip shortens a text that somebody else wrote to 80 bytes. It cuts no letter in two.
func Clip(s string) string { return ClipTo(s, 80) }

// ClipTo is Clip to n bytes.
func ClipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n
	for end > max(n-utf8.UTFMax, 0) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// Few joins the first three parts of a sentence, and says how many it leaves out.
func Few(parts []string) string {
	const enough = 3
	if n := len(parts) - enough; n > 0 {
		parts = append(slices.Clone(parts[:enough]), fmt.Sprintf("and %d more", n))
	}
	return strings.Join(parts, "; ")
}
