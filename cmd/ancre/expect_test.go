package main

import (
	"testing"
	"time"

	"ancre/rpc"
)

func TestWhenAProofWillBeComplete(t *testing.T) {
	paris := time.FixedZone("CET", 3600)
	now := time.Date(2026, 1, 2, 12, 3, 0, 0, paris)
	at := func(hour, minute int) *time.Time {
		t := time.Date(2026, 1, 2, hour, minute, 0, 0, paris).UTC()
		return &t
	}
	p := rpc.Anchoring{IntervalSeconds: 6 * 3600, TargetSeconds: 6 * 3600, Confirmations: 6}
	for _, tt := range []struct {
		name  string
		state string
		done  int32 // confirmations
		batch rpc.Batch
		want  string
	}{
		{"open, sealed at one o'clock", "open", 0, rpc.Batch{Closes: at(13, 0)}, "about 14:00 to 20:00 CET"},
		{"open until the evening", "open", 0, rpc.Batch{Closes: at(18, 0)}, "about 2026-01-02 19:00 to 2026-01-03 01:00 CET"},
		{"open until the night", "open", 0, rpc.Batch{Closes: at(23, 30)}, "about 2026-01-03, 00:30 to 06:30 CET"},
		{"sealed just now", "sealed", 0, rpc.Batch{Closed: at(12, 0)}, "about 13:00 to 19:00 CET"},
		{"paid for a while", "broadcast", 0, rpc.Batch{Closed: at(10, 0)}, "about 13:00 to 17:00 CET"},
		{"late", "broadcast", 0, rpc.Batch{Closed: at(6, 0)}, ""},
		{"in the newest block", "mined", 1, rpc.Batch{}, "about 12:50 to 13:20 CET"},
		{"one block to go", "mined", 5, rpc.Batch{}, "about 12:10 to 12:20 CET"},
		{"deep enough, and not yet noticed", "mined", 6, rpc.Batch{}, "about 12:10 to 12:20 CET"},
		{"complete", "final", 7, rpc.Batch{}, ""},
		{"a state of a later version", "bogus", 0, rpc.Batch{}, ""},
	} {
		got := ""
		if x, ok := expect(rpc.Entry{State: tt.state, Confirmations: tt.done}, tt.batch, "mainnet", p, now); ok {
			got = x.text(now)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if _, ok := expect(rpc.Entry{State: "open"}, rpc.Batch{Closes: at(13, 0)}, "regtest", p, now); ok {
		t.Error("on regtest blocks come when somebody makes them")
	}
	if _, ok := expect(rpc.Entry{State: "open"}, rpc.Batch{Closes: at(13, 0)}, "mainnet", rpc.Anchoring{}, now); ok {
		t.Error("a daemon of an earlier version does not say what it waits for")
	}
}
