package progress

import (
	"strings"
	"testing"
	"time"
)

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestProgressIsShownWhenWorkLasts(t *testing.T) {
	var screen strings.Builder
	p := newBar(&screen, func() int { return 60 }, "hashing", 4_000_000_000, true, begun)
	p.AddBytes(1_000_000_000)
	p.AddFile() // counts for nothing here
	p.draw(begun.Add(10 * time.Second))
	if got, want := screen.String(), "\rhashing [###...........]  25%  1.0 GB of 4.0 GB, 100.0 MB/s"; got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	screen.Reset()
	p.Above(func() { screen.WriteString("line\n") })
	if got, want := screen.String(), "\r"+strings.Repeat(" ", 59)+"\rline\n"; got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	var none *Bar
	none.AddBytes(1)
	none.Finish()
}

func TestProgressOfABackupIsInDigests(t *testing.T) {
	var out strings.Builder
	p := newBar(&out, func() int { return 100 }, "Backing up digests", 2_000_000, false, begun)
	p.SetDone(500_000)
	p.draw(begun.Add(time.Second))
	if !strings.Contains(out.String(), "25%  500,000 of 2,000,000") {
		t.Errorf("progress: %q", out.String())
	}
	(*Bar)(nil).SetDone(1) // nobody looks
}
