package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ancre/headers"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// FileSource is a file of block headers. All of them were checked when it was opened: links, proof
// of work, difficulty, times. It needs no network. The caller keeps the file open.
type FileSource struct {
	// Name is how a person knows the file.
	Name string

	// Newer says how to get newer headers; it may be empty.
	Newer string

	file *headers.File
	raw  io.ReaderAt
}

var _ Source = (*FileSource)(nil)

// OpenFile checks a whole file of headers. It calls progress, unless that is nil, with the number
// of headers checked so far. Errors do not name the file. A caller may look for
// [headers.ErrOtherNetwork] and [headers.ErrLittleWork].
func OpenFile(ctx context.Context, r io.ReaderAt, size int64, params *chaincfg.Params, progress func(done uint64)) (*FileSource, error) {
	file, err := headers.Open(ctx, r, size, params, time.Now(), progress)
	if err != nil {
		return nil, err
	}
	return &FileSource{file: file, raw: r}, nil
}

// Header implements [proof.HeaderSource].
func (s *FileSource) Header(_ context.Context, height uint64) (proof.Header, error) {
	h, err := s.file.Header(height)
	if errors.Is(err, headers.ErrNoBlock) {
		return proof.Header{}, fmt.Errorf("%w: %w", proof.ErrNoHeader, err)
	}
	if err != nil {
		return proof.Header{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	return rpc.ProofHeader(height, &h), nil
}

// Tip implements [Source].
func (s *FileSource) Tip(context.Context) (int64, error) { return s.file.Height(), nil }

// Time returns the time that the newest header claims.
func (s *FileSource) Time() time.Time { return s.file.Time() }

// Raw returns the headers of the file from the first block on, without a checksum.
func (s *FileSource) Raw() *io.SectionReader {
	return io.NewSectionReader(s.raw, 0, (s.file.Height()+1)*headers.Size)
}

// Trust implements [Source].
func (s *FileSource) Trust() Trust {
	return Trust{
		Source: "file", From: s.Name,
		Words:   "headers of " + s.Name + " checked here from the first block on",
		Warning: "The" + strings.TrimPrefix(s.end(), "the") + "; they say nothing about later blocks.",
	}
}

// Lacks implements [Source].
func (s *FileSource) Lacks(context.Context, uint64) (why, remedy string) { return s.end(), s.Newer }

// end says how far the file reaches.
func (s *FileSource) end() string {
	return fmt.Sprintf("the headers in %s end with block %s of %s", s.Name, humanize.Count(s.file.Height()), humanize.Time(s.file.Time()))
}
