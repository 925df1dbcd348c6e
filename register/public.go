package register

import (
	"context"
	"fmt"
	"io"
	"time"

	"ancre/register/law"
	"ancre/register/page"
	"ancre/register/store"
)

// Public is what the public page may see: what is published, and nothing else.
type Public struct{ r *Register }

var _ page.Source = Public{}

// Public returns what the public page may see.
func (r *Register) Public() Public { return Public{r} }

// Revision implements [page.Source].
func (p Public) Revision() uint64 { return p.r.store.Revision() }

// Network implements [page.Source].
func (p Public) Network(ctx context.Context) (string, error) { return p.r.store.Network(ctx) }

// Bodies implements [page.Source].
func (p Public) Bodies(ctx context.Context) ([]store.Body, error) { return p.r.store.Bodies(ctx) }

// Years implements [page.Source].
func (p Public) Years(ctx context.Context, zone *time.Location) ([]store.YearCount, error) {
	return p.r.store.Years(ctx, zone, true)
}

// Meetings implements [page.Source].
func (p Public) Meetings(ctx context.Context, q store.MeetingQuery) ([]store.Meeting, error) {
	q.PublishedOnly = true
	return p.r.store.Meetings(ctx, q)
}

// Meeting implements [page.Source]. A meeting that is not published is not found.
func (p Public) Meeting(ctx context.Context, id string) (store.Meeting, error) {
	m, err := p.r.store.Meeting(ctx, id)
	if err != nil || !m.Published {
		return store.Meeting{}, fmt.Errorf("meeting %q: %w", id, orNotFound(err))
	}
	return m, nil
}

func orNotFound(err error) error {
	if err == nil {
		return store.ErrNotFound
	}
	return err
}

// Entries implements [page.Source]. Of one that was withdrawn it leaves the digest and the dates.
// An entry does not tell of another one that was never on line.
func (p Public) Entries(ctx context.Context, q store.EntryQuery) ([]store.Entry, error) {
	q = public(q)
	entries, err := p.r.store.Entries(ctx, q)
	if err != nil {
		return nil, err
	}
	shown := make(map[int64]bool, len(entries))
	for _, e := range entries {
		shown[e.ID] = true
	}
	for i := range entries {
		e := &entries[i]
		if !e.Published {
			*e = withdrawn(*e)
		}
		for _, other := range []*int64{&e.Replaces, &e.ReplacedBy} {
			if *other == 0 || shown[*other] {
				continue
			}
			visible, err := p.wasOnline(ctx, *other)
			if err != nil {
				return nil, err
			}
			if !visible {
				*other = 0
			}
		}
		if e.ReplacedBy == 0 {
			e.ReplacedAt = time.Time{}
		}
	}
	return entries, nil
}

// public returns a query that chooses what the public may see. The name of an entry that was
// withdrawn is not shown, and so no search by words finds it.
func public(q store.EntryQuery) store.EntryQuery {
	q.PublishedOnly = true
	q.WasPublished = q.WasPublished && q.Text == ""
	return q
}

// withdrawn returns what stays known of an entry that was withdrawn.
func withdrawn(e store.Entry) store.Entry {
	return store.Entry{
		ID: e.ID, Digest: e.Digest, Meeting: e.Meeting, Kind: e.Kind, AddedAt: e.AddedAt,
		OnlineSince: e.OnlineSince, WithdrawnAt: e.WithdrawnAt,
		Replaces: e.Replaces, ReplacedBy: e.ReplacedBy, ReplacedAt: e.ReplacedAt,
	}
}

// wasOnline reports whether an entry is or was on line, and is of a published meeting or of none.
func (p Public) wasOnline(ctx context.Context, id int64) (bool, error) {
	e, err := p.r.store.Entry(ctx, id)
	if err != nil || e.OnlineSince.IsZero() {
		return false, err
	}
	if e.Meeting == "" {
		return true, nil
	}
	m, err := p.r.store.Meeting(ctx, e.Meeting)
	return m.Published, err
}

// CountEntries implements [page.Source].
func (p Public) CountEntries(ctx context.Context, q store.EntryQuery) (int, error) {
	q = public(q)
	return p.r.store.CountEntries(ctx, q)
}

// Proofs implements [page.Source]. Of a digest that was never on line there is no proof.
func (p Public) Proofs(ctx context.Context, ds []store.Digest) ([]store.Proof, error) {
	proofs, err := p.r.store.Proofs(ctx, ds)
	if err != nil {
		return nil, err
	}
	online, err := p.online(ctx, ds)
	if err != nil {
		return nil, err
	}
	for i, d := range ds {
		if !online[d] {
			proofs[i] = store.Proof{}
		}
	}
	return proofs, nil
}

// online returns which digests are or were on line. The answer may have others too.
func (p Public) online(ctx context.Context, ds []store.Digest) (map[store.Digest]bool, error) {
	// Many digests are looked up by their first bytes, few one by one.
	var queries []store.EntryQuery
	firsts := make(map[byte]bool)
	for _, d := range ds {
		firsts[d[0]] = true
	}
	if len(ds) >= 2*len(firsts) {
		for first := range firsts {
			queries = append(queries, store.EntryQuery{FirstByte: &first})
		}
	} else {
		for i := range ds {
			queries = append(queries, store.EntryQuery{Digest: &ds[i]})
		}
	}
	online := make(map[store.Digest]bool, len(ds))
	for _, q := range queries {
		q.PublishedOnly, q.WasPublished = true, true
		entries, err := p.r.store.Entries(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			online[e.Digest] = true
		}
	}
	return online, nil
}

// entriesOf returns the entries of a digest that are or were on line.
func (p Public) entriesOf(ctx context.Context, d store.Digest) ([]store.Entry, error) {
	return p.r.store.Entries(ctx, store.EntryQuery{Digest: &d, PublishedOnly: true, WasPublished: true})
}

// checkOnline returns an error that wraps store.ErrNotFound unless an entry with the digest is, or
// was, on line, and fits.
func (p Public) checkOnline(ctx context.Context, d store.Digest, fits func(store.Entry) bool) error {
	entries, err := p.entriesOf(ctx, d)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fits == nil || fits(e) {
			return nil
		}
	}
	return fmt.Errorf("document %s: %w", d, store.ErrNotFound)
}

// OTS implements [page.Source].
func (p Public) OTS(ctx context.Context, d store.Digest) ([]byte, error) {
	if err := p.checkOnline(ctx, d, nil); err != nil {
		return nil, err
	}
	return p.r.files.OTS(d)
}

// Receipt implements [page.Source]. The receipt of a proof that a reorganisation set back is not
// shown.
func (p Public) Receipt(ctx context.Context, d store.Digest) ([]byte, error) {
	if err := p.checkOnline(ctx, d, nil); err != nil {
		return nil, err
	}
	proof, err := p.r.store.Proof(ctx, d)
	if err != nil || proof.State != store.Complete {
		return nil, fmt.Errorf("receipt of %s: %w", d, orNotFound(err))
	}
	return p.r.files.Receipt(d)
}

// File implements [page.Source].
func (p Public) File(ctx context.Context, d store.Digest) (io.ReadSeekCloser, error) {
	if err := p.checkOnline(ctx, d, func(e store.Entry) bool { return e.Published && e.Download }); err != nil {
		return nil, err
	}
	return p.r.files.Open(d)
}

// Headers implements [page.Source].
func (p Public) Headers(ctx context.Context, period int32) ([]byte, error) {
	network, err := p.r.store.Network(ctx)
	if err != nil {
		return nil, err
	}
	return p.r.headers.get(ctx, network, period)
}

// Node implements [page.Source].
func (p Public) Node(context.Context) page.Node {
	s := p.r.NodeStatus()
	return page.Node{Reachable: s.Reachable, Since: s.Since, Height: s.Height, BlockTime: s.BlockTime}
}

// Completeness implements [page.Source].
func (p Public) Completeness(ctx context.Context, meeting string) ([]page.Requirement, error) {
	if _, err := p.Meeting(ctx, meeting); err != nil {
		return nil, err
	}
	s, err := p.r.MeetingStatus(ctx, meeting)
	if err != nil {
		return nil, err
	}
	return requirements(s, law.France, p.r.now()), nil
}
