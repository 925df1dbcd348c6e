package humanize

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 123456: "123,456"} {
		if got := Sats(n); got != want+" sat" {
			t.Errorf("%d satoshi are written %s", n, got)
		}
		if got := Count(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 1 << 62: "4.6 EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 seconds", time.Second: "1 second", 89 * time.Second: "89 seconds", 90 * time.Second: "2 minutes",
		90 * time.Minute: "2 hours", 47 * time.Hour: "47 hours", 72 * time.Hour: "3 days"} {
		if got := Duration(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 batches", 1: "1 batch", 1234: "1,234 batches"} {
		if got := Plural(n, "batch", "batches"); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
	if got, want := Time(time.Date(2026, 1, 2, 4, 4, 59, 0, time.FixedZone("", 3600))), "2026-01-02 03:04 UTC"; got != want {
		t.Errorf("a time is written %q, want %q", got, want)
	}
}

func TestClipCutsNoLetterInTwo(t *testing.T) {
	for _, s := range []string{"", strings.Repeat("a", 80), strings.Repeat("é", 40)} {
		if got := Clip(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{strings.Repeat("a", 81), "a" + strings.Repeat("é", 40), "ab" + strings.Repeat("🙂", 20)} {
		if got := Clip(s); !utf8.ValidString(got) || !strings.HasSuffix(got, "…") || len(got) > 80+len("…") || len(got) < 77 {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got := Clip(strings.Repeat("\x80", 100)); len(got) > 80+len("…") { // not UTF-8: others wrote it
		t.Errorf("%d bytes are left", len(got))
	}
}

func TestFew(t *testing.T) {
	for want, parts := range map[string][]string{"": nil, "a; b; c": {"a", "b", "c"}, "a; b; c; and 2 more": {"a", "b", "c", "d", "e"}} {
		if got := Few(parts); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWrapBreaksBetweenWords(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"one two three", 80, "one two three"},
		{"one two three", 14, "one two\n   three"},
		{"one two three", 11, "one two\n   three"},
		{"one two three", 10, "one\n   two\n   three"},
		{"sixteen-letters! a", 8, "sixteen-letters!\n   a"},
		{"été été", 10, "été\n   été"},
		{"été été", 11, "été été"},
		{"", 8, ""},
	} {
		if got := Wrap(tt.text, tt.width, 4, 3); got != tt.want {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestLocalNamesTheZone(t *testing.T) {
	defer func(zone *time.Location) { time.Local = zone }(time.Local)
	time.Local = time.FixedZone("CET", 3600)
	if got := Local(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)); got != "2026-01-02 04:04 CET" {
		t.Errorf("%s", got)
	}
}
