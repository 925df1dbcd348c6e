package pebblestore

import (
	"fmt"
	"time"
)

// quiet decides when what is in Pebble's log goes to a table. A damaged table is always seen, a
// damaged log only by the witness, and what a log has lost is lost: so nothing stays in the log
// alone for long. Each flush costs five syncs, and eight of them a compaction, which writes the
// tables again that hold the keys that change all the time: up to 20 MB after a year. So flushes
// are rare, however the writes come:
//
//   - After a batch was sealed, an anchor stored or a file of the index listed: when no more of
//     these came for sealedPause.
//   - When nothing was written for idlePause.
//   - When the log is as old as oldLog.
type quiet struct {
	sealedPause, sealedEvery time.Duration // after each of these; and so long after the last flush
	idlePause, idleEvery     time.Duration // likewise
	oldLog                   time.Duration

	since   time.Time // of the first write that is in no table; zero: there is none
	last    time.Time // of the last write
	sealed  time.Time // of the last write that seals, pays or lists; zero: there is none in the log
	flushed time.Time // when that was last tried
}

// defaultQuiet: an anchor follows the seal of its batch within a second. One that is idle writes
// how far it followed the chain with each block: six flushes an hour, and with a digest a minute
// 30.
var defaultQuiet = quiet{
	sealedPause: time.Second, sealedEvery: 10 * time.Second,
	idlePause: 10 * time.Second, idleEvery: 2 * time.Minute,
	oldLog: 10 * time.Minute,
}

// wrote takes note of a write.
func (q *quiet) wrote(now time.Time, soon bool) {
	if q.since.IsZero() {
		q.since = now
	}
	q.last = now
	if soon {
		q.sealed = now
	}
}

// empty takes note that all that was written is on its way to a table.
func (q *quiet) empty() { q.since, q.sealed = time.Time{}, time.Time{} }

// due returns when the log is to be flushed if nothing more is written; zero: it holds nothing.
func (q *quiet) due() time.Time {
	if q.since.IsZero() {
		return time.Time{}
	}
	due := later(q.last.Add(q.idlePause), q.flushed.Add(q.idleEvery))
	if old := q.since.Add(q.oldLog); old.Before(due) {
		due = old
	}
	if !q.sealed.IsZero() {
		if sealed := later(q.sealed.Add(q.sealedPause), q.flushed.Add(q.sealedEvery)); sealed.Before(due) {
			due = sealed
		}
	}
	return later(due, q.flushed.Add(q.sealedEvery))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// flushSpace is how much of the disk has to be free for a flush that is not needed to go on: on a
// disk that is fuller, the writes stay in the log, where they are safe from everything but damage.
const flushSpace = DefaultReserve / 8

// flushLog brings what is in the log into a table, in the background. Only the committer calls it,
// and Close after it has ended. flushed is nil when there is nothing to wait for.
func (s *Store) flushLog() (flushed <-chan struct{}) {
	if s.quiet.since.IsZero() || s.wedged.Load() || s.fs.Failure() != nil {
		return nil
	}
	s.quiet.flushed = time.Now()
	if s.checkSpace(0, min(flushSpace, s.reserve/4)) != nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil { // as in write
			s.wedged.Store(true)
			s.fs.Fail(fmt.Errorf("flush: %v", p))
			flushed = nil
		}
	}()
	err := s.witness.sync()
	if err == nil {
		flushed, err = s.db.AsyncFlush()
	}
	if err != nil {
		s.fs.Fail(fmt.Errorf("flush: %w", err))
		return nil
	}
	s.quiet.empty()
	return flushed
}

// flushAll waits until nothing is in the log that no table has, or cannot be. Close calls it when
// nothing is written any more.
func (s *Store) flushAll() {
	flushed := s.flushLog()
	if flushed == nil {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond) // to see that the disk is full
	defer tick.Stop()
	for !s.fs.Full() {
		select {
		case <-flushed:
			return
		case <-s.fs.Failed():
			return
		case <-tick.C:
		}
	}
}
