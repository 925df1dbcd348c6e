// Package lightclient is a source of block headers for package verify that trusts nobody. It is a
// light client of Bitcoin: it takes headers from peers, and checks each one from the first block
// on. It needs no daemon. It is a package of its own because it links neutrino.
package lightclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ancre/headers"
	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/spv"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/gofrs/flock"
)

// inUseTimeout is how long one run waits for another. A run takes seconds, unless it is the first.
const inUseTimeout = time.Minute

// Config says how to reach Bitcoin's peers, and where to keep headers.
type Config struct {
	Params *chaincfg.Params

	// Dir holds the headers, for the next run. It must not be that of a daemon. Two runs at the
	// same time wait for each other.
	Dir string

	Connect, AddPeers []string // as in spv.Config
	Proxy             string   // as in spv.Config
	UserAgentVersion  string   // what peers are told

	// Progress, if not nil, is called with the work that is done, and how far it is. A total of 0
	// is not known yet.
	Progress func(doing string, done, total int64)

	// Waiting, if not nil, is called before waiting for another run.
	Waiting func()

	// OtherDir ends errors about the directory: it says how to name another one. It may be empty.
	OtherDir string
}

// Source is the headers that the light client has checked.
type Source struct {
	*verify.FileSource
	behind error
	close  func() error
}

var _ verify.Source = (*Source)(nil)

// Open downloads new headers, checks all of them, and returns them. If no peer answers, it returns
// the headers that were kept: see [Source.Behind]. The caller must close the source: other runs
// wait until then.
func Open(ctx context.Context, c Config) (_ *Source, err error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unlock())
		}
	}()
	behind, err := c.sync(ctx)
	if err != nil {
		return nil, err
	}
	file, err := c.openKept(ctx)
	switch {
	case behind != nil && errors.Is(err, headers.ErrLittleWork):
		return nil, fmt.Errorf("%w; and no headers were kept to use instead", behind)
	case errors.Is(err, headers.ErrLittleWork):
		return nil, fmt.Errorf("the peers sent no chain that can be Bitcoin's: %w; name other nodes in spv.add_peers, and remove %s if it stays", err, c.Dir)
	case err != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("the headers kept in %s are damaged: %w; remove that directory, they will be downloaded again", c.Dir, err)
	case err != nil:
		return nil, err
	}
	s := &Source{file.FileSource, behind, func() error { return errors.Join(file.Close(), unlock()) }}
	if tip, _ := s.Tip(ctx); behind != nil && tip == 0 {
		return nil, errors.Join(fmt.Errorf("%w; and no headers were kept to use instead", behind), file.Close())
	}
	return s, nil
}

// Close lets other runs use the headers.
func (s *Source) Close() error { return s.close() }

// Behind returns why the headers are not up to date, or nil.
func (s *Source) Behind() error { return s.behind }

// Trust implements [verify.Source].
func (s *Source) Trust() verify.Trust {
	trust := verify.Trust{
		Source: "spv", Words: "headers checked by our own light client",
		Warning: "Bitcoin's peers sent the headers, and each was checked here, from the first block on.",
	}
	if s.behind != nil {
		until := humanize.Time(s.Time())
		trust.Words += ", up to " + until + " only"
		trust.Warning += " They are of " + until + ", since " + s.behind.Error() + "."
	}
	return trust
}

// Lacks implements [verify.Source].
func (s *Source) Lacks(context.Context, uint64) (why, remedy string) {
	if s.behind == nil {
		return "", ""
	}
	return s.behind.Error(), "verify again when a peer answers"
}

// keptFile is an opened file of headers.
type keptFile struct {
	*verify.FileSource
	io.Closer
}

// openKept opens and checks the headers that the light client keeps.
func (c Config) openKept(ctx context.Context) (*keptFile, error) {
	name := spv.HeadersFile(c.Dir)
	file, info, err := atomicfile.Open(name)
	if err != nil {
		return nil, plain(err)
	}
	total := info.Size() / headers.Size
	src, err := verify.OpenFile(ctx, file, info.Size(), c.Params, func(done uint64) {
		c.progress("Checking block headers", int64(done), total)
	})
	if err != nil {
		file.Close()
		return nil, err
	}
	src.Name = name
	return &keptFile{src, file}, nil
}

// sync runs the light client until its headers are up to date. behind says why they are not, which
// is no error if there are some.
func (c Config) sync(ctx context.Context) (behind, err error) {
	client, err := spv.Open(spv.Config{
		Params: c.Params, Dir: c.Dir, HeadersOnly: true,
		Connect: c.Connect, AddPeers: c.AddPeers, Proxy: c.Proxy,
		UserAgentVersion: c.UserAgentVersion,
	})
	if err != nil {
		return nil, err
	}
	err = client.SyncHeaders(ctx, func(have, want int32) {
		c.progress("Downloading block headers", int64(max(have, 0)), int64(want))
	})
	if closeErr := client.Close(); closeErr != nil {
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

func (c Config) progress(doing string, done, total int64) {
	if c.Progress != nil {
		c.Progress(doing, done, total)
	}
}

// lock takes the directory. It waits for another run that uses it.
func (c Config) lock(ctx context.Context) (unlock func() error, err error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create a directory for the light client's headers: %w%s", err, c.otherDir("; "))
	}
	lock := flock.New(filepath.Join(c.Dir, "lock"), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		if c.Waiting != nil {
			c.Waiting()
		}
		wait, cancel := context.WithTimeout(ctx, inUseTimeout)
		defer cancel()
		const look = 100 * time.Millisecond
		locked, err = lock.TryLockContext(wait, look)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !locked && errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("another ancre has been using the headers in %s for %v: wait until it ends%s", c.Dir, inUseTimeout, c.otherDir(", or "))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the directory %s cannot be locked: %w%s", c.Dir, plain(err), c.otherDir("; "))
	}
	return lock.Unlock, nil
}

// otherDir ends an error about the directory.
func (c Config) otherDir(joint string) string {
	if c.OtherDir == "" {
		return ""
	}
	return joint + c.OtherDir
}

// plain leaves the operation and the path out of an error of the file system: the message names
// them anyway.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
