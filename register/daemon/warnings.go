package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"ancre/internal/diskspace"
	"ancre/internal/humanize"
	"ancre/internal/warning"
	"ancre/register"
	"ancre/register/control"
	"ancre/register/files"
	"ancre/register/store"
)

const (
	// waitingLong is from when on a digest that waits for the node is a warning.
	waitingLong = time.Hour

	// lowDisk and enoughDisk are how many times the reserve of free space is little, and is enough
	// again.
	lowDisk, enoughDisk = 8, 10

	// backupWait is how old the last backup may be while documents are in no backup.
	backupWait = 7 * 24 * time.Hour

	// warnEvery is how often the register looks for warnings.
	warnEvery = 15 * time.Second
)

// kindOf maps the kinds of the register's own warnings to the table.
var kindOf = map[string]*warning.Kind{
	"node": warning.RegisterNode, "node_warns": warning.RegisterPending, "send": warning.RegisterSend, "refused": warning.RegisterSend,
	"proof": warning.RegisterProof, "store": warning.RegisterStore, "watch": warning.RegisterWatch,
}

// notice is a warning with what the status shows of it.
type notice struct {
	warning.Warning
	subject string
	since   time.Time
}

// looks is what the warnings are decided from.
type looks struct {
	now      time.Time
	status   register.Status
	free     uint64 // on the disk
	freeOK   bool
	backup   *control.BackupReport
	failure  error // of the last nightly backup
	notifier []warning.Warning
}

func (d *daemon) look(ctx context.Context) (looks, error) {
	l := looks{now: time.Now(), backup: d.backups.last(), failure: d.backups.failure(), notifier: d.notifier.Warnings()}
	l.free, l.freeOK = diskspace.Free(d.dir)
	var err error
	l.status, err = d.register.Status(ctx)
	return l, err
}

// warnings decides what an operator is told.
func (d *daemon) warnings(l looks) (all []notice) {
	add := func(kind *warning.Kind, since time.Time, format string, args ...any) {
		all = append(all, notice{Warning: warning.New(kind, format, args...), since: since})
	}
	for _, w := range l.status.Warnings {
		kind := kindOf[w.Kind]
		if kind == nil {
			kind = warning.RegisterStore // a kind of a later version of the room: better told than not
		}
		all = append(all, notice{warning.Warning{Kind: kind, Text: w.Text}, w.Subject, w.Since})
	}
	if oldest := l.status.Counts.OldestWaiting; !oldest.IsZero() && l.now.Sub(oldest) > waitingLong {
		n := l.status.Counts.Proofs[store.Waiting]
		add(warning.RegisterWaiting, oldest, "%s for the node, the oldest for %s: start the node, or mend what it says (\"ancre status\")",
			humanize.Plural(n, "document waits", "documents wait"), humanize.Duration(l.now.Sub(oldest)))
	}
	if l.freeOK && d.diskLevel.Low(float64(l.free), lowDisk*files.DefaultReserve, enoughDisk*files.DefaultReserve) {
		add(warning.RegisterDisk, time.Time{}, "the disk under %s has %d MB left, and the register takes no documents with less than %d MB: free disk space",
			d.dir, l.free>>20, files.DefaultReserve>>20)
	}
	d.backupWarnings(l, add)
	for _, w := range l.notifier {
		text := strings.NewReplacer("ancre.conf", "register.conf", "; \"ancre rpc testnotify\" tries it", "", "ancred", "ancre-register").Replace(w.Text)
		add(warning.RegisterNotify, time.Time{}, "%s", text)
	}
	return all
}

// backupWarnings adds what is to be told of backups. While no document came since the last one,
// that one is good, however old it is.
func (d *daemon) backupWarnings(l looks, add func(*warning.Kind, time.Time, string, ...any)) {
	if l.failure != nil {
		add(warning.RegisterBackupFailed, time.Time{}, "the nightly backup failed: %v", l.failure)
	}
	const remedy = "set backup.dir in register.conf, or run \"ancre-register backup FILE\", and keep the file on another machine"
	entries := l.status.Counts.Entries
	switch b := l.backup; {
	case b == nil && entries > 0 && l.now.Sub(d.firstEntry(l)) > backupWait:
		add(warning.RegisterBackupOld, time.Time{}, "there is no backup of %s: %s", humanize.Plural(entries, "document", "documents"), remedy)
	case b != nil && entries > b.Documents && l.now.Sub(b.Taken) > backupWait:
		add(warning.RegisterBackupOld, time.Time{}, "the last backup is of %s, and does not have %s that came later: %s", humanize.Local(b.Taken),
			humanize.Plural(entries-b.Documents, "document", "documents"), remedy)
	}
}

// firstEntry returns when the first document came; the present until that is known.
func (d *daemon) firstEntry(l looks) time.Time {
	if d.first.IsZero() {
		if e, err := d.register.Store().Entry(context.Background(), 1); err == nil {
			d.first = e.AddedAt
		}
	}
	if d.first.IsZero() {
		return l.now
	}
	return d.first
}

// watchWarnings writes each warning into the log when it begins, and when it is over, and shows
// them to the notifier, until ctx ends. The rooms of the register log theirs themselves.
func (d *daemon) watchWarnings(ctx context.Context) {
	ticker := time.NewTicker(warnEvery)
	defer ticker.Stop()
	var raised []warning.Warning
	for {
		if l, err := d.look(ctx); err == nil {
			var now []warning.Warning
			d.mu.Lock()
			for _, n := range d.warnings(l) {
				now = append(now, n.Warning)
			}
			d.mu.Unlock()
			d.logChanges(raised, now)
			d.notifier.Look(now)
			raised = now
		} else if ctx.Err() == nil {
			d.log.Error("cannot look for warnings", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// logChanges logs which kinds of warnings began, and which are over.
func (d *daemon) logChanges(before, now []warning.Warning) {
	own := func(k *warning.Kind) bool {
		for _, kind := range kindOf {
			if k == kind {
				return false
			}
		}
		return true
	}
	for _, w := range now {
		if own(w.Kind) && !warning.Has(before, w.Kind) {
			d.log.Warn(w.Text, "warning", w.Kind.Name())
		}
	}
	var ended []*warning.Kind
	for _, w := range before {
		if own(w.Kind) && !warning.Has(now, w.Kind) && !slices.Contains(ended, w.Kind) {
			ended = append(ended, w.Kind)
			d.log.Info("a warning is over", "warning", w.Kind.Name())
		}
	}
}

// shown returns warnings as the status shows them.
func shown(all []notice) []control.Warning {
	list := make([]control.Warning, 0, len(all))
	for _, n := range all {
		list = append(list, control.Warning{Name: n.Kind.Name(), Severity: string(n.Kind.Severity()), Subject: n.subject, Text: n.Text, Since: moment(n.since)})
	}
	return list
}
