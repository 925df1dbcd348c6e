package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ancre/batcher/store/codec"
	"ancre/internal/wake"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A tree file has the two lowest levels of a large batch that is sealed, for paths. In Pebble, the
// group that a path needs of each level is part of a run, a value of 8 KiB: to look for two of
// them, to read and check them whole and to keep them in the block cache takes longer than all the
// rest of a proof. In the file each group is at a place that follows from its number.
//
// Like the rest of the index, a tree file follows from the runs. While there is none, or when it
// cannot be read, the runs are read.

const (
	treeFileExt     = ".groups" // the name that the format has
	treeFileMagic   = "ancre-g1"
	treeFileFooter  = 64 // bytes
	treeFileVersion = 1  // of the record

	// treeFileLeaves is how many leaves a batch has at least that gets a file. So there is one file
	// in 65,536 leaves at most, and what smaller batches need is a few runs.
	treeFileLeaves = 1 << 16

	// maxOpenTreeFiles is how many files are open at most.
	maxOpenTreeFiles = 256

	// maxTreeFilePages keeps every place in a file below 2^63, and every group's number below 2^32.
	maxTreeFilePages = 1 << 27
)

// treeFile is the file of one batch. It never changes.
type treeFile struct {
	batch  uint64
	pages  uint64   // one for each complete run; the leaves behind these are read from Pebble
	footer uint32   // checksum of its footer: what tells this file from any other
	file   vfs.File // nil: not open. Owned by treeFiles.mu
}

// treeFiles are the files of all batches that have one.
type treeFiles struct {
	mu      sync.RWMutex // held for reading while a file is read, so that none is closed meanwhile
	files   map[uint64]*treeFile
	open    int
	most    int             // of them open
	wanted  []uint64        // batches whose file is to be written, oldest first
	again   map[uint64]bool // batches whose file was found damaged: it is written again, once
	refused bool            // the last file that was to be opened could not be
	arrived chan struct{}   // has a value when there is one more wanted
}

func newTreeFiles() *treeFiles {
	return &treeFiles{most: maxOpenTreeFiles, files: make(map[uint64]*treeFile), again: make(map[uint64]bool), arrived: wake.New()}
}

// readPage reads what the path of a leaf needs, and says whether it could: if not, the runs have
// it.
func (s *Store) readPage(batch, index uint64, to *page) bool {
	f, err := s.treeFiles.read(batch, index, to)
	if errors.Is(err, errShut) {
		if !s.openTreeFile(f) {
			return false
		}
		f, err = s.treeFiles.read(batch, index, to)
	}
	if err != nil && !errors.Is(err, errShut) { // that it is shut again already is bad luck
		s.dropFile(f, err)
	}
	return f != nil && err == nil
}

// errShut says that a file has to be opened before it can be read.
var errShut = errors.New("the file is not open")

// read reads from the file of a batch. f is nil when there is none that has the leaf.
func (t *treeFiles) read(batch, index uint64, to *page) (f *treeFile, err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	f = t.files[batch]
	switch {
	case f == nil || index/runSize >= f.pages:
		return nil, nil
	case f.file == nil:
		return f, errShut
	}
	return f, f.readPage(index, to)
}

// openTreeFile opens a file that is not open, and says whether it could. It drops a file that is
// gone, or is not as it was written. If the file cannot be opened for another reason, such as too
// many open files, that may pass.
func (s *Store) openTreeFile(f *treeFile) bool {
	file, err := s.fs.Open(s.treeFileName(f.batch), vfs.RandomReadsOption)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.treeFiles.refuse(s, err)
		return false
	}
	if err == nil {
		if err = f.verify(file); err != nil {
			_ = file.Close()
		}
	}
	if err != nil {
		s.dropFile(f, err)
		return false
	}
	t := s.treeFiles
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.file != nil || t.files[f.batch] != f { // another was faster; or it was dropped
		_ = file.Close()
		return f.file != nil
	}
	if t.open == t.most {
		for _, other := range t.files {
			if other.file != nil {
				t.close(other)
				break
			}
		}
	}
	f.file = file
	t.open++
	t.refused = false
	return true
}

// refuse logs that a file could not be opened, unless the one before could not either.
func (t *treeFiles) refuse(s *Store, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.refused {
		t.refused = true
		s.log.Warn("store: a file that proofs of a batch are read from cannot be opened; they are read from elsewhere meanwhile, which is slower", "err", err)
	}
}

// verify checks that a file is the one that is listed.
func (f *treeFile) verify(file vfs.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if want := int64(f.pages*pageSize + treeFileFooter); info.Size() != want {
		return fmt.Errorf("it has %d bytes, expected %d", info.Size(), want)
	}
	footer := make([]byte, treeFileFooter)
	if _, err := file.ReadAt(footer, info.Size()-treeFileFooter); err != nil {
		return err
	}
	sum := codec.Sum(footer[:treeFileFooter-codec.SumSize])
	if sum != f.footer || sum != binary.BigEndian.Uint32(footer[treeFileFooter-codec.SumSize:]) || !bytes.HasPrefix(footer, []byte(treeFileMagic)) {
		return errors.New("it does not end as it was written")
	}
	return nil
}

// close closes a file. mu is held.
func (t *treeFiles) close(f *treeFile) {
	if f.file != nil {
		_ = f.file.Close() // it was read only
		f.file = nil
		t.open--
	}
}

// dropFile gives up a file that cannot be read. It is written again, once while the store is open.
func (s *Store) dropFile(f *treeFile, cause error) {
	t := s.treeFiles
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files[f.batch] != f { // another was faster, or the store is closed
		return
	}
	t.close(f)
	delete(t.files, f.batch)
	s.log.Warn("store: a file that proofs of a batch are read from is damaged; they are read from elsewhere, which is slower",
		"file", s.treeFileName(f.batch), "batch", f.batch, "err", cause, "rewritten", !t.again[f.batch])
	if !t.again[f.batch] {
		t.again[f.batch] = true
		t.want(f.batch)
	}
}

// dropFileOf gives up the file of a batch, if there is one: it says other than the runs.
func (s *Store) dropFileOf(batch uint64, cause error) {
	s.treeFiles.mu.RLock()
	f := s.treeFiles.files[batch]
	s.treeFiles.mu.RUnlock()
	if f != nil {
		s.dropFile(f, cause)
	}
}

// wantTreeFiles has files written for batches.
func (s *Store) wantTreeFiles(batches []uint64) {
	s.treeFiles.mu.Lock()
	defer s.treeFiles.mu.Unlock()
	for _, id := range batches {
		s.treeFiles.want(id)
	}
}

// want has the file of a batch written. mu is held.
func (t *treeFiles) want(batch uint64) {
	t.wanted = append(t.wanted, batch)
	wake.Up(t.arrived)
}

// moveToEnd moves a batch to the end of those that are wanted.
func (t *treeFiles) moveToEnd(batch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.wanted, batch); i >= 0 {
		t.wanted = append(slices.Delete(t.wanted, i, i+1), batch)
	}
}

// next returns the batch whose file is to be written first.
func (t *treeFiles) next() (batch uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.wanted) == 0 {
		return 0, false
	}
	return t.wanted[0], true
}

// done removes a batch from those that are wanted, and adds its file if there is one now.
func (t *treeFiles) done(batch uint64, f *treeFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted = slices.DeleteFunc(t.wanted, func(id uint64) bool { return id == batch })
	if f != nil {
		t.files[batch] = f
	}
}

// end closes all files. Nothing is read from them any more.
func (t *treeFiles) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		t.close(f)
	}
	t.files = nil
}

func (s *Store) treeFileName(batch uint64) string {
	return s.fs.PathJoin(s.dir, indexDir, fmt.Sprintf("%06d%s", batch, treeFileExt))
}

// appendTreeFileRecord encodes the record of a file. That of a file which is yet to be written is
// empty.
func appendTreeFileRecord(b []byte, f *treeFile) []byte {
	b = append(b, treeFileVersion)
	b = binary.AppendUvarint(b, f.pages)
	return binary.BigEndian.AppendUint32(b, f.footer)
}

func decodeTreeFileRecord(batch uint64, b []byte) (*treeFile, error) {
	f := &treeFile{batch: batch}
	if len(b) == 0 {
		return f, nil
	}
	d := codec.NewDecoder(b)
	if v := d.Byte("version"); v != treeFileVersion {
		d.Fail("record version %d, expected %d", v, treeFileVersion)
	}
	f.pages = d.Uvarint("number of pages")
	sum := d.Take("checksum", codec.SumSize)
	if err := d.End(); err != nil {
		return nil, err
	}
	if f.pages == 0 || f.pages > maxTreeFilePages {
		return nil, fmt.Errorf("%d pages, expected 1 to %d", f.pages, maxTreeFilePages)
	}
	f.footer = binary.BigEndian.Uint32(sum)
	return f, nil
}

// listTreeFiles reads which batches have a file, or are to get one. Names are those in the
// directory of the index. A file that is listed and not there is written again, and one that is
// there and not listed is removed.
func (s *Store) listTreeFiles(names []string) error {
	there := make(map[uint64]string)
	for _, name := range names {
		if id, err := strconv.ParseUint(strings.TrimSuffix(name, treeFileExt), 10, 64); err == nil && strings.HasSuffix(name, treeFileExt) {
			there[id] = name
		}
	}
	it, err := s.db.NewIter(prefixed(prefixTreeFile))
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		f, err := decodeAt(it, prefixTreeFile, decodeTreeFileRecord)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if there[f.batch] == "" || f.pages == 0 {
			s.treeFiles.want(f.batch)
			continue
		}
		s.treeFiles.files[f.batch] = f
		delete(there, f.batch)
	}
	if err := closeIter(it, prefixTreeFile); err != nil {
		return err
	}
	for _, name := range there {
		if err := s.fs.Remove(s.fs.PathJoin(s.dir, indexDir, name)); err != nil {
			return err
		}
	}
	return nil
}
