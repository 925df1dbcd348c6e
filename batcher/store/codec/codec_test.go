package codec_test

import (
	"bytes"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/codec"
	"ancre/batcher/store/storetest"
)

func FuzzDecodeBatch(f *testing.F) {
	f.Add(codec.AppendBatch(nil, &codec.BatchRecord{Batch: store.Batch{ID: 1, State: store.Sealed, Count: 630, Opened: storetest.Time(1), Closed: storetest.Time(2), Root: storetest.Node(1, 9, 0), Anchor: 1}, Before: 77}))
	f.Add(codec.AppendBatch(nil, &codec.BatchRecord{Batch: store.Batch{ID: 1, State: store.Open, Count: 90, Opened: storetest.Time(1)}}))
	f.Fuzz(func(t *testing.T, value []byte) {
		rec, err := codec.DecodeBatch(1, value)
		if err == nil && !bytes.Equal(codec.AppendBatch(nil, &rec), value) {
			t.Errorf("%x decodes to %+v, which encodes otherwise", value, rec)
		}
	})
}

func FuzzDecodeAnchor(f *testing.F) {
	for _, a := range []store.Anchor{storetest.Anchor(1, 2), storetest.Mine(storetest.Anchor(1, 1), store.Final, 0)} {
		value, err := codec.AppendAnchor(nil, &a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		a, err := codec.DecodeAnchor(1, value)
		if err != nil {
			return
		}
		again, err := codec.AppendAnchor(nil, &a)
		if err != nil {
			t.Fatalf("%x decodes to what cannot be encoded: %v", value, err)
		}
		if b, err := codec.DecodeAnchor(1, again); err != nil || len(b.Versions) != len(a.Versions) {
			t.Errorf("%x decodes, but not its encoding %x: %v", value, again, err)
		}
	})
}

func FuzzDecodeCursor(f *testing.F) {
	f.Add(codec.AppendCursor(nil, &store.Cursor{Points: []store.Point{{Height: 7}, {Height: 8}}}))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := codec.DecodeCursor(value)
		if err == nil && !bytes.Equal(codec.AppendCursor(nil, &c), value) {
			t.Errorf("%x decodes to %+v, which encodes otherwise", value, c)
		}
	})
}
