package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// someRun is a run with a figure that is met, one that is missed and one that was not measured.
func someRun() *bench {
	r := rounds{{perSecond: 90, p50: time.Millisecond, p99: 20 * time.Millisecond, p999: 30 * time.Millisecond}}
	floor := rounds{{perSecond: 100, p50: time.Millisecond, p99: 2 * time.Millisecond, p999: 3 * time.Millisecond}}
	return &bench{
		options: options{rounds: 5, time: 3 * time.Second},
		machine: "a machine <of> two & more",
		rows: []row{
			beside("submit, 256 connections", "digests/s", r, floor, atLeast(ratio, 0.7)),
			{name: "start to the first answer", ours: 2.5, unit: "s", target: atMost(figure, 2), detail: "slow"},
			{name: "getproof, 100 M stored", target: atLeast(ratio, 0.5), absent: "no store"},
			{name: "new block to the updated anchor", ours: 800, unit: "ms"},
		},
		latencies: []latency{{"submit, 256 connections", r, floor}},
		medium:    &site{book: book{Stored: 10_000_000, Pace: []pace{{5_000_000, 300_000}, {10_000_000, 150_000}}}},
	}
}

// A target that is missed, or a figure that was not measured, must be visible.
func TestTheDocumentHidesNothing(t *testing.T) {
	page, _, err := someRun().document()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| submit, 256 connections | 90.0 digests/s | 100 digests/s | 0.90 | 0.90 to 0.90 | ≥ 0.7 × floor | met |",
		"| start to the first answer | 2.5 s |  |  |  | ≤ 2 s | **MISSED** |",
		"| getproof, 100 M stored |  |  |  |  | ≥ 0.5 × floor | **not measured** |",
		"| new block to the updated anchor | 800 ms |  |  |  |  |  |",
		"Of 3 figures with a target 1 met it, 1 missed it, 1 were not measured. Missed: start to the first answer.",
		"gets slower as the store grows", "A larger store was not measured in this run", "- **getproof, 100 M stored**: no store.",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the document lacks %q", want)
		}
	}
	if strings.Contains(string(page), "NaN") {
		t.Error("the document says NaN")
	}
	if t.Failed() {
		t.Logf("%s", page)
	}
}

func TestTheDocumentSaysOfAFlatBuildThatItIs(t *testing.T) {
	b := someRun()
	b.large = &site{book: book{Stored: 100_000_000, Pace: []pace{{50_000_000, 300_000}, {100_000_000, 290_000}}}}
	page, _, err := b.document()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(page); !strings.Contains(text, "next to nothing") || strings.Contains(text, "was not measured in this run") || !strings.Contains(text, "A store of 100 M digests") {
		t.Errorf("got:\n%s", page)
	}
}

func TestPlotsAreWellFormedWhateverWasMeasured(t *testing.T) {
	for name, b := range map[string]*bench{"a run": someRun(), "a run of nothing": {}} {
		_, plots, err := b.document()
		if err != nil {
			t.Fatal(err)
		}
		for file, plot := range plots {
			for dec := xml.NewDecoder(bytes.NewReader(plot)); ; {
				if _, err := dec.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Errorf("%s, %s: %v", name, file, err)
					break
				}
			}
			if bytes.Contains(plot, []byte("NaN")) || bytes.Contains(plot, []byte("Inf")) {
				t.Errorf("%s, %s: a coordinate is no number", name, file)
			}
		}
	}
}

// An interrupted build must record only acknowledged digests: one in flight is not.
func TestNoDigestInFlightCountsAsAcknowledged(t *testing.T) {
	var s supply
	s.next, s.limit = 10, 25
	one, other := new(worker), new(worker)
	if first, n := s.take(one, 8); first != 10 || n != 8 {
		t.Fatalf("the first call has %d from %d", n, first)
	}
	if first, n := s.take(other, 8); first != 18 || n != 7 {
		t.Fatalf("the last call has %d from %d, want what is left: 7 from 18", n, first)
	}
	if got := s.acknowledged(); got != 10 {
		t.Errorf("with all in flight %d are acknowledged, want 10", got)
	}
	if _, n := s.take(other, 8); n != 0 {
		t.Errorf("%d digests are handed out beyond the limit", n)
	}
	if got := s.acknowledged(); got != 10 {
		t.Errorf("the second call came back before the first: %d are acknowledged, want 10", got)
	}
	s.done(one)
	if got := s.acknowledged(); got != 25 {
		t.Errorf("at the end %d are acknowledged, want 25", got)
	}
}
