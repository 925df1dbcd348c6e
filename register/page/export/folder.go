package export

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"ancre/internal/printable"
)

// Sums is the name of the list of all files of an export with their SHA-256, as "sha256sum" writes
// and reads it. It is the last file that is written.
const Sums = "SHA256SUMS"

// unfinished lists the files of an export that has not ended. If that never happens, the next
// export knows them as its own.
const unfinished = "SHA256SUMS.unfinished"

// Report is what an export did.
type Report struct {
	Files   int   // all that the export has now
	Written int   // those of them that are new or have changed
	Removed int   // those of the earlier export that this one does not have
	Bytes   int64 // of all files
}

// Folder is a directory that holds an export. It is brought up to date in place: a file that is the
// same as before is left alone, with its date; one that has changed is replaced in one step, so
// that a web server that serves the directory meanwhile sends the old one or the new one.
//
// A Folder removes only what an earlier export has written, and follows no link out of the
// directory.
type Folder struct {
	root    *os.Root
	earlier map[string]bool // names that an earlier export has written
	sums    map[string][sha256.Size]byte
	journal *os.File // what this export has written so far
	buf     []byte   // what is copied
	old     []byte   // what it is compared with
	report  Report
}

// bufSize is how much of a file is compared and written at a time.
const bufSize = 64 << 10

// OpenFolder opens a directory for an export, and makes it if it does not exist. It refuses a
// directory that holds other files than those of an earlier export.
func OpenFolder(dir string) (_ *Folder, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the export: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory of the export: %w", err)
	}
	f := &Folder{root: root, earlier: map[string]bool{}, sums: map[string][sha256.Size]byte{}, buf: make([]byte, bufSize), old: make([]byte, bufSize)}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := f.lookAround(dir); err != nil {
		return nil, err
	}
	f.journal, err = root.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("begin the export in %s: %w", dir, err)
	}
	return f, nil
}

// lookAround reads what earlier exports have written here.
func (f *Folder) lookAround(dir string) error {
	ours := false
	for _, list := range []string{Sums, unfinished} {
		data, err := f.root.ReadFile(list)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read what an earlier export wrote: %w", err)
		}
		ours = true
		if err := f.readList(data, list == unfinished); err != nil {
			return fmt.Errorf("%s in %s is no list of an export: %w; remove it, or export to another directory", list, dir, err)
		}
	}
	if ours {
		return nil
	}
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty and holds no earlier export (it has %s, and no %s): name an empty directory or a new one",
			dir, printable.Name(entries[0].Name()), Sums)
	}
	return nil
}

// readList reads a list of files. The last line of an unfinished one may be cut off.
func (f *Folder) readList(data []byte, cut bool) error {
	if cut {
		data = data[:bytes.LastIndexByte(data, '\n')+1]
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("a line of it is %s", printable.Name(lines.Text()))
		}
		if err := checkName(name); err != nil {
			return err
		}
		f.earlier[name] = true
	}
	return lines.Err()
}

// checkName refuses names that could leave the directory, on any system, or that sha256sum would
// read as something else.
func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." || name == Sums || name == unfinished || strings.ContainsAny(name, "\\:*?\"<>|") ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%s is no name of a file of an export", printable.Name(name))
	}
	return nil
}

// Put writes a file of the export, unless it is there already with the same content.
func (f *Folder) Put(name string, body io.Reader) (err error) {
	if err := checkName(name); err != nil {
		return err
	}
	if _, twice := f.sums[name]; twice {
		return fmt.Errorf("the export has two files named %s", name)
	}
	w, err := f.begin(name)
	if err != nil {
		return err
	}
	defer w.discard()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, body, f.buf)
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	f.sums[name] = [sha256.Size]byte(w.hash.Sum(nil))
	if w.changed {
		f.report.Written++
		if _, err := fmt.Fprintf(f.journal, "%x  %s\n", f.sums[name], name); err != nil {
			return fmt.Errorf("write %s: %w", unfinished, err)
		}
		if err := w.rename(); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	f.report.Files++
	f.report.Bytes += n
	return nil
}

// Finish removes what the earlier export had and this one has not, writes the list of all files,
// and says what was done. An export that is not finished leaves everything that it has written.
func (f *Folder) Finish() (Report, error) {
	for _, name := range slices.Sorted(keysOf(f.earlier)) {
		if _, still := f.sums[name]; still {
			continue
		}
		if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f.report, fmt.Errorf("remove %s, which is of the earlier export: %w", name, err)
		}
		f.report.Removed++
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if f.root.Remove(dir) != nil { // it has other files
				break
			}
		}
	}
	var list bytes.Buffer
	for _, name := range slices.Sorted(keysOf(f.sums)) {
		fmt.Fprintf(&list, "%x  %s\n", f.sums[name], name)
	}
	if err := syncAll(f.journal); err != nil { // before the list says that all is there
		return f.report, fmt.Errorf("bring the export to the disk: %w", err)
	}
	w, err := f.begin(Sums)
	if err != nil {
		return f.report, err
	}
	defer w.discard()
	if _, err := w.Write(list.Bytes()); err != nil {
		return f.report, fmt.Errorf("write %s: %w", Sums, err)
	}
	if err := w.finish(); err != nil {
		return f.report, fmt.Errorf("write %s: %w", Sums, err)
	}
	if w.changed {
		if err := w.rename(); err != nil {
			return f.report, fmt.Errorf("write %s: %w", Sums, err)
		}
	}
	err = errors.Join(f.journal.Close(), f.root.Remove(unfinished))
	f.journal = nil
	return f.report, err
}

// Close releases the directory.
func (f *Folder) Close() error {
	var err error
	if f.journal != nil {
		err = f.journal.Close()
	}
	return errors.Join(err, f.root.Close())
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// update is a file that is being written. As long as its content is that of the file that is there,
// it only compares.
type update struct {
	root    *os.Root
	name    string
	old     *os.File // what is there; nil: nothing, or it differs
	same    int64    // how many bytes were the same
	new     *os.File // nil while all is the same
	temp    string
	changed bool
	hash    hash.Hash
	buf     []byte // for parts of old
}

const tempSuffix = ".ancre-export"

func (f *Folder) begin(name string) (*update, error) {
	w := &update{root: f.root, name: name, temp: name + tempSuffix, hash: sha256.New(), buf: f.old}
	info, err := f.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir := path.Dir(name); dir != "." {
			if err := f.root.MkdirAll(dir, 0o755); err != nil {
				return nil, fmt.Errorf("make the directory of %s: %w", name, err)
			}
		}
		return w, nil
	case err != nil:
		return nil, fmt.Errorf("look at %s: %w", name, err)
	case !info.Mode().IsRegular(): // it is replaced, or that fails: a directory stays
		return w, nil
	}
	if w.old, err = f.root.Open(name); err != nil {
		w.old = nil // unreadable: it is replaced
	}
	return w, nil
}

// Write compares with the old file, and writes a new one from the first difference on.
func (w *update) Write(p []byte) (int, error) {
	w.hash.Write(p)
	if w.new == nil && w.old != nil {
		if w.isSame(p) {
			w.same += int64(len(p))
			return len(p), nil
		}
	}
	if err := w.diverge(); err != nil {
		return 0, err
	}
	return w.new.Write(p)
}

// isSame reports whether the old file goes on with p.
func (w *update) isSame(p []byte) bool {
	for piece := range slices.Chunk(p, len(w.buf)) {
		old := w.buf[:len(piece)]
		if _, err := io.ReadFull(w.old, old); err != nil || !bytes.Equal(old, piece) {
			return false
		}
	}
	return true
}

// diverge begins the new file with what was the same.
func (w *update) diverge() (err error) {
	if w.new != nil {
		return nil
	}
	w.changed = true
	if err := w.root.Remove(w.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if w.new, err = w.root.OpenFile(w.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return err
	}
	if w.same > 0 {
		_, err = io.Copy(w.new, io.NewSectionReader(w.old, 0, w.same))
	}
	return err
}

// finish ends the content. A file that is there and goes on is replaced too.
func (w *update) finish() error {
	if w.new == nil {
		if w.old != nil {
			var one [1]byte
			if n, err := w.old.Read(one[:]); n == 0 && err == io.EOF {
				return nil
			}
		}
		if err := w.diverge(); err != nil {
			return err
		}
	}
	err := w.new.Close()
	w.new = nil
	return err
}

func (w *update) rename() error {
	temp := w.temp
	w.temp = ""
	if err := w.root.Rename(temp, w.name); err != nil {
		return errors.Join(err, w.root.Remove(temp))
	}
	return nil
}

// discard removes a file that did not get its name.
func (w *update) discard() {
	if w.old != nil {
		w.old.Close()
	}
	if w.new != nil {
		w.new.Close()
	}
	if w.changed && w.temp != "" {
		_ = w.root.Remove(w.temp) // it may not be there
	}
}
