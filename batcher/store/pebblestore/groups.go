package pebblestore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/tree"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What proofs read of large batches. A path goes through one group of Fanout nodes of each level.
// From the two lowest levels a group is read for hardly more than one proof. In Pebble each is part
// of a run, a value of 8 KiB: to look for two of them, to read and check them whole and to keep
// them in the block cache took longer than all the rest of a proof. So a sealed batch gets a file
// that has these groups once more, at places that are known: one short read has both.
//
// Like the rest of the index, the file follows from the runs: while there is none, or when it
// cannot be read, the runs are.

const (
	groupsExt   = ".groups"
	groupsMagic = "ancre-g1"

	// groupedLeaves is how many leaves a batch has at least that gets a file. So there is one file
	// in 65,536 leaves at most, and what smaller batches need is a few runs.
	groupedLeaves = 1 << 16

	// A stripe has the groups of a complete run of leaves, and in the middle the group of the nodes
	// above these with the rows that stand above it: of that group, nothing has to be hashed. To do
	// the same for the leaves would take 28 bytes for each.
	stripeGroups = runSize / tree.Fanout // of leaves
	groupSize    = tree.Fanout*32 + sumSize
	topNodes     = 2*tree.Fanout - 2 // 16 + 8 + 4 + 2
	topSize      = topNodes*32 + sumSize
	topAt        = stripeGroups / 2 * groupSize
	stripeSize   = stripeGroups*groupSize + topSize

	// maxGroupFiles is how many files are open at most.
	maxGroupFiles = 256

	// groupPause is how long the writing of a file rests after each ioSize while leaves are
	// appended: so it takes 5 MiB of the disk's every second then, that is 150,000 leaves, and as
	// much as there is when nothing comes. No proof of a batch needs its file before the anchor is
	// final, an hour later.
	groupPause = 50 * time.Millisecond

	// maxGroupsPause is how long the writer waits at most after a file could not be written: each
	// time a little longer, as much may have been written in vain.
	maxGroupsPause = time.Minute

	groupListingVersion = 1
)

// groupFile is the file of one batch. It never changes.
type groupFile struct {
	batch  uint64
	runs   uint64   // complete runs of leaves that it has; of the rest there is less than a run, which is read from Pebble
	footer uint32   // checksum of its footer: what tells this file from any other
	file   vfs.File // nil: not open. Owned by groupFiles.mu
}

// groupFiles are the files of all batches that have one.
type groupFiles struct {
	mu      sync.RWMutex // held for reading while a file is read, so that none is closed meanwhile
	files   map[uint64]*groupFile
	open    int
	most    int             // of them open
	wanted  []uint64        // batches whose file is to be written, oldest first
	again   map[uint64]bool // batches whose file was found damaged: it is written anew once
	refused bool            // the last file that was to be opened could not be
	arrived chan struct{}   // has a value when there is one more wanted
}

func newGroupFiles() *groupFiles {
	return &groupFiles{most: maxGroupFiles, files: make(map[uint64]*groupFile), again: make(map[uint64]bool), arrived: make(chan struct{}, 1)}
}

// ground is what a path needs of the two lowest levels. Its memory is used again: the file system
// may keep what it reads into, as far as the compiler knows.
type ground struct {
	buf    [topAt + topSize]byte // from the group of leaves to the top, or the other way round
	leaves []byte                // the group of leaves
	top    []byte                // the nodes above it and its neighbours, row after row
}

var grounds = sync.Pool{New: func() any { return new(ground) }}

// readGround reads the groups that the path from a leaf goes through, and says whether it could: if
// not, the runs have them.
func (s *Store) readGround(batch, index uint64, to *ground) bool {
	f, err := s.groups.read(batch, index, to)
	if errors.Is(err, errShut) {
		if !s.openGroups(f) {
			return false
		}
		f, err = s.groups.read(batch, index, to)
	}
	if err != nil && !errors.Is(err, errShut) { // that it is shut again already is bad luck
		s.loseGroups(f, err)
	}
	return f != nil && err == nil
}

// errShut says that a file has to be opened before it can be read.
var errShut = errors.New("the file is not open")

// read reads from the file of a batch. f is nil when there is none that has the leaf.
func (gs *groupFiles) read(batch, index uint64, to *ground) (f *groupFile, err error) {
	gs.mu.RLock()
	defer gs.mu.RUnlock()
	f = gs.files[batch]
	switch {
	case f == nil || index/runSize >= f.runs:
		return nil, nil
	case f.file == nil:
		return f, errShut
	}
	return f, f.read(index, to)
}

// read reads from a file that is open.
func (f *groupFile) read(index uint64, to *ground) error {
	stripe, group := index/runSize, index%runSize/tree.Fanout
	at, top := int(group)*groupSize, topAt
	if group >= stripeGroups/2 {
		at += topSize
	}
	begin, end := min(at, top), max(at+groupSize, top+topSize)
	buf := to.buf[:end-begin]
	if n, err := f.file.ReadAt(buf, int64(stripe*stripeSize)+int64(begin)); n < len(buf) {
		return err
	}
	var err error
	if to.leaves, err = f.checked(stripe, uint32(group), buf[at-begin:][:groupSize]); err == nil {
		to.top, err = f.checked(stripe, stripeGroups, buf[top-begin:][:topSize])
	}
	return err
}

// checked compares a group of a stripe, with the checksum behind it, with that. The top is its last
// group.
func (f *groupFile) checked(stripe uint64, group uint32, raw []byte) ([]byte, error) {
	nodes, sum := raw[:len(raw)-sumSize], raw[len(raw)-sumSize:]
	if f.sum(stripe, group, nodes) != binary.BigEndian.Uint32(sum) {
		return nil, fmt.Errorf("the checksum of group %d of stripe %d is wrong", group, stripe)
	}
	return nodes, nil
}

func (f *groupFile) sum(stripe uint64, group uint32, nodes []byte) uint32 {
	return placedSum(f.batch, uint32(stripe)*(stripeGroups+1)+group, nodes)
}

// appendPath appends the steps from a leaf up to the node of level lowLevels.
func (g *ground) appendPath(steps []proof.Step, index uint64) []proof.Step {
	var group [tree.Fanout]store.Leaf
	for i := range group {
		group[i] = store.Leaf(g.leaves[i*32:])
	}
	steps = proof.AppendPath(steps, group[:], int(index%tree.Fanout))
	at, row := int(index%runSize/tree.Fanout), g.top
	for width := tree.Fanout; width > 1; width /= 2 {
		steps = append(steps, proof.Step{Left: at%2 == 1, Hash: [32]byte(row[(at^1)*32:])})
		at, row = at/2, row[width*32:]
	}
	return steps
}

// openGroups opens a file that is not open, and says whether it could. One that is gone, or not as
// it was written, is lost; that it cannot be opened for another reason, such as too many files that
// are open, may pass.
func (s *Store) openGroups(f *groupFile) bool {
	file, err := s.guard.Open(s.groupsName(f.batch), vfs.RandomReadsOption)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.groups.refuse(s, err)
		return false
	}
	if err == nil {
		if err = f.verify(file); err != nil {
			_ = file.Close()
		}
	}
	if err != nil {
		s.loseGroups(f, err)
		return false
	}
	gs := s.groups
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if f.file != nil || gs.files[f.batch] != f { // another was faster; or it is lost
		_ = file.Close()
		return f.file != nil
	}
	if gs.open == gs.most {
		for _, other := range gs.files {
			if other.file != nil {
				gs.close(other)
				break
			}
		}
	}
	f.file = file
	gs.open++
	gs.refused = false
	return true
}

// refuse tells that a file could not be opened, unless that was told of the one before.
func (gs *groupFiles) refuse(s *Store, err error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if !gs.refused {
		gs.refused = true
		s.log.Warn("store: a file that proofs of a batch are read from cannot be opened; they are read from elsewhere meanwhile, which is slower", "err", err)
	}
}

// verify checks that a file is the one that is listed.
func (f *groupFile) verify(file vfs.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if want := int64(f.runs*stripeSize + footerSize); info.Size() != want {
		return fmt.Errorf("it has %d bytes, expected %d", info.Size(), want)
	}
	footer := make([]byte, footerSize)
	if _, err := file.ReadAt(footer, info.Size()-footerSize); err != nil {
		return err
	}
	sum := crc32.Checksum(footer[:footerSize-sumSize], castagnoli)
	if sum != f.footer || sum != binary.BigEndian.Uint32(footer[footerSize-sumSize:]) || !bytes.HasPrefix(footer, []byte(groupsMagic)) {
		return errors.New("it does not end as it was written")
	}
	return nil
}

// close closes a file. mu is held.
func (gs *groupFiles) close(f *groupFile) {
	if f.file != nil {
		_ = f.file.Close() // it was read only
		f.file = nil
		gs.open--
	}
}

// loseGroups gives a file up that cannot be read. It is written anew, once while the store is open.
func (s *Store) loseGroups(f *groupFile, cause error) {
	gs := s.groups
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.files[f.batch] != f { // somebody else was faster, or the store is closed
		return
	}
	gs.close(f)
	delete(gs.files, f.batch)
	s.log.Warn("store: a file that proofs of a batch are read from is damaged; they are read from elsewhere, which is slower",
		"file", s.groupsName(f.batch), "batch", f.batch, "err", cause, "made anew", !gs.again[f.batch])
	if !gs.again[f.batch] {
		gs.again[f.batch] = true
		gs.want(f.batch)
	}
}

// distrustGroups gives up a file that says other than the runs.
func (s *Store) distrustGroups(batch uint64, cause error) {
	s.groups.mu.RLock()
	f := s.groups.files[batch]
	s.groups.mu.RUnlock()
	if f != nil {
		s.loseGroups(f, cause)
	}
}

// wantGroups has files written for batches.
func (s *Store) wantGroups(batches []uint64) {
	s.groups.mu.Lock()
	defer s.groups.mu.Unlock()
	for _, id := range batches {
		s.groups.want(id)
	}
}

// want has the file of a batch written. mu is held.
func (gs *groupFiles) want(batch uint64) {
	gs.wanted = append(gs.wanted, batch)
	wake(gs.arrived)
}

// putOff takes a batch to the end of those that are wanted.
func (gs *groupFiles) putOff(batch uint64) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if i := slices.Index(gs.wanted, batch); i >= 0 {
		gs.wanted = append(slices.Delete(gs.wanted, i, i+1), batch)
	}
}

// next returns the batch whose file is to be written first.
func (gs *groupFiles) next() (batch uint64, ok bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if len(gs.wanted) == 0 {
		return 0, false
	}
	return gs.wanted[0], true
}

// settled takes a batch from those that are wanted, with its file if there is one now.
func (gs *groupFiles) settled(batch uint64, f *groupFile) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.wanted = slices.DeleteFunc(gs.wanted, func(id uint64) bool { return id == batch })
	if f != nil {
		gs.files[batch] = f
	}
}

// end closes all files. Nothing is read from them any more.
func (gs *groupFiles) end() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, f := range gs.files {
		gs.close(f)
	}
	gs.files = nil
}

func (s *Store) groupsName(batch uint64) string {
	return s.guard.PathJoin(s.dir, indexDir, fmt.Sprintf("%06d%s", batch, groupsExt))
}

// appendGroupListing encodes the record of a file. That of a file which is yet to be written is
// empty.
func appendGroupListing(b []byte, f *groupFile) []byte {
	b = append(b, groupListingVersion)
	b = binary.AppendUvarint(b, f.runs)
	return binary.BigEndian.AppendUint32(b, f.footer)
}

func decodeGroupListing(batch uint64, b []byte) (*groupFile, error) {
	f := &groupFile{batch: batch}
	if len(b) == 0 {
		return f, nil
	}
	d := codec.NewDecoder(b)
	if v := d.Byte("version"); v != groupListingVersion {
		d.Fail("record version %d, expected %d", v, groupListingVersion)
	}
	f.runs = d.Uvarint("number of runs")
	sum := d.Take("checksum", sumSize)
	if err := d.End(); err != nil {
		return nil, err
	}
	if f.runs == 0 || f.runs > maxGroupRuns {
		return nil, fmt.Errorf("%d runs, expected 1 to %d", f.runs, maxGroupRuns)
	}
	f.footer = binary.BigEndian.Uint32(sum)
	return f, nil
}

// maxGroupRuns keeps every place in a file below 2^63, and every group's number below 2^32.
const maxGroupRuns = 1 << 27

// listGroups reads which batches have a file, or are to get one. Names are those in the directory
// of the index: what is listed and not among them is written anew, and what is among them and not
// listed, removed.
func (s *Store) listGroups(names []string) error {
	there := make(map[uint64]string)
	for _, name := range names {
		if id, err := strconv.ParseUint(strings.TrimSuffix(name, groupsExt), 10, 64); err == nil && strings.HasSuffix(name, groupsExt) {
			there[id] = name
		}
	}
	it, err := s.db.NewIter(prefixed(prefixGroups))
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		f, err := decodeAt(it, prefixGroups, decodeGroupListing)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if there[f.batch] == "" || f.runs == 0 {
			s.groups.want(f.batch)
			continue
		}
		s.groups.files[f.batch] = f
		delete(there, f.batch)
	}
	if err := closeIter(it, prefixGroups); err != nil {
		return err
	}
	for _, name := range there {
		if err := s.guard.Remove(s.guard.PathJoin(s.dir, indexDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// groupLoop writes the files that are wanted. It ends with the store.
func (s *Store) groupLoop() {
	defer s.indexers.Done()
	waits, pause := false, retryPause
	for {
		batch, ok := s.groups.next()
		if !ok {
			select {
			case <-s.groups.arrived:
				continue
			case <-s.closing:
				return
			}
		}
		f, err := s.writeGroups(batch)
		switch {
		case err == nil:
			waits, pause = false, retryPause
		case errors.Is(err, store.ErrDamaged):
			s.log.Error("store: the file that proofs of a batch are to be read from cannot be written", "batch", batch, "err", err)
		default:
			s.groups.putOff(batch) // others may go well
			if !s.tryAgain(err, &waits, pause, "store: files that proofs are read from cannot be written, and will be tried again; meanwhile proofs of new batches take longer") {
				return
			}
			pause = min(2*pause, maxGroupsPause)
			continue
		}
		s.groups.settled(batch, f)
	}
}

// writeGroups writes the file of a sealed batch and lists it.
func (s *Store) writeGroups(batch uint64) (f *groupFile, err error) {
	v, err := s.acquire(context.Background())
	if err != nil {
		return nil, err
	}
	defer v.release()
	rec, err := s.batch(v.snap, batch)
	if errors.Is(err, store.ErrNotFound) {
		err = damaged(idKey(prefixGroups, batch), err)
	}
	if err != nil {
		return nil, err
	}
	f = &groupFile{batch: batch, runs: rec.Count / runSize}
	if f.runs == 0 || f.runs > maxGroupRuns || rec.State != store.Sealed {
		return nil, damaged(idKey(prefixGroups, batch), fmt.Errorf("it is %s and has %d runs of leaves: no file can be made of it", rec.State, f.runs))
	}
	name := s.groupsName(batch)
	if err := s.guard.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) { // one that is damaged takes the space of the new one
		return nil, err
	}
	if err := s.writeGroupFile(f, &rec, v.snap, name); err != nil {
		_ = s.guard.Remove(name) // or the next start does it
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	if err := s.syncDir(s.guard.PathJoin(s.dir, indexDir)); err != nil {
		return nil, err
	}
	if err := s.guard.failure(); err != nil { // what the guard pretends is not on disk
		return nil, err
	}
	b := s.db.NewBatch()
	_ = b.Set(idKey(prefixGroups, batch), appendGroupListing(nil, f), nil)
	return f, s.commit(context.Background(), &commit{batch: b, soon: true})
}

// writeGroupFile writes and syncs the file. What is above the leaves is computed, and compared with
// the root that the batch was sealed with: so what the file says is what proofs need, or there is
// none.
func (s *Store) writeGroupFile(f *groupFile, rec *codec.BatchRecord, r pebble.Reader, name string) (err error) {
	left := f.runs*stripeSize + footerSize
	if err := s.fits(left); err != nil {
		return err
	}
	file, err := s.guard.Create(name, diskWrites)
	if err != nil {
		return err
	}
	// It goes to the disk while it is written. At once, it would stand in the way of the log.
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

	whole := tree.New(f.batch, nil) // of the nodes above whole runs
	buf := make([]byte, 0, ioSize+stripeSize)
	for stripe := range f.runs {
		run, err := leaves.next()
		if err != nil {
			return err
		}
		if len(run) != runSize {
			return damaged(leaves.key, fmt.Errorf("%d leaves of run %d are together, expected %d", len(run), stripe, runSize))
		}
		groups := make([][32]byte, 0, stripeGroups)
		for group := range slices.Chunk(run, tree.Fanout) {
			groups = append(groups, proof.Root(group))
		}
		top := tree.NewRows(groups)
		if err := whole.Add(top.Above()); err != nil {
			return err
		}
		buf = f.appendStripe(buf, stripe, run, top)
		if len(buf) < ioSize {
			continue
		}
		if _, err := file.Write(buf); err != nil {
			return err
		}
		left -= uint64(len(buf))
		buf = buf[:0]
		if err := errors.Join(s.giveWay(), s.fits(left)); err != nil { // others take space, too
			return err
		}
	}
	var rest []store.Leaf
	for uint64(len(rest)) < rec.Count%runSize {
		some, err := leaves.next()
		if err != nil {
			return err
		}
		rest = append(rest, some...)
	}
	if len(rest) > 0 {
		if err := whole.Add([][32]byte{proof.Root(rest)}); err != nil {
			return err
		}
	}
	if root, err := whole.Root(); err != nil {
		return err
	} else if root != rec.Root {
		return damaged(leaves.key, fmt.Errorf("the leaves have the root %x, batch %d was sealed with %x: restore a backup", root, f.batch, rec.Root))
	}
	end := len(buf)
	buf = append(buf, groupsMagic...)
	buf = binary.BigEndian.AppendUint64(buf, f.batch)
	buf = binary.BigEndian.AppendUint64(buf, f.runs)
	buf = append(buf, rec.Root[:]...)
	buf = append(buf, make([]byte, footerSize-sumSize-len(buf[end:]))...)
	f.footer = crc32.Checksum(buf[end:], castagnoli)
	buf = binary.BigEndian.AppendUint32(buf, f.footer)
	if _, err := file.Write(buf); err != nil {
		return err
	}
	return file.Sync()
}

// giveWay waits if leaves were appended since the last call.
func (s *Store) giveWay() error {
	if !s.appended.Swap(false) && !s.isClosing() {
		return nil
	}
	t := time.NewTimer(groupPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.closing:
		return errClosed
	}
}

// appendStripe appends a run of leaves and what is above its groups as they stand in the file.
func (f *groupFile) appendStripe(b []byte, stripe uint64, run []store.Leaf, top *tree.Rows) []byte {
	add := func(group uint32, nodes ...[][32]byte) {
		at := len(b)
		for _, row := range nodes {
			for i := range row {
				b = append(b, row[i][:]...)
			}
		}
		b = binary.BigEndian.AppendUint32(b, f.sum(stripe, group, b[at:]))
	}
	for group := range uint32(stripeGroups) {
		if group == stripeGroups/2 {
			add(stripeGroups, top[:]...)
		}
		add(group, run[group*tree.Fanout:][:tree.Fanout])
	}
	return b
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
