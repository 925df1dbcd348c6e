package hashcache

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ancre/internal/atomicfile"
)

var now = time.Unix(1_000_000, 0)

// at is the identity of a file that changed that long before now.
func at(inode uint64, before time.Duration) atomicfile.Identity {
	return atomicfile.Identity{Size: 5, Modified: now.Add(-time.Hour).UnixNano(), Changed: now.Add(-before).UnixNano(), Inode: inode}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled is a cache file of some entries.
func filled(t *testing.T) (path string, entries map[string][]Entry) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "new", "directory", "cache")
	c, err := Open(path, "/tree", now)
	must(t, err)
	entries = map[string][]Entry{
		"":      {{Name: "a", File: at(1, time.Hour), Digest: [32]byte{1}}, {Name: "a.ots", File: at(2, time.Hour), IsProof: true}},
		"b/c":   {{Name: "\x01", File: at(3, time.Hour)}, {Name: "x\xff", File: at(4, time.Hour), Digest: [32]byte{4}, Proof: at(5, time.Hour)}},
		"b/c/d": {{Name: strings.Repeat("n", 255), File: at(1<<63, time.Hour), Digest: [32]byte{5}}},
	}
	for dir, list := range entries {
		for _, e := range list {
			c.Add(dir, e)
		}
	}
	must(t, c.Save(true))
	return path, entries
}

func TestWhatWasSavedIsFound(t *testing.T) {
	path, entries := filled(t)
	c, err := Open(path, "/tree", now)
	must(t, err)
	for range 2 {
		for dir, list := range entries {
			if _, ok := c.Find(dir, "\x00none", at(1, time.Hour)); ok {
				t.Error("what was never added is found")
			}
			for _, want := range list {
				if got, ok := c.Find(dir, want.Name, want.File); !ok || got != want {
					t.Errorf("%s/%s: %+v, %t", dir, want.Name, got, ok)
				}
			}
		}
		c.Rewind()
	}
	if _, ok := c.Find("none", "a", at(1, time.Hour)); ok {
		t.Error("an entry of another directory is found")
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("the mode is %v: others could learn names and hashes", info.Mode())
	}
}

func TestAFileThatChangedIsNotFound(t *testing.T) {
	path, entries := filled(t)
	of := entries[""][0]
	for what, change := range map[string]func(*atomicfile.Identity){
		"size":                     func(i *atomicfile.Identity) { i.Size++ },
		"time":                     func(i *atomicfile.Identity) { i.Modified++ },
		"time that nobody can set": func(i *atomicfile.Identity) { i.Changed++ },
		"inode":                    func(i *atomicfile.Identity) { i.Inode++ },
	} {
		c, err := Open(path, "/tree", now)
		must(t, err)
		id := of.File
		change(&id)
		if _, ok := c.Find("", of.Name, id); ok {
			t.Errorf("another %s makes no difference", what)
		}
	}
}

// A file that changed within one tick of the clock before the run may change again and look the
// same.
func TestAFileThatChangedJustNowIsNotRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	c, err := Open(path, "/tree", now)
	must(t, err)
	noCtime := at(3, 0)
	noCtime.Changed = 0
	c.Add("", Entry{Name: "a", File: at(1, tick)})
	c.Add("", Entry{Name: "b", File: at(2, tick-1)})
	c.Add("", Entry{Name: "c", File: noCtime})
	c.Add("", Entry{Name: "d", File: at(4, -time.Hour)})
	c.Add("", Entry{Name: "e", File: at(5, time.Hour), Proof: at(6, 0)})
	must(t, c.Save(true))
	c, err = Open(path, "/tree", now)
	must(t, err)
	for name, want := range map[string]bool{"a": true, "c": true, "e": true} {
		c.Rewind()
		id := map[string]atomicfile.Identity{"a": at(1, tick), "b": at(2, tick-1), "c": noCtime, "d": at(4, -time.Hour), "e": at(5, time.Hour)}[name]
		if e, ok := c.Find("", name, id); ok != want || e.Proof != (atomicfile.Identity{}) {
			t.Errorf("%s is found: %t, %+v", name, ok, e)
		}
	}
	for name, id := range map[string]atomicfile.Identity{"b": at(2, tick-1), "d": at(4, -time.Hour)} {
		c.Rewind()
		if _, ok := c.Find("", name, id); ok {
			t.Errorf("%s is remembered", name)
		}
	}
}

func TestADamagedFileIsIgnoredAndReplaced(t *testing.T) {
	path, entries := filled(t)
	raw, err := os.ReadFile(path)
	must(t, err)
	damages := map[string][]byte{"empty": nil, "cut": raw[:len(raw)-1], "longer": append(bytes.Clone(raw), 0), "another format": []byte("ancre hashes 2\n" + string(raw))}
	for i := 0; i < len(raw); i += 7 {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 1
		damages[fmt.Sprint("bit flipped at ", i)] = flipped
	}
	for what, data := range damages {
		must(t, os.WriteFile(path, data, 0o600))
		c, err := Open(path, "/tree", now)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if _, ok := c.Find("", "a", entries[""][0].File); ok {
			t.Errorf("%s: something is found", what)
		}
		c.Add("", entries[""][0])
		must(t, c.Save(true))
		if _, err = Open(path, "/tree", now); err != nil {
			t.Errorf("%s: it was not replaced: %v", what, err)
		}
	}
	if _, err := Open(path, "/another", now); !errors.Is(err, ErrDamaged) {
		t.Errorf("the cache of another tree: %v", err)
	}
}

// What a run did not come to is known as before.
func TestAnInterruptedRunLosesNothing(t *testing.T) {
	path, entries := filled(t)
	c, err := Open(path, "/tree", now)
	must(t, err)
	changed := Entry{Name: "a", File: at(77, time.Hour), Digest: [32]byte{77}}
	c.Add("", changed)
	must(t, c.Save(false))
	c, err = Open(path, "/tree", now)
	must(t, err)
	entries[""][0] = changed
	for dir, list := range entries {
		for _, want := range list {
			if got, ok := c.Find(dir, want.Name, want.File); !ok || got != want {
				t.Errorf("%s/%s: %+v, %t", dir, want.Name, got, ok)
			}
		}
	}
	// A whole run forgets what is gone.
	c.Rewind()
	c.Add("", changed)
	must(t, c.Save(true))
	c, err = Open(path, "/tree", now)
	must(t, err)
	if _, ok := c.Find("", "a.ots", entries[""][1].File); ok {
		t.Error("a file that is gone is known")
	}
}

func TestNothingNewIsNotWritten(t *testing.T) {
	path, entries := filled(t)
	before, err := os.Stat(path)
	must(t, err)
	c, err := Open(path, "/tree", now)
	must(t, err)
	for dir, list := range entries {
		for _, e := range list {
			c.Add(dir, e)
		}
	}
	must(t, c.Save(true))
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again: %v", err)
	}
	none := filepath.Join(t.TempDir(), "none", "cache")
	c, err = Open(none, "/tree", now)
	must(t, err)
	must(t, c.Save(true))
	if _, err := os.Stat(filepath.Dir(none)); err == nil {
		t.Error("a cache of nothing was written")
	}
}

func FuzzDecode(f *testing.F) {
	w := new(writer)
	w.add(Entry{Name: "a", File: at(1, time.Hour), Digest: [32]byte{1}, Proof: at(2, time.Hour)})
	w.add(Entry{Name: "b", File: at(1, time.Hour), IsProof: true})
	f.Add(w.data)
	f.Add(encode("/tree", map[string]*writer{"d": w}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = decode(data, "/tree")
		again := new(writer)
		n := 0
		for r := (&reader{rest: data}); r.next(); n++ {
			again.add(r.at)
		}
		for r := (&reader{rest: again.data}); r.next(); n-- {
		}
		if n != 0 {
			t.Errorf("%d entries more than were written again", n)
		}
	})
}
