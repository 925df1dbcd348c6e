package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ancre/headers"
	"ancre/internal/command"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/pflag"
)

// chainOptions are the flags that choose where all headers are, or a part of them, to make files of
// them. Without any, they are the daemon's.
type chainOptions struct {
	spv     bool
	headers string

	given func(name string) bool
}

func (o *chainOptions) addTo(f *pflag.FlagSet) {
	o.given = f.Changed
	f.BoolVar(&o.spv, "spv", false, "take them from Bitcoin's peers with the built-in light client, which needs no daemon")
	f.StringVar(&o.headers, "headers", "", "take them from `ALL`, a file that \"ancre headers export\" wrote")
}

func (o *chainOptions) check(a *app) error {
	switch daemon := a.rpcURL != "" || a.rpcUser != "" || a.rpcCookie != ""; {
	case o.given("headers") && o.headers == "":
		return errors.New("--headers has no value: name a file of all headers, or leave it out")
	case o.spv && o.headers != "":
		return errors.New("--spv and --headers exclude each other: each says where the block headers come from")
	case o.spv && daemon:
		return errors.New("--spv asks no daemon: leave out --rpc, --rpc-user and --rpc-cookie")
	case o.headers != "" && daemon:
		return errors.New("--headers asks no daemon: leave out --rpc, --rpc-user and --rpc-cookie")
	}
	return nil
}

// headerChain is a chain of headers from which parts can be read.
type headerChain struct {
	name  string // in errors
	tip   func(context.Context) (int64, error)
	read  func(ctx context.Context, first int64, count int) ([]byte, error)
	whole func(context.Context) (io.ReadCloser, int64, error) // all headers, and how many to expect
	close func() error
}

// openChain opens what the flags name.
func (a *app) openChain(ctx context.Context, params *chaincfg.Params, o chainOptions) (*headerChain, error) {
	switch {
	case o.spv:
		cfg, err := a.configuration()
		if err != nil {
			return nil, err
		}
		src, err := a.openLightClient(ctx, cfg, params)
		if err != nil {
			return nil, err
		}
		if behind := src.Behind(); behind != nil {
			return nil, errors.Join(fmt.Errorf("the headers are not up to date: %w", behind), src.Close())
		}
		return fileChain("the light client", src.FileSource, src.Close), nil
	case o.headers != "":
		src, closeFile, err := a.fileSource(ctx, o.headers, params)
		if err != nil {
			return nil, err
		}
		whole, ok := src.(*verify.FileSource)
		if !ok {
			return nil, errors.Join(command.Usagef("%s is a window, and has not the headers of all blocks: name a file that \"ancre headers export\" wrote", shown(o.headers)), closeFile())
		}
		return fileChain(shown(o.headers), whole, closeFile), nil
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return nil, err
	}
	tip := func(ctx context.Context) (int64, error) {
		height, err := client.BlockCount(ctx)
		return int64(height), err
	}
	return &headerChain{
		name: "the daemon at " + client.URL(),
		tip:  tip,
		read: client.HeaderRange,
		whole: func(ctx context.Context) (body io.ReadCloser, count int64, err error) {
			if count, err = tip(ctx); err != nil {
				return nil, 0, err
			}
			err = patiently(ctx, func() error { // others may be ending
				body, err = client.Headers(ctx)
				return err
			}, nil)
			return body, count + 1, err
		},
		close: func() error { return nil }, // the program closes the client
	}, nil
}

// fileChain reads from a file of all headers.
func fileChain(name string, src *verify.FileSource, closeFile func() error) *headerChain {
	raw := src.Raw()
	return &headerChain{
		name: name,
		tip:  src.Tip,
		read: func(_ context.Context, first int64, count int) ([]byte, error) {
			b := make([]byte, count*headers.Size)
			_, err := raw.ReadAt(b, first*headers.Size)
			return b, err
		},
		whole: func(context.Context) (io.ReadCloser, int64, error) {
			return io.NopCloser(raw), raw.Size() / headers.Size, nil
		},
		close: closeFile,
	}
}
