package proof

import (
	"fmt"
	"slices"
)

// maxWarnings is how many attestations of one kind are named. A hostile proof has tens of
// thousands.
const maxWarnings = 8

// warnings says what a reader of the verdict should know besides, in sentences: attestations that
// are false, hashes that let one proof fit two contents, attestations that were not checked. They
// do not change the verdict. A false attestation beside a true one is no reason to doubt the true
// one: as in the reference implementation, one that holds is enough, and the other is named.
func (r *Result) warnings(hashOp Tag, t *Timestamp) []string {
	if r.Outcome != OutcomeValid && r.Outcome != OutcomePending {
		return nil // the reason says what is wrong
	}
	list := r.named(OutcomeInvalid, "another attestation of the proof is false: ")
	if why := weakness(hashOp); why != "" {
		list = append(list, fmt.Sprintf("the proof is about the file's %s, not its SHA-256: %s. "+
			"Whoever made the file may have made another one, for which the same proof holds", spelled(hashOp), why))
	}
	if w := r.weakPath(weakSteps(t)); w != "" {
		list = append(list, w)
	}
	list = append(list, r.named(OutcomeNoBlock, "not checked: ")...)
	return append(list, r.named(OutcomeUnchecked, "not checked: ")...)
}

// named lists the reasons of the checks with that outcome, each once.
func (r *Result) named(o Outcome, before string) []string {
	var list []string
	more := 0
	seen := map[string]bool{}
	for _, c := range r.Checks {
		if c.Outcome != o || seen[c.Reason] {
			continue
		}
		if seen[c.Reason] = true; len(list) == maxWarnings {
			more++
			continue
		}
		list = append(list, before+c.Reason)
	}
	if more > 0 {
		list = append(list, fmt.Sprintf("%sand %d more attestations", before, more))
	}
	return list
}

// weakPath warns when every path to the block that counts goes through a hash for which two
// messages with the same result can be made. weak has the hash of each attestation's path, 0 for
// none.
func (r *Result) weakPath(weak []Tag) string {
	if r.Outcome != OutcomeValid {
		return ""
	}
	var through Tag
	var strong []uint64 // blocks that attest the file by other paths
	for i, c := range r.Checks {
		switch {
		case c.Outcome != OutcomeValid:
		case weak[i] == 0 && c.Header.Height == r.Header.Height:
			return ""
		case weak[i] == 0:
			strong = append(strong, c.Header.Height)
		case c.Header.Height == r.Header.Height:
			through = weak[i]
		}
	}
	text := fmt.Sprintf("the path to Bitcoin block %d goes through %s: %s. Whoever made the proof may have made another file, "+
		"to which the same block attests", r.Header.Height, spelled(through), weakness(through))
	if len(strong) > 0 {
		text += fmt.Sprintf(". Bitcoin block %d attests to the file without this weakness", slices.Min(strong))
	}
	return text
}

// weakSteps returns, for each attestation in the order of [Timestamp.All], the first hash on its
// path for which two messages with the same result can be made; 0 when there is none.
func weakSteps(t *Timestamp) []Tag {
	var list []Tag
	var walk func(t *Timestamp, weak Tag)
	walk = func(t *Timestamp, weak Tag) {
		for range t.Attestations {
			list = append(list, weak)
		}
		for _, b := range t.Branches {
			next := weak
			if next == 0 && weakness(b.Op.Tag) != "" {
				next = b.Op.Tag
			}
			walk(b.Next, next)
		}
	}
	walk(t, 0)
	return list
}

// weakness says why two different contents can have the same hash of that kind. It is empty for a
// hash for which no such pair can be made.
//
// SHA-1: the first two files with the same one were published in 2017 (https://shattered.io), and
// the cost fell below 50,000 dollars by 2020 (https://sha-mbles.github.io). RIPEMD-160 is not
// broken, but a collision of any hash of 160 bits takes about 2^80 steps. Bitcoin's miners do as
// many in an hour.
func weakness(op Tag) string {
	switch op {
	case SHA1:
		return "two files with the same SHA-1 can be made, and have been published since 2017"
	case RIPEMD160:
		return "it has 160 bits only, so that two files with the same one can be found with about 2^80 steps of work"
	}
	return ""
}

// spelled is the hash's name as people write it.
func spelled(op Tag) string {
	switch op {
	case SHA1:
		return "SHA-1"
	case RIPEMD160:
		return "RIPEMD-160"
	}
	return op.String()
}
