package store

import "time"

// ProofState is how far the proof of a digest is.
type ProofState string

// The states of a proof, in their order. A reorganisation of Bitcoin's chain can lead back from the
// last two to pending, and a node that lost its data from any to waiting.
const (
	Waiting  ProofState = "waiting"  // not yet at the node
	Pending  ProofState = "pending"  // the node has it, and anchors it
	Mined    ProofState = "mined"    // anchored in a block that is not final
	Complete ProofState = "complete" // anchored in a final block
)

// ProofStates are all states.
var ProofStates = []ProofState{Waiting, Pending, Mined, Complete}

// Proof is what the register knows of the proof of a digest. The proof itself is in files.
type Proof struct {
	Digest      Digest
	State       ProofState
	AddedAt     time.Time // when the digest came into the register
	SubmittedAt time.Time // when the node acknowledged it; zero: not yet
	Batch       uint64    // the node's; meaningful unless waiting
	Height      int32     // of the block, if mined or complete
	BlockHash   string    // as it is displayed
	BlockTime   time.Time // that its header claims
	CompleteAt  time.Time // when the register got the complete proof
}
