package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"ancre/register/store"
)

// Reader reads a backup, once.
type Reader struct {
	Progress func(done, total int64) // bytes of documents and database; nil: it is not told

	in     *hashReader
	tar    *tar.Reader
	header Header
	sums   []byte // of the members since the last member of sums
	top    []byte // what SHA256SUMS must say
	last   string // the last member
	done   int64
	count  int // documents
}

// Open reads the beginning of a backup.
func Open(r io.Reader) (*Reader, error) {
	in := &hashReader{r: r, behind: sha256.New()}
	b := &Reader{in: in, tar: tar.NewReader(in)}
	h, err := b.tar.Next()
	switch {
	case err != nil && in.n == 0 && errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: it is empty", ErrNotBackup)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, ErrTruncated
	case in.err != nil:
		return nil, in.err
	case err != nil || h.Name != manifestName:
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrNotBackup, manifestName)
	}
	text, err := b.small(h, maxManifest)
	if err != nil {
		return nil, err
	}
	if b.header, err = decodeHeader(text); err != nil {
		return nil, err
	}
	b.top, b.sums = b.sums, nil
	return b, nil
}

// Header returns what stands first in the backup.
func (b *Reader) Header() Header { return b.header }

// sink takes what is in a backup.
type sink interface {
	database(r io.Reader) error
	// document takes bytes to their end, and returns their digest.
	document(r io.Reader) (store.Digest, int64, error)
	proof(d store.Digest, suffix string, content []byte) error
}

// read hands the whole backup to a sink. When it returns without an error, the file was whole.
func (b *Reader) read(ctx context.Context, to sink) error {
	h, err := b.next(ctx)
	if err != nil {
		return err
	}
	if h.Name != databaseName {
		return damaged("%s follows on %s", h.Name, manifestName)
	}
	if _, err := b.member(h, to.database); err != nil {
		return err
	}
	b.tell(h.Size)
	b.top, b.sums = append(b.top, b.sums...), nil
	var current store.Digest
	for {
		if h, err = b.next(ctx); err != nil {
			return err
		}
		if h.Name == sumsName {
			break
		}
		if strings.HasPrefix(h.Name, "sums/") {
			if err := b.readSums(h, current); err != nil {
				return err
			}
			continue
		}
		if current, err = b.readFile(h, current, to); err != nil {
			return err
		}
	}
	return b.end(ctx, h)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// next returns the header of the next member.
func (b *Reader) next(ctx context.Context) (*tar.Header, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := b.tar.Next()
	if err != nil {
		return nil, b.explain(err)
	}
	want := memberHeader(h.Name, h.Size, b.header.Taken)
	if h.Typeflag != tar.TypeReg || h.Mode != want.Mode || h.Size < 0 || !h.ModTime.Equal(want.ModTime) || len(h.PAXRecords) > 1 {
		return nil, damaged("the member %q is not one of a backup", h.Name)
	}
	return h, nil
}

// explain says what it means that reading fails.
func (b *Reader) explain(err error) error {
	switch {
	case b.in.err != nil:
		return b.in.err // reading the file itself failed
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return ErrTruncated
	case errors.Is(err, tar.ErrHeader):
		return damaged("it is no tar archive behind byte %d", b.in.n)
	}
	return damaged("%w", err)
}

// member hands the bytes of a member to take, and notes and returns their sum.
func (b *Reader) member(h *tar.Header, take func(r io.Reader) error) (string, error) {
	sum := sha256.New()
	r := &countReader{r: io.TeeReader(b.tar, sum)}
	err := take(r)
	if r.err != nil {
		return "", b.explain(r.err) // whatever became of what was read before
	}
	if err != nil {
		return "", err
	}
	if r.n != h.Size {
		return "", damaged("%s was not read to its end", h.Name)
	}
	text := fmt.Sprintf("%x", sum.Sum(nil))
	b.sums = fmt.Appendf(b.sums, "%s  %s\n", text, h.Name)
	b.last = h.Name
	return text, nil
}

// small returns the bytes of a member.
func (b *Reader) small(h *tar.Header, most int64) (content []byte, err error) {
	if h.Size > most {
		return nil, damaged("%s has %d bytes", h.Name, h.Size)
	}
	_, err = b.member(h, func(r io.Reader) (err error) {
		content, err = io.ReadAll(r)
		return err
	})
	return content, err
}

// readFile reads a document, or what stands beside the document current. It returns the document's
// digest.
func (b *Reader) readFile(h *tar.Header, current store.Digest, to sink) (store.Digest, error) {
	rest, ok := strings.CutPrefix(h.Name, FilesDir+"/")
	hex, suffix := "", ""
	if len(rest) >= 3+2*len(current) {
		hex, suffix = rest[3:3+2*len(current)], rest[3+2*len(current):]
	}
	d, err := store.ParseDigest(hex)
	if !ok || err != nil || fileMember(d, suffix) != h.Name {
		return current, damaged("the member %q is not one of a backup", h.Name)
	}
	if suffix == "" {
		if b.count > 0 && bytes.Compare(d[:], current[:]) <= 0 {
			return current, damaged("the document %s follows on %s", d, current)
		}
		_, err := b.member(h, func(r io.Reader) error {
			got, _, err := to.document(r)
			if err == nil && got != d {
				err = damaged("the document %s has the digest %s", d, got)
			}
			return err
		})
		b.count++
		b.tell(h.Size)
		return d, err
	}
	if b.count == 0 || d != current || suffix != ".ots" && suffix != ".receipt.json" || strings.HasSuffix(b.last, suffix) {
		return current, damaged("the member %q is not one of a backup", h.Name)
	}
	content, err := b.small(h, maxSums)
	if err == nil {
		err = to.proof(d, suffix, content)
	}
	return d, err
}

// readSums compares the sums of the documents of one first byte.
func (b *Reader) readSums(h *tar.Header, current store.Digest) error {
	want := b.sums
	if b.sums = nil; h.Name != sumsMember(current[0]) || len(want) == 0 {
		return damaged("the member %q is not one of a backup", h.Name)
	}
	got, err := b.small(h, maxSums)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return damaged("%s does not have the sums of the members before it", h.Name)
	}
	b.top, b.sums = append(b.top, b.sums...), nil
	return nil
}

// end reads what stands last, and compares it with all that was read.
func (b *Reader) end(ctx context.Context, h *tar.Header) error {
	if len(b.sums) > 0 {
		return damaged("the sums behind %s are missing", b.last)
	}
	got, err := b.small(h, maxSums)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, b.top) {
		return damaged("%s does not have the sums of the members before it", sumsName)
	}
	if h, err = b.next(ctx); err != nil {
		return err
	}
	if h.Name != endName {
		return damaged("%s follows on %s", h.Name, sumsName)
	}
	// The rest of the file, its last header included, follows from what stands before.
	want := ending(b.in.behind.Sum(nil), b.header.Taken)
	had := bytes.Clone(b.in.last[:])
	rest, err := io.ReadAll(io.LimitReader(b.in, int64(len(want))))
	if err != nil {
		return b.explain(err)
	}
	if had = append(had, rest...); bytes.HasPrefix(want, had) && len(had) < len(want) {
		return ErrTruncated
	} else if !bytes.Equal(had, want) {
		return damaged("its SHA-256 is not the one that it ends with")
	}
	if b.count != b.header.Documents {
		return damaged("it has %d documents, and should have %d", b.count, b.header.Documents)
	}
	return nil
}

func (b *Reader) tell(n int64) {
	if b.done += n; b.Progress != nil {
		b.Progress(b.done, b.header.Bytes)
	}
}

// hashReader hashes what is read.
type hashReader struct {
	r      io.Reader
	n      int64
	err    error       // of r, but for its end
	behind hash.Hash   // of all but the last block
	last   [block]byte // the last block
}

func (h *hashReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.n += int64(n)
	h.lag(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		h.err = err
	}
	return n, err
}

// lag hashes all but the last block.
func (h *hashReader) lag(p []byte) {
	before := h.n - int64(len(p)) // bytes that were read earlier
	held := min(before, block)
	if len(p) >= block {
		h.behind.Write(h.last[:held])
		h.behind.Write(p[:len(p)-block])
		copy(h.last[:], p[len(p)-block:])
		return
	}
	out := max(0, held+int64(len(p))-block)
	h.behind.Write(h.last[:out])
	copy(h.last[:], h.last[out:held])
	copy(h.last[held-out:], p)
}

// sum returns the SHA-256 of all that was read. Nothing is read after that.
func (h *hashReader) sum() string {
	h.behind.Write(h.last[:min(h.n, block)])
	return fmt.Sprintf("%x", h.behind.Sum(nil))
}

// countReader counts what is read, and remembers how reading failed.
type countReader struct {
	r   io.Reader
	n   int64
	err error
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
