package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The witness is a small file that says what the store acknowledged. Pebble's log alone cannot say
// it: Pebble takes a damaged record near the end of its log for one that was never synced, and
// drops everything behind it without a word. So each write counts itself in the database
// ([metaWrites]), and the witness holds the number of the last one that was synced. A store that
// opens with a lower number has lost something, and is refused (survey.go).
//
//   - The committer writes the witness after the log was synced. So it is never ahead of what the
//     disk holds.
//   - It is not synced for each write. A killed process loses nothing of it; after a power cut it
//     may be older than the log, which is no damage. It is synced when the log is flushed and when
//     the store is closed.
//   - It has two slots which are written in turn, so that one that is torn or damaged leaves the
//     other.
//
// The file is preallocated: a write to it needs no space on the disk.
const (
	witnessName  = "WITNESS"
	witnessMagic = "ancre-w1"

	// The slots are in two pages of 4 KiB, of which each has one sector of 512 bytes: that is what
	// disks write whole.
	witnessSlot  = 512
	witnessPitch = 4096
	witnessSize  = 2 * witnessPitch

	// witnessAnchors is how many of the last changes of anchors it names. They are for the words of
	// an error.
	witnessAnchors = 16
)

// storeID tells one store from any other, also from one that has the same key because it was
// restored from its backup.
type storeID [16]byte

// testimony is what the witness says.
type testimony struct {
	id      storeID
	writes  uint64         // how many writes were synced
	leaves  uint64         // how many leaves were stored by then
	batch   uint64         // the newest batch, 0 before the first
	count   uint64         // leaves in it
	anchors []anchorChange // the last ones, oldest first; at most witnessAnchors
}

// anchorChange says which write stored an anchor, and with how many versions.
type anchorChange struct {
	write    uint64
	anchor   uint64
	versions uint32
}

// note adds a change of an anchor.
func (t *testimony) note(c anchorChange) {
	if len(t.anchors) == witnessAnchors {
		t.anchors = append(t.anchors[:0], t.anchors[1:]...)
	}
	t.anchors = append(t.anchors, c)
}

// encode writes a slot.
func (t *testimony) encode(b []byte) []byte {
	b = append(b[:0], witnessMagic...)
	b = append(b, t.id[:]...)
	for _, n := range []uint64{t.writes, t.leaves, t.batch, t.count} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(b, byte(len(t.anchors)))
	for _, c := range t.anchors {
		b = binary.BigEndian.AppendUint64(b, c.write)
		b = binary.BigEndian.AppendUint64(b, c.anchor)
		b = binary.BigEndian.AppendUint32(b, c.versions)
	}
	b = append(b, make([]byte, witnessSlot-codec.SumSize-len(b))...)
	return binary.BigEndian.AppendUint32(b, codec.Sum(b))
}

// decodeTestimony reads a slot; ok is false unless it is as it was written.
func decodeTestimony(b []byte) (t testimony, ok bool) {
	if len(b) != witnessSlot || !bytes.HasPrefix(b, []byte(witnessMagic)) ||
		codec.Sum(b[:witnessSlot-codec.SumSize]) != binary.BigEndian.Uint32(b[witnessSlot-codec.SumSize:]) {
		return t, false
	}
	b = b[len(witnessMagic):]
	b = b[copy(t.id[:], b):]
	for _, n := range []*uint64{&t.writes, &t.leaves, &t.batch, &t.count} {
		*n = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	n := int(b[0])
	if n > witnessAnchors {
		return t, false
	}
	for b = b[1:]; n > 0; n-- {
		t.anchors = append(t.anchors, anchorChange{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:])})
		b = b[20:]
	}
	return t, true
}

func witnessPath(fs vfs.FS, dir string) string { return fs.PathJoin(dir, witnessName) }

// Why a witness says nothing, or less than it could.
var (
	errNoWitness      = errors.New("there is none")
	errWitnessDamaged = errors.New("it is damaged")
	errSlotDamaged    = errors.New("one of its two records is damaged")
)

// readWitness returns what the witness says. The error is errSlotDamaged when one slot is damaged:
// the other may be one write older than it.
func readWitness(fs vfs.FS, dir string) (t testimony, err error) {
	f, err := fs.Open(witnessPath(fs, dir))
	if errors.Is(err, os.ErrNotExist) {
		return t, errNoWitness
	}
	if err != nil {
		return t, err
	}
	defer f.Close()
	b := make([]byte, witnessSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return t, err
	}
	b = b[:n]
	good := 0
	for at := 0; at+witnessSlot <= len(b); at += witnessPitch {
		one, ok := decodeTestimony(b[at : at+witnessSlot])
		if !ok {
			continue
		}
		if good++; good == 1 || one.writes > t.writes {
			t = one
		}
	}
	switch good {
	case 2:
		return t, nil
	case 1:
		return t, errSlotDamaged
	}
	return t, errWitnessDamaged
}

// witness is the file of an open store. The committer owns it, and Open before there is one.
type witness struct {
	testimony
	file  vfs.File
	buf   []byte
	dirty bool // it was written since it was last synced
}

// makeWitness writes a new file in the place of any other, and opens it. It is synced when it has
// its name.
func (s *Store) makeWitness(t testimony) (err error) {
	path := witnessPath(s.fs, s.dir)
	temp := path + ".new"
	f, err := s.fs.Create(temp, diskWrites)
	if err != nil {
		return err
	}
	slot := t.encode(nil)
	whole := make([]byte, witnessSize)
	copy(whole, slot)
	copy(whole[witnessPitch:], slot)
	_, err = f.Write(whole)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.fs.Rename(temp, path)
	}
	if err == nil {
		err = s.fs.SyncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	file, err := s.fs.OpenReadWrite(path, diskWrites)
	if err != nil {
		return err
	}
	s.witness = witness{testimony: t, file: file, buf: slot}
	return nil
}

// write puts what is known in the slot whose turn it is.
func (w *witness) write() error {
	w.buf = w.encode(w.buf)
	w.dirty = true
	_, err := w.file.WriteAt(w.buf, int64(w.writes%2)*witnessPitch)
	return err
}

func (w *witness) sync() error {
	if !w.dirty {
		return nil
	}
	w.dirty = false
	return w.file.Sync()
}

func (w *witness) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// testify says that a write was synced.
func (s *Store) testify(number uint64, c *commit) error {
	w := &s.witness
	w.writes = number
	if c.note != nil {
		c.note(number, &w.testimony)
	}
	return w.write()
}

// noteTail notes where the leaves end.
func noteTail(t tail) func(uint64, *testimony) {
	leaves, batch, count := t.before+t.count, t.newest, t.count
	return func(_ uint64, w *testimony) { w.leaves, w.batch, w.count = leaves, batch, count }
}

// noteAnchors notes which anchors a write stored.
func noteAnchors(anchors []store.Anchor) func(uint64, *testimony) {
	if len(anchors) == 0 {
		return nil
	}
	return func(write uint64, w *testimony) {
		for i := range anchors {
			w.note(anchorChange{write, anchors[i].ID, uint32(len(anchors[i].Versions))})
		}
	}
}

// openWitness opens the witness, or makes it, when what the store holds has been compared with it.
func (s *Store) openWitness() error {
	t, err := readWitness(s.fs, s.dir)
	if err != nil || t.id != s.witness.id || t.writes != s.witness.writes {
		t = testimony{id: s.witness.id, writes: s.witness.writes, anchors: t.anchors}
		if t.id != s.witness.id {
			t.anchors = nil
		}
		noteTail(s.tail)(0, &t)
		return s.makeWitness(t)
	}
	file, err := s.fs.OpenReadWrite(witnessPath(s.fs, s.dir), diskWrites)
	if err != nil {
		return err
	}
	s.witness = witness{testimony: t, file: file}
	return nil
}
