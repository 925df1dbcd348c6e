package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/tree"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// treeFilePause is how long the writing of a file rests after each write while leaves are
	// appended. So it takes 5 MiB of the disk's every second then, that is 150,000 leaves, and as
	// much as there is when nothing comes. No proof of a batch needs its file before the anchor is
	// final, an hour later.
	treeFilePause = 50 * time.Millisecond

	// maxTreeFileRetry is how long the writer waits at most after a file could not be written. It
	// waits longer each time, because as much may have been written in vain.
	firstTreeFileRetry = time.Second
	maxTreeFileRetry   = time.Minute

	treeFileWrite = 256 << 10 // bytes that are written at once
	bytesPerSync  = 1 << 20

	diskWrites = vfs.DiskWriteCategory("ancre-index")
)

// treeFileLoop writes the files that are wanted. It ends with the store.
func (s *Store) treeFileLoop() {
	defer s.jobs.Done()
	retry := s.fs.NewRetry(s.closing, "store: files that proofs are read from cannot be written, and will be tried again; meanwhile proofs of new batches take longer")
	pause := firstTreeFileRetry
	for {
		batch, ok := s.treeFiles.next()
		if !ok {
			select {
			case <-s.treeFiles.arrived:
				continue
			case <-s.closing:
				return
			}
		}
		f, err := s.writeTreeFile(batch)
		switch {
		case err == nil:
			retry.Succeeded()
			pause = firstTreeFileRetry
		case errors.Is(err, store.ErrDamaged):
			s.log.Error("store: the file that proofs of a batch are to be read from cannot be written", "batch", batch, "err", err)
		default:
			s.treeFiles.moveToEnd(batch) // others may go well
			if !retry.Pause(err, pause) {
				return
			}
			pause = min(2*pause, maxTreeFileRetry)
			continue
		}
		s.treeFiles.done(batch, f)
	}
}

// writeTreeFile writes the file of a sealed batch and lists it.
func (s *Store) writeTreeFile(batch uint64) (f *treeFile, err error) {
	v, err := s.acquire(context.Background())
	if err != nil {
		return nil, err
	}
	defer v.release()
	rec, err := s.batch(v.snap, batch)
	if errors.Is(err, store.ErrNotFound) {
		err = damaged(idKey(prefixTreeFile, batch), err)
	}
	if err != nil {
		return nil, err
	}
	f = &treeFile{batch: batch, pages: rec.Count / runSize}
	if f.pages == 0 || f.pages > maxTreeFilePages || rec.State != store.Sealed {
		return nil, damaged(idKey(prefixTreeFile, batch), fmt.Errorf("it is %s and has %d runs of leaves: no file can be made of it", rec.State, f.pages))
	}
	name := s.treeFileName(batch)
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) { // one that is damaged takes the space of the new one
		return nil, err
	}
	if err := s.createTreeFile(f, &rec, v.snap, name); err != nil {
		_ = s.fs.Remove(name) // or the next start does it
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	if err := s.fs.SyncDir(s.fs.PathJoin(s.dir, indexDir)); err != nil {
		return nil, err
	}
	if err := s.fs.Failure(); err != nil { // what was pretended is not on the disk
		return nil, err
	}
	b := s.db.NewBatch()
	_ = b.Set(idKey(prefixTreeFile, batch), appendTreeFileRecord(nil, f), nil)
	return f, s.commit(context.Background(), &commit{batch: b, soon: true})
}

// createTreeFile makes, fills and syncs a file.
func (s *Store) createTreeFile(f *treeFile, rec *codec.BatchRecord, r pebble.Reader, name string) (err error) {
	if err := s.fits(f.pages*pageSize + treeFileFooter); err != nil {
		return err
	}
	file, err := s.fs.Create(name, diskWrites)
	if err != nil {
		return err
	}
	// It goes to the disk while it is written. All at once, it would delay the log.
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{NoSyncOnClose: true, BytesPerSync: bytesPerSync})
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}()
	leaves, err := s.newLeafRuns(r, f.batch)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, leaves.close()) }()
	w := &treeFileWriter{s: s, f: f, file: file, leaves: leaves, tree: tree.New(f.batch, nil), buf: make([]byte, 0, treeFileWrite+pageSize)}
	for number := range f.pages {
		if err := w.page(number); err != nil {
			return err
		}
	}
	if err := w.compare(rec); err != nil {
		return err
	}
	if err := w.footer(rec.Root); err != nil {
		return err
	}
	return file.Sync()
}

// treeFileWriter writes a file from the leaves of its batch. What is above the leaves it computes,
// and compares with the root that the batch was sealed with: so a file says what proofs need, or
// there is none.
type treeFileWriter struct {
	s       *Store
	f       *treeFile
	file    vfs.File
	leaves  *leafRuns
	tree    *tree.Builder // over the nodes above whole runs
	buf     []byte
	written uint64
}

// page writes the next page.
func (w *treeFileWriter) page(number uint64) error {
	run, err := w.leaves.next()
	if err != nil {
		return err
	}
	if len(run) != runSize {
		return damaged(w.leaves.key, fmt.Errorf("%d leaves of run %d are together, expected %d", len(run), number, runSize))
	}
	groups := make([][32]byte, 0, pageGroups)
	for group := range slices.Chunk(run, tree.Fanout) {
		groups = append(groups, proof.Root(group))
	}
	upper := tree.NewRows(groups)
	if err := w.tree.Add(upper.Above()); err != nil {
		return err
	}
	w.buf = w.f.appendPage(w.buf, number, run, upper)
	if len(w.buf) < treeFileWrite {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	left := w.f.pages*pageSize + treeFileFooter - w.written
	return errors.Join(w.s.giveWay(), w.s.fits(left)) // others take space, too
}

func (w *treeFileWriter) flush() error {
	if _, err := w.file.Write(w.buf); err != nil {
		return err
	}
	w.written += uint64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// compare reads the leaves behind the last whole run, and compares the root.
func (w *treeFileWriter) compare(rec *codec.BatchRecord) error {
	var rest []store.Leaf
	for uint64(len(rest)) < rec.Count%runSize {
		some, err := w.leaves.next()
		if err != nil {
			return err
		}
		rest = append(rest, some...)
	}
	if len(rest) > 0 {
		if err := w.tree.Add([][32]byte{proof.Root(rest)}); err != nil {
			return err
		}
	}
	root, err := w.tree.Root()
	if err == nil && root != rec.Root {
		err = damaged(w.leaves.key, fmt.Errorf("the leaves have the root %x, batch %d was sealed with %x: restore a backup", root, w.f.batch, rec.Root))
	}
	return err
}

// footer writes what comes behind the pages.
func (w *treeFileWriter) footer(root [32]byte) error {
	at := len(w.buf)
	w.buf = append(w.buf, treeFileMagic...)
	w.buf = binary.BigEndian.AppendUint64(w.buf, w.f.batch)
	w.buf = binary.BigEndian.AppendUint64(w.buf, w.f.pages)
	w.buf = append(w.buf, root[:]...)
	w.buf = append(w.buf, make([]byte, treeFileFooter-codec.SumSize-len(w.buf[at:]))...)
	w.f.footer = codec.Sum(w.buf[at:])
	w.buf = binary.BigEndian.AppendUint32(w.buf, w.f.footer)
	return w.flush()
}

// giveWay waits if leaves were appended since the last call.
func (s *Store) giveWay() error {
	if !s.appended.Swap(false) && !s.isClosing() {
		return nil
	}
	t := time.NewTimer(treeFilePause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.closing:
		return store.ErrClosed
	}
}

// leafRuns reads the leaves of a batch from its beginning.
type leafRuns struct {
	it    *pebble.Iterator
	step  func() bool // moves it to the next value
	key   []byte      // of the first
	start uint64      // index of the leaf that comes next
}

func (s *Store) newLeafRuns(r pebble.Reader, batch uint64) (*leafRuns, error) {
	key := nodesKey(batch, 0, 0)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: key, UpperBound: nodesKey(batch, 1, 0)})
	if err != nil {
		return nil, err
	}
	return &leafRuns{it: it, step: it.First, key: key}, nil
}

// next returns the leaves that are together in the next value: a complete run is.
func (r *leafRuns) next() ([]store.Leaf, error) {
	ok := r.step()
	r.step = r.it.Next
	if !ok {
		if err := r.it.Error(); err != nil {
			return nil, readError(r.key, err)
		}
		return nil, damaged(r.key, fmt.Errorf("missing: leaves end at %d", r.start))
	}
	value, err := nodesAt(r.it, r.start)
	if err != nil {
		return nil, err
	}
	leaves := nodesOf(value, len(value)/32)
	r.start += uint64(len(leaves))
	return leaves, nil
}

func (r *leafRuns) close() error {
	if err := r.it.Close(); err != nil {
		return readError(r.key, err)
	}
	return nil
}
