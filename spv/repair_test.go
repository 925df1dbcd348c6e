package spv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

func TestDamagedHeaderFilesAreRepaired(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(200)
	whole := syncedDir(t, n)

	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, blocks, filters string)
		kept   int32 // height after opening, before any peer is asked
	}{
		{"nothing", func(t *testing.T, blocks, filters string) {}, 200},
		{"a part of a header too many", func(t *testing.T, blocks, filters string) { grow(t, blocks, 33) }, 200},
		{"a part of a filter header too many", func(t *testing.T, blocks, filters string) { grow(t, filters, 5) }, 200},
		{"three headers too many, of zeros", func(t *testing.T, blocks, filters string) { grow(t, blocks, 3*80) }, 200},
		{"three filter headers too many", func(t *testing.T, blocks, filters string) { grow(t, filters, 3*32) }, 200},
		{"five headers missing", func(t *testing.T, blocks, filters string) { grow(t, blocks, -5*80) }, 0},
		{"a part of a header missing", func(t *testing.T, blocks, filters string) { grow(t, blocks, -1) }, 0},
		{"five filter headers missing", func(t *testing.T, blocks, filters string) { grow(t, filters, -5*32) }, 0},
		{"a part of a filter header missing", func(t *testing.T, blocks, filters string) { grow(t, filters, -31) }, 0},
		{"no headers", func(t *testing.T, blocks, filters string) { remove(t, blocks) }, 0},
		{"no filter headers", func(t *testing.T, blocks, filters string) { remove(t, filters) }, 0},
		{"an empty file of headers", func(t *testing.T, blocks, filters string) { grow(t, blocks, -201*80) }, 0},
		{"an empty file of filter headers", func(t *testing.T, blocks, filters string) { grow(t, filters, -201*32) }, 0},
		{"neither file", func(t *testing.T, blocks, filters string) { remove(t, blocks); remove(t, filters) }, 0},
		{"the last header overwritten with zeros", func(t *testing.T, blocks, filters string) { overwrite(t, blocks, 200*80, 80) }, 0},
		{"a page of headers overwritten with zeros", func(t *testing.T, blocks, filters string) { overwrite(t, blocks, 8192, 4096) }, 0},
		{"the last filter header overwritten with zeros", func(t *testing.T, blocks, filters string) { overwrite(t, filters, 200*32, 32) }, 0},
		{"the first header overwritten with zeros", func(t *testing.T, blocks, filters string) { overwrite(t, blocks, 0, 80) }, 0},
		{"no index", func(t *testing.T, blocks, filters string) {
			remove(t, filepath.Join(filepath.Dir(blocks), databaseFile))
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := copyDir(t, whole)
			tt.damage(t, filepath.Join(dir, headersFile), filepath.Join(dir, filterHeadersFile))
			c := openClient(t, dir, n.p2p)
			for name, record := range map[string]int64{headersFile: headerSize, filterHeadersFile: filterHeaderSize} {
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != int64(tt.kept+1)*record {
					t.Errorf("%s has %d bytes, for %d blocks", name, info.Size(), tt.kept+1)
				}
			}
			height, hash, err := c.Best()
			if err != nil || height != tt.kept || hash != n.hashAt(tt.kept) {
				t.Fatalf("opened at height %d, block %s, %v; want height %d", height, hash, err, tt.kept)
			}
			startClient(t, c)
			waitAt(t, c, n)
			if h, err := c.HashAt(199); err != nil || h != n.hashAt(199) {
				t.Errorf("block at 199 after the repair: %s, %v", h, err)
			}
			if touches, err := c.Touches(t.Context(), n.hashAt(150), [][]byte{anyoneCanSpend}); err != nil || !touches {
				t.Errorf("filter after the repair: %v, %v", touches, err)
			}
		})
	}
}

func TestABlockThatWasReorganisedAwayDuringARepairIsNotFound(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	dir := syncedDir(t, n)
	old := n.hashAt(18)
	remove(t, filepath.Join(dir, headersFile)) // its index stays, and knows the old block
	n.call("invalidateblock", nil, old.String())
	n.mine(5)
	c := openClient(t, dir, n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	if header, height, err := c.Header(old); !errors.Is(err, ErrNotFound) {
		t.Errorf("found at %d, as %s, %v", height, header.BlockHash(), err)
	}
}

func TestADamagedDatabaseIsToldOf(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	whole := syncedDir(t, n)
	size := func() int64 {
		info, err := os.Stat(filepath.Join(whole, databaseFile))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}()
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, db string)
	}{
		{"cut in the middle", func(t *testing.T, db string) { grow(t, db, -size/2) }},
		{"cut to one page", func(t *testing.T, db string) { grow(t, db, 4096-size) }},
		{"begins with zeros", func(t *testing.T, db string) { overwrite(t, db, 0, 8192) }},
		{"all zeros but the beginning", func(t *testing.T, db string) { overwrite(t, db, 8192, int(size-8192)) }},
		{"another file", func(t *testing.T, db string) {
			if err := os.WriteFile(db, bytes.Repeat([]byte("no database "), 10_000), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := copyDir(t, whole)
			tt.damage(t, filepath.Join(dir, databaseFile))
			c, err := Open(Config{Params: &chaincfg.RegressionNetParams, Dir: dir, Logger: testLog(t)})
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), databaseFile) || !strings.Contains(err.Error(), "remove it") {
				t.Error("error:", err)
			}
			t.Log(err)

			// What the error says helps.
			for _, name := range []string{databaseFile, headersFile, filterHeadersFile} {
				remove(t, filepath.Join(dir, name))
			}
			c = openClient(t, dir, n.p2p)
			startClient(t, c)
			waitAt(t, c, n)
		})
	}
}

func TestASecondClientOnTheSameDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openClient(t, dir)
	start := time.Now()
	_, err := Open(Config{Params: &chaincfg.RegressionNetParams, Dir: dir})
	if !errors.Is(err, ErrInUse) {
		t.Error("error:", err)
	}
	if took := time.Since(start); took > lockTimeout+20*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestADirectoryOfAnotherNetworkIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := openClient(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Params: &chaincfg.SimNetParams, Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "regtest") || !strings.Contains(err.Error(), "simnet") {
		t.Error("error:", err)
	}
	if c := openClient(t, dir); c == nil {
		t.Error("the directory is not usable any more")
	}
}

// grow makes a file longer, by zeros, or shorter.
func grow(t *testing.T, path string, by int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()+by); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, at int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, n), at); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
