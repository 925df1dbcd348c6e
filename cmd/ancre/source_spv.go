package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ancre/config"
	"ancre/headers"
	"ancre/internal/datadir"
	"ancre/internal/humanize"
	"ancre/spv"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/gofrs/flock"
)

// inUsePatience is how long one run of the light client waits for another one to end, which takes
// seconds unless it is the first.
const inUsePatience = time.Minute

// spvSource is a light client of our own: it needs no daemon, and keeps its headers in a directory
// of its own beside the daemon's. Its peers are those of the configuration. Without an answer of
// any peer the headers that were kept serve, and the answer says of when they are.
func (a *app) spvSource(ctx context.Context) (*source, error) {
	h, behind, release, err := a.ownHeaders(ctx)
	var wrongUsage *exitError
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.As(err, &wrongUsage):
		return nil, err
	default:
		return brokenSource("spv", err), nil
	}
	s := h.source()
	s.close = func() error { return errors.Join(h.file.Close(), release()) }
	s.kind, s.trusted = "spv", "headers checked by our own light client"
	s.caution = "The peers gave the headers, and each was checked here from the first block on."
	if behind != nil {
		until := humanize.Time(h.Time())
		s.trusted += ", up to " + until + " only"
		s.caution += " They are of " + until + ", since " + behind.Error() + "."
		s.lacks = func(context.Context, uint64) (why, needed string) {
			return behind.Error(), "verify again when a peer answers"
		}
	}
	return s, nil
}

// ownHeaders syncs the light client's headers and opens them, all checked. Behind says why they are
// not up to date, if they are not; release lets other runs have them.
func (a *app) ownHeaders(ctx context.Context) (_ *fileHeaders, behind error, release func() error, err error) {
	cfg, params, err := a.network()
	if err != nil {
		return nil, nil, nil, err
	}
	network, err := cfg.NetworkDir()
	if err != nil {
		return nil, nil, nil, &exitError{exitUsage, err}
	}
	dir := filepath.Join(network, datadir.Verifier)
	var h *fileHeaders
	err = datadir.AsOwner(network, func() (err error) {
		if release, err = a.lockVerifier(ctx, dir); err != nil {
			return err
		}
		if h, behind, err = a.syncedHeaders(ctx, cfg, params, dir); err != nil {
			err = errors.Join(err, release())
		}
		return err
	})
	return h, behind, release, err
}

func (a *app) syncedHeaders(ctx context.Context, cfg config.Config, params *chaincfg.Params, dir string) (_ *fileHeaders, behind, err error) {
	behind, err = a.syncHeaders(ctx, cfg, params, dir)
	if err != nil {
		return nil, nil, err
	}
	h, err := a.openHeaders(ctx, spv.HeadersFile(dir), params)
	switch {
	case behind != nil && (errors.Is(err, headers.ErrLittleWork) || err == nil && h.Height() == 0):
		if h != nil {
			h.file.Close()
		}
		return nil, nil, fmt.Errorf("%w; and no headers were kept that could serve", behind)
	case behind != nil && err == nil:
		a.complain("the headers are not up to date: %v; those kept in %s serve", behind, dir)
	case errors.Is(err, headers.ErrLittleWork):
		return nil, nil, fmt.Errorf("the peers show no chain that can be Bitcoin's: %w; name other nodes in spv.add_peers, and remove %s if it stays", err, dir)
	case err != nil && ctx.Err() == nil:
		return nil, nil, fmt.Errorf("the headers kept in %s are damaged: %w; remove that directory, they will be downloaded again", dir, err)
	}
	return h, behind, err
}

// syncHeaders runs the light client until its headers are up to date. Behind says why they are not,
// which is no error if there are some.
func (a *app) syncHeaders(ctx context.Context, cfg config.Config, params *chaincfg.Params, dir string) (behind, err error) {
	c, err := spv.Open(spv.Config{
		Params: params, Dir: dir, HeadersOnly: true,
		Connect: cfg.SPV.Connect, AddPeers: cfg.SPV.AddPeers, Proxy: cfg.SPV.Proxy,
		UserAgentVersion: versionText(),
	})
	if err != nil {
		return nil, err
	}
	progress := a.startProgress("Downloading block headers", 0, false)
	err = c.SyncHeaders(ctx, func(have, want int32) {
		progress.SetTotal(int64(want))
		progress.SetDone(uint64(max(have, 0)))
	})
	progress.Finish()
	if closeErr := c.Close(); closeErr != nil {
		return nil, errors.Join(err, closeErr)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, spv.ErrNoPeers), errors.Is(err, spv.ErrStale), errors.Is(err, spv.ErrStalled):
		return err, nil
	}
	return nil, err
}

// lockVerifier waits for another run that uses the directory, and takes it. release gives it back.
func (a *app) lockVerifier(ctx context.Context, dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("no directory can be made for the light client's headers: %w; name another place with --datadir", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		a.note("waiting for another ancre that is using the headers in %s", dir)
		patience, cancel := context.WithTimeout(ctx, inUsePatience)
		defer cancel()
		const look = 100 * time.Millisecond
		locked, err = lock.TryLockContext(patience, look)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !locked && errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("another ancre has been using the headers in %s for %v: wait for its end, or give this one a --datadir of its own", dir, inUsePatience)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the directory %s cannot be locked: %w; name another place with --datadir", dir, plainError(err))
	}
	return lock.Unlock, nil
}
