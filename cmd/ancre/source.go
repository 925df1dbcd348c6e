package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ancre/config"
	"ancre/headers"
	"ancre/internal/atomicfile"
	"ancre/spv"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/spf13/pflag"
)

// sourceOptions are the flags that choose the source of block headers. Without any, the daemon is
// the source.
type sourceOptions struct {
	spv     bool
	node    string
	headers string

	given func(name string) bool // reports whether a flag was given
}

func (o *sourceOptions) addTo(f *pflag.FlagSet) {
	o.given = f.Changed
	f.BoolVar(&o.spv, "spv", false, "verify with the built-in light client, which needs no daemon, only Bitcoin's peers")
	f.StringVar(&o.headers, "headers", "", "verify offline, against the block headers in `FILE`, which \"ancre headers export\" or \"window\" writes")
	f.StringVar(&o.node, "node", "", "verify against the block headers of the bitcoind at `URL`, without user and password")
}

// check refuses more than one source. --rpc names the daemon, which is the source unless another is
// named.
func (o *sourceOptions) check(a *app) error {
	var named []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"--spv", o.spv}, {"--node", o.node != ""}, {"--headers", o.headers != ""}, {"--rpc", a.rpcURL != ""}} {
		if f.set {
			named = append(named, f.name)
		}
	}
	// An empty value would mean the daemon, which is not what the flag is for.
	for name, value := range map[string]string{"node": o.node, "headers": o.headers} {
		if o.given(name) && value == "" {
			return fmt.Errorf("--%s has no value: name where the block headers are, or leave it out", name)
		}
	}
	if len(named) > 1 {
		return fmt.Errorf("%s and %s exclude each other: each says where the block headers come from", named[0], named[1])
	}
	if (o.spv || o.headers != "") && (a.rpcUser != "" || a.rpcCookie != "") {
		return fmt.Errorf("--rpc-user and --rpc-cookie are for --rpc and --node: %s needs no credentials", named[0])
	}
	return nil
}

// otherSources are what a person may name when a source cannot answer.
const otherSources = `use --spv (Bitcoin's own peers), --headers FILE (a file, offline) or --node URL (a bitcoind)`

// openSource opens the source that the flags name. The caller must call closeSource.
func (a *app) openSource(ctx context.Context, o sourceOptions) (src verify.Source, closeSource func() error, err error) {
	cfg, params, err := a.network()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case o.spv:
		return a.spvSource(ctx, cfg, params)
	case o.headers != "":
		return a.fileSource(ctx, o.headers, params)
	case o.node != "":
		return a.nodeSource(ctx, o.node, cfg.Network, params)
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return nil, nil, err
	}
	// The program closes the daemon's client.
	return verify.DaemonSource{Client: client, OtherSource: otherSources}, func() error { return nil }, nil
}

// verifyConfig returns the configuration of a verifier that asks this source alone.
func (a *app) verifyConfig(src verify.Source) (verify.Config, error) {
	_, params, err := a.network()
	return verify.Config{
		Source: src, Params: params,
		Hints: verify.Hints{OtherSource: otherSources, Upgrade: `"ancre upgrade"`, Node: "named with --node"},
	}, err
}

// network returns the configuration and the parameters of the network that it names.
func (a *app) network() (config.Config, *chaincfg.Params, error) {
	cfg, err := a.configuration()
	if err != nil {
		return cfg, nil, err
	}
	params, err := spv.Params(cfg.Network)
	return cfg, params, err
}

// fileSource opens a file of headers: all of them, from "ancre headers export" or another program,
// or a window. It needs no network.
func (a *app) fileSource(ctx context.Context, path string, params *chaincfg.Params) (verify.Source, func() error, error) {
	file, size, err := openHeadersFile(path)
	if err != nil {
		return nil, nil, unusableHeaders(path, err)
	}
	if data, err := readWindow(file, size); data != nil || err != nil {
		file.Close()
		if err != nil {
			return nil, nil, unusableHeaders(path, err)
		}
		return windowSource(path, data, params)
	}
	bar := a.startProgress("Checking block headers", size/headers.Size, false)
	src, err := verify.OpenFile(ctx, file, size, params, bar.SetDone)
	bar.Finish()
	if err != nil {
		file.Close()
		if ctx.Err() == nil {
			err = unusableHeaders(path, err)
		}
		return nil, nil, err
	}
	src.Name, src.Newer = path, `export newer ones with "ancre headers export"`
	return src, file.Close, nil
}

// readWindow returns the content of a file that is meant to be a window, and nil for other files.
func readWindow(file io.ReaderAt, size int64) ([]byte, error) {
	start := make([]byte, 8)
	if n, _ := file.ReadAt(start, 0); !headers.LooksLikeWindow(start[:n]) {
		return nil, nil
	}
	// Of a file that is too long the parser needs to see no more than that.
	data := make([]byte, min(size, int64(headers.MaxWindowSize+headers.Size)))
	n, err := file.ReadAt(data, 0)
	if n == len(data) {
		err = nil
	}
	return data[:n], err
}

// windowSource is a window of headers.
func windowSource(path string, data []byte, params *chaincfg.Params) (verify.Source, func() error, error) {
	src, err := verify.OpenWindow(data, params)
	if err != nil {
		return nil, nil, unusableHeaders(path, err)
	}
	src.Name, src.Newer = path, `make another window with "ancre headers window", or use the headers of all blocks ("ancre headers export")`
	return src, func() error { return nil }, nil
}

// openHeadersFile opens a file of headers. The error does not name it.
func openHeadersFile(path string) (*os.File, int64, error) {
	file, info, err := atomicfile.Open(path)
	var kind *atomicfile.KindError
	switch {
	case errors.As(err, &kind) && kind.Mode.IsDir():
		return nil, 0, errors.New("is a directory")
	case errors.As(err, &kind):
		return nil, 0, errors.New("is not a regular file, and ancre reads it more than once: copy it to a regular file first")
	case err != nil:
		return nil, 0, plainError(err)
	}
	return file, info.Size(), nil
}

// unusableHeaders says what to do about a file of headers that was refused.
func unusableHeaders(path string, err error) error {
	if errors.Is(err, headers.ErrOtherNetwork) {
		return fmt.Errorf("the headers in %s cannot be used: %w: name their network with --network", path, err)
	}
	var broken *headers.RuleError
	makes := "export"
	if errors.Is(err, headers.ErrNoWindow) || errors.As(err, &broken) {
		makes = "window"
	}
	return fmt.Errorf("the headers in %s cannot be used: %w; \"ancre headers %s\" makes a new file", path, err, makes)
}
