package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"ancre/rpc"
)

// withHeaders is a rig with headers that the test writes.
func withHeaders(t *testing.T, write func(context.Context, io.Writer) error) *backing {
	t.Helper()
	b := newBacking(t, nil, nil)
	b.rig.server.Provide(Services{Batcher: b.batcher, Chain: b.chain, Wallet: b.wallet, Node: fixedNode{}, Headers: write})
	return b
}

func allHeaders(c *rpc.Client) (string, error) {
	body, err := c.Headers(context.Background())
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return string(data), err
}

func TestHeadersAreForWhoMayVerify(t *testing.T) {
	b := withHeaders(t, func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "headers")
		return err
	})
	for _, role := range []rpc.Role{rpc.RoleSubmit, rpc.RoleVerify, rpc.RoleRead, rpc.RoleAdmin} {
		if got, err := allHeaders(b.as(role)); err != nil || got != "headers" {
			t.Errorf("%s: %q, %v", role, got, err)
		}
	}
	stranger, err := rpc.NewClient(b.server.URL, "stranger", "guess")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := allHeaders(stranger); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a stranger: %v", err)
	}
	resp, err := http.Post(b.server.URL+rpc.PathHeaders, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("posted: %s", resp.Status)
	}
	if _, err := allHeaders(withHeaders(t, nil).client); !rpc.HasCode(err, rpc.CodeMisc) {
		t.Errorf("a server without: %v", err)
	}
}

// Headers that break off do not look complete.
func TestHeadersThatBreakOff(t *testing.T) {
	b := withHeaders(t, func(_ context.Context, w io.Writer) error {
		if _, err := io.WriteString(w, "some"); err != nil {
			return err
		}
		return errors.New("the chain was reorganised meanwhile")
	})
	if got, err := allHeaders(b.client); err == nil || !strings.Contains(err.Error(), "could not go on with the headers") {
		t.Errorf("%q, %v", got, err)
	}
}

// Slow clients occupy a few places only, and the next client is told so.
func TestFewFetchHeadersAtOnce(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	b := withHeaders(t, func(_ context.Context, w io.Writer) error {
		reached <- struct{}{}
		<-release
		_, err := io.WriteString(w, "headers")
		return err
	})
	done := make(chan error)
	for range maxExports {
		go func() {
			_, err := allHeaders(b.client)
			done <- err
		}()
		<-reached
	}
	if _, err := allHeaders(b.client); !rpc.HasCode(err, rpc.CodeBusy) {
		t.Errorf("one more: %v", err)
	}
	close(release)
	for range maxExports {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
