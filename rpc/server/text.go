package server

import (
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// hashText is a hash in an answer: absent if it is zero.
func hashText(h chainhash.Hash) string {
	if h == (chainhash.Hash{}) {
		return ""
	}
	return h.String()
}

// timeOf is a time in an answer: absent if it is zero.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
