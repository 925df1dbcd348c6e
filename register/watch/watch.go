// Package watch takes documents out of a folder that people, scanners and other programs write to:
// MEETING/KIND/FILE, such as 2026-12-15/convocation/convocation.pdf.
//
// A file is taken once it has not changed for a while, and only if it did not change while it was
// read. The files stay where they are: who changes one adds a new version to the register, and who
// removes one removes nothing from it. Everything that cannot be taken is told once, as a warning
// that says what to do.
//
// The system tells of changes where it can (inotify). Folders on other machines, and what was
// missed, are found by a sweep.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ancre/internal/atomicfile"
	"ancre/register"

	"github.com/fsnotify/fsnotify"
)

// Config says what to watch.
type Config struct {
	Dir      string // the folder
	Register *register.Register

	Settle time.Duration // how long a file must not have changed; 0: 5 seconds
	Sweep  time.Duration // how often everything is looked at; 0: a minute

	// Memory is a file that remembers which files were taken, so that they are not read again after
	// a restart. It may be deleted at any time. "": nothing is remembered.
	Memory string

	Log *slog.Logger
}

// Watcher watches a folder.
type Watcher struct {
	dir      string
	register *register.Register
	settle   time.Duration
	sweep    time.Duration
	log      *slog.Logger

	// What follows belongs to the goroutine of Run.
	files    map[string]*file             // by path below dir
	warnings map[string]map[string]string // what warns, by meeting folder ("": the whole) and subject
	memory   *memory
	events   *fsnotify.Watcher // nil: the system does not tell of changes
	lost     bool              // the folder could not be read the last time
}

// warnWatch is the kind of the warnings of this package.
const warnWatch = "watch"

// New returns a watcher. It does nothing yet: see [Watcher.Run].
func New(c Config) *Watcher {
	w := &Watcher{
		dir: filepath.Clean(c.Dir), register: c.Register, settle: c.Settle, sweep: c.Sweep, log: c.Log,
		files: make(map[string]*file), warnings: make(map[string]map[string]string), memory: &memory{path: c.Memory},
	}
	if w.settle == 0 {
		w.settle = 5 * time.Second
	}
	if w.sweep == 0 {
		w.sweep = time.Minute
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	return w
}

// Run takes documents until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	if err := w.memory.read(); err != nil {
		w.log.Warn("the memory of the watched folder is not used: all files are read again", "err", err)
	}
	defer w.saveMemory()
	w.watchEvents()
	if w.events != nil {
		defer w.events.Close()
	}
	sweep := time.NewTicker(w.sweep)
	defer sweep.Stop()
	// The meetings that are looked at next, by the names of their folders, and when.
	look := time.NewTimer(0)
	defer look.Stop()
	next := map[string]time.Time{"": {}}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.eventsOf():
			if ok {
				w.addEvent(e, next)
			}
		case err, ok := <-w.errorsOf():
			if ok {
				w.log.Warn("the system lost changes in the watched folder: it is looked through", "err", err)
				next[""] = time.Time{}
			}
		case <-sweep.C:
			next[""] = time.Time{}
			w.saveMemory()
		case <-look.C:
			w.lookAt(ctx, next)
		}
		look.Reset(max(0, time.Until(earliest(next))))
	}
}

// earliest returns when to look next.
func earliest(next map[string]time.Time) time.Time {
	at := time.Now().Add(time.Hour)
	for _, t := range next {
		if t.Before(at) {
			at = t
		}
	}
	return at
}

// lookAt looks at the meetings whose time has come, and enters those that must be looked at again.
func (w *Watcher) lookAt(ctx context.Context, next map[string]time.Time) {
	now := time.Now()
	for meeting, at := range next {
		if at.After(now) {
			continue
		}
		delete(next, meeting)
		if meeting != "" {
			if again := w.scanMeeting(ctx, meeting); !again.IsZero() {
				next[meeting] = again
			}
			continue
		}
		for name, again := range w.scanAll(ctx) {
			next[name] = again
		}
	}
}

// saveMemory keeps which files were taken.
func (w *Watcher) saveMemory() {
	if err := w.memory.save(w.files); err != nil {
		w.log.Warn("the memory of the watched folder cannot be kept: after a restart, all files are read again", "err", err)
	}
}

// watchEvents asks the system to tell of changes.
func (w *Watcher) watchEvents() {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("the system does not tell of changes in the watched folder: it is looked through from time to time", "every", w.sweep, "err", err)
		return
	}
	w.events = events
}

// watchDir asks the system to tell of changes in one folder.
func (w *Watcher) watchDir(rel string) {
	if w.events == nil {
		return
	}
	if err := w.events.Add(filepath.Join(w.dir, rel)); err != nil {
		w.log.Warn("the system does not tell of changes in the watched folder: it is looked through from time to time", "every", w.sweep, "err", err)
		w.events.Close()
		w.events = nil
	}
}

func (w *Watcher) eventsOf() <-chan fsnotify.Event {
	if w.events == nil {
		return nil
	}
	return w.events.Events
}

func (w *Watcher) errorsOf() <-chan error {
	if w.events == nil {
		return nil
	}
	return w.events.Errors
}

// addEvent enters the meeting in whose folder something changed.
func (w *Watcher) addEvent(e fsnotify.Event, next map[string]time.Time) {
	rel, err := filepath.Rel(w.dir, e.Name)
	if err != nil || strings.HasPrefix(rel, "..") {
		return
	}
	meeting, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	if meeting == "." {
		meeting = ""
	}
	if _, waits := next[meeting]; !waits {
		next[meeting] = time.Now().Add(min(w.settle, time.Second)) // what comes together is looked at once
	}
}

// warn makes a warning hold, and logs it if it is news.
func (w *Watcher) warn(subject, text string) {
	if w.register.Warnings().Set(warnWatch, subject, text) {
		w.log.Warn("the watched folder holds something that cannot be taken", "path", subject, "reason", text)
	}
}

// setWarnings replaces the warnings of one meeting folder.
func (w *Watcher) setWarnings(meeting string, now map[string]string) {
	for subject := range w.warnings[meeting] {
		if _, still := now[subject]; !still {
			w.register.Warnings().Clear(warnWatch, subject)
		}
	}
	subjects := slices.Sorted(maps.Keys(now))
	for _, subject := range subjects[min(len(subjects), maxWarnings):] {
		delete(now, subject)
	}
	if len(subjects) > maxWarnings {
		now[w.shown(meeting)] = fmt.Sprintf("%d things in it cannot be taken; the first ones are told one by one", len(subjects))
	}
	for subject, text := range now {
		w.warn(subject, text)
	}
	if len(now) == 0 {
		delete(w.warnings, meeting)
		return
	}
	w.warnings[meeting] = now
}

// maxWarnings is how many warnings one meeting folder may cause.
const maxWarnings = 20

// identity is what a file is compared by.
type identity = atomicfile.Identity
