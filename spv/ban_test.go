package spv

import (
	"strings"
	"testing"

	"ancre/internal/warning"

	"github.com/lightninglabs/neutrino/banman"
)

func TestAConfiguredPeerDoesNotStayBanned(t *testing.T) {
	t.Parallel()
	n, c := syncedClient(t, 3)
	if err := c.service().BanPeer(n.p2p, banman.InvalidFilterHeader); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the peer dropped, and why", func() bool {
		w := warning.Texts(c.Status().Warnings)
		return len(w) == 1 && strings.Contains(w[0], n.p2p) && strings.Contains(w[0], "invalid filter header")
	})
	n.mine(1)
	waitAt(t, c, n)
	waitFor(t, "no warning any more", func() bool { return len(c.Status().Warnings) == 0 })
}

func TestAPeerWithoutFiltersIsNamed(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd", "--nocfilters")
	c := openClient(t, newDir(t), n.p2p)
	startClient(t, c)
	waitFor(t, "a warning that says what to do", func() bool {
		w := warning.Texts(c.Status().Warnings)
		return len(w) == 1 && strings.Contains(w[0], n.p2p) && strings.Contains(w[0], "peerblockfilters=1")
	})
}
