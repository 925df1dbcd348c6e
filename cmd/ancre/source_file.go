package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"ancre/headers"
	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/proof"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// fileHeaders are the headers of a file all of which were checked.
type fileHeaders struct {
	*headers.File
	file   *os.File
	params *chaincfg.Params
}

var _ proof.HeaderSource = (*fileHeaders)(nil)

// openHeaders checks a file of headers whole. The error does not name the file.
func (a *app) openHeaders(ctx context.Context, path string, params *chaincfg.Params) (_ *fileHeaders, err error) {
	file, info, err := atomicfile.Open(path)
	var kind *atomicfile.KindError
	switch {
	case errors.As(err, &kind) && kind.Mode.IsDir():
		return nil, errors.New("is a directory")
	case errors.As(err, &kind):
		return nil, errors.New("is no regular file, and must be read more than once: copy it to one first")
	case err != nil:
		return nil, plainError(err)
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	progress := a.startProgress("Checking block headers", info.Size()/headers.Size, false)
	defer progress.Finish()
	checked, err := headers.Open(ctx, file, info.Size(), params, time.Now(), progress.SetDone)
	if err != nil {
		return nil, err
	}
	return &fileHeaders{checked, file, params}, nil
}

// Header implements [proof.HeaderSource].
func (h *fileHeaders) Header(_ context.Context, height uint64) (proof.Header, error) {
	header, err := h.File.Header(height)
	if errors.Is(err, headers.ErrNoBlock) {
		return proof.Header{}, fmt.Errorf("%w: %w", proof.ErrNoHeader, err)
	}
	if err != nil {
		return proof.Header{}, fmt.Errorf("%s: %w", h.file.Name(), err)
	}
	return proof.Header{Height: height, Hash: header.BlockHash(), MerkleRoot: header.MerkleRoot, Time: header.Timestamp.UTC()}, nil
}

// source returns the source that they are. Whoever calls fills in what is said of them.
func (h *fileHeaders) source() *source {
	return &source{
		HeaderSource: h,
		madeAtWill:   h.params.GenerateSupported,
		tip:          func(context.Context) (int64, error) { return h.Height(), nil },
		close:        h.file.Close,
	}
}

// fileSource is a file of headers that "ancre headers export" wrote, or a plain one: no network is
// needed.
func (a *app) fileSource(ctx context.Context, path string) (*source, error) {
	_, params, err := a.network()
	if err != nil {
		return nil, err
	}
	h, err := a.openHeaders(ctx, path, params)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, err
	case errors.Is(err, headers.ErrOtherNetwork):
		return nil, fmt.Errorf("the headers in %s cannot be used: %w: name their network with --network", path, err)
	default:
		return nil, fmt.Errorf("the headers in %s cannot be used: %w; \"ancre headers export\" makes a new file", path, err)
	}
	s := h.source()
	s.kind, s.from = "file", path
	s.trusted = "headers of " + path + " checked here from the first block on"
	s.caution = fmt.Sprintf("The headers in %s end with block %s of %s; what came after that it cannot tell.", path, humanize.Count(h.Height()), humanize.Time(h.Time()))
	s.lacks = func(context.Context, uint64) (why, needed string) {
		return fmt.Sprintf("the headers in %s end with block %s of %s", path, humanize.Count(h.Height()), humanize.Time(h.Time())), `export newer ones with "ancre headers export"`
	}
	return s, nil
}
