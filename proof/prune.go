package proof

import (
	"errors"
	"slices"
)

// DropFulfilled returns a canonical copy of t without promises that were kept: pending attestations
// of a message from which t also leads to a Bitcoin block. It removes nothing else and does not
// change t.
//
// It believes the blocks that t names. A calendar could name a false block to get rid of its
// promise, so merge only timestamps that were verified, or keep the old one.
func DropFulfilled(t *Timestamp) (*Timestamp, error) {
	u, err := union(t)
	if err != nil {
		return nil, err
	}
	u.dropFulfilled()
	return u, nil
}

// dropFulfilled reports whether t leads to a Bitcoin block. What leads to one keeps that
// attestation, so no timestamp becomes empty here.
func (t *Timestamp) dropFulfilled() bool {
	kept := slices.ContainsFunc(t.Attestations, func(a Attestation) bool { return a.Kind() == KindBitcoin })
	for _, br := range t.Branches {
		if br.Next.dropFulfilled() {
			kept = true
		}
	}
	if kept {
		t.Attestations = slices.DeleteFunc(t.Attestations, func(a Attestation) bool { return a.Kind() == KindPending })
	}
	if len(t.Attestations) == 0 {
		t.Attestations = nil // as it is read
	}
	return kept
}

// Prune returns a copy of the proof without what its verification shows to be unnecessary. Of the
// Bitcoin attestations it keeps only the valid one with the lowest block. It drops the calendars'
// promises, which could lead to nothing better than a block. It keeps attestations of other kinds,
// because other programs may verify them. r is the result of [Verify] for f; unless its outcome is
// valid, Prune returns an error.
func Prune(f *File, r Result) (*File, error) {
	t, err := f.checked()
	if err != nil {
		return nil, err
	}
	best := slices.IndexFunc(r.Checks, func(c Check) bool {
		return c.Outcome == OutcomeValid && c.Header.Height == r.Header.Height
	})
	if r.Outcome != OutcomeValid || best < 0 {
		return nil, errors.New("only a proof that verifies can be pruned: nobody knows what this one will need")
	}
	// Checks come in the order in which the canonical proof is walked, one for each attestation.
	all := t.All()
	if len(all) != len(r.Checks) || !all[best].Equal(r.Checks[best].Attestation) || string(all[best].Msg) != string(r.Checks[best].Msg) {
		return nil, errors.New("this is the verification of another proof")
	}
	at := -1
	t = t.keep(func(a Attestation) bool {
		at++
		return at == best || a.Kind() != KindBitcoin && a.Kind() != KindPending
	})
	return &File{HashOp: f.HashOp, Digest: f.Digest, Timestamp: t}, nil
}

// keep returns the attestations of t that are wanted, with everything that leads to them, or nil if
// none is wanted. It asks about each in the order of [Timestamp.All].
func (t *Timestamp) keep(wanted func(Attestation) bool) *Timestamp {
	u := &Timestamp{Msg: t.Msg}
	for _, a := range t.Attestations {
		if wanted(a) {
			u.Attestations = append(u.Attestations, a)
		}
	}
	for _, br := range t.Branches {
		if next := br.Next.keep(wanted); next != nil {
			u.Branches = append(u.Branches, Branch{br.Op, next})
		}
	}
	if len(u.Attestations) == 0 && len(u.Branches) == 0 {
		return nil
	}
	return u
}
