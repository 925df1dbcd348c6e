package server

import (
	"crypto/sha256"
	"testing"

	"ancre/proof"
	"ancre/rpc"
)

// A client that stamped at the calendar knows only the leaf. Users who may ask for digests may ask
// for leaves too. The leaf has a proof of its own once that is complete.
func TestADigestIsFoundByItsCommitment(t *testing.T) {
	r := newRig(t)
	digest := [32]byte{7}
	commitment := sha256.Sum256(digest[:]) // the fake batcher's leaf
	if _, err := r.client(t, rpc.RoleAdmin).Submit(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	for _, role := range []rpc.Role{rpc.RoleSubmit, rpc.RoleRead} {
		c := r.client(t, role)
		r.batcher.final = nil
		e, err := c.Status(t.Context(), commitment)
		if err != nil || e.Batch != 1 || e.State != "open" {
			t.Errorf("%s: %+v, %v", role, e, err)
		}
		p, err := c.Proof(t.Context(), commitment, rpc.FormatOTS)
		if err != nil || p.Complete || len(p.Proof) != 0 || p.State != "open" {
			t.Errorf("%s: pending: %+v, %v", role, p, err)
		}
		r.batcher.final = &proof.Inclusion{Height: 9}
		p, err = c.Proof(t.Context(), commitment, rpc.FormatOTS)
		if err != nil || !p.Complete || p.State != "final" || p.Height != 9 {
			t.Errorf("%s: complete: %+v, %v", role, p, err)
		}
		if _, err := c.Proof(t.Context(), commitment, rpc.FormatChainpoint); !rpc.HasCode(err, rpc.CodeNotFound) {
			t.Errorf("%s: a receipt of a commitment: %v", role, err)
		}
		if _, err := c.Proof(t.Context(), [32]byte{9}, rpc.FormatOTS); !rpc.HasCode(err, rpc.CodeNotFound) {
			t.Errorf("%s: neither a digest nor a commitment: %v", role, err)
		}
		if _, err := c.Status(t.Context(), [32]byte{9}); !rpc.HasCode(err, rpc.CodeNotFound) {
			t.Errorf("%s: neither a digest nor a commitment: %v", role, err)
		}
	}
}
