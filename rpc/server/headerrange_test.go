package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ancre/headers"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func TestARangeOfHeaders(t *testing.T) {
	b := withHeaders(t, nil)
	top := len(b.chain) - 1
	all := make([]byte, 0, len(b.chain)*headers.Size)
	for _, h := range b.chain {
		all = append(all, headers.Raw(&h)...)
	}
	for _, c := range []struct{ first, count, got int }{
		{0, 1, 1}, {0, top + 1, top + 1}, {1, 2, 2}, {top, 1, 1}, {top - 1, rpc.MaxHeaderRange, 2},
	} {
		raw, err := b.as(rpc.RoleVerify).HeaderRange(t.Context(), int64(c.first), c.count)
		if err != nil || !bytes.Equal(raw, all[c.first*headers.Size:(c.first+c.got)*headers.Size]) {
			t.Errorf("%d from %d on: %d bytes, %v", c.count, c.first, len(raw), err)
		}
	}
	if _, err := b.client.HeaderRange(t.Context(), int64(top)+1, 1); !rpc.HasCode(err, rpc.CodeInvalidParameter) || !strings.Contains(err.Error(), "the newest block is") {
		t.Errorf("above the newest block: %v", err)
	}
	for _, c := range [][2]int{{-1, 1}, {0, 0}, {0, -1}, {0, rpc.MaxHeaderRange + 1}} {
		if _, err := b.client.HeaderRange(t.Context(), int64(c[0]), c[1]); err == nil {
			t.Errorf("%d from %d on are answered", c[1], c[0])
		}
	}
}

// What the client would not send.
func TestARangeThatIsNone(t *testing.T) {
	b := withHeaders(t, nil)
	for _, query := range []string{
		"first=1", "count=1", "first=1&count=0", "first=1&count=4097", "first=-1&count=1", "first=x&count=1", "first=1&first=2&count=1", "first=1e3&count=1",
		"first=9999999999999999999999&count=1", "first=2147483648&count=1", "%zz", "first=&count=",
	} {
		req, err := http.NewRequest(http.MethodGet, b.server.URL+rpc.PathHeaders+"?"+query, nil)
		if err != nil {
			continue
		}
		req.SetBasicAuth(string(rpc.RoleVerify), b.pass[rpc.RoleVerify])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusInternalServerError || !bytes.Contains(body, []byte("want one number from")) {
			t.Errorf("%s: %s, %s, %v", query, resp.Status, body, err)
		}
	}
	stranger, err := rpc.NewClient(b.server.URL, "stranger", "guess")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.HeaderRange(t.Context(), 0, 1); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a stranger: %v", err)
	}
}

// reorganised is a chain whose blocks from a height on are exchanged while they are read.
type reorganised struct{ listChain }

func (c reorganised) HeaderAt(height int32) (wire.BlockHeader, error) {
	h := c.listChain[height]
	if height >= 2 {
		h.PrevBlock = chainhash.Hash{2}
	}
	return h, nil
}

func TestARangeOfTwoChainsIsNotSent(t *testing.T) {
	b := withHeaders(t, nil)
	b.rig.server.Provide(Services{Batcher: b.batcher, Chain: reorganised{b.chain}, Wallet: b.wallet, Node: fixedNode{}})
	if _, err := b.client.HeaderRange(t.Context(), 0, 3); err == nil || !strings.Contains(err.Error(), "reorganised at block 2") {
		t.Error(err)
	}
}

// An ancred of before knows no ranges, and sends all headers.
func TestAnOlderServerSendsAllHeaders(t *testing.T) {
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Trailer", rpc.ErrorTrailer)
		_, _ = w.Write(make([]byte, 100*headers.Size))
	}))
	defer old.Close()
	c, err := rpc.NewClient(old.URL, "user", "word")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.HeaderRange(context.Background(), 5, 10); err == nil || !strings.Contains(err.Error(), "is it an older ancred?") {
		t.Error(err)
	}
}

func TestAWindowCanBeAskedForAtOnce(t *testing.T) {
	if rpc.MaxHeaderRange != headers.MaxWindow {
		t.Errorf("%d headers can be asked for, and a window has up to %d", rpc.MaxHeaderRange, headers.MaxWindow)
	}
}
