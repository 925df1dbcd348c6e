package main

import (
	"context"
	"errors"
	"path/filepath"

	"ancre/config"
	"ancre/internal/command"
	"ancre/internal/datadir"
	"ancre/internal/progress"
	"ancre/internal/version"
	"ancre/verify"
	"ancre/verify/lightclient"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// spvSource is the built-in light client. If it cannot be opened, it is a source that fails: a
// verdict that needs no header is given all the same.
func (a *app) spvSource(ctx context.Context, cfg config.Config, params *chaincfg.Params) (verify.Source, func() error, error) {
	src, err := a.openLightClient(ctx, cfg, params)
	var wrongUsage *command.Error
	switch {
	case err == nil:
		return src, src.Close, nil
	case ctx.Err() != nil, errors.As(err, &wrongUsage):
		return nil, nil, err
	}
	return verify.FailedSource("spv", err), func() error { return nil }, nil
}

// openLightClient downloads new headers from the peers of the configuration. It keeps its headers
// in a directory beside the daemon's, or in this user's own if the daemon is a service.
func (a *app) openLightClient(ctx context.Context, cfg config.Config, params *chaincfg.Params) (src *lightclient.Source, err error) {
	network, err := cfg.UserDir()
	if err != nil {
		return nil, command.Exit(exitUsage, err)
	}
	dir := filepath.Join(network, datadir.Verifier)
	var bar stagedProgress
	defer func() { bar.Finish() }()
	err = datadir.AsOwner(network, func() (err error) {
		src, err = lightclient.Open(ctx, lightclient.Config{
			Params: params, Dir: dir,
			Connect: cfg.SPV.Connect, AddPeers: cfg.SPV.AddPeers, Proxy: cfg.SPV.Proxy,
			UserAgentVersion: version.Text(),
			Progress:         func(doing string, done, total int64) { bar.show(a, doing, done, total) },
			Waiting:          func() { a.note("waiting for another ancre that is using the headers in %s", dir) },
			OtherDir:         "name another place with --datadir",
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	bar.Finish()
	if behind := src.Behind(); behind != nil {
		a.complain("the headers are not up to date: %v; ancre uses those that it kept in %s", behind, dir)
	}
	return src, nil
}

// stagedProgress shows one bar after another, as the work changes.
type stagedProgress struct {
	*progress.Bar
	doing string
}

func (p *stagedProgress) show(a *app, doing string, done, total int64) {
	if doing != p.doing {
		p.Finish()
		p.Bar, p.doing = a.startProgress(doing, total, false), doing
	}
	p.SetTotal(total)
	p.SetDone(uint64(done))
}
