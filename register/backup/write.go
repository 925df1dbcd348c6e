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
	"time"

	"ancre/register/files"
	"ancre/register/store"
)

// Source is what a backup is made of.
type Source struct {
	Store    store.Store
	Engine   string // its name: see Engine
	Files    *files.Dir
	Taken    time.Time
	Progress func(done, total int64) // bytes of documents and database; nil: it is not told
}

// Write writes a backup to w, while the register goes on. A document that is damaged on the disk is
// an error that wraps store.ErrDamaged: a backup that cannot be restored is no use.
func Write(ctx context.Context, w io.Writer, s Source) (sum Summary, err error) {
	err = s.Store.Backup(ctx, func(size int64, database io.Reader) error {
		sum, err = write(ctx, w, s, size, database)
		return err
	})
	return sum, err
}

// write writes the backup, once the database stands still. Each document that the database names is
// on disk by now: rows are written after their files.
func write(ctx context.Context, w io.Writer, s Source, size int64, database io.Reader) (sum Summary, err error) {
	h := Header{Format: Format, Engine: s.Engine, Taken: s.Taken.UTC().Truncate(time.Second), Bytes: size}
	if h.Network, err = s.Store.Network(ctx); err != nil {
		return sum, err
	}
	counts, err := s.Store.Counts(ctx)
	if err != nil {
		return sum, err
	}
	var items []files.Item
	for item, err := range s.Files.All(ctx) {
		if err != nil {
			return sum, err
		}
		if !item.Document {
			continue // a proof alone: of a document that is still being put
		}
		items = append(items, item)
		h.Documents++
		h.Bytes += item.Size
	}
	if err := refuseMissing(ctx, s, items); err != nil {
		return sum, err
	}
	a := newArchive(ctx, w, h.Taken, func(n int64) {
		if s.Progress != nil {
			s.Progress(n, h.Bytes)
		}
	})
	manifest := h.encode()
	if err := a.addText(manifestName, manifest); err != nil {
		return sum, err
	}
	if err := a.add(databaseName, size, database); err != nil {
		return sum, err
	}
	top := a.takeSums()
	for len(items) > 0 {
		first := items[0].Digest[0]
		n := 1
		for n < len(items) && items[n].Digest[0] == first {
			n++
		}
		line, err := a.addShard(s.Files, items[:n])
		if err != nil {
			return sum, err
		}
		top, items = append(top, line...), items[n:]
	}
	if err := a.close(top); err != nil {
		return sum, err
	}
	return Summary{Network: h.Network, Taken: h.Taken, Meetings: counts.Meetings, Entries: counts.Entries,
		Documents: h.Documents, Bytes: a.out.n, SHA256: fmt.Sprintf("%x", a.out.hash.Sum(nil))}, nil
}

// refuseMissing returns an error if the register has an entry whose document is not on the disk.
func refuseMissing(ctx context.Context, s Source, items []files.Item) error {
	have := make(map[store.Digest]bool, len(items))
	for _, item := range items {
		have[item.Digest] = true
	}
	return eachEntry(ctx, s.Store, func(e *store.Entry) error {
		if have[e.Digest] {
			return nil
		}
		f, err := s.Files.Open(e.Digest) // it may have come since
		if err != nil {
			return fmt.Errorf("the document %s of the entry %d is %w on the disk: add it again, or put the file of an earlier backup in its place: %w",
				e.Digest, e.ID, store.ErrDamaged, err)
		}
		return f.Close()
	})
}

// eachEntry calls do with all entries of a store, in their order.
func eachEntry(ctx context.Context, s store.Store, do func(*store.Entry) error) error {
	const some = 1000
	for q := (store.EntryQuery{Limit: some}); ; {
		entries, err := s.Entries(ctx, q)
		if err != nil {
			return err
		}
		for i := range entries {
			if err := do(&entries[i]); err != nil {
				return err
			}
		}
		if len(entries) < some {
			return nil
		}
		q.After = entries[len(entries)-1].ID
	}
}

// archive is a backup that is being written.
type archive struct {
	ctx   context.Context
	out   *hashWriter
	tar   *tar.Writer
	taken time.Time
	sums  []byte // lines about the members since takeSums, as sha256sum writes them
	done  int64  // bytes of documents and database
	tell  func(done int64)
}

func newArchive(ctx context.Context, w io.Writer, taken time.Time, tell func(int64)) *archive {
	out := &hashWriter{w: w, hash: sha256.New()}
	return &archive{ctx: ctx, out: out, tar: tar.NewWriter(out), taken: taken, tell: tell}
}

// memberHeader is the header of a member: the same bytes for the same member.
func memberHeader(name string, size int64, taken time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: memberMode, ModTime: taken}
}

// addText writes a small member.
func (a *archive) addText(name string, content []byte) error {
	return a.copy(name, int64(len(content)), bytes.NewReader(content), func(int) {})
}

// add writes a document, or the database, and its sum.
func (a *archive) add(name string, size int64, r io.Reader) error {
	return a.copy(name, size, r, func(n int) {
		a.done += int64(n)
		a.tell(a.done)
	})
}

func (a *archive) copy(name string, size int64, r io.Reader, count func(n int)) error {
	if err := a.tar.WriteHeader(memberHeader(name, size, a.taken)); err != nil {
		return err
	}
	sum := sha256.New()
	buffer := make([]byte, 256<<10)
	for {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buffer)
		sum.Write(buffer[:n])
		if _, err := a.tar.Write(buffer[:n]); err != nil {
			return err
		}
		count(n)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	a.sums = fmt.Appendf(a.sums, "%x  %s\n", sum.Sum(nil), name)
	return a.tar.Flush() // says whether the size was right
}

func (a *archive) takeSums() []byte {
	sums := a.sums
	a.sums = nil
	return sums
}

// addShard writes documents of one first byte, and their sums. It returns the line about the sums.
func (a *archive) addShard(dir *files.Dir, items []files.Item) ([]byte, error) {
	for _, item := range items {
		if err := a.addItem(dir, item); err != nil {
			return nil, err
		}
	}
	err := a.addText(sumsMember(items[0].Digest[0]), a.takeSums())
	return a.takeSums(), err
}

func sumsMember(first byte) string { return fmt.Sprintf("sums/%02x.sha256", first) }

func fileMember(d store.Digest, suffix string) string {
	return fmt.Sprintf("%s/%02x/%s%s", FilesDir, d[0], d, suffix)
}

// addItem writes a document with its proof and its receipt.
func (a *archive) addItem(dir *files.Dir, item files.Item) error {
	f, err := dir.Open(item.Digest)
	if err != nil {
		return err
	}
	before := len(a.sums)
	err = a.add(fileMember(item.Digest, ""), item.Size, f)
	if err := errors.Join(err, f.Close()); errors.Is(err, tar.ErrWriteTooLong) || err == nil && string(a.sums[before:before+64]) != item.Digest.String() {
		return fmt.Errorf("the document %s is %w on the disk: add it again (that repairs it), or put the file of an earlier backup in its place", item.Digest, store.ErrDamaged)
	} else if err != nil {
		return fmt.Errorf("back up the document %s: %w", item.Digest, err)
	}
	for _, proof := range proofFiles(dir) {
		content, err := proof.get(item.Digest)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err == nil {
			err = a.addText(fileMember(item.Digest, proof.suffix), content)
		}
		if err != nil {
			return fmt.Errorf("back up the proof of %s: %w", item.Digest, err)
		}
	}
	return nil
}

// proofFile is a kind of file beside a document.
type proofFile struct {
	suffix string
	get    func(store.Digest) ([]byte, error)
	put    func(store.Digest, []byte) error
}

func proofFiles(dir *files.Dir) []proofFile {
	return []proofFile{{".ots", dir.OTS, dir.PutOTS}, {".receipt.json", dir.Receipt, dir.PutReceipt}}
}

// close writes what stands last.
func (a *archive) close(sums []byte) error {
	if err := a.addText(sumsName, sums); err != nil {
		return err
	}
	_, err := a.out.Write(ending(a.out.hash.Sum(nil), a.taken))
	return err
}

// ending is how a file ends of which the bytes before have that SHA-256.
func ending(sum []byte, taken time.Time) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	text := fmt.Sprintf("%x\n", sum)
	h := memberHeader(endName, int64(len(text)), taken)
	h.Format = tar.FormatUSTAR // one block
	err := w.WriteHeader(h)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err) // a buffer takes all
	}
	return b.Bytes()
}

// hashWriter counts and hashes what is written.
type hashWriter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (h *hashWriter) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.hash.Write(p[:n])
	h.n += int64(n)
	return n, err
}
