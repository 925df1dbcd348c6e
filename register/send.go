package register

import "context"

func (r *Register) send(ctx context.Context) error      { <-ctx.Done(); return ctx.Err() }
func (r *Register) follow(ctx context.Context) error    { <-ctx.Done(); return ctx.Err() }
func (r *Register) watchNode(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
