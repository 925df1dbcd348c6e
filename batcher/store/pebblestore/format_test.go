package pebblestore

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/pebblestore/leafindex"
	"ancre/batcher/store/storetest"
)

// The document docs/store-format.md is held against the program here: its tables and its sample are
// compared, and a store is read by what it says alone. The reader in
// format_reader_test.go uses nothing of this package.

func formatDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "store-format.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFormatDocumentNamesEveryKey(t *testing.T) {
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z])`(?: `([a-z]+)`)?[^|]*\\|").FindAllStringSubmatch(formatDocument(t), -1) {
		got = append(got, m[1]+m[2])
	}
	want := []string{
		string(prefixNodes), string(prefixAnchor), string(prefixBatch), string(prefixCursor), string(prefixFirst), string(prefixTreeFile), string(prefixChange),
		string(metaKey(metaFeed)), string(metaKey(metaFormat)), string(metaKey(metaID)), string(metaKey(metaKeyName)), string(metaKey(metaWrites)),
		string(prefixSegment), string(prefixUnsettled), string(prefixWaiting),
	}
	if !slices.Equal(got, want) {
		t.Errorf("the document has the keys %q, the program %q", got, want)
	}
}

func TestFormatDocumentSaysTheNumbers(t *testing.T) {
	text := strings.Join(strings.Fields(formatDocument(t)), " ")
	for _, says := range []string{
		fmt.Sprintf("this page is about **version %d**", formatVersion),
		fmt.Sprintf("`format` | uvarint %d:", formatVersion),
		fmt.Sprintf("format major version %d,", majorVersion),
		fmt.Sprintf("A **run** is %d nodes", runSize),
		fmt.Sprintf("number of blocks, at most %d", store.CursorDepth),
		fmt.Sprintf("one page of %d,%03d bytes", pageSize/1000, pageSize%1000),
		fmt.Sprintf("| %d | the 16 nodes of level 1", upperAt),
		fmt.Sprintf("| %d | groups 8 to 15", upperAt+upperSize),
		fmt.Sprintf("A sealed batch of %d,%03d leaves or more", treeFileLeaves/1000, treeFileLeaves%1000),
		"| 0 | `" + treeFileMagic + "` |", "| 0 | `" + witnessMagic + "` |", "| 0 | `ancre-s1` |",
		fmt.Sprintf("`WITNESS` is %d,%03d bytes: a record of %d at 0, another at %d,%03d", witnessSize/1000, witnessSize%1000, witnessSlot, witnessPitch/1000, witnessPitch%1000),
		fmt.Sprintf("at most %d (1)", witnessAnchors),
		"`ID" + leafindex.SegmentExt + "` in `" + indexDir + "`", "`BATCH" + treeFileExt + "` in `" + indexDir + "`",
	} {
		if !strings.Contains(text, says) {
			t.Errorf("the document does not say %q", says)
		}
	}
}

// TestFormatDocumentShowsASample writes the sample again.
func TestFormatDocumentShowsASample(t *testing.T) {
	a := storetest.Mine(storetest.Anchor(1, 1), store.Final, 0)
	anchor, err := codec.AppendAnchor(nil, &a)
	if err != nil {
		t.Fatal(err)
	}
	batch := codec.AppendBatch(nil, &codec.BatchRecord{Before: 77, Batch: store.Batch{
		State: store.Sealed, Count: 300, Opened: storetest.Time(0), Closed: storetest.Time(60), Root: storetest.Node(1, 9, 0), Anchor: 1,
	}})
	cursor := codec.AppendCursor(nil, &store.Cursor{Points: []store.Point{{Height: 840_000, Hash: a.Block.Hash}}})
	changes, _ := codec.AppendChanges(nil, store.Mark{Tag: [8]byte{1, 2, 3}}, 9, []store.Change{
		{Batch: 1, Progress: store.Progress{State: store.Sealed, Anchor: 1, AnchorState: store.Final, Height: 840_000, Block: a.Block.Hash}},
		{Batch: 2, Progress: store.Progress{State: store.Open}},
	})
	says := testimony{id: storeID{1, 2, 3}, writes: 5, leaves: 377, batch: 2, count: 300, anchors: []anchorChange{{write: 4, anchor: 1, versions: 1}}}
	witness := says.encode(nil)
	var b strings.Builder
	for _, v := range []struct {
		what  string
		bytes []byte
	}{
		{"key of batch 1", idKey(prefixBatch, 1)},
		{"batch 1: sealed, 300 leaves after 77, anchor 1", batch},
		{"key of the nodes of level 2 of batch 1 from 256 on", nodesKey(1, 2, 256)},
		{"key that says that batch 2 begins with ordinal 300", firstKey(300, 2)},
		{"cursor: block 840000", cursor},
		{"changes of write 9: batch 1 final, batch 2 open; the tag before was 0102030000000000", changes},
		{"segment 7: leaves 0 to 299", leafindex.AppendListing(nil, leafindex.Listing{ID: 7, Count: 300, Footer: 0x01020304})},
		{"tree file of 3 pages", appendTreeFileRecord(nil, &treeFile{pages: 3, footer: 0x01020304})},
		{"witness of write 5, its first 80 bytes", witness[:80]},
		{"… and its last 4", witness[witnessSlot-4:]},
		{"anchor 1: final", anchor},
	} {
		fmt.Fprintf(&b, "%s\n", v.what)
		for line := range slices.Chunk(v.bytes, 32) {
			fmt.Fprintf(&b, "    %s\n", hex.EncodeToString(line))
		}
	}
	_, rest, _ := strings.Cut(formatDocument(t), "<!-- sample -->\n```\n")
	got, _, ok := strings.Cut(rest, "```")
	if !ok || got != b.String() {
		t.Errorf("the document does not have this sample:\n%s", &b)
	}
}

// TestStoreIsReadByTheFormatDocument fills a store with all that there is, and reads it by the
// document.
func TestStoreIsReadByTheFormatDocument(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{tableLeaves: testTableLeaves, treeFileLeaves: 2 * runSize})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for id := uint64(1); id <= 3; id++ {
		b := store.Batch{ID: id, State: store.Open, Opened: storetest.Time(1)}
		groups := uint64(groupsPerBatch)
		if id == 3 {
			groups = 3
		}
		for n := range groups {
			if b.Count += leavesPerGroup; n == groupsPerBatch-1 {
				b.State, b.Closed = store.Closed, storetest.Time(2)
			}
			if err := s.Append(ctx, storetest.Group([]store.Batch{b}, id, n*leavesPerGroup, b.Count)); err != nil {
				t.Fatal(err)
			}
		}
		if id == 3 {
			break
		}
		sealed, nodes := storetest.Seal(b)
		sealed.Anchor = id
		if err := s.Apply(ctx, &store.Update{Batches: []store.Batch{sealed}, Anchors: []store.Anchor{storetest.Mine(storetest.Anchor(id, 2), store.Final, 1)}, Nodes: nodes}); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, s)
	closeStore(t, s)
	r := readByDocument(t, dir)
	if len(r.leaves) != (2*groupsPerBatch+3)*leavesPerGroup || r.segments == 0 || r.pages != 4 || r.writes == 0 {
		t.Errorf("%d leaves, %d segments, %d pages, %d writes", len(r.leaves), r.segments, r.pages, r.writes)
	}
	if states := r.readFeed(); string(states[1]) != "\x01\x02\x05" || string(states[2]) != "\x01\x02\x05" || string(states[3]) != "\x01" {
		t.Errorf("by the feed the batches went through the states %v", states)
	}
	for i, leaf := range r.leaves {
		if want := storetest.Leaf(uint64(i/(groupsPerBatch*leavesPerGroup))+1, uint64(i%(groupsPerBatch*leavesPerGroup))); leaf != want {
			t.Fatalf("the leaf with ordinal %d is %x, want %x", i, leaf, want)
		}
	}
}
