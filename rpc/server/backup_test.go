package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/rpc"
)

// backing is a rig with a backup that the test writes.
type backing struct {
	*rig
	t      *testing.T
	server *httptest.Server
	client *rpc.Client // of an administrator
}

func newBacking(t *testing.T, configure func(*httptest.Server), backup func(context.Context, io.Writer) error) *backing {
	t.Helper()
	r := newRig(t)
	r.server.Provide(Services{Batcher: r.batcher, Chain: r.chain, Wallet: r.wallet, Node: fixedNode{}, Backup: backup})
	b := &backing{rig: r, t: t, server: httptest.NewUnstartedServer(r.server)}
	if configure != nil {
		configure(b.server)
	}
	b.server.Start()
	t.Cleanup(b.server.Close)
	b.client = b.as(rpc.RoleAdmin)
	return b
}

func (b *backing) as(role rpc.Role) *rpc.Client {
	b.t.Helper()
	c, err := rpc.NewClient(b.server.URL, string(role), b.pass[role])
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

// all fetches a whole backup.
func all(c *rpc.Client) ([]byte, error) {
	body, err := c.Backup(context.Background())
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// The server's deadlines are made for calls. A backup of a large store takes longer. They must not
// abort it, nor make it look as if its client had gone.
func TestBackupOutlastsTheDeadlinesOfCalls(t *testing.T) {
	const limit = 30 * time.Millisecond
	part := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	b := newBacking(t, func(s *httptest.Server) {
		s.Config.ReadTimeout, s.Config.WriteTimeout = limit, limit
	}, func(ctx context.Context, w io.Writer) error {
		for range 4 {
			select { // time has to pass: that is what is tested
			case <-time.After(2 * limit):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
	got, err := all(b.client)
	if err != nil || !bytes.Equal(got, bytes.Repeat(part, 4)) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, 4*len(part))
	}
}

func TestBackupIsForAdministrators(t *testing.T) {
	b := newBacking(t, nil, func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "whole")
		return err
	})
	for _, role := range []rpc.Role{rpc.RoleSubmit, rpc.RoleVerify, rpc.RoleRead} {
		if got, err := all(b.as(role)); !rpc.HasCode(err, rpc.CodeForbidden) || !strings.Contains(err.Error(), "for the role admin") {
			t.Errorf("%s: %q, %v; want it forbidden", role, got, err)
		}
	}
	stranger, err := rpc.NewClient(b.server.URL, "stranger", "guess")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := all(stranger); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a stranger: %v", err)
	}
	if got, err := all(b.client); err != nil || string(got) != "whole" {
		t.Errorf("admin: %q, %v", got, err)
	}
	resp, err := http.Post(b.server.URL+rpc.PathBackup, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodGet {
		t.Errorf("POST: %s, allowed: %q", resp.Status, resp.Header.Get("Allow"))
	}
}

func TestBackupBeforeTheStoreIsOpen(t *testing.T) {
	r := newRig(t)
	server := New(Config{Users: r.server.users})
	server.SetPhase("opening the data directory")
	h := httptest.NewServer(server)
	defer h.Close()
	c, err := rpc.NewClient(h.URL, string(rpc.RoleAdmin), r.pass[rpc.RoleAdmin])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := all(c); !rpc.HasCode(err, rpc.CodeStarting) || !strings.Contains(err.Error(), "opening the data directory") {
		t.Errorf("while it starts: %v", err)
	}
	server.Provide(Services{})
	if _, err := all(c); err == nil || !strings.Contains(err.Error(), "no store") {
		t.Errorf("without a store: %v", err)
	}
}

// While a backup runs, another is refused and calls are answered. When its client goes away, the
// backup ends and the next one may begin.
func TestOneBackupAtATimeThatEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	b := newBacking(t, nil, func(ctx context.Context, w io.Writer) error {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	for range 2 {
		body, err := b.client.Backup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := all(b.client); !rpc.HasCode(err, rpc.CodeBusy) {
			t.Errorf("a second one: %v, want it refused as busy", err)
		}
		if err := b.client.Call(t.Context(), "submit", nil, someDigest); err != nil {
			t.Errorf("submit during a backup: %v", err)
		}
		body.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		b.await(func() bool { return len(b.rig.server.streams[rpc.PathBackup].places) == 0 })
	}
}

// await waits until a condition holds, or the test times out.
func (b *backing) await(cond func() bool) {
	b.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-b.t.Context().Done():
			b.t.Fatal("it did not come")
		}
	}
}

// A client that reads nothing would keep the store from cleaning up forever.
func TestBackupCutsOffAClientThatTakesNothing(t *testing.T) {
	ended := make(chan error, 1)
	b := newBacking(t, nil, func(ctx context.Context, w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return err
			}
		}
	})
	b.rig.server.backupStall = 50 * time.Millisecond
	body, err := b.client.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it ended with %v, want its deadline exceeded", err)
	}
	if n, err := io.Copy(io.Discard, body); err == nil {
		t.Errorf("the client took %d bytes for a whole backup", n)
	}
}

func TestBackupThatFailsSaysWhy(t *testing.T) {
	broken := errors.New("the store is damaged:\nbatch 7")
	size := 0
	b := newBacking(t, nil, func(_ context.Context, w io.Writer) error {
		if size > 0 {
			if _, err := w.Write(make([]byte, size)); err != nil {
				return err
			}
		}
		return broken
	})
	if _, err := all(b.client); !rpc.HasCode(err, rpc.CodeMisc) || err.Error() != broken.Error() {
		t.Errorf("before anything was sent: %v", err)
	}
	size = 100_000
	if got, err := all(b.client); err == nil || !strings.Contains(err.Error(), "the store is damaged: batch 7") || len(got) != size {
		t.Errorf("after %d bytes: %d, %v; want the reason", size, len(got), err)
	}
}

func TestBackupOfADaemonThatDies(t *testing.T) {
	b := newBacking(t, nil, func(ctx context.Context, w io.Writer) error {
		_, err := w.Write(make([]byte, 64<<10))
		<-ctx.Done()
		return err
	})
	body, err := b.client.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	b.server.CloseClientConnections()
	_, err = io.Copy(io.Discard, body)
	if err == nil || !strings.Contains(err.Error(), "broke in the middle of the backup") || !strings.Contains(err.Error(), "is ancred running?") {
		t.Errorf("the connection broke: %v", err)
	}
	b.server.Close()
	if _, err := all(b.client); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("nothing listens: %v", err)
	}
}

func TestBackupFromAnotherService(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ancre/backup" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		_, _ = io.WriteString(w, "<html>hello")
	}))
	defer h.Close()
	cookie := filepath.Join(t.TempDir(), "cookie")
	if err := os.WriteFile(cookie, []byte("user:pass"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := rpc.NewCookieClient(h.URL+"/ancre/", cookie)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := all(c); err == nil || !strings.Contains(err.Error(), "no backup") || !strings.Contains(err.Error(), "<html>hello") {
		t.Errorf("another service: %v", err)
	}
}

// The daemon has restarted since the client read its cookie.
func TestBackupReadsTheCookieAgain(t *testing.T) {
	b := newBacking(t, nil, func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "whole"); return err })
	cookie := filepath.Join(t.TempDir(), "cookie")
	if err := os.WriteFile(cookie, []byte("old:old"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := rpc.NewCookieClient(b.server.URL, cookie)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := all(c); err == nil {
		t.Error("the old cookie is accepted")
	}
	if err := os.WriteFile(cookie, []byte(string(rpc.RoleAdmin)+":"+b.pass[rpc.RoleAdmin]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := all(c); err != nil || string(got) != "whole" {
		t.Errorf("with the new cookie: %q, %v", got, err)
	}
}
