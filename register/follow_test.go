package register

import (
	"testing"

	"ancre/register/store"
)

func TestDigestsAreSentAndFollowedToTheEnd(t *testing.T) {
	w := newWorld(t)
	w.run()
	all := w.addMany(5)
	w.awaitState(store.Pending, all...)
	w.node.mine(0)
	w.awaitState(store.Mined, all...)
	w.node.mine(6)
	w.awaitState(store.Complete, all...)
	w.wantValid(all...)
}
