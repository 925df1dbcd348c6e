package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"ancre/register/store"
)

// Verify reads a document and compares it with its digest. The error wraps [store.ErrDamaged] if it
// has another one, and [store.ErrNotFound] if it is not there.
func (d *Dir) Verify(ctx context.Context, digest store.Digest) error {
	f, _, err := d.open(digest, "")
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	buffer := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buffer)
		hash.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("the file of %s is %w: %w", digest, store.ErrDamaged, err)
		}
	}
	if got := store.Digest(hash.Sum(nil)); got != digest {
		return fmt.Errorf("the file of %s is %w: its digest is %s", digest, store.ErrDamaged, got)
	}
	return nil
}

// Item is what the directory has of one digest.
type Item struct {
	Digest   store.Digest
	Document bool
	Size     int64 // of the document
	OTS      bool
	Receipt  bool
}

// All yields what the directory has, by rising digest. A name that does not belong there yields an
// error that wraps [store.ErrDamaged], and the walk goes on.
func (d *Dir) All(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for i := range 256 {
			if err := ctx.Err(); err != nil {
				yield(Item{}, err)
				return
			}
			shard := fmt.Sprintf("%02x", i)
			names, err := fs.ReadDir(d.root.FS(), shard)
			if err != nil {
				yield(Item{}, err)
				return
			}
			if !d.items(shard, names, yield) {
				return
			}
		}
	}
}

// items yields what is in one directory, and reports whether to go on. names are sorted, so those
// of one digest stand together.
func (d *Dir) items(shard string, names []fs.DirEntry, yield func(Item, error) bool) bool {
	var item Item
	flush := func() bool {
		done := item
		item = Item{}
		return done == Item{} || yield(done, nil)
	}
	for _, entry := range names {
		hex, suffix, _ := strings.Cut(entry.Name(), ".")
		digest, err := store.ParseDigest(hex)
		info, statErr := d.root.Lstat(shard + "/" + entry.Name())
		if errors.Is(statErr, fs.ErrNotExist) {
			continue
		}
		if err != nil || statErr != nil || digest.String() != hex || hex[:2] != shard || !info.Mode().IsRegular() || !isSuffix(entry.Name()[len(hex):]) {
			if !flush() || !yield(Item{}, fmt.Errorf("%s/%s is no file of the register (%w): move it away", shard, entry.Name(), store.ErrDamaged)) {
				return false
			}
			continue
		}
		if digest != item.Digest && !flush() {
			return false
		}
		item.Digest = digest
		switch "." + suffix {
		case otsSuffix:
			item.OTS = true
		case receiptSuffix:
			item.Receipt = true
		default:
			item.Document, item.Size = true, info.Size()
		}
	}
	return flush()
}

func isSuffix(s string) bool { return s == "" || s == otsSuffix || s == receiptSuffix }

// maxFindings is how many damages an error of Check names: a broken disk may have thousands.
const maxFindings = 20

// Check reads all documents and compares them with their digests. It calls progress with the number
// of bytes that it has read, unless that is nil. What is damaged is told as one error that wraps
// [store.ErrDamaged].
func (d *Dir) Check(ctx context.Context, progress func(bytes int64)) error {
	var found []error
	var read int64
	more := 0
	for item, err := range d.All(ctx) {
		if err == nil && item.Document {
			err = d.Verify(ctx, item.Digest)
			if read += item.Size; progress != nil {
				progress(read)
			}
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case len(found) < maxFindings:
			found = append(found, err)
		default:
			more++
		}
	}
	if more > 0 {
		found = append(found, fmt.Errorf("%w: %d more files", store.ErrDamaged, more))
	}
	return errors.Join(found...)
}
