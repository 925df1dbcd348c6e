package register

import (
	"context"
	"fmt"
	"testing"

	"ancre/register/store"
	"ancre/rpc"
)

// failing makes all calls of the node fail, or none.
func (n *fakeNode) failing(err error) {
	n.do(func() {
		n.calls = make(map[string]int)
		if n.fail = nil; err != nil {
			n.fail = func(string) error { return err }
		}
	})
}

func (n *fakeNode) count(method string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls[method]
}

func TestTheLogTellsOnceThatTheNodeIsAwayAndOnceThatItIsBack(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"away":                 {fmt.Errorf("%w from http://127.0.0.1:14780", rpc.ErrUnreachable), "the node is away"},
		"starting":             {&rpc.Error{Code: rpc.CodeStarting, Message: "it is starting"}, "the node is starting"},
		"refusing credentials": {fmt.Errorf("refuses the credentials (401)"), "the node cannot be used"},
		"refusing the role":    {&rpc.Error{Code: rpc.CodeForbidden, Message: "not for your role"}, "the node cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.run()
			w.await("the node is reached", func() bool { return w.NodeStatus().Reachable })
			w.node.failing(c.err)
			d := w.add("added while the node is away")
			w.await("many tries", func() bool { return w.node.count("getblockchaininfo") > 20 })
			if n := w.log.count(c.says); n != 1 {
				t.Errorf("the log says %d times %q, want once", n, c.says)
			}
			if s := w.NodeStatus(); s.Reachable || s.Err == "" || s.Since.IsZero() {
				t.Errorf("%+v", s)
			}
			if list := w.Warnings().List(); len(list) == 0 || list[0].Kind != warnNode {
				t.Errorf("%+v", list)
			}
			if p := w.proof(d); p.State != store.Waiting {
				t.Errorf("%+v", p)
			}
			w.node.failing(nil)
			w.awaitState(store.Pending, d)
			w.node.mine(6)
			w.awaitState(store.Complete, d)
			if n := w.log.count("the node is back"); n != 1 {
				t.Errorf("the log says %d times that the node is back, want once", n)
			}
			w.await("nothing warns", func() bool { return len(w.Warnings().List()) == 0 })
		})
	}
}

func TestNothingIsSentToANodeOfAnotherNetwork(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.await("the network is known", func() bool { n, err := w.store.Network(w.ctx); return err == nil && n == "regtest" })
	w.close()
	w.node.do(func() { w.node.network = "main" })
	w.open()
	w.run()
	d := w.add("a")
	w.await("many tries", func() bool { return w.node.count("getblockchaininfo") > 20 })
	if n := w.node.count("submitbatch"); n != 0 {
		t.Errorf("%d submissions to a node of another network", n)
	}
	if n := w.log.count("the node is of another network"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	w.node.do(func() { w.node.network = "regtest" })
	w.awaitState(store.Pending, d)
}

// narrowNode takes a few digests at once.
type narrowNode struct {
	*fakeNode
	most int
}

func (n narrowNode) SubmitBatch(ctx context.Context, digests [][32]byte) ([]rpc.Entry, error) {
	if len(digests) > n.most {
		return nil, &rpc.Error{Code: rpc.CodeInvalidRequest, Message: "too many digests"}
	}
	return n.fakeNode.SubmitBatch(ctx, digests)
}

func TestGroupsBecomeSmallerForANodeThatTakesFew(t *testing.T) {
	w := newWorld(t)
	w.Register.node = narrowNode{w.node, 3}
	all := w.addMany(10)
	w.run()
	w.awaitState(store.Pending, all...)
}

func TestARefusalIsToldAndTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.node.do(func() {
		w.node.fail = func(method string) error {
			if method == "submitbatch" {
				return &rpc.Error{Code: rpc.CodeDatabase, Message: "the store is read-only"}
			}
			return nil
		}
	})
	d := w.add("a")
	w.run()
	w.await("many tries", func() bool { return w.node.count("submitbatch") > 10 })
	if n := w.log.count("the node takes no digests"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if !w.NodeStatus().Reachable {
		t.Error("a refusal counts as an outage")
	}
	w.node.failing(nil)
	w.awaitState(store.Pending, d)
	if n := w.log.count("the node takes digests again"); n != 1 {
		t.Errorf("the log says %d times that it is over", n)
	}
}
