package pebblestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ancre/proof"

	"github.com/cockroachdb/pebble/v2"
)

// reader reads a store by the document.
type reader struct {
	t        *testing.T
	dir      string
	values   map[string][]byte
	leaves   [][32]byte // by ordinal
	roots    map[uint64][32]byte
	segments int
	pages    uint64
	writes   uint64
}

func readByDocument(t *testing.T, dir string) *reader {
	t.Helper()
	r := &reader{t: t, dir: dir, values: make(map[string][]byte), roots: make(map[uint64][32]byte)}
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, FormatMajorVersion: 21, Logger: quietLogger{}})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		r.values[string(it.Key())] = slices.Clone(it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r.readShapes()
	r.readBatches()
	r.readIndex()
	r.readWitness()
	return r
}

type quietLogger struct{}

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}
func (quietLogger) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// readShapes checks that every key has a shape that the document knows.
func (r *reader) readShapes() {
	r.t.Helper()
	size := map[byte]int{'N': 18, 'a': 9, 'b': 9, 'c': 1, 'f': 17, 'g': 9, 'h': 9, 's': 9, 'u': 9, 'w': 9}
	for key, value := range r.values {
		switch {
		case key[0] == 'm' && slices.Contains([]string{"feed", "format", "id", "key", "writes"}, key[1:]):
		case size[key[0]] != len(key):
			r.t.Errorf("the key %q is of no shape that the document knows", key)
		case slices.Contains([]byte("fuw"), key[0]) && len(value) > 0:
			r.t.Errorf("the value of %q is not empty", key)
		}
	}
	if !bytes.Equal(r.values["mformat"], []byte{2}) || len(r.values["mid"]) != 16 || len(r.values["mkey"]) != 32 {
		r.t.Errorf("format %x, ID %x, key of %d bytes", r.values["mformat"], r.values["mid"], len(r.values["mkey"]))
	}
	n, used := binary.Uvarint(r.values["mwrites"])
	if r.writes = n; used != len(r.values["mwrites"]) {
		r.t.Errorf("writes %x", r.values["mwrites"])
	}
	if r.values["mfeed"] != nil && !bytes.Equal(r.values["mfeed"], r.values["mwrites"]) {
		r.t.Errorf("the feed of changes is complete up to write %x of %x", r.values["mfeed"], r.values["mwrites"])
	}
}

// readFeed checks the chain of tags, and returns the states that each batch went through.
func (r *reader) readFeed() map[uint64][]byte {
	r.t.Helper()
	states := make(map[uint64][]byte)
	tag := r.values["mid"][:8]
	for write := range r.writes + 1 {
		number := binary.BigEndian.AppendUint64(nil, write)
		value, ok := r.values["h"+string(number)]
		if !ok {
			continue
		}
		f := &fields{r.t, value}
		version, got := f.byte(), f.skip(8)
		if want := sha256.Sum256(slices.Concat(tag, number, f.b)); version != 1 || !bytes.Equal(got, want[:8]) {
			r.t.Errorf("changes of write %d: version %d, tag %x, want %x", write, version, got, want[:8])
		}
		tag = got
		for range f.uvarint() {
			batch, state := f.uvarint(), f.byte()
			states[batch] = append(states[batch], state)
			if state >= 3 {
				f.uvarint()
			}
			if state >= 4 {
				f.uvarint()
				f.skip(32)
			}
		}
		if len(f.b) > 0 {
			r.t.Errorf("changes of write %d: %d bytes too many", write, len(f.b))
		}
	}
	return states
}

// nodes concatenates what a level has.
func (r *reader) nodes(batch uint64, level byte) (all [][32]byte) {
	r.t.Helper()
	for {
		key := binary.BigEndian.AppendUint64([]byte{'N'}, batch)
		value, ok := r.values[string(binary.BigEndian.AppendUint64(append(key, level), uint64(len(all))))]
		if !ok {
			return all
		}
		if n := len(value) / 32; len(value)%32 != 0 || len(all)%256+n > 256 {
			r.t.Fatalf("a value of %d bytes at node %d of level %d of batch %d", len(value), len(all), level, batch)
		}
		for ; len(value) > 0; value = value[32:] {
			all = append(all, [32]byte(value))
		}
	}
}

// fields reads a record from its front.
type fields struct {
	t *testing.T
	b []byte
}

func (f *fields) byte() byte { b := f.b[0]; f.b = f.b[1:]; return b }

func (f *fields) uvarint() uint64 {
	n, used := binary.Uvarint(f.b)
	f.b = f.b[used:]
	return n
}

func (f *fields) varint() int64 {
	n, used := binary.Varint(f.b)
	f.b = f.b[used:]
	return n
}

func (f *fields) time() {
	if f.byte() == 1 {
		f.varint()
		f.uvarint()
	}
}

func (f *fields) skip(n uint64) []byte { p := f.b[:n]; f.b = f.b[n:]; return p }

func (r *reader) readBatches() {
	r.t.Helper()
	for id := uint64(1); ; id++ {
		value, ok := r.values[string(binary.BigEndian.AppendUint64([]byte{'b'}, id))]
		if !ok {
			return
		}
		f := &fields{r.t, value}
		version, state, count, before := f.byte(), f.byte(), f.uvarint(), f.uvarint()
		f.time()
		f.time()
		anchor := f.uvarint()
		leaves := r.nodes(id, 0)
		if version != 1 || uint64(len(leaves)) != count || uint64(len(r.leaves)) != before {
			r.t.Errorf("batch %d: version %d, %d leaves of %d, %d of %d before", id, version, len(leaves), count, len(r.leaves), before)
		}
		first := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{'f'}, ^before), ^id)
		if _, ok := r.values[string(first)]; !ok {
			r.t.Errorf("nothing says that batch %d begins with ordinal %d", id, before)
		}
		r.leaves = append(r.leaves, leaves...)
		if _, waits := r.values[string(binary.BigEndian.AppendUint64([]byte{'w'}, id))]; waits != (anchor == 0) {
			r.t.Errorf("batch %d has anchor %d, and waits: %t", id, anchor, waits)
		}
		if state == 3 {
			r.roots[id] = [32]byte(f.skip(32))
			r.readTree(id, leaves)
			r.readAnchor(anchor)
		}
		if len(f.b) > 0 {
			r.t.Errorf("batch %d has %d bytes too many", id, len(f.b))
		}
	}
}

// readTree checks each level of a sealed batch, and the root.
func (r *reader) readTree(id uint64, below [][32]byte) {
	r.t.Helper()
	for level := byte(1); len(below) > 16; level++ {
		above := r.nodes(id, level)
		var want [][32]byte
		for group := range slices.Chunk(below, 16) {
			want = append(want, proof.Root(group))
		}
		if !slices.Equal(above, want) {
			r.t.Errorf("level %d of batch %d is not what stands above the one below", level, id)
		}
		below = want
	}
	if proof.Root(below) != r.roots[id] {
		r.t.Errorf("batch %d: the root is not that of its leaves", id)
	}
}

func (r *reader) readAnchor(id uint64) {
	r.t.Helper()
	f := &fields{r.t, r.values[string(binary.BigEndian.AppendUint64([]byte{'a'}, id))]}
	version, state, _ := f.byte(), f.byte(), f.byte()
	f.time()
	for range f.uvarint() {
		f.skip(f.uvarint()) // transaction
		for range f.uvarint() {
			f.varint()
			f.skip(f.uvarint())
		}
		for range f.uvarint() {
			f.uvarint()
		}
		f.skip(32)
		f.varint()
		f.varint()
		f.time()
	}
	if state != 1 {
		f.uvarint()
		f.skip(32 + 80)
		f.uvarint()
		f.uvarint()
		f.skip(32 * f.uvarint())
	}
	if version != 1 || len(f.b) > 0 {
		r.t.Errorf("anchor %d: version %d, %d bytes too many", id, version, len(f.b))
	}
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// placed says whether data has its placed checksum behind it, and returns what is before that.
func (r *reader) placed(file uint64, part uint32, data []byte) []byte {
	r.t.Helper()
	data, sum := data[:len(data)-4], data[len(data)-4:]
	if crc32.Update(uint32(file)*0x9e3779b9^part, crcTable, data) != binary.BigEndian.Uint32(sum) {
		r.t.Errorf("the checksum of part %d of file %d is wrong", part, file)
	}
	return data
}

func (r *reader) file(id uint64, ext string) []byte {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, "index", fmt.Sprintf("%06d.%s", id, ext)))
	if err != nil {
		r.t.Fatal(err)
	}
	footer := raw[len(raw)-64:]
	if crc32.Checksum(footer[:60], crcTable) != binary.BigEndian.Uint32(footer[60:]) || binary.BigEndian.Uint64(footer[8:]) != id {
		r.t.Fatalf("the footer of file %d is wrong", id)
	}
	return raw
}

func (r *reader) readIndex() {
	r.t.Helper()
	for key, value := range r.values {
		id := uint64(0)
		if len(key) == 9 {
			id = binary.BigEndian.Uint64([]byte(key[1:]))
		}
		f := &fields{r.t, value}
		switch key[0] {
		case 's':
			raw := r.file(id, "seg")
			version, from, count := f.byte(), f.uvarint(), f.uvarint()
			if version != 1 || !bytes.Equal(f.b, raw[len(raw)-4:]) {
				r.t.Errorf("segment %d: version %d, %x does not end its file", id, version, f.b)
			}
			r.readSegment(id, from, count, raw)
			r.segments++
		case 'g':
			raw := r.file(id, "groups")
			version, pages := f.byte(), f.uvarint()
			if version != 1 || !bytes.Equal(f.b, raw[len(raw)-4:]) {
				r.t.Errorf("tree file %d: version %d, %x does not end it", id, version, f.b)
			}
			r.readTreeFile(id, pages, raw)
			r.pages += pages
		}
	}
}

func (r *reader) readSegment(id, from, count uint64, raw []byte) {
	r.t.Helper()
	footer := raw[len(raw)-64:]
	lead, probes, blocks := int(footer[32]), int(footer[33]), binary.BigEndian.Uint64(footer[40:])
	least := 0
	for count>>least > 128 {
		least++
	}
	if string(footer[:8]) != "ancre-s1" || lead != least || binary.BigEndian.Uint64(footer[16:]) != from || binary.BigEndian.Uint64(footer[24:]) != count {
		r.t.Fatalf("the footer of segment %d is %x", id, footer)
	}
	filterAt := len(raw) - 64 - int(blocks)*64
	directory, filter := raw[filterAt-4<<lead:filterAt], raw[filterAt:len(raw)-64]
	if crc32.Checksum(directory, crcTable) != binary.BigEndian.Uint32(footer[36:]) || crc32.Checksum(filter, crcTable) != binary.BigEndian.Uint32(footer[48:]) {
		r.t.Errorf("a checksum of segment %d is wrong", id)
	}
	seen, at, last := make(map[uint32]bool), 0, uint32(0)
	for bucket := range uint32(1) << lead {
		end := binary.BigEndian.Uint32(directory[4*bucket:])
		size := int(end-last)*10 + 4
		records := r.placed(id, bucket, raw[at:at+size])
		for at, last = at+size, end; len(records) > 0; records = records[10:] {
			offset := binary.BigEndian.Uint32(records[6:])
			leaf := r.leaves[from+uint64(offset)]
			if seen[offset] || !bytes.Equal(leaf[:6], records[:6]) || lead > 0 && binary.BigEndian.Uint32(leaf[:4])>>(32-lead) != bucket {
				r.t.Fatalf("segment %d: the record %x in bucket %d is not of leaf %x", id, records[:10], bucket, leaf)
			}
			seen[offset] = true
			k := binary.BigEndian.Uint64(leaf[:8]) >> 16
			block, _ := bits.Mul64(k<<16, blocks)
			h := k * 0x9e3779b97f4a7c15
			h ^= h >> 32
			for range probes {
				if filter[block*64+h>>3&63]>>(h&7)&1 == 0 {
					r.t.Fatalf("segment %d: the filter does not have leaf %x", id, leaf)
				}
				h >>= 9
			}
		}
	}
	if uint64(len(seen)) != count || probes == 0 {
		r.t.Errorf("segment %d: %d records, want %d; %d bits in the filter", id, len(seen), count, probes)
	}
}

func (r *reader) readTreeFile(batch, pages uint64, raw []byte) {
	r.t.Helper()
	footer := raw[len(raw)-64:]
	if root := r.roots[batch]; string(footer[:8]) != "ancre-g1" || binary.BigEndian.Uint64(footer[16:]) != pages || !bytes.Equal(footer[24:56], root[:]) || uint64(len(raw)) != pages*9220+64 {
		r.t.Fatalf("tree file %d has %d bytes and ends with %x", batch, len(raw), footer)
	}
	leaves, above := r.nodes(batch, 0), r.nodes(batch, 1)
	for number := range pages {
		page := raw[number*9220:]
		for group := range uint64(16) {
			at := group * 516
			if group > 7 {
				at += 964
			}
			var want []byte
			for _, leaf := range leaves[number*256+group*16:][:16] {
				want = append(want, leaf[:]...)
			}
			if !bytes.Equal(r.placed(batch, uint32(number*17+group), page[at:at+516]), want) {
				r.t.Errorf("tree file %d: group %d of page %d is not of its leaves", batch, group, number)
			}
		}
		var want []byte
		for row := above[number*16:][:16]; len(row) > 1; {
			var next [][32]byte
			for i, node := range row {
				want = append(want, node[:]...)
				if i%2 == 1 {
					next = append(next, proof.Root(row[i-1:i+1]))
				}
			}
			row = next
		}
		if !bytes.Equal(r.placed(batch, uint32(number*17+16), page[4128:5092]), want) {
			r.t.Errorf("tree file %d: the upper nodes of page %d are wrong", batch, number)
		}
	}
}

func (r *reader) readWitness() {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, "WITNESS"))
	if err != nil || len(raw) != 8192 {
		r.t.Fatalf("a witness of %d bytes, %v", len(raw), err)
	}
	newest := raw[r.writes%2*4096:][:512]
	at := func(n int) uint64 { return binary.BigEndian.Uint64(newest[n:]) }
	if string(newest[:8]) != "ancre-w1" || crc32.Checksum(newest[:508], crcTable) != binary.BigEndian.Uint32(newest[508:]) || !bytes.Equal(newest[8:24], r.values["mid"]) {
		r.t.Fatalf("the witness is %x", newest)
	}
	if at(24) != r.writes || at(32) != uint64(len(r.leaves)) || at(40) != 3 || at(48) != 3*leavesPerGroup || newest[56] != 2 || at(57+8) != 1 || at(57+20+8) != 2 {
		r.t.Errorf("the witness says %x", newest[:97])
	}
}
