package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/storetest"
	"ancre/proof"
)

// The document docs/backup-format.md is held against the program here.

func formatDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "backup-format.md"))
	must(t, err)
	return string(text)
}

func TestFormatDocumentNamesEveryRecord(t *testing.T) {
	text := formatDocument(t)
	var got []byte
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z])` \\|").FindAllStringSubmatch(text, -1) {
		got = append(got, m[1]...)
	}
	if want := []byte{typeHeader, typeBatch, typeLeaves, typeAnchor, typeCursor, typeEnd}; !bytes.Equal(got, want) {
		t.Errorf("the document has the records %q, the program %q", got, want)
	}
	text = strings.Join(strings.Fields(text), " ")
	for _, says := range []string{
		fmt.Sprintf("This page is about **format %d**", formatVersion),
		fmt.Sprintf("uvarint %d, the version of this format", formatVersion),
		fmt.Sprintf("% x %q", magic, magic),
		fmt.Sprintf("at most %d,%03d,%03d |", maxBody/1_000_000, maxBody/1000%1000, maxBody%1000),
		fmt.Sprintf("| %d | n | body |", frameSize),
		fmt.Sprintf("%d,%03d in each record", leavesPerRecord/1000, leavesPerRecord%1000),
	} {
		if !strings.Contains(text, says) {
			t.Errorf("the document does not say %q", says)
		}
	}
}

// TestFormatDocumentShowsASample writes the sample again.
func TestFormatDocumentShowsASample(t *testing.T) {
	key := [32]byte{1, 2, 3}
	s := openStore(t, t.TempDir(), &key)
	defer s.Close()
	putBatch(t, s, store.Batch{ID: 1, State: store.Sealed, Count: 2, Opened: storetest.Time(0), Closed: storetest.Time(60)})
	must(t, s.Apply(t.Context(), &store.Update{Cursor: &store.Cursor{Points: []store.Point{{Height: 840_000, Hash: [32]byte{9}}}}}))
	file, _ := write(t, s)
	_, rest, _ := strings.Cut(formatDocument(t), "<!-- sample -->\n```\n")
	if got, _, ok := strings.Cut(rest, "```"); !ok || got != hex.Dump(file) {
		t.Errorf("the document does not have this sample:\n%s", hex.Dump(file))
	}
}

// TestBackupIsReadByTheFormatDocument reads backups with nothing of this package.
func TestBackupIsReadByTheFormatDocument(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "format1.backup"))
	must(t, err)
	for _, file := range [][]byte{golden, filled(t)} {
		r := &documentReader{t: t, whole: file, rest: file}
		r.read()
		if r.order != "HBLBLBLBLBLBLBLBLAAAAACE" || r.leaves != 1471+303 || r.sealed != 6 {
			t.Errorf("records %s, %d leaves, %d sealed batches", r.order, r.leaves, r.sealed)
		}
	}
}

// documentReader reads a backup by the document.
type documentReader struct {
	t           *testing.T
	whole, rest []byte
	order       string // types of records

	leaves, batches, anchors uint64
	announced                [2]uint64
	sealed                   int
	want                     uint64     // leaves that the batch says it has
	some                     [][32]byte // that came
	root                     []byte     // of the batch, if it is sealed
}

func (r *documentReader) read() {
	r.t.Helper()
	if start := "ancre backup\r\n\x1a\n"; string(r.take(16)) != start {
		r.t.Fatal("it does not begin as the document says")
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	for len(r.rest) > 0 {
		at := len(r.whole) - len(r.rest)
		frame := r.take(9)
		if crc32.Checksum(frame[:5], table) != binary.BigEndian.Uint32(frame[5:]) {
			r.t.Fatalf("the checksum of the frame at %d is wrong", at)
		}
		body := r.take(int(binary.BigEndian.Uint32(frame[1:])))
		if crc32.Update(crc32.Checksum(frame[:5], table), table, body) != binary.BigEndian.Uint32(r.take(4)) {
			r.t.Fatalf("the checksum of the record at %d is wrong", at)
		}
		r.order += string(frame[:1])
		if frame[0] != 'L' {
			r.endBatch()
		}
		r.record(frame[0], body, at)
	}
	if r.announced != [2]uint64{r.leaves, r.batches} {
		r.t.Errorf("%d leaves and batches were announced, %d and %d came", r.announced, r.leaves, r.batches)
	}
}

func (r *documentReader) take(n int) []byte { p := r.rest[:n]; r.rest = r.rest[n:]; return p }

func (r *documentReader) record(typ byte, body []byte, at int) {
	r.t.Helper()
	uvarint := func() uint64 {
		n, used := binary.Uvarint(body)
		body = body[used:]
		return n
	}
	skipTime := func() {
		flag := body[0]
		if body = body[1:]; flag == 1 {
			uvarint() // as long as the varint
			uvarint()
		}
	}
	switch typ {
	case 'H':
		version, network := uvarint(), uvarint()
		name := string(body[:network])
		body = body[network:]
		skipTime()
		body = body[32:]
		r.announced = [2]uint64{uvarint(), uvarint()}
		if version != 1 || name != "regtest" || len(body) > 0 {
			r.t.Errorf("header: version %d, network %q, %d bytes more", version, name, len(body))
		}
	case 'B':
		id := uvarint()
		record, state := body[0], body[1]
		body = body[2:]
		count, before := uvarint(), uvarint()
		skipTime()
		skipTime()
		uvarint()
		r.batches++
		if record != 1 || id != r.batches || before != r.leaves || (state == 3) != (len(body) == 32) {
			r.t.Errorf("batch %d: version %d, ID %d, %d leaves before it of %d, state %d, %d bytes more", r.batches, record, id, before, r.leaves, state, len(body))
		}
		r.want, r.root = count, body
	case 'L':
		for ; len(body) > 0; body = body[32:] {
			r.some = append(r.some, [32]byte(body))
		}
	case 'A':
		uvarint()
		r.anchors++
	case 'E':
		sum := sha256.Sum256(r.whole[:at])
		if counts := [3]uint64{uvarint(), uvarint(), uvarint()}; counts != [3]uint64{r.leaves, r.batches, r.anchors} || !bytes.Equal(body, sum[:]) || len(r.rest) > 0 {
			r.t.Errorf("end: %d came, it says %d; %d bytes follow", []uint64{r.leaves, r.batches, r.anchors}, counts, len(r.rest))
		}
	}
}

func (r *documentReader) endBatch() {
	r.t.Helper()
	if uint64(len(r.some)) != r.want {
		r.t.Errorf("batch %d says %d leaves, %d came", r.batches, r.want, len(r.some))
	}
	if len(r.root) > 0 {
		r.sealed++
		if root := proof.Root(r.some); !bytes.Equal(root[:], r.root) {
			r.t.Errorf("batch %d: root %x, its leaves have %x", r.batches, r.root, root)
		}
	}
	r.leaves += uint64(len(r.some))
	r.want, r.some, r.root = 0, nil, nil
}
