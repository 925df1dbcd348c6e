package proof

import (
	"strings"
	"testing"
)

// What tests outside of this package use of those inside: the browser's harness imports packages
// that import this one.

// Seed is the flag -seed.
var Seed = seed

// Mutator makes bytes that are almost proofs: see mutator.
type Mutator struct{ *mutator }

func NewMutator(t testing.TB, seed uint64) Mutator { return Mutator{newMutator(t, seed)} }

// File returns the mutated proof of that number, and leaves the random numbers at a state that
// depends on nothing else.
func (m Mutator) File(seed, number uint64) []byte {
	m.reset(seed, number)
	return m.file()
}

// Vectors returns the proofs of a directory of testdata, by name.
func Vectors(t testing.TB, dir string) map[string][]byte { return vectors(t, dir) }

// FaultOf returns the code that the verifier of the page has for an error of Parse.
func FaultOf(reason string) string { return faultOf(reason) }

// faults are the codes of the page for what Parse says, by the beginning or a part of it.
var faults = []struct{ part, code string }{
	{"this is not an OpenTimestamps proof", "not-a-proof"},
	{"bytes, a proof has at most", "too-large"},
	{"ends where", "cut"},
	{"ends within", "cut"},
	{"of the format, only", "version"},
	{"unknown kind of hash", "hash-kind"},
	{"does not fit into 64 bits", "number"},
	{"unknown operation", "unknown-operation"},
	{"operations one after the other", "too-deep"},
	{errWork, "too-much-work"},
	{"the URI has", "uri"},
	{"none are allowed", "trailing"},
	{"the result of", "operation"},
	{"of a message of", "operation"},
	{"of an empty message", "operation"},
	{"are allowed", "length"},
}

func faultOf(reason string) string {
	for _, f := range faults {
		if strings.Contains(reason, f.part) {
			return f.code
		}
	}
	return "?" + reason
}
