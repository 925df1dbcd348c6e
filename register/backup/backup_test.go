package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"ancre/register/files"
	"ancre/register/store"
	"ancre/register/store/sqlitestore"
	"ancre/register/store/storetest"
)

var testTaken = time.Date(2026, 12, 1, 2, 3, 4, 0, time.UTC)

var engine = Engine{
	Name: "sqlite", Exists: sqlitestore.Exists, Restore: sqlitestore.Restore, Moves: []string{sqlitestore.File},
	Open: func(dir string) (store.Store, error) { return sqlitestore.Open(dir, sqlitestore.Options{}) },
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// register is an open register.
type register struct {
	dir   string
	store store.Store
	files *files.Dir
}

func openRegister(t testing.TB, dir string) *register {
	t.Helper()
	s, err := engine.Open(dir)
	must(t, err)
	d, err := files.Open(filepath.Join(dir, FilesDir), files.Options{Reserve: 1})
	must(t, err)
	r := &register{dir, s, d}
	t.Cleanup(r.close)
	return r
}

func (r *register) close() {
	if r.store != nil {
		r.store.Close()
		r.files.Close()
		r.store = nil
	}
}

// add puts a document and its row.
func (r *register) add(t testing.TB, n int, content string) store.Entry {
	t.Helper()
	d, size, err := r.files.Put(t.Context(), strings.NewReader(content))
	must(t, err)
	e := storetest.Document(n, "")
	e.Digest, e.Size = d, size
	stored, _, err := r.store.AddEntry(t.Context(), e)
	must(t, err)
	return stored
}

// filled is a register with documents of many sizes, some with proofs.
func filled(t testing.TB) *register {
	t.Helper()
	r := openRegister(t, t.TempDir())
	must(t, r.store.Claim(t.Context(), "regtest"))
	must(t, r.store.PutBodies(t.Context(), storetest.Bodies))
	_, _, err := r.store.AddMeeting(t.Context(), storetest.Session("2026-12-15"))
	must(t, err)
	for n, size := range []int{0, 1, 511, 512, 513, 5000, 1 << 20} {
		e := r.add(t, n, strings.Repeat(fmt.Sprint(n), size))
		if n%2 == 0 {
			must(t, r.files.PutOTS(e.Digest, []byte("proof of "+e.Digest.String())))
		}
		if n%3 == 0 {
			must(t, r.files.PutReceipt(e.Digest, []byte("{}")))
		}
	}
	return r
}

func (r *register) backup(t testing.TB) ([]byte, Summary) {
	t.Helper()
	var out bytes.Buffer
	sum, err := Write(t.Context(), &out, Source{Store: r.store, Engine: engine.Name, Files: r.files, Taken: testTaken})
	must(t, err)
	return out.Bytes(), sum
}

func check(t testing.TB, file []byte) (Summary, error) {
	b, err := Open(bytes.NewReader(file))
	if err != nil {
		return Summary{}, err
	}
	return b.Check(context.Background(), t.TempDir(), engine)
}

func restore(t testing.TB, file []byte, dir string) (Summary, error) {
	b, err := Open(bytes.NewReader(file))
	if err != nil {
		return Summary{}, err
	}
	return b.Restore(context.Background(), dir, engine)
}

// tree returns all files below a directory but locks, with their contents.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == sqlitestore.Lock {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(content)
		return err
	}))
	return all
}

func TestARestoredRegisterIsTheSame(t *testing.T) {
	r := filled(t)
	file, wrote := r.backup(t)
	want := Summary{Network: "regtest", Taken: testTaken, Meetings: 1, Entries: 7, Documents: 7, Bytes: int64(len(file)),
		SHA256: fmt.Sprintf("%x", sha256.Sum256(file))}
	if wrote != want {
		t.Errorf("wrote %+v, want %+v", wrote, want)
	}
	if got, err := check(t, file); err != nil || got != want {
		t.Errorf("checked %+v, %v; want %+v", got, err, want)
	}
	dir := filepath.Join(t.TempDir(), "new", "register")
	if got, err := restore(t, file, dir); err != nil || got != want {
		t.Fatalf("restored %+v, %v; want %+v", got, err, want)
	}
	entries, err := r.store.Entries(t.Context(), store.EntryQuery{})
	must(t, err)
	r.close()
	before, after := tree(t, filepath.Join(r.dir, FilesDir)), tree(t, filepath.Join(dir, FilesDir))
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("%d files came back as %d, or they differ", len(before), len(after))
	}
	back := openRegister(t, dir)
	again, err := back.store.Entries(t.Context(), store.EntryQuery{})
	must(t, err)
	if !slices.Equal(again, entries) {
		t.Errorf("entries:\n%+v, were\n%+v", again, entries)
	}
	must(t, back.files.Check(t.Context(), nil))
	if _, err := os.Lstat(filepath.Join(dir, restoring)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left beside it: %v", err)
	}
	back.add(t, 100, "and it goes on")
}

func TestAnEmptyRegisterComesBack(t *testing.T) {
	file, _ := openRegister(t, t.TempDir()).backup(t)
	if sum, err := restore(t, file, t.TempDir()); err != nil || sum.Entries+sum.Documents != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// Whoever has lost this program still has his documents.
func TestTarAndSha256sumReadIt(t *testing.T) {
	for _, tool := range []string{"tar", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	file, _ := filled(t).backup(t)
	dir := t.TempDir()
	run := func(stdin []byte, command string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	run(file, "tar xf - && sha256sum --strict -c SHA256SUMS && sha256sum --strict -c sums/*.sha256")
	run(file, `test "$(head -c -$((512 + 512 + 1024)) | sha256sum | cut -d' ' -f1)" = "$(cat SHA256)"`)
	run(nil, `for f in files/*/*; do case $f in *.*) continue; esac; test "$(sha256sum < $f | cut -d' ' -f1)" = "${f##*/}" || exit 1; done`)
}

// The first bytes and members tell what is wrong. Cut anywhere, it is not whole.
func TestAFileThatWasCutOffIsNotRestored(t *testing.T) {
	file, _ := filled(t).backup(t)
	cuts := []int{1, 511, 512, 513, 1024, len(file) - 1, len(file) - 512, len(file) - 1024, len(file) - 1025, len(file) - 1536, len(file) - 2048}
	for at := 1500; at < len(file); at += 199_999 {
		cuts = append(cuts, at)
	}
	for _, n := range cuts {
		dir := filepath.Join(t.TempDir(), "register")
		if _, err := restore(t, file[:n], dir); !errors.Is(err, ErrTruncated) {
			t.Errorf("the first %d of %d bytes: %v, want ErrTruncated", n, len(file), err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the first %d bytes left something behind: %v", n, err)
		}
	}
	if _, err := check(t, append(slices.Clone(file), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte behind the end: %v, want ErrDamaged", err)
	}
	for what, file := range map[string]string{"nothing": "", "a text": strings.Repeat("a text ", 200), "another archive": string(otherTar(t))} {
		if _, err := check(t, []byte(file)); !errors.Is(err, ErrNotBackup) {
			t.Errorf("%s: %v, want ErrNotBackup", what, err)
		}
	}
}

func otherTar(t *testing.T) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(memberHeader("README", 5, testTaken)))
	_, err := io.WriteString(w, "hello")
	must(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	r := openRegister(t, t.TempDir())
	r.add(t, 1, "a document")
	e := r.add(t, 2, strings.Repeat("another ", 200))
	must(t, r.files.PutOTS(e.Digest, []byte("proof")))
	file, err := small(t, r)
	must(t, err)
	must(t, readOnly(t, file))
	for i := range file {
		bad := slices.Clone(file)
		bad[i] ^= 0x10
		if readOnly(t, bad) == nil {
			t.Fatalf("byte %d of %d flipped, and nothing is said", i, len(file))
		}
	}
}

// small is a backup with a short text in the place of the database.
func small(t testing.TB, r *register) ([]byte, error) {
	const database = "a short text"
	var out bytes.Buffer
	_, err := write(t.Context(), &out, Source{Store: r.store, Engine: engine.Name, Files: r.files, Taken: testTaken}, int64(len(database)), strings.NewReader(database))
	return out.Bytes(), err
}

// readOnly reads a backup to its end, and keeps nothing.
func readOnly(t testing.TB, file []byte) error {
	b, err := Open(bytes.NewReader(file))
	if err != nil {
		return err
	}
	ignored := engine
	ignored.Restore = func(_ context.Context, _ string, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	err = b.read(t.Context(), &hashSink{ctx: t.Context(), engine: ignored, sizes: map[store.Digest]int64{}})
	if err == nil && b.in.n != int64(len(file)) {
		t.Errorf("%d bytes are a backup of %d", len(file), b.in.n)
	}
	return err
}

// The sums are right, and what they are of is not a register: whoever wrote it did not check.
func TestAForgedBackupIsRefused(t *testing.T) {
	r := filled(t)
	r.add(t, 50, "a document")
	file, _ := r.backup(t)
	for name, change := range map[string]func(m *member) bool{
		"a document is missing": func(m *member) bool {
			return !strings.HasPrefix(m.name, fmt.Sprintf("files/%x", sha256.Sum256([]byte("a document")))[:8])
		},
		"a document has another digest": func(m *member) bool {
			m.content = strings.Replace(m.content, "a document", "b document", 1)
			return true
		},
		"a database of something else": func(m *member) bool {
			m.content = strings.Replace(m.content, "SQLite format 3", "something else!", 1)
			return true
		},
		"the network is another": func(m *member) bool {
			m.content = strings.Replace(m.content, `"network": "regtest"`, `"network": "mainnet"`, 1)
			return true
		},
		"a name that leads out":              func(m *member) bool { m.name = strings.Replace(m.name, "files/", "../../files/", 1); return true },
		"a name of another directory":        func(m *member) bool { m.name = strings.Replace(m.name, "files/", "files/../files/", 1); return true },
		"a file that is no proof":            func(m *member) bool { m.name = strings.Replace(m.name, ".ots", ".exe", 1); return true },
		"a document that stands there twice": func(m *member) bool { m.twice = strings.HasPrefix(m.name, "files/"); return true },
		"no database":                        func(m *member) bool { return m.name != databaseName },
		"a database twice":                   func(m *member) bool { m.twice = m.name == databaseName; return true },
	} {
		forged := reforge(t, file, change)
		dir := filepath.Join(t.TempDir(), "register")
		if _, err := restore(t, forged, dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left: %v", name, err)
		}
	}
	if _, err := check(t, reforge(t, file, func(m *member) bool { return true })); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	newer := reforge(t, file, func(m *member) bool {
		m.content = strings.Replace(m.content, `"format": 1`, `"format": 2`, 1)
		return true
	})
	if _, err := check(t, newer); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer format: %v, want ErrNewer", err)
	}
}

// Each of these is found by one check alone.
func TestWhatOnlyOneCheckFinds(t *testing.T) {
	r := openRegister(t, t.TempDir())
	r.add(t, 1, "a document")
	_, _, err := r.files.Put(t.Context(), strings.NewReader("without an entry"))
	must(t, err)
	file, _ := r.backup(t)
	for name, change := range map[string]func(m *member) bool{
		"the number of documents": func(m *member) bool { return m.content != "without an entry" },
		"a digest": func(m *member) bool {
			m.content = strings.Replace(m.content, "without an entry", "Without an entry", 1)
			return true
		},
		"the document of an entry": func(m *member) bool {
			m.content = strings.Replace(m.content, `"documents": 2`, `"documents": 1`, 1)
			return m.content != "a document"
		},
	} {
		if _, err := check(t, reforge(t, file, change)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

type member struct {
	name, content string
	twice         bool
}

// reforge writes a backup again, with members changed or left out, and with right sums.
func reforge(t *testing.T, file []byte, change func(*member) bool) []byte {
	t.Helper()
	var out bytes.Buffer
	a := newArchive(t.Context(), &out, testTaken, func(int64) {})
	var top []byte
	in := tar.NewReader(bytes.NewReader(file))
	for {
		h, err := in.Next()
		must(t, err)
		content, err := io.ReadAll(in)
		must(t, err)
		m := member{name: h.Name, content: string(content)}
		if h.Name == sumsName {
			must(t, a.close(top))
			return out.Bytes()
		}
		if strings.HasPrefix(h.Name, "sums/") {
			m.content = string(a.takeSums())
		} else if !change(&m) {
			continue
		}
		if m.content == "" && strings.HasPrefix(h.Name, "sums/") {
			continue
		}
		for range map[bool]int{false: 1, true: 2}[m.twice] {
			must(t, a.add(m.name, int64(len(m.content)), strings.NewReader(m.content)))
		}
		if !strings.HasPrefix(m.name, "files/") && !strings.HasPrefix(m.name, "../") {
			top = append(top, a.takeSums()...)
		}
	}
}

func TestARegisterIsNeverReplaced(t *testing.T) {
	r := filled(t)
	file, _ := r.backup(t)
	before := len(tree(t, r.dir))
	if _, err := restore(t, file, r.dir); err == nil || !strings.Contains(err.Error(), "already is a register") {
		t.Errorf("over the register that runs: %v", err)
	}
	r.close()
	if _, err := restore(t, file, r.dir); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("over a register: %v", err)
	}
	must(t, os.Remove(filepath.Join(r.dir, sqlitestore.File)))
	if _, err := restore(t, file, r.dir); err == nil || !strings.Contains(err.Error(), "there are documents in") {
		t.Errorf("over documents that lost their database: %v", err)
	}
	if after := len(tree(t, r.dir)); after < before-3 {
		t.Errorf("%d files are left of %d", after, before)
	}
	other := engine
	other.Name = "postgres"
	b, err := Open(bytes.NewReader(file))
	must(t, err)
	if _, err := b.Restore(t.Context(), t.TempDir(), other); err == nil || !strings.Contains(err.Error(), "sqlite") {
		t.Errorf("into another engine: %v", err)
	}
}

// A restore that was killed is done again, wherever it was.
func TestAnInterruptedRestoreIsDoneAgain(t *testing.T) {
	file, _ := filled(t).backup(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "register.conf"), []byte("# ours\n"), 0o600))
	must(t, os.MkdirAll(filepath.Join(dir, restoring, FilesDir, "ab"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, restoring, sqlitestore.File), []byte("half"), 0o600))
	_, err := restore(t, file, dir)
	must(t, err)

	// Killed before its last step: the files are there, and the database is not.
	must(t, os.MkdirAll(filepath.Join(dir, restoring), 0o700))
	must(t, os.Rename(filepath.Join(dir, sqlitestore.File), filepath.Join(dir, restoring, sqlitestore.File)))
	_, err = restore(t, file, dir)
	must(t, err)
	r := openRegister(t, dir)
	must(t, errors.Join(r.store.Check(t.Context()), r.files.Check(t.Context(), nil)))
	if tree(t, dir)["register.conf"] != "# ours\n" {
		t.Error("the configuration is gone")
	}
}

func TestADamagedDocumentIsToldWhenTheBackupIsWritten(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"flipped": func(path string) error { return os.WriteFile(path, []byte("b document"), 0o600) },
		"cut off": func(path string) error { return os.Truncate(path, 3) },
		"gone":    os.Remove,
	} {
		r := openRegister(t, t.TempDir())
		e := r.add(t, 1, "a document")
		must(t, damage(filepath.Join(r.dir, FilesDir, e.Digest.String()[:2], e.Digest.String())))
		_, err := Write(t.Context(), io.Discard, Source{Store: r.store, Engine: engine.Name, Files: r.files, Taken: testTaken})
		if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), e.Digest.String()) {
			t.Errorf("%s: %v, want ErrDamaged that names the document", name, err)
		}
	}
}

// The register takes documents in while it is backed up, and the backup is one moment of it.
func TestTheRegisterGoesOnMeanwhile(t *testing.T) {
	r := filled(t)
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for n := 1000; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			d, size, err := r.files.Put(context.Background(), strings.NewReader(fmt.Sprint(n, rand.Text())))
			e := storetest.Document(n, "")
			e.Digest, e.Size = d, size
			if err == nil {
				_, _, err = r.store.AddEntry(context.Background(), e)
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 10 {
		file, _ := r.backup(t)
		if _, err := check(t, file); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	must(t, <-stopped)
}

func TestReadingThatFailsIsNotDamage(t *testing.T) {
	file, _ := filled(t).backup(t)
	broken := errors.New("the connection broke")
	for _, n := range []int{0, 700, 5000, len(file) - 700} {
		b, err := Open(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
		if err == nil {
			_, err = b.Restore(t.Context(), t.TempDir(), engine)
		}
		if !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
			t.Errorf("after %d bytes: %v, want the reason alone", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	b, err := Open(bytes.NewReader(file))
	must(t, err)
	b.Progress = func(int64, int64) { cancel() }
	if _, err := b.Restore(ctx, t.TempDir(), engine); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
}

func TestProgressGoesToTheEnd(t *testing.T) {
	r := filled(t)
	var done, total int64
	tell := func(d, n int64) { done, total = d, n }
	var out bytes.Buffer
	_, err := Write(t.Context(), &out, Source{Store: r.store, Engine: engine.Name, Files: r.files, Taken: testTaken, Progress: tell})
	must(t, err)
	if done != total || total < 1<<20 {
		t.Errorf("writing ends at %d of %d", done, total)
	}
	b, err := Open(&out)
	must(t, err)
	done, b.Progress = 0, tell
	_, err = b.Check(t.Context(), t.TempDir(), engine)
	must(t, err)
	if done != total {
		t.Errorf("reading ends at %d of %d", done, total)
	}
}

func FuzzRead(f *testing.F) {
	r := openRegister(f, f.TempDir())
	r.add(f, 1, "a document")
	file, err := small(f, r)
	must(f, err)
	f.Add(file)
	f.Fuzz(func(t *testing.T, file []byte) { _ = readOnly(t, file) })
}
