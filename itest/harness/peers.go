package harness

import (
	"context"
	"fmt"
)

// Connect has the node connect to another one, and waits until the two have the same chain: the one
// with more work.
func (n *Node) Connect(ctx context.Context, other *Node) error {
	if err := n.rpc.call(ctx, nil, "addnode", other.P2P(), "onetry"); err != nil {
		return err
	}
	return n.AwaitSame(ctx, other)
}

// Disconnect ends a connection that Connect made. From then on each may have a chain of its own.
func (n *Node) Disconnect(ctx context.Context, other *Node) error {
	method, params := "disconnectnode", []any{other.P2P()}
	if n.Kind == "btcd" {
		method, params = "node", []any{"disconnect", other.P2P()}
	}
	if err := n.rpc.call(ctx, nil, method, params...); err != nil {
		return err
	}
	return Await(ctx, "the nodes to be apart", func(ctx context.Context) (bool, string, error) {
		var peers []struct{ Addr string }
		err := n.rpc.call(ctx, &peers, "getpeerinfo")
		for _, p := range peers {
			if p.Addr == other.P2P() {
				return false, "still connected", err
			}
		}
		return true, "", err
	})
}

// AwaitSame waits until both nodes have the same newest block.
func (n *Node) AwaitSame(ctx context.Context, other *Node) error {
	return Await(ctx, "two nodes to have the same chain", func(ctx context.Context) (bool, string, error) {
		var one, two string
		if err := n.rpc.call(ctx, &one, "getbestblockhash"); err != nil {
			return false, "", err
		}
		err := other.rpc.call(ctx, &two, "getbestblockhash")
		return one == two, fmt.Sprintf("%s and %s", one, two), err
	})
}
