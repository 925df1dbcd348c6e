package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb"
)

const patience = time.Minute

// newFile makes a file with buckets in buckets, some of them inside of values, and values over
// several pages. The same contents are written in another order when reverse is set.
func newFile(t *testing.T, noFreelist, reverse bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := walletdb.Create("bdb", path, noFreelist, patience, false)
	if err != nil {
		t.Fatal(err)
	}
	var rounds []int
	for i := range 3 {
		rounds = append(rounds, i)
	}
	if reverse {
		slices.Reverse(rounds)
	}
	for _, round := range rounds {
		if err := walletdb.Update(db, func(tx walletdb.ReadWriteTx) error { return fill(tx, round) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func fill(tx walletdb.ReadWriteTx, round int) error {
	for i := range 4 {
		b, err := tx.CreateTopLevelBucket(fmt.Appendf(nil, "bucket %d", i))
		if err != nil {
			return err
		}
		small, err := b.CreateBucketIfNotExists([]byte("inside"))
		if err != nil {
			return err
		}
		if err := small.Put(fmt.Appendf(nil, "round %d", round), nil); err != nil {
			return err
		}
		for j := range 300 {
			if err := b.Put(fmt.Appendf(nil, "%d-%d", j*7919%1000, round), bytes.Repeat([]byte{byte(j)}, j)); err != nil {
				return err
			}
		}
		if err := b.Put([]byte("large"), make([]byte, 20_000)); err != nil {
			return err
		}
	}
	return nil
}

func TestWholeFilesPass(t *testing.T) {
	a, err := Check(newFile(t, false, false), Options{Sum: true})
	if err != nil || a.Tx == 0 || a.FellBack {
		t.Fatalf("%+v, %v", a, err)
	}
	b, err := Check(newFile(t, true, true), Options{Sum: true})
	if err != nil || a.Sum != b.Sum {
		t.Errorf("the same contents in other places have another sum: %v", err)
	}
	path := newFile(t, true, true)
	db, err := walletdb.Open("bdb", path, true, patience, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Check(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a file that is open: %v, want %v", err, ErrInUse)
	}
	err = walletdb.Update(db, func(tx walletdb.ReadWriteTx) error {
		return tx.ReadWriteBucket([]byte("bucket 2")).Put([]byte("not this"), []byte("value"))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	c, err := Check(path, Options{Sum: true, Except: "not this"})
	if err != nil || c.Sum != a.Sum || string(c.Except) != "value" || c.Tx != b.Tx+1 {
		t.Errorf("%+v, %v", c, err)
	}
	if d, err := Check(path, Options{Sum: true}); err != nil || d.Sum == a.Sum {
		t.Errorf("another key gives the same sum, %v", err)
	}
}

func TestWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Check(filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Check(dir, Options{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(empty, Options{}); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
}

// Every damage either is found, or leaves keys and values that the sum tells apart or that are the
// same, and that bbolt reads without a panic.
func TestDamageIsFoundOrDoesNoHarm(t *testing.T) {
	path := newFile(t, false, false)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := Check(path, Options{Sum: true})
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	found, harmless := 0, 0
	for i := range 600 {
		data := bytes.Clone(whole)
		what := damage(data, rnd, i)
		if what == "cut" {
			data = data[:rnd.IntN(len(data)-1)+1]
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		after, err := Check(path, Options{Sum: true})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			found++
			continue
		}
		if after.FellBack || after.Sum != before.Sum {
			found++ // the wallet compares
		} else {
			harmless++
		}
		readAll(t, path, seed, what)
	}
	t.Logf("seed %d: %d damages found, %d without harm", seed, found, harmless)
	if found < 200 {
		t.Errorf("seed %d: only %d damages of 600 were found", seed, found)
	}
}

// damage changes data, and says how.
func damage(data []byte, rnd *rand.Rand, i int) string {
	const page = 4096
	switch i % 4 {
	case 0:
		data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
		return "one bit"
	case 1: // in the header of a page or in its first entries, where structure is
		at := rnd.IntN(len(data)/page)*page + rnd.IntN(200)
		data[at] ^= 1 << rnd.IntN(8)
		return "one bit near the beginning of a page"
	case 2:
		clear(data[rnd.IntN(len(data)/page)*page:][:page])
		return "a page of zeros"
	}
	return "cut"
}

// readAll opens a file that passed with bbolt, reads it and writes to it.
func readAll(t *testing.T, path string, seed uint64, what string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("seed %d, %s: bbolt panics with a file that passed: %v", seed, what, r)
		}
	}()
	db, err := walletdb.Open("bdb", path, false, patience, false)
	if err != nil {
		t.Errorf("seed %d, %s: bbolt does not open a file that passed: %v", seed, what, err)
		return
	}
	defer db.Close()
	err = walletdb.Update(db, func(tx walletdb.ReadWriteTx) error {
		return tx.ForEachBucket(func(name []byte) error {
			b := tx.ReadWriteBucket(name)
			return errors.Join(walk(b), b.Put([]byte("new"), make([]byte, 5000)))
		})
	})
	if err != nil {
		t.Errorf("seed %d, %s: bbolt does not write to a file that passed: %v", seed, what, err)
	}
}

func walk(b walletdb.ReadBucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			if in := b.NestedReadBucket(k); in != nil {
				return walk(in)
			}
		}
		return nil
	})
}

func TestAnErrorSaysWhereAPageIs(t *testing.T) {
	page := pageName{id: 7}
	for want, got := range map[string]pageName{
		"page 7":                          page,
		"the bucket in entry 0 of page 7": page.inside(0),
		"the bucket in entry 3 of the bucket in entry 0 of page 7": page.inside(0).inside(3),
	} {
		if got.String() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
