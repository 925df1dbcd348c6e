package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"ancre/register/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := Open(path, Options{Reserve: 1})
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func put(t testing.TB, d *Dir, content string) store.Digest {
	t.Helper()
	digest, size, err := d.Put(t.Context(), strings.NewReader(content))
	must(t, err)
	if digest != sha256.Sum256([]byte(content)) || size != int64(len(content)) {
		t.Fatalf("digest %s and size %d of %d bytes", digest, size, len(content))
	}
	return digest
}

func read(t testing.TB, d *Dir, digest store.Digest) string {
	t.Helper()
	f, err := d.Open(digest)
	must(t, err)
	defer f.Close()
	content, err := io.ReadAll(f)
	must(t, err)
	return string(content)
}

// listing returns the paths of all files, and fails the test if one is open to others.
func listing(t testing.TB, dir string) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; path != dir && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		if !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return nil
	}))
	return files
}

func TestWhatIsPutComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "files")
	d := opened(t, dir)
	large := strings.Repeat("0123456789", 100_000)
	for _, content := range []string{"", "a document", large} {
		digest := put(t, d, content)
		if _, err := d.OTS(digest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a proof that is not there: %v", err)
		}
		for _, proof := range []string{"pending", "complete"} { // the later one takes the place of the earlier
			must(t, d.PutOTS(digest, []byte(proof)))
			must(t, d.PutReceipt(digest, []byte("{"+proof+"}")))
		}
		must(t, d.Close())
		d = opened(t, dir)
		if got := read(t, d, digest); got != content {
			t.Errorf("%d bytes come back as %d", len(content), len(got))
		}
		ots, err := d.OTS(digest)
		receipt, err2 := d.Receipt(digest)
		if err != nil || err2 != nil || string(ots) != "complete" || string(receipt) != "{complete}" {
			t.Errorf("proof %q, receipt %q, %v, %v", ots, receipt, err, err2)
		}
		hex := digest.String()
		for _, name := range []string{hex, hex + ".ots", hex + ".receipt.json"} {
			if _, err := os.Stat(filepath.Join(dir, hex[:2], name)); err != nil {
				t.Error(err)
			}
		}
	}
	if n := len(listing(t, dir)); n != 9 {
		t.Errorf("there are %d files, want 9", n)
	}
	if _, err := d.Open(store.Digest{1}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a document that is not there: %v", err)
	}
	if err := d.PutOTS(store.Digest{1}, make([]byte, maxProof+1)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a proof of 1 MiB: %v", err)
	}
	must(t, d.Check(t.Context(), nil))
}

func TestTheSameBytesAgainChangeNothingAndRepairDamage(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	digest := put(t, d, "a document")
	file := filepath.Join(dir, path(digest, ""))
	before, err := os.Stat(file)
	must(t, err)
	put(t, d, "a document")
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written again (%v)", err)
	}
	for _, damaged := range []string{"", "b document", "a document and more"} {
		must(t, os.WriteFile(file, []byte(damaged), 0o600))
		if err := d.Verify(t.Context(), digest); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%q: %v, want ErrDamaged", damaged, err)
		}
		put(t, d, "a document")
		if got := read(t, d, digest); got != "a document" {
			t.Errorf("%q was not repaired: %q", damaged, got)
		}
	}
	if got := listing(t, dir); len(got) != 1 {
		t.Errorf("files %v, want one", got)
	}
}

func TestWhatIsNotReadToItsEndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	broken := errors.New("the connection broke")
	_, _, err := d.Put(t.Context(), io.MultiReader(strings.NewReader("half a doc"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("%v, want the reader's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err = d.Put(ctx, io.MultiReader(strings.NewReader("half a doc"), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil })))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
	if got := listing(t, dir); len(got) != 0 {
		t.Errorf("%v was left behind", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTheStartRemovesWhatIsUnfinished(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	digest := put(t, d, "a document")
	must(t, d.Close())
	must(t, os.WriteFile(filepath.Join(dir, incoming, "LEFT"), []byte("half"), 0o600))
	d = opened(t, dir)
	if got, want := listing(t, dir), []string{filepath.FromSlash(path(digest, ""))}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	_ = d
}

func TestNothingGoesThroughASymbolicLink(t *testing.T) {
	elsewhere, dir := t.TempDir(), t.TempDir()
	d := opened(t, dir)
	digest := put(t, d, "a document")
	file, victim := filepath.Join(dir, path(digest, "")), filepath.Join(elsewhere, "victim")
	must(t, os.WriteFile(victim, []byte("a document"), 0o600))
	inside := filepath.Join(dir, incoming, "inside")
	must(t, os.WriteFile(inside, []byte("a document"), 0o600))
	for _, target := range []string{victim, filepath.Join("..", incoming, "inside")} {
		must(t, os.Remove(file))
		must(t, os.Symlink(target, file))
		if f, err := d.Open(digest); err == nil {
			f.Close()
			t.Errorf("the link to %s was read", target)
		}
		put(t, d, "a document")
		if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
			t.Errorf("the link to %s is still there (%v)", target, err)
		}
		must(t, os.Remove(file))
		must(t, os.Symlink(target, file))
	}
	must(t, d.Close())

	must(t, os.RemoveAll(filepath.Join(dir, "ab")))
	must(t, os.Symlink(elsewhere, filepath.Join(dir, "ab")))
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "ab") {
		t.Errorf("a directory that is a link: %v", err)
	}
	link := filepath.Join(elsewhere, "link")
	must(t, os.Symlink(t.TempDir(), link))
	if _, err := Open(link, Options{}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link for the whole: %v", err)
	}
	if got := string(mustRead(t, victim)); got != "a document" {
		t.Errorf("the file behind the link has %q", got)
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return content
}

// TestNothingIsAcknowledgedBeforeItsSync holds the order: bytes, name, sync of the name.
func TestNothingIsAcknowledgedBeforeItsSync(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	var synced []string
	d.sync = func(f *os.File) error {
		rel, err := filepath.Rel(dir, f.Name())
		if err != nil {
			return err
		}
		_, err = d.root.Lstat(path(sha256.Sum256([]byte("a document")), ""))
		synced = append(synced, fmt.Sprintf("%s, named %v", strings.Split(filepath.ToSlash(rel), "/")[0], err == nil))
		return f.Sync()
	}
	digest := put(t, d, "a document")
	want := []string{"incoming, named false", shard(digest) + ", named true"}
	if !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
	synced = nil
	put(t, d, "a document")
	if !slices.Equal(synced, want[1:]) {
		t.Errorf("the second time, synced %q, want %q", synced, want[1:])
	}
}

func TestAFailedSyncIsNotAcknowledged(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	broken := errors.New("input/output error")
	failing := true
	d.sync = func(f *os.File) error {
		if failing {
			return broken
		}
		return f.Sync()
	}
	if _, _, err := d.Put(t.Context(), strings.NewReader("a document")); !errors.Is(err, broken) {
		t.Errorf("%v, want the failure", err)
	}
	if got := listing(t, dir); len(got) != 0 {
		t.Errorf("%v is there", got)
	}
	failing = false
	put(t, d, "a document") // other pages of the disk

	fails := 0
	d.sync = func(f *os.File) error { // the sync of the name fails, once
		if info, err := f.Stat(); err != nil || !info.IsDir() || fails > 0 {
			return err
		}
		fails++
		return broken
	}
	for range 2 {
		if _, _, err := d.Put(t.Context(), strings.NewReader("another")); !errors.Is(err, store.ErrFailed) {
			t.Errorf("%v, want one that wraps ErrFailed", err)
		}
	}
	if fails != 1 {
		t.Errorf("the name was synced again after a failure")
	}
}

func TestManyPutAtOnce(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			content := strings.Repeat(fmt.Sprint(i%8), 300_000)
			digest, _, err := d.Put(t.Context(), strings.NewReader(content))
			if err == nil {
				err = errors.Join(d.PutOTS(digest, []byte(fmt.Sprint(i))), d.Verify(t.Context(), digest))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := listing(t, dir); len(got) != 16 {
		t.Errorf("%d files, want 8 and their proofs", len(got))
	}
}

func TestCheckFindsWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir)
	whole, flipped, cut := put(t, d, "whole"), put(t, d, "flipped"), put(t, d, "cut off")
	must(t, d.PutOTS(whole, []byte("proof")))
	must(t, os.WriteFile(filepath.Join(dir, path(flipped, "")), []byte("glipped"), 0o600))
	must(t, os.Truncate(filepath.Join(dir, path(cut, "")), 3))
	strange := filepath.Join(dir, "00", "README")
	must(t, os.WriteFile(strange, []byte("?"), 0o600))
	misplaced := filepath.Join(dir, "01", whole.String())
	must(t, os.WriteFile(misplaced, []byte("whole"), 0o600))
	var read int64
	err := d.Check(t.Context(), func(n int64) { read = n })
	if !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("%v, want ErrDamaged", err)
	}
	for _, name := range []string{flipped.String(), cut.String(), "00/README", "01/" + whole.String()} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "file of "+whole.String()) {
		t.Errorf("the whole one is named: %v", err)
	}
	if want := int64(len("whole") + len("flipped") + 3); read != want {
		t.Errorf("progress ends at %d bytes, want %d", read, want)
	}
}

func TestAllIsSortedAndWhole(t *testing.T) {
	d := opened(t, t.TempDir())
	want := map[store.Digest]Item{}
	for i := range 300 {
		content := fmt.Sprint("document ", i)
		digest := put(t, d, content)
		item := Item{Digest: digest, Document: true, Size: int64(len(content))}
		if i%2 == 0 {
			must(t, d.PutOTS(digest, []byte("proof")))
			item.OTS = true
		}
		if i%3 == 0 {
			must(t, d.PutReceipt(digest, []byte("{}")))
			item.Receipt = true
		}
		want[digest] = item
	}
	alone := store.Digest{7}
	must(t, d.PutOTS(alone, []byte("proof")))
	want[alone] = Item{Digest: alone, OTS: true}
	var last store.Digest
	n := 0
	for item, err := range d.All(t.Context()) {
		must(t, err)
		if n++; item != want[item.Digest] {
			t.Errorf("%+v, want %+v", item, want[item.Digest])
		}
		if bytes.Compare(last[:], item.Digest[:]) >= 0 {
			t.Errorf("%s follows on %s", item.Digest, last)
		}
		last = item.Digest
	}
	if n != len(want) {
		t.Errorf("%d items, want %d", n, len(want))
	}
}
