package main

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// named is what reaches files by paths that the user named.
var named *tree

func TestCreateFileNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 250)+".ots") // nearly as long as names can be
	if err := named.create(path, []byte("first"), nil); err != nil {
		t.Fatal(err)
	}
	if err := named.create(path, []byte("second"), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second time: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Errorf("the file holds %q", got)
	}
	onlyFile(t, path)
}

func TestReplaceFileKeepsLinksAndMode(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "proof"), filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if err := named.replace(link, []byte("old"), []byte("new"), false); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "new" {
		t.Errorf("the file behind the link holds %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info.Mode(), err)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v", info.Mode())
	}
	onlyFile(t, path)
}

// The bug that it catches: a proof that its owner alone may read is copied to where everybody can.
func TestABackupIsAsPrivateAsTheProof(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "proof"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{path, link} {
		h, err := named.hold(name, 10)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(named.backUp(name, h), h.dir.Close()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(name + backupSuffix)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("%s: the mode of the backup is %v, want that of the proof", name, info.Mode())
		}
	}
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "is-a-directory")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := named.replace(path, nil, []byte("x"), false); err == nil {
		t.Error("a directory was replaced")
	}
	if err := named.create(path, []byte("x"), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a directory in the way: %v", err)
	}
	onlyFile(t, path)
}

// onlyFile checks that nothing else is in the directory of path.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("in the directory are %v (%v)", entries, err)
	}
}

func TestInOrderKeepsOrderAndBoundsWork(t *testing.T) {
	const workers, n = 3, 200
	var running, most atomic.Int32
	got := slices.Collect(inOrder(context.Background(), workers, numbers(n), func(_ context.Context, i int) int {
		now := running.Add(1)
		for {
			m := most.Load()
			if now <= m || most.CompareAndSwap(m, now) {
				break
			}
		}
		for range i % 7 { // some take longer
			runtime.Gosched()
		}
		running.Add(-1)
		return i
	}))
	if !slices.Equal(got, slices.Collect(numbers(n))) {
		t.Errorf("out of order: %v", got)
	}
	if most.Load() > workers {
		t.Errorf("%d at once, want at most %d", most.Load(), workers)
	}
}

// While a large file is being hashed, the small ones after it are.
func TestInOrderGoesOnPastASlowElement(t *testing.T) {
	const workers, ahead = 2, 20
	passed := make(chan struct{})
	got := slices.Collect(inOrder(context.Background(), workers, numbers(2*ahead), func(_ context.Context, i int) int {
		switch i {
		case 0:
			select {
			case <-passed:
			case <-time.After(time.Minute):
				t.Errorf("element %d waits for the first", ahead)
			}
		case ahead:
			close(passed)
		}
		return i
	}))
	if !slices.Equal(got, slices.Collect(numbers(2*ahead))) {
		t.Errorf("out of order: %v", got)
	}
}

func TestInOrderStopsWithItsCaller(t *testing.T) {
	var done atomic.Int32
	for i := range inOrder(context.Background(), 2, numbers(1<<30), func(_ context.Context, i int) int { done.Add(1); return i }) {
		if i == 10 {
			break
		}
	}
	after := done.Load()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range inOrder(ctx, 2, numbers(1<<30), func(_ context.Context, i int) int { return i }) {
		if i == 10 {
			cancel()
		}
	}
	if done.Load() != after {
		t.Error("work goes on after the loop")
	}
}

// While one group is handed in and written, the next files are hashed.
func TestGatherCollectsWhileAGroupIsDealtWith(t *testing.T) {
	const most, n = 10, 100
	begun := make(chan int, n)
	elements := func(yield func(int) bool) {
		for i := range n {
			begun <- i
			if !yield(i) {
				return
			}
		}
	}
	var got, sizes []int
	for group := range gather(elements, most) {
		got, sizes = append(got, group...), append(sizes, len(group))
		if len(sizes) > 1 {
			continue
		}
		// There is room for a group, and one more element waits for room.
		for range len(group) + most + 1 {
			select {
			case <-begun:
			case <-time.After(time.Minute):
				t.Fatal("nothing is collected while a group is being dealt with")
			}
		}
	}
	if !slices.Equal(got, slices.Collect(numbers(n))) {
		t.Errorf("out of order: %v", got)
	}
	if sizes[1] != most || slices.Max(sizes) > most {
		t.Errorf("groups of %v: the second should have %d, and none more", sizes, most)
	}
}

func TestGatherStopsWithItsCaller(t *testing.T) {
	stopped := false
	endless := func(yield func(int) bool) {
		for yield(0) {
		}
		stopped = true
	}
	for range gather(endless, 10) {
		break
	}
	if !stopped {
		t.Error("it goes on collecting")
	}
}

func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
