package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ancre/batcher/store"
)

// Keys, as in docs/store-format.md.

const (
	prefixNodes     = 'N' // below all others, see docs/store-format.md
	prefixAnchor    = 'a'
	prefixBatch     = 'b'
	prefixCursor    = 'c'
	prefixFirst     = 'f'
	prefixTreeFile  = 'g'
	prefixChange    = 'h'
	prefixMeta      = 'm'
	prefixSegment   = 's'
	prefixUnsettled = 'u'
	prefixWaiting   = 'w'

	metaFeed    = "feed"
	metaFormat  = "format"
	metaKeyName = "key"
	metaID      = "id"
	metaWrites  = "writes"
)

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

// idKey is the key of a batch or an anchor, or of a mark that names one.
func idKey(prefix byte, id uint64) []byte {
	return appendIDKey(make([]byte, 0, 9), prefix, id)
}

func appendIDKey(b []byte, prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, prefix), id)
}

func parseIDKey(prefix byte, key []byte) (uint64, error) {
	if len(key) != 9 || key[0] != prefix {
		return 0, damaged(key, fmt.Errorf("expected %q and 8 bytes", prefix))
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

// firstKey is the key that says which batch begins with which ordinal. Its numbers are complements,
// so that they sort from the highest on: a seek forwards, which is what Pebble is good at, finds
// the last batch that begins at or before an ordinal. Batches without leaves begin with that of the
// next.
func firstKey(ordinal, batch uint64) []byte {
	return binary.BigEndian.AppendUint64(appendIDKey(make([]byte, 0, 17), prefixFirst, ^ordinal), ^batch)
}

func parseFirstKey(key []byte) (ordinal, batch uint64, err error) {
	if len(key) != 17 {
		return 0, 0, damaged(key, errors.New("expected 17 bytes"))
	}
	return ^binary.BigEndian.Uint64(key[1:]), ^binary.BigEndian.Uint64(key[9:]), nil
}

func nodesKey(batch uint64, level int, start uint64) []byte {
	key := append(appendIDKey(make([]byte, 0, 18), prefixNodes, batch), byte(level))
	return binary.BigEndian.AppendUint64(key, start)
}

// nodesStart reads the last part of a key that has been found between two of nodesKey.
func nodesStart(key []byte) (uint64, error) {
	if len(key) != 18 {
		return 0, damaged(key, errors.New("expected 18 bytes"))
	}
	return binary.BigEndian.Uint64(key[10:]), nil
}

var cursorKey = []byte{prefixCursor}

// damaged names the key of what could not be decoded.
func damaged(key []byte, err error) error {
	return fmt.Errorf("%w: value of key %q (%x): %w", store.ErrDamaged, key[:1], key, err)
}
