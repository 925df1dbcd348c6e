package register

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"ancre/internal/printable"
	"ancre/internal/wake"
	"ancre/register/store"
)

// ErrInvalid is wrapped when what was asked for is not allowed.
var ErrInvalid = store.ErrInvalid

// invalid returns an error that wraps ErrInvalid: its text says what is allowed, for a person.
func invalid(format string, args ...any) error { return invalidError{fmt.Errorf(format, args...)} }

type invalidError struct{ error }

func (e invalidError) Unwrap() []error { return []error{e.error, ErrInvalid} }

// AddRequest is one document to take in.
type AddRequest struct {
	Reader   io.Reader // the bytes, read to their end
	FileName string    // without directories
	Meeting  string    // the ID of a meeting; "": of none
	Kind     store.Kind
	Title    string        // may be ""
	Number   string        // may be ""
	Replaces *store.Digest // an entry of the same meeting that this one replaces, whatever its name is
	Publish  bool          // put it on line, and its meeting; see Config.Publish too
	Download bool          // with Publish: offer the file itself. An entry that Config.Publish puts on line is offered

	// Confirm is called when the bytes were read, before the row is written. If it returns an
	// error, Add returns that error, and there is no entry. It may be nil.
	Confirm func(store.Digest) error
}

// Added is what became of a document.
type Added struct {
	Entry store.Entry
	Proof store.Proof

	// New is false if the meeting had an entry with this digest before. Then nothing changed,
	// except that it may have been published now. Title, number and name stay those of the first
	// time.
	New bool

	Replaced *store.Entry // the entry that this one replaces; nil: none

	// Notes are sentences about what a person may not expect, such as that an entry that is on line
	// was replaced by one that is not.
	Notes []string
}

// Add takes a document in. When it returns without an error, the bytes and the row are on disk, and
// the digest is on its way to the node. Adding the same bytes to the same meeting again is no
// error.
func (r *Register) Add(ctx context.Context, a AddRequest) (Added, error) {
	e, err := r.checkAdd(ctx, &a)
	if err != nil {
		return Added{}, err
	}
	input := bufio.NewReaderSize(a.Reader, 64<<10)
	begins, err := peek(input)
	if errors.Is(err, io.EOF) {
		return Added{}, invalid("%s is empty: there is nothing to prove", printable.Line(a.FileName))
	}
	if err != nil {
		return Added{}, fmt.Errorf("read %s: %w", printable.Line(a.FileName), err)
	}
	e.MediaType = mediaType(e.FileName, begins)
	if e.Digest, e.Size, err = r.files.Put(ctx, input); err != nil {
		return Added{}, fmt.Errorf("keep %s: %w", printable.Line(a.FileName), err)
	}
	if a.Confirm != nil {
		if err := a.Confirm(e.Digest); err != nil {
			return Added{}, err
		}
	}
	return r.addEntry(ctx, e, a)
}

// checkAdd returns the entry as far as it is known before the bytes are read.
func (r *Register) checkAdd(ctx context.Context, a *AddRequest) (e store.Entry, err error) {
	e.FileName, e.Title, e.Number, e.AddedAt = a.FileName, strings.TrimSpace(a.Title), strings.TrimSpace(a.Number), r.now()
	if err := store.CheckFileName(e.FileName); err != nil {
		return e, fmt.Errorf("%w: rename the file, or give another name", err)
	}
	if e.Kind, err = ParseKind(string(a.Kind)); err != nil {
		return e, err
	}
	if err := e.Check(); err != nil { // before the bytes are read
		return e, err
	}
	if a.Meeting != "" {
		m, err := r.Meeting(ctx, a.Meeting)
		if err != nil {
			return e, err
		}
		e.Meeting = m.ID
	}
	if a.Replaces != nil {
		earlier, err := r.entryOf(ctx, e.Meeting, *a.Replaces)
		if err != nil {
			return e, err
		}
		e.Replaces = earlier.ID
	}
	e.AddedAt = r.now()
	asItComes := slices.Contains(r.publish, e.Kind)
	if e.Published = a.Publish || asItComes; e.Published {
		e.Download, e.OnlineSince = a.Download || !a.Publish, e.AddedAt
	}
	return e, nil
}

// addEntry writes the row, and publishes what is to be published.
func (r *Register) addEntry(ctx context.Context, e store.Entry, a AddRequest) (Added, error) {
	stored, isNew, err := r.store.AddEntry(ctx, e)
	if err != nil {
		return Added{}, fmt.Errorf("write %s into the register: %w", printable.Line(e.FileName), err)
	}
	wake.Up(r.digestWaits)
	added := Added{Entry: stored, New: isNew}
	if isNew {
		r.log.Info("document added", "entry", stored.ID, "digest", stored.Digest, "meeting", stored.Meeting, "kind", stored.Kind, "size", stored.Size)
	}
	// An entry that was withdrawn is put on line again only if somebody asks.
	if !isNew && a.Publish && (!stored.Published || stored.Download != a.Download) {
		if err := r.store.Publish(ctx, []int64{stored.ID}, a.Download, r.now()); err != nil {
			return added, fmt.Errorf("publish %s: %w", printable.Line(e.FileName), err)
		}
		if added.Entry, err = r.store.Entry(ctx, stored.ID); err != nil {
			return added, err
		}
	}
	if added.Entry.Published {
		if err := r.publishMeeting(ctx, added.Entry.Meeting, &added.Notes); err != nil {
			return added, err
		}
	}
	if added.Proof, err = r.store.Proof(ctx, stored.Digest); err != nil {
		return added, err
	}
	return added, r.describe(ctx, &added)
}

// describe adds what was replaced, and notes.
func (r *Register) describe(ctx context.Context, added *Added) error {
	e := added.Entry
	if e.ReplacedBy != 0 {
		later, err := r.store.Entry(ctx, e.ReplacedBy)
		if err != nil {
			return err
		}
		added.Notes = append(added.Notes, fmt.Sprintf("these bytes were in the register before, and %s replaced them on %s",
			printable.Line(later.FileName), e.ReplacedAt.In(r.zone).Format(dayLayout)))
	}
	if e.Replaces == 0 || !added.New {
		return nil
	}
	earlier, err := r.store.Entry(ctx, e.Replaces)
	if err != nil {
		return err
	}
	added.Replaced = &earlier
	if earlier.Published && !e.Published {
		added.Notes = append(added.Notes, fmt.Sprintf("the document that it replaces is on line, and this one is not: publish it with `ancre-register publish %s`", e.Digest))
	}
	return nil
}

// entryOf returns the entry of a meeting with a digest.
func (r *Register) entryOf(ctx context.Context, meeting string, d store.Digest) (store.Entry, error) {
	found, err := r.store.Entries(ctx, store.EntryQuery{Meeting: &meeting, Digest: &d, Limit: 1})
	if err != nil {
		return store.Entry{}, err
	}
	if len(found) == 0 {
		where := "meeting " + meeting
		if meeting == "" {
			where = "the documents of no meeting"
		}
		return store.Entry{}, fmt.Errorf("%s has no document with the digest %s: %w", where, d, store.ErrNotFound)
	}
	return found[0], nil
}
