package receipt

import (
	"crypto/sha256"
	"strings"
	"testing"

	"ancre/proof"
)

func wantWarnings(t *testing.T, got Result, want ...string) {
	t.Helper()
	if got.Outcome != proof.OutcomeValid || len(got.Warnings) != len(want) {
		t.Fatalf("%+v\nwant it valid with %d warnings", got, len(want))
	}
	for i := range want {
		if !strings.Contains(got.Warnings[i], want[i]) {
			t.Errorf("warning %d is %q, want %q in it", i, got.Warnings[i], want[i])
		}
	}
}

// The bug that it catches: an anchor that nobody checked, and that may be false, passes without a
// word.
func TestAnchorsThatAreNotCheckedAreNamed(t *testing.T) {
	s := usual()
	wantWarnings(t, judge(t, write(t, s.v2(t)), s.digest, s.chain()))
	wantWarnings(t, judge(t, write(t, s.v4(t)), s.digest, s.chain()))

	v2 := s.v2(t)
	v2.Anchors = append(v2.Anchors, AnchorV2{Type: ETHData, TxID: [32]byte{0xe7}})
	wantWarnings(t, judge(t, write(t, v2), s.digest, s.chain()), "not checked: the anchor of type ETHData (Ethereum transaction e700")
	v2.Anchors = []AnchorV2{v2.Anchors[2], v2.Anchors[0]}
	wantWarnings(t, judge(t, write(t, v2), s.digest, s.node()), "not checked: the anchor of type ETHData")

	v4 := s.v4(t)
	last := &v4.Branches[0].Ops[len(v4.Branches[0].Ops)-1]
	last.Anchors = append(last.Anchors, AnchorV4{Type: "cal", ID: "abc\x1b"}, AnchorV4{Type: "eth", ID: "5"}, AnchorV4{Type: "tbtc", ID: "7"})
	v4.Branches = append(v4.Branches, Branch{Ops: []Op{{Anchors: []AnchorV4{{Type: "tcal", ID: "8"}}}}})
	wantWarnings(t, judge(t, write(t, v4), s.digest, s.chain()),
		`not checked: the anchor of type cal ("abc\x1b")`, "not checked: the anchor of type eth", "not checked: the anchor of type tbtc", "not checked: the anchor of type tcal")

	// A block that is not here yet beside one that holds.
	v4 = s.v4(t)
	last = &v4.Branches[0].Ops[len(v4.Branches[0].Ops)-1]
	last.Anchors = append(last.Anchors, AnchorV4{Type: "btc", ID: "900000"})
	wantWarnings(t, judge(t, write(t, v4), s.digest, s.chain()), "not checked: the receipt names Bitcoin block 900000, which is above the highest one known here")

	// One that is false makes all of it false, whatever else was not checked.
	last.Anchors = append(last.Anchors, AnchorV4{Type: "eth", ID: "5"}, AnchorV4{Type: "btc", ID: "820000"})
	if got := judge(t, write(t, v4), s.digest, s.chain()); got.Outcome != proof.OutcomeInvalid || got.Warnings != nil || !strings.Contains(got.Reason, "block 820000") {
		t.Errorf("%+v", got)
	}
}

// A right signature is no word on who has the key, or whether it was revoked.
func TestASealSaysWhatOfItIsNotChecked(t *testing.T) {
	digest := sha256.Sum256([]byte("the file\n"))
	clerk := newSigner("clerk")
	seal := clerk.seal(digest, "CN=Clerk", "")
	r, s := sealed(t, seal)
	wantWarnings(t, judge(t, write(t, r), digest, s.chain()), "not checked: who holds the key of Bitcoin address "+clerk.address()+", and whether it was revoked or had expired: the seal names no server")
	seal.IdentityURL = "https://town.example/\x1bidentity"
	wantWarnings(t, judge(t, write(t, r), digest, s.chain()), `the seal names "https://town.example/\x1bidentity" for that, which is not asked`)
}
