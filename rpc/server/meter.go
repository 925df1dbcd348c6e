package server

import (
	"sync/atomic"

	"ancre/internal/meter"
	"ancre/rpc"
)

// UnknownMethod is the name under which requests are counted that name no method of ours, so that
// callers cannot make up names for an operator's graphs.
const UnknownMethod = "unknown"

// countedCodes are the codes with a counter of their own for each method; 0 is no error. Any other
// code counts as [rpc.CodeMisc].
var countedCodes = []int{
	0,
	rpc.CodeMisc, rpc.CodeForbidden, rpc.CodeType, rpc.CodeWallet, rpc.CodeNotFound, rpc.CodeInsufficientFunds, rpc.CodeInvalidParameter,
	rpc.CodeUnlockNeeded, rpc.CodeWrongPassphrase, rpc.CodeAlreadyUnlocked, rpc.CodeNoWallet, rpc.CodeDatabase, rpc.CodeStarting,
	rpc.CodeParse, rpc.CodeInvalidRequest, rpc.CodeUnknownMethod, rpc.CodeInvalidParams, rpc.CodeInternal, rpc.CodeBusy, rpc.CodeQuota,
}

// methodMeter counts the calls of one method.
type methodMeter struct {
	*meter.Outcomes               // by code
	digests         atomic.Uint64 // accepted by the method
}

// newMethodMeter returns counters at zero. latency may be nil.
func newMethodMeter(method string, latency func(string) meter.Observer) *methodMeter {
	var o meter.Observer
	if latency != nil {
		o = latency(method)
	}
	return &methodMeter{Outcomes: meter.NewOutcomes(countedCodes, rpc.CodeMisc, o)}
}

// meterOf returns the counters of a method.
func (s *Server) meterOf(method string) *methodMeter {
	if m := s.methods[method]; m != nil {
		return m.meter
	}
	return s.unknownMeter
}

// Counts is what a server has answered since it was made.
type Counts struct {
	Calls         []CallCount   // for each method: successful calls, and each code that has occurred
	Digests       []DigestCount // for each method that accepts digests
	RefusedLogins uint64
}

// CallCount is how often calls of one method ended with one code; 0 is success.
type CallCount struct {
	Method string
	Code   int
	Calls  uint64
}

// DigestCount is how many digests one method has accepted, known ones included.
type DigestCount struct {
	Method  string
	Digests uint64
}

// Counts returns the counters as they are now.
func (s *Server) Counts() Counts {
	out := Counts{RefusedLogins: s.refusedLogins.Load()}
	add := func(name string, m *methodMeter) {
		m.Each(func(code int, n uint64) { out.Calls = append(out.Calls, CallCount{Method: name, Code: code, Calls: n}) })
	}
	for i := range s.table {
		m := &s.table[i]
		add(m.Name, m.meter)
		if m.Name == rpc.MethodSubmit || m.Name == rpc.MethodSubmitBatch {
			out.Digests = append(out.Digests, DigestCount{Method: m.Name, Digests: m.meter.digests.Load()})
		}
	}
	add(UnknownMethod, s.unknownMeter)
	return out
}
