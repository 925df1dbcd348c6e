//go:build unix

package hashcache

import (
	"os"
	"strings"
	"testing"
)

// Somebody else's file could have root believe false hashes.
func TestTheCacheOfAnotherUserIsNotBelieved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files for somebody else")
	}
	path, entries := filled(t)
	must(t, os.Chown(path, 65534, 65534))
	c, err := Open(path, "/tree", now)
	if err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("%v", err)
	}
	if _, ok := c.Find("", "a", entries[""][0].File); ok {
		t.Error("it is believed")
	}
}
