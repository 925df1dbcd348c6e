package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/register"
	"ancre/register/store"
)

// file is a file of the folder, as it was seen last.
type file struct {
	identity identity
	since    time.Time    // when it was seen like that for the first time
	done     bool         // it was taken like that, or refused
	digest   store.Digest // if it was taken
	refusal  string       // if it was refused: why
}

// scanAll looks at the whole folder. It returns the meetings that must be looked at again, and
// when.
func (w *Watcher) scanAll(ctx context.Context) map[string]time.Time {
	again := make(map[string]time.Time)
	root, err := atomicfile.OpenDir(w.dir)
	var entries []fs.DirEntry
	if err == nil {
		defer root.Close()
		entries, err = root.ReadDir()
	}
	if err != nil {
		// Perhaps a disk that is not mounted: nothing was removed.
		w.lost = true
		w.setWarnings("", map[string]string{w.dir: fmt.Sprintf("the watched folder cannot be read: %v; make it, or change watch.dir", atomicfile.Denied(err))})
		return again
	}
	w.lost = false
	w.watchDir("")
	warnings := make(map[string]string)
	seen := make(map[string]bool)
	for _, e := range entries {
		name := e.Name()
		switch {
		case isIgnored(name):
		case e.IsDir():
			seen[name] = true
			if at := w.scanMeeting(ctx, name); !at.IsZero() {
				again[name] = at
			}
		default:
			warnings[w.shown(name)] = "is not in a folder of a meeting: move it to MEETING/KIND/, such as 2026-12-15/convocation/"
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	w.setWarnings("", warnings)
	for meeting := range w.warnings {
		if meeting != "" && !seen[meeting] {
			w.setWarnings(meeting, nil)
		}
	}
	w.forget(func(rel string) bool { return !seen[meetingOf(rel)] })
	w.memory.whole = true
	return again
}

// shown returns a path as warnings name it.
func (w *Watcher) shown(rel string) string {
	return printable.Line(printable.Name(filepath.Join(w.dir, filepath.FromSlash(rel))))
}

func meetingOf(rel string) string {
	meeting, _, _ := strings.Cut(rel, "/")
	return meeting
}

// forget drops files that are gone, and tells of those that were taken.
func (w *Watcher) forget(gone func(rel string) bool) {
	for rel, f := range w.files {
		if !gone(rel) {
			continue
		}
		delete(w.files, rel)
		if f.done && f.refusal == "" {
			w.log.Info("a file was removed from the watched folder: its document stays in the register", "path", w.shown(rel), "digest", f.digest)
		}
	}
}

// meetingScan is one look at the folder of a meeting.
type meetingScan struct {
	*Watcher
	meeting  string // the name of the folder, and the ID of the meeting
	warnings map[string]string
	seen     map[string]bool // the files that are there
	again    time.Time       // when to look again; zero: when something changes
}

// scanMeeting looks at the folder of a meeting, and takes what has settled. It returns when to look
// again, or zero.
func (w *Watcher) scanMeeting(ctx context.Context, name string) time.Time {
	s := &meetingScan{Watcher: w, meeting: name, warnings: make(map[string]string), seen: make(map[string]bool)}
	err := s.scan(ctx)
	if ctx.Err() != nil || w.lost {
		return time.Time{}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // the sweep finds out whether it is gone
		return time.Time{}
	case err != nil:
		s.warnings[w.shown(name)] = fmt.Sprintf("cannot be read: %v", atomicfile.Denied(err))
	default:
		w.forget(func(rel string) bool { return meetingOf(rel) == name && !s.seen[rel] })
	}
	w.setWarnings(name, s.warnings)
	return s.again
}

func (s *meetingScan) scan(ctx context.Context) error {
	root, err := atomicfile.OpenDir(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := root.OpenDir(s.meeting)
	if err != nil {
		return err
	}
	defer dir.Close()
	s.watchDir(s.meeting)
	kinds, err := dir.ReadDir()
	if err != nil {
		return err
	}
	if _, err := s.register.Meeting(ctx, s.meeting); err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if n := countFiles(dir, kinds); n > 0 {
			s.warnings[s.shown(s.meeting)] = fmt.Sprintf("%s: there is no meeting %q: add it with `ancre-register meeting add DATE`, or rename the folder",
				humanize.Plural(n, "file waits", "files wait"), printable.Line(s.meeting))
		}
		s.keepSeen()
		return nil
	}
	var loose []string
	for _, k := range kinds {
		switch name := k.Name(); {
		case isIgnored(name):
		case k.IsDir():
			if err := s.scanKind(ctx, dir, name); err != nil {
				s.warnings[s.shown(path.Join(s.meeting, name))] = fmt.Sprintf("cannot be read: %v", atomicfile.Denied(err))
			}
		default:
			loose = append(loose, printable.Line(printable.Name(name)))
		}
	}
	if len(loose) > 0 {
		s.warnings[s.shown(s.meeting)] = fmt.Sprintf("%s directly in the folder of the meeting: move each into a folder that is named by its kind, such as %s/convocation",
			humanize.Few(loose)+isOrAre(len(loose)), printable.Line(s.meeting))
	}
	return nil
}

func isOrAre(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

// countFiles counts the files in the folders of kinds.
func countFiles(dir *atomicfile.Dir, kinds []fs.DirEntry) (n int) {
	for _, k := range kinds {
		if !k.IsDir() {
			if !isIgnored(k.Name()) {
				n++
			}
			continue
		}
		sub, err := dir.OpenDir(k.Name())
		if err != nil {
			continue
		}
		entries, _ := sub.ReadDir()
		sub.Close()
		for _, e := range entries {
			if !isIgnored(e.Name()) {
				n++
			}
		}
	}
	return n
}

// keepSeen keeps what is known of all files of the meeting: they were not removed.
func (s *meetingScan) keepSeen() {
	for rel := range s.files {
		if meetingOf(rel) == s.meeting {
			s.seen[rel] = true
		}
	}
}

// scanKind looks at the folder of a kind.
func (s *meetingScan) scanKind(ctx context.Context, meeting *atomicfile.Dir, name string) error {
	rel := path.Join(s.meeting, name)
	dir, err := meeting.OpenDir(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := dir.ReadDir()
	if err != nil {
		return err
	}
	kind, err := register.ParseKind(name)
	if err != nil {
		if len(entries) > 0 {
			s.warnings[s.shown(rel)] = err.Error()
		}
		return nil
	}
	s.watchDir(rel)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if isIgnored(e.Name()) {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.look(ctx, dir, kind, path.Join(rel, e.Name()), e.Name())
	}
	return nil
}

// look looks at one file, and takes it if it has settled.
func (s *meetingScan) look(ctx context.Context, dir *atomicfile.Dir, kind store.Kind, rel, name string) {
	info, err := dir.Lstat(name)
	if err != nil {
		return // it is gone, or will be looked at again
	}
	s.seen[rel] = true
	if !info.Mode().IsRegular() {
		s.warnings[s.shown(rel)] = refusalOfKind(info)
		return
	}
	now, id := time.Now(), atomicfile.Identify(info)
	f := s.files[rel]
	if f == nil || f.identity != id {
		f = &file{identity: id, since: now}
		s.files[rel] = f
	}
	if !f.done {
		f.done, f.digest = s.remembers(ctx, rel, id)
	}
	if !f.done && now.Sub(f.since) >= s.settle {
		s.take(ctx, dir, kind, rel, name, f)
	}
	if f.refusal != "" {
		s.warnings[s.shown(rel)] = f.refusal
	}
	if !f.done {
		s.lookAgain(f.since.Add(s.settle))
	}
}

// remembers reports whether a file was taken before the last restart, and is in the register.
func (s *meetingScan) remembers(ctx context.Context, rel string, id identity) (bool, store.Digest) {
	d, ok := s.memory.find(rel, id)
	if !ok {
		return false, d
	}
	n, err := s.register.Store().CountEntries(ctx, store.EntryQuery{Meeting: &s.meeting, Digest: &d})
	return err == nil && n > 0, d
}

func refusalOfKind(info fs.FileInfo) string {
	switch {
	case info.IsDir():
		return "is a folder in the folder of a kind, and is not read: move its files one up"
	case info.Mode().Type() == fs.ModeSymlink:
		return "is a symbolic link, and is not followed: put the file itself there"
	}
	return "is no regular file: put a file there"
}

// lookAgain makes the scan look at the meeting again at that time, or earlier.
func (s *meetingScan) lookAgain(at time.Time) {
	if soon := time.Now().Add(minLook); at.Before(soon) {
		at = soon
	}
	if s.again.IsZero() || at.Before(s.again) {
		s.again = at
	}
}

// minLook keeps the watcher from looking at the same meeting without a pause.
const minLook = 10 * time.Millisecond
