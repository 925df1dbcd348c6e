package register

import (
	"context"
	"time"

	"ancre/proof"
	"ancre/rpc"
)

// Node is what the register needs of an ancred. [*rpc.Client] implements it. The role submit is
// enough for all but Info.
type Node interface {
	proof.HeaderSource

	SubmitBatch(ctx context.Context, digests [][32]byte) ([]rpc.Entry, error)
	WaitChanges(ctx context.Context, cursor string, timeout time.Duration, limit int) (rpc.Changes, error)
	Proof(ctx context.Context, digest [32]byte, format string) (rpc.Proof, error)

	BlockCount(ctx context.Context) (int32, error)
	BlockHash(ctx context.Context, height int32) (string, error)
	BlockchainInfo(ctx context.Context) (rpc.BlockchainInfo, error)
	Info(ctx context.Context) (rpc.Info, error)

	// HeaderRange returns the headers from height first on, 80 bytes each: count of them, or fewer
	// at the end of the chain.
	HeaderRange(ctx context.Context, first int64, count int) ([]byte, error)
}

var _ Node = (*rpc.Client)(nil)

// NodeStatus is how the node is, as far as the register has seen.
type NodeStatus struct {
	Reachable bool
	Since     time.Time // when that began; zero: the register has not asked yet
	Err       string    // why it is not reachable, for a person

	Network   string // "mainnet", "regtest"; "": not known yet
	Height    int32  // of the newest block
	BestBlock string // its hash
	BlockTime time.Time
	Synced    bool

	// Warnings are the node's own: sentences that an operator should know. A node whose wallet is
	// locked or empty takes digests, and anchors them once that is mended.
	Warnings []string
}

// NodeStatus returns how the node is.
func (r *Register) NodeStatus() NodeStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}
