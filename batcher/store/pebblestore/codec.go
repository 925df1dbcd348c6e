package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ancre/batcher/store"
)

// Keys, as in the package comment.

const (
	prefixMeta      = 'm'
	prefixLeaf      = 'l'
	prefixNodes     = 'n'
	prefixBatch     = 'b'
	prefixAnchor    = 'a'
	prefixWaiting   = 'w'
	prefixUnsettled = 'u'
	prefixCursor    = 'c'

	metaFormat  = "format"
	metaKeyName = "key"
)

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

func leafKey(leaf *store.Leaf) []byte { return append([]byte{prefixLeaf}, leaf[:]...) }

// idKey is the key of a batch or an anchor, or of a mark that names one.
func idKey(prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, id)
}

func parseIDKey(prefix byte, key []byte) (uint64, error) {
	if len(key) != 9 || key[0] != prefix {
		return 0, damaged(key, fmt.Errorf("expected %q and 8 bytes", prefix))
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

func nodesKey(batch uint64, level int, start uint64) []byte {
	key := append(idKey(prefixNodes, batch), byte(level))
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
