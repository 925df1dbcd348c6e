package server

import (
	"context"
	"net"
	"testing"
	"time"

	"ancre/rpc"
)

// The server does not wait, when it stops, for those who wait for a change. They get an answer that
// does not move their cursor.
func TestAWaitForChangesEndsWithTheServer(t *testing.T) {
	r := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ctx, ln) }()
	c, err := rpc.NewClient(ln.Addr().String(), string(rpc.RoleSubmit), r.pass[rpc.RoleSubmit])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r.batcher.waiting = make(chan struct{}, 1)
	type answer struct {
		rpc.Changes
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		found, err := c.WaitChanges(context.WithoutCancel(ctx), "1", 4*time.Minute, 10)
		answered <- answer{found, err}
	}()
	<-r.batcher.waiting
	cancel()
	if a := <-answered; a.err != nil || a.Cursor != "1" || len(a.Changes.Changes) > 0 || a.Reset {
		t.Errorf("whoever waited got %+v, want no change and the cursor as it was", a)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
