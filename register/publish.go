package register

import (
	"context"
	"fmt"
	"time"

	"ancre/register/store"
)

// Selection chooses entries to publish or to withdraw. Fields that are set all hold.
type Selection struct {
	Digest  *store.Digest // in whatever meeting, unless Meeting is set
	Meeting *string       // a pointer to "": of no meeting
	Kind    store.Kind
}

// Published is what was put on line, or taken off.
type Published struct {
	Entries []store.Entry // all that were chosen, as they are now
	Changed int           // how many of them changed
	Notes   []string      // sentences about what a person may not expect
}

// Publish puts entries on line, with their meetings. If download is true, the files themselves are
// offered. Entries that were replaced are not chosen, unless by digest.
func (r *Register) Publish(ctx context.Context, s Selection, download bool) (Published, error) {
	entries, err := r.selected(ctx, s)
	if err != nil {
		return Published{}, err
	}
	var ids []int64
	meetings := make(map[string]bool)
	for _, e := range entries {
		if s.Digest == nil && e.ReplacedBy != 0 {
			continue
		}
		meetings[e.Meeting] = true
		if !e.Published || e.Download != download {
			ids = append(ids, e.ID)
		}
	}
	var p Published
	for id := range meetings {
		if err := r.publishMeeting(ctx, id, &p.Notes); err != nil {
			return p, err
		}
	}
	return p, r.changeEntries(ctx, &p, entries, ids, func(at time.Time) error { return r.store.Publish(ctx, ids, download, at) }, "entries published")
}

// Withdraw takes entries off line. The page goes on saying that something with their digest was on
// line, and until when.
func (r *Register) Withdraw(ctx context.Context, s Selection) (Published, error) {
	entries, err := r.selected(ctx, s)
	if err != nil {
		return Published{}, err
	}
	var ids []int64
	for _, e := range entries {
		if e.Published {
			ids = append(ids, e.ID)
		}
	}
	var p Published
	return p, r.changeEntries(ctx, &p, entries, ids, func(at time.Time) error { return r.store.Withdraw(ctx, ids, at) }, "entries withdrawn")
}

// changeEntries changes those with the IDs, and reads all again.
func (r *Register) changeEntries(ctx context.Context, p *Published, entries []store.Entry, ids []int64, change func(at time.Time) error, event string) error {
	if len(ids) > 0 {
		if err := change(r.now()); err != nil {
			return err
		}
		p.Changed = len(ids)
		r.log.Info(event, "entries", len(ids))
	}
	for _, e := range entries {
		now, err := r.store.Entry(ctx, e.ID)
		if err != nil {
			return err
		}
		p.Entries = append(p.Entries, now)
	}
	return nil
}

// selected returns the entries that are chosen. It is an error if there are none.
func (r *Register) selected(ctx context.Context, s Selection) ([]store.Entry, error) {
	if s.Digest == nil && s.Meeting == nil && s.Kind == "" {
		return nil, invalid("nothing is chosen: name a document, a meeting or a kind")
	}
	q := store.EntryQuery{Digest: s.Digest, Meeting: s.Meeting, Kind: s.Kind}
	if s.Meeting != nil && *s.Meeting != "" {
		if _, err := r.Meeting(ctx, *s.Meeting); err != nil {
			return nil, err
		}
	}
	entries, err := r.store.Entries(ctx, q)
	if err == nil && len(entries) == 0 {
		if s.Digest != nil {
			return nil, fmt.Errorf("no document with the digest %s is in the register: %w", s.Digest, store.ErrNotFound)
		}
		return nil, fmt.Errorf("no document fits: %w", store.ErrNotFound)
	}
	return entries, err
}

// publishMeeting puts a meeting on line, because one of its documents is. notes say so.
func (r *Register) publishMeeting(ctx context.Context, id string, notes *[]string) error {
	if id == "" {
		return nil
	}
	m, err := r.store.Meeting(ctx, id)
	if err != nil || m.Published {
		return err
	}
	yes := true
	if _, err := r.store.UpdateMeeting(ctx, id, store.MeetingChange{Published: &yes}); err != nil {
		return fmt.Errorf("publish meeting %s: %w", id, err)
	}
	*notes = append(*notes, fmt.Sprintf("meeting %s is on line now: its documents are shown with it", id))
	return nil
}
