package verify

import (
	"bytes"
	"maps"
	"slices"

	"ancre/proof"
)

// promise is what a calendar promised: it has the rest for anyone who comes back with the message.
type promise struct{ uri, msg string }

// promises lists the promises in a proof that are not in seen yet, and adds them there.
func promises(f *proof.File, seen map[promise]bool) []promise {
	var list []promise
	for _, a := range f.Attestations() {
		uri, ok := a.URI()
		if p := (promise{uri, string(a.Msg)}); ok && !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list
}

// IsPending reports whether a proof holds a promise of a calendar. It may be complete all the same.
func IsPending(f *proof.File) bool {
	return slices.ContainsFunc(f.Attestations(), func(a proof.Attested) bool {
		_, ok := a.URI()
		return ok
	})
}

// Commitments returns the messages that calendars promised to anchor in a proof, as far as an
// ancred may have made them: the first few. Clients of a calendar blind the digest, so the daemon
// knows such a proof only by these.
func Commitments(f *proof.File) [][32]byte { return commitments(f, nil) }

// commitments returns the Commitments of promises that are not in answered.
func commitments(f *proof.File, answered map[promise]bool) [][32]byte {
	var list [][32]byte
	seen := make(map[promise]bool) // answered stays as it is
	maps.Copy(seen, answered)
	for _, p := range promises(f, seen) {
		if len(p.msg) == 32 && !slices.Contains(list, [32]byte([]byte(p.msg))) && len(list) < maxPromises {
			list = append(list, [32]byte([]byte(p.msg)))
		}
	}
	return list
}

// namesBlock reports whether a timestamp leads to a Bitcoin block, true or not.
func namesBlock(t *proof.Timestamp) bool {
	return slices.ContainsFunc(t.All(), func(a proof.Attested) bool { return a.Kind() == proof.KindBitcoin })
}

// lowestBlock returns the lowest height that a timestamp names, 0 if it names none.
func lowestBlock(t *proof.Timestamp) uint64 {
	lowest, named := uint64(0), false
	for _, a := range t.All() {
		if h, ok := a.Height(); ok && a.Kind() == proof.KindBitcoin && (!named || h < lowest) {
			lowest, named = h, true
		}
	}
	return lowest
}

// graft returns f with an answer about one of its messages merged into it. It does not change f.
func graft(f *proof.File, answer *proof.Timestamp) (*proof.File, error) {
	// The pieces are put together unsorted, and sorted once at the end: a stranger's proof may hold
	// the message a hundred times, each above all the others.
	var at func(*proof.Timestamp) *proof.Timestamp
	at = func(t *proof.Timestamp) *proof.Timestamp {
		u := &proof.Timestamp{Msg: t.Msg, Attestations: t.Attestations}
		for _, b := range t.Branches {
			u.Branches = append(u.Branches, proof.Branch{Op: b.Op, Next: at(b.Next)})
		}
		if bytes.Equal(t.Msg, answer.Msg) {
			u.Attestations = slices.Concat(u.Attestations, answer.Attestations)
			u.Branches = append(u.Branches, answer.Branches...)
		}
		return u
	}
	// The proof is written and read again: a result that could not be is refused.
	data, err := (&proof.File{HashOp: f.HashOp, Digest: f.Digest, Timestamp: at(f.Timestamp)}).Marshal()
	if err != nil {
		return nil, err
	}
	return proof.Parse(data)
}

// DropFulfilled returns a proof without the promises that calendars kept.
func DropFulfilled(f *proof.File) (*proof.File, error) {
	t, err := proof.DropFulfilled(f.Timestamp)
	return &proof.File{HashOp: f.HashOp, Digest: f.Digest, Timestamp: t}, err
}
