package rpc

import (
	"sync/atomic"
	"time"
)

// Observer takes one measurement of a distribution; a histogram of any metrics library is one. It
// is called from many goroutines.
type Observer interface{ Observe(float64) }

// UnknownMethod stands for what is no method of ours, and for requests that name none: who calls
// cannot make names for an operator's graphs.
const UnknownMethod = "unknown"

// codes are those of errors, each with a counter of its own for each method.
var codes = [...]int{
	0, // none
	CodeMisc, CodeForbidden, CodeType, CodeWallet, CodeNotFound, CodeInsufficientFunds, CodeInvalidParameter, CodeUnlockNeeded, CodeWrongPassphrase,
	CodeAlreadyUnlocked, CodeNoWallet, CodeDatabase, CodeStarting, CodeParse, CodeInvalidRequest, CodeUnknownMethod, CodeInvalidParams, CodeInternal, CodeBusy, CodeQuota,
}

// meter counts the calls of one method.
type meter struct {
	calls   [len(codes)]atomic.Uint64
	digests atomic.Uint64 // that it accepted
	latency Observer      // nil: not measured
}

func newMeter(method string, latency func(string) Observer) *meter {
	m := new(meter)
	if latency != nil {
		m.latency = latency(method)
	}
	return m
}

// meterOf returns the one that counts calls of a method.
func (s *Server) meterOf(method string) *meter {
	if m := s.methods[method]; m != nil {
		return m.meter
	}
	return s.strange
}

// done counts a call that was answered.
func (m *meter) done(code int, took time.Duration) {
	at := 1 // what has no counter of its own counts as CodeMisc
	for i := range codes {
		if codes[i] == code {
			at = i
			break
		}
	}
	m.calls[at].Add(1)
	if m.latency != nil {
		m.latency.Observe(took.Seconds())
	}
}

// Counts is what a server has answered since it was made.
type Counts struct {
	Calls         []CallCount   // of each method those that went well, and each code that occurred
	Digests       []DigestCount // of each method that accepts some
	RefusedLogins uint64
}

// CallCount is how often calls of one method ended with one code; 0: without an error.
type CallCount struct {
	Method string
	Code   int
	Calls  uint64
}

// DigestCount is how many digests one method has accepted, those that were known already included.
type DigestCount struct {
	Method  string
	Digests uint64
}

// Counts returns the counters as they are now.
func (s *Server) Counts() Counts {
	out := Counts{RefusedLogins: s.logins.Load()}
	add := func(name string, m *meter) {
		for i, code := range codes {
			if n := m.calls[i].Load(); n > 0 || code == 0 {
				out.Calls = append(out.Calls, CallCount{Method: name, Code: code, Calls: n})
			}
		}
	}
	for i := range s.table {
		m := &s.table[i]
		add(m.name, m.meter)
		if m.name == methodSubmit || m.name == methodSubmitBatch {
			out.Digests = append(out.Digests, DigestCount{Method: m.name, Digests: m.meter.digests.Load()})
		}
	}
	add(UnknownMethod, s.strange)
	return out
}
