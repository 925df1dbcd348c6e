package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ancre/internal/atomicfile"
	"ancre/register"
	"ancre/register/store"
)

// errChanged says that a file changed while it was read.
var errChanged = errors.New("the file changed while it was read")

// take reads a file that has settled, and adds it to the register.
func (s *meetingScan) take(ctx context.Context, dir *atomicfile.Dir, kind store.Kind, rel, name string, f *file) {
	opened, info, err := dir.Open(name)
	if err != nil {
		if errors.Is(err, atomicfile.ErrChanged) || errors.Is(err, os.ErrNotExist) {
			f.since = time.Now()
			return
		}
		s.refuse(f, fmt.Sprintf("cannot be read: %v; give the user of ancre-register access to it", atomicfile.Denied(err)), false)
		return
	}
	defer opened.Close()
	if atomicfile.Identify(info) != f.identity {
		f.since = time.Now()
		return
	}
	counted := &counter{r: opened}
	added, err := s.register.Add(ctx, register.AddRequest{
		Reader: counted, FileName: name, Meeting: s.meeting, Kind: kind,
		Confirm: func(store.Digest) error { return s.unchanged(dir, name, opened, f, counted.n) },
	})
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errChanged):
		f.since = time.Now()
		s.log.Info("a file changed while it was read: it is taken when it has settled", "path", s.shown(rel))
	case errors.Is(err, store.ErrInvalid):
		s.refuse(f, err.Error(), true)
	case err != nil:
		s.refuse(f, fmt.Sprintf("could not be taken, and is tried again: %v", err), false)
	default:
		f.done, f.digest, f.refusal = true, added.Entry.Digest, ""
		s.memory.changed = true
		s.tell(rel, added)
	}
}

// refuse remembers why a file is not taken. If final is true, the file is left alone until it
// changes; otherwise the next sweep tries again.
func (s *meetingScan) refuse(f *file, why string, final bool) {
	f.refusal, f.done = why, final
	if !final {
		f.since = time.Now().Add(s.sweep - s.settle)
	}
}

// unchanged returns errChanged unless the file is the one that was seen, and was read whole.
func (s *meetingScan) unchanged(dir *atomicfile.Dir, name string, opened *os.File, f *file, read int64) error {
	byHandle, err := opened.Stat()
	if err != nil {
		return err
	}
	byName, err := dir.Lstat(name)
	if err != nil || read != f.identity.Size || atomicfile.Identify(byHandle) != f.identity || atomicfile.Identify(byName) != f.identity {
		return errChanged
	}
	return nil
}

// tell logs what became of a file.
func (s *meetingScan) tell(rel string, added register.Added) {
	e := added.Entry
	if !added.New && (e.FileName != baseOf(rel) || e.ReplacedBy != 0) {
		s.log.Info("a file of the watched folder was in the register before", "path", s.shown(rel), "digest", e.Digest, "entry", e.ID, "kind", e.Kind)
	}
	for _, note := range added.Notes {
		s.log.Info("note on a file of the watched folder", "path", s.shown(rel), "note", note)
	}
}

// counter counts the bytes that were read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
