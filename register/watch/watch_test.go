package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/proof"
	"ancre/register"
	"ancre/register/files"
	"ancre/register/store"
	"ancre/register/store/sqlitestore"
	"ancre/rpc"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noNode is a node that is away.
type noNode struct{}

func (noNode) Header(context.Context, uint64) (proof.Header, error) {
	return proof.Header{}, rpc.ErrUnreachable
}
func (noNode) SubmitBatch(context.Context, [][32]byte) ([]rpc.Entry, error) {
	return nil, rpc.ErrUnreachable
}
func (noNode) WaitChanges(context.Context, string, time.Duration, int) (rpc.Changes, error) {
	return rpc.Changes{}, rpc.ErrUnreachable
}
func (noNode) Proof(context.Context, [32]byte, string) (rpc.Proof, error) {
	return rpc.Proof{}, rpc.ErrUnreachable
}
func (noNode) BlockCount(context.Context) (int32, error)        { return 0, rpc.ErrUnreachable }
func (noNode) BlockHash(context.Context, int32) (string, error) { return "", rpc.ErrUnreachable }
func (noNode) BlockchainInfo(context.Context) (rpc.BlockchainInfo, error) {
	return rpc.BlockchainInfo{}, rpc.ErrUnreachable
}
func (noNode) Info(context.Context) (rpc.Info, error) { return rpc.Info{}, rpc.ErrUnreachable }
func (noNode) HeaderRange(context.Context, int64, int) ([]byte, error) {
	return nil, rpc.ErrUnreachable
}

// room is a watched folder with its register.
type room struct {
	testing.TB
	ctx      context.Context
	data     string
	dir      string
	register *register.Register
	log      *lines
	files    *reads
	stop     func()
}

type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// reads counts the documents that are read, and may act when one is.
type reads struct {
	register.Files
	mu     sync.Mutex
	n      int
	during func() // called once, when a document was read and is not yet kept
}

func (r *reads) Put(ctx context.Context, in io.Reader) (store.Digest, int64, error) {
	r.mu.Lock()
	r.n++
	during := r.during
	r.during = nil
	r.mu.Unlock()
	d, n, err := r.Files.Put(ctx, in)
	if during != nil {
		during()
	}
	return d, n, err
}

func (r *reads) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func newRoom(t testing.TB) *room {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	r := &room{TB: t, ctx: ctx, data: t.TempDir(), dir: filepath.Join(t.TempDir(), "depot"), log: new(lines)}
	r.must(os.Mkdir(r.dir, 0o755))
	s, err := sqlitestore.Open(r.data, sqlitestore.Options{})
	r.must(err)
	f, err := files.Open(filepath.Join(r.data, "files"), files.Options{Reserve: 1})
	r.must(err)
	r.files = &reads{Files: f}
	r.register, err = register.Open(ctx, register.Config{
		Store: s, Files: r.files, Node: noNode{}, WindowsDir: filepath.Join(r.data, "headers"),
		Bodies: []store.Body{{ID: "conseil", Name: "Conseil municipal", ClearDays: 5}},
	})
	r.must(err)
	_, _, err = r.register.AddMeeting(ctx, register.NewMeeting{Date: "2026-12-15", Clock: "18:30"})
	r.must(err)
	t.Cleanup(func() {
		if r.stop != nil {
			r.stop()
		}
		r.register.Close()
		f.Close()
		cancel()
	})
	return r
}

func (r *room) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// watch watches the folder; a sweep of an hour leaves the work to the system's events.
func (r *room) watch(sweep time.Duration) {
	w := New(Config{
		Dir: r.dir, Register: r.register, Settle: 20 * time.Millisecond, Sweep: sweep,
		Memory: filepath.Join(r.data, "watched.json"), Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
		r.stop = nil
	}
}

func (r *room) write(rel, content string) {
	r.Helper()
	path := filepath.Join(r.dir, rel)
	r.must(os.MkdirAll(filepath.Dir(path), 0o755))
	r.must(os.WriteFile(path, []byte(content), 0o644))
}

func (r *room) entries() []store.Entry {
	r.Helper()
	all, err := r.register.Store().Entries(r.ctx, store.EntryQuery{})
	r.must(err)
	return all
}

func (r *room) await(what string, cond func() bool) {
	r.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			r.log.mu.Lock()
			defer r.log.mu.Unlock()
			r.Fatalf("waited in vain: %s\n%v\n%s", what, r.register.Warnings().List(), r.log.text.String())
		}
	}
}

func (r *room) awaitEntries(n int) []store.Entry {
	r.Helper()
	r.await(fmt.Sprintf("%d entries", n), func() bool { return len(r.entries()) == n })
	return r.entries()
}

// warning returns the text of the warning about a path, "" if there is none.
func (r *room) warning(rel string) string {
	for _, w := range r.register.Warnings().List() {
		if w.Kind == warnWatch && w.Subject == filepath.Join(r.dir, rel) {
			return w.Text
		}
	}
	return ""
}

func (r *room) awaitWarning(rel, text string) {
	r.Helper()
	r.await("warning about "+rel+": "+text, func() bool { return strings.Contains(r.warning(rel), text) })
}

func TestFilesAreTakenOnceTheyHaveSettled(t *testing.T) {
	for _, c := range []struct {
		name  string
		sweep time.Duration
		mute  bool
	}{{"by events", time.Hour, false}, {"by sweeps", 30 * time.Millisecond, true}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t)
			r.write("2026-12-15/convocation/before.pdf", "%PDF-1.7 before")
			r.watch(c.sweep)
			r.awaitEntries(1)
			r.write("2026-12-15/Procès-verbaux/pv.pdf", "%PDF-1.7 minutes")
			r.write("2026-12-15/ORDRE DU JOUR/odj.odt", "agenda")
			all := r.awaitEntries(3)
			for _, e := range all {
				if e.Meeting != "2026-12-15" || e.Published {
					t.Errorf("%+v", e)
				}
			}
			kinds := fmt.Sprint(all[0].Kind, all[1].Kind, all[2].Kind)
			if !strings.Contains(kinds, "minutes") || !strings.Contains(kinds, "agenda") {
				t.Error(kinds)
			}
			// A new version replaces the first one.
			r.write("2026-12-15/Procès-verbaux/pv.pdf", "%PDF-1.7 minutes, corrected")
			if all = r.awaitEntries(4); all[3].Replaces == 0 {
				t.Errorf("%+v", all[3])
			}
			if n := len(r.register.Warnings().List()); n != 0 {
				t.Error(r.register.Warnings().List())
			}
		})
	}
}

func TestAFileThatKeepsChangingIsNotTaken(t *testing.T) {
	r := newRoom(t)
	r.watch(5 * time.Millisecond)
	r.write("2026-12-15/annexe/grows.txt", "0")
	f, err := os.OpenFile(filepath.Join(r.dir, "2026-12-15/annexe/grows.txt"), os.O_APPEND|os.O_WRONLY, 0)
	r.must(err)
	defer f.Close()
	begin := time.Now()
	var longest time.Duration // between two writes
	for before := begin; time.Since(begin) < 300*time.Millisecond; {
		_, err := fmt.Fprintln(f, before)
		r.must(err)
		longest, before = max(longest, time.Since(before)), time.Now()
		if longest >= 15*time.Millisecond {
			t.Skipf("this machine kept the writer waiting for %v, nearly as long as the settling time", longest)
		}
		if len(r.entries()) != 0 {
			t.Fatalf("taken after %v, when no two writes were more than %v apart", time.Since(begin), longest)
		}
	}
	all := r.awaitEntries(1)
	info, err := f.Stat()
	r.must(err)
	if all[0].Size != info.Size() {
		t.Errorf("taken with %d of %d bytes", all[0].Size, info.Size())
	}
}

func TestAFileThatChangesWhileItIsReadIsNotTaken(t *testing.T) {
	for name, change := range map[string]func(r *room, path string) error{
		"written in place": func(r *room, path string) error { return os.WriteFile(path, []byte("later"), 0o644) },
		"same size and time": func(r *room, path string) error {
			info, err := os.Stat(path)
			if err == nil {
				err = os.WriteFile(path, []byte("after!"), 0o644)
			}
			if err == nil {
				err = os.Chtimes(path, info.ModTime(), info.ModTime())
			}
			return err
		},
		"another file in its place": func(r *room, path string) error {
			err := os.WriteFile(path+".tmp", []byte("after!"), 0o644)
			if err == nil {
				err = os.Rename(path+".tmp", path)
			}
			return err
		},
		"removed": func(r *room, path string) error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			r.write("2026-12-15/act/a.txt", "before")
			path := filepath.Join(r.dir, "2026-12-15/act/a.txt")
			changed := make(chan error, 1)
			r.files.during = func() { changed <- change(r, path) }
			r.watch(30 * time.Millisecond)
			r.must(<-changed)
			if name == "removed" {
				r.await("the change is told", func() bool { return r.log.count("changed while it was read") == 1 })
			} else {
				r.awaitEntries(1)
			}
			for _, e := range r.entries() {
				file, err := r.files.Open(e.Digest)
				r.must(err)
				content := make([]byte, e.Size)
				_, err = file.Read(content)
				r.must(err)
				file.Close()
				if string(content) == "before" {
					t.Error("the bytes from before the change were taken")
				}
			}
		})
	}
}

func TestWhatCannotBeTakenIsToldOnce(t *testing.T) {
	r := newRoom(t)
	r.write("loose.pdf", "x")
	r.write("2026-12-15/loose.pdf", "x")
	r.write("2026-12-15/unknown/a.pdf", "x")
	r.write("2026-12-15/act/sub/a.pdf", "x")
	r.write("2026-12-15/act/empty.pdf", "")
	r.write("2026-12-15/act/a\tb.pdf", "x")
	r.write("2026-12-16/act/a.pdf", "x")
	r.write("2026-12-16/act/b.pdf", "x")
	r.must(os.Symlink("/etc/passwd", filepath.Join(r.dir, "2026-12-15/act/link.pdf")))
	for _, ignored := range []string{".~lock.a.odt#", "~$a.docx", "a.pdf.part", "Thumbs.db", ".DS_Store", "a.odt~", "a.crdownload"} {
		r.write("2026-12-15/act/"+ignored, "x")
	}
	r.watch(10 * time.Millisecond)
	for path, text := range map[string]string{
		"loose.pdf":                "MEETING/KIND",
		"2026-12-15":               "loose.pdf is directly in the folder",
		"2026-12-15/unknown":       "is not a kind",
		"2026-12-15/act/sub":       "folder in the folder",
		"2026-12-15/act/empty.pdf": "is empty",
		"2026-12-15/act/a\\tb.pdf": "U+0009",
		"2026-12-16":               "2 files wait: there is no meeting",
		"2026-12-15/act/link.pdf":  "symbolic link",
	} {
		r.awaitWarning(path, text)
	}
	list := r.register.Warnings().List()
	if len(list) != 8 {
		t.Errorf("%d warnings: %v", len(list), list)
	}
	n := r.files.count()
	again := r.log.count("cannot be taken")
	r.write("2026-12-15/act/good.pdf", "%PDF-1.4")
	r.awaitEntries(1)
	if got := r.log.count("cannot be taken"); got != again || got != 8 {
		t.Errorf("%d lines in the log for 8 warnings, then %d", again, got)
	}
	if got := r.files.count(); got != n+1 {
		t.Errorf("files that were refused were read again: %d, then %d", n, got)
	}

	// Each is over when its cause is.
	_, _, err := r.register.AddMeeting(r.ctx, register.NewMeeting{Date: "2026-12-16"})
	r.must(err)
	r.awaitEntries(2) // both files have the same bytes: one document
	r.must(os.Remove(filepath.Join(r.dir, "loose.pdf")))
	r.must(os.RemoveAll(filepath.Join(r.dir, "2026-12-15")))
	r.await("no warnings", func() bool { return len(r.register.Warnings().List()) == 0 })
	r.await("the removal is told", func() bool { return r.log.count("its document stays in the register") == 1 })
	if len(r.entries()) != 2 {
		t.Error("the removal of a file changed the register")
	}
}

func TestARestartReadsNothingAgain(t *testing.T) {
	r := newRoom(t)
	for i := range 20 {
		r.write(fmt.Sprintf("2026-12-15/act/%d.txt", i), fmt.Sprint("act ", i))
	}
	r.watch(time.Hour)
	r.awaitEntries(20)
	r.stop()
	n := r.files.count()
	r.write("2026-12-15/act/3.txt", "act 3, corrected while nobody watched")
	r.watch(time.Hour)
	r.awaitEntries(21)
	// One more may have been in the middle of being taken when the watcher stopped.
	if got := r.files.count(); got < n+1 || got > n+2 {
		t.Errorf("read %d files after the restart, want 1", got-n)
	}
	// A memory that is damaged costs reading, and nothing else.
	r.stop()
	r.must(os.WriteFile(filepath.Join(r.data, "watched.json"), []byte("{"), 0o600))
	r.watch(time.Hour)
	r.await("all are read again", func() bool { return r.files.count() >= n+1+20 })
	if len(r.entries()) != 21 {
		t.Errorf("%d entries", len(r.entries()))
	}
}

func TestAFolderThatIsAwayIsToldAndAwaited(t *testing.T) {
	r := newRoom(t)
	r.write("2026-12-15/act/a.txt", "a")
	r.watch(10 * time.Millisecond)
	r.awaitEntries(1)
	r.must(os.Rename(r.dir, r.dir+".away"))
	r.awaitWarning("", "cannot be read")
	r.must(os.Rename(r.dir+".away", r.dir))
	r.write("2026-12-15/act/b.txt", "b")
	r.awaitEntries(2)
	r.await("no warnings", func() bool { return len(r.register.Warnings().List()) == 0 })
	if r.log.count("was removed") != 0 {
		t.Error("files of a folder that was away were taken for removed")
	}
}

func TestAFullDiskIsTriedAgain(t *testing.T) {
	r := newRoom(t)
	var mu sync.Mutex
	full := true
	r.files.Files = refusing{r.files.Files, func() error {
		mu.Lock()
		defer mu.Unlock()
		if full {
			return store.ErrFull
		}
		return nil
	}}
	r.write("2026-12-15/act/a.txt", "a")
	r.watch(30 * time.Millisecond)
	r.awaitWarning("2026-12-15/act/a.txt", "tried again")
	mu.Lock()
	full = false
	mu.Unlock()
	r.awaitEntries(1)
	r.await("no warnings", func() bool { return len(r.register.Warnings().List()) == 0 })
}

// refusing is Files that may refuse documents.
type refusing struct {
	register.Files
	err func() error
}

func (f refusing) Put(ctx context.Context, in io.Reader) (store.Digest, int64, error) {
	if err := f.err(); err != nil {
		return store.Digest{}, 0, errors.Join(err)
	}
	return f.Files.Put(ctx, in)
}
