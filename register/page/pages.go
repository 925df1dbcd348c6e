package page

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"ancre/register/store"
)

// Pages walks all addresses of an export: those that links of any page lead to, and those for
// machines. Each comes once. It stops at the first error.
//
// What comes meanwhile may be missing. What is withdrawn meanwhile makes Render fail with
// store.ErrNotFound.
func (p *Page) Pages(ctx context.Context) iter.Seq2[Address, error] {
	return func(yield func(Address, error) bool) {
		w := &walk{p: p, yield: yield, periods: map[Address]bool{}}
		for _, step := range []func(context.Context) error{w.fixed, w.meetings, w.months, w.documents} {
			if err := step(ctx); err != nil {
				if !w.ended {
					yield(Address{}, err)
				}
				return
			}
		}
	}
}

// walk is a walk through all addresses.
type walk struct {
	p       *Page
	yield   func(Address, error) bool
	ended   bool             // the caller wants no more
	periods map[Address]bool // windows of headers that came
}

// errEnded ends a walk whose caller wants no more.
var errEnded = fmt.Errorf("the walk ended")

// visit hands out an address, in each language if it has one.
func (w *walk) visit(a Address) error {
	if a.Kind.spoken() {
		for _, l := range Langs {
			if err := w.one(a.In(l)); err != nil {
				return err
			}
		}
		return nil
	}
	return w.one(a)
}

func (w *walk) one(a Address) error {
	if !w.yield(a, nil) {
		w.ended = true
		return errEnded
	}
	return nil
}

// fixed visits what is in every register.
func (w *walk) fixed(context.Context) error {
	links := w.p.StaticLinks()
	for k := None + 1; k < last; k++ {
		r := routeOf[k]
		if r.kind == None || r.id != nil || !links.Has(k) || makers[k] == nil || k == Logo && len(w.p.theme.Logo) == 0 {
			continue
		}
		a := Address{Kind: k}
		if k == Logo {
			a.Ext = w.p.theme.logoExt()
		}
		if err := w.visit(a); err != nil {
			return err
		}
	}
	for b := range 256 {
		if err := w.visit(Address{Kind: Digests, ID: fmt.Sprintf("%02x", b)}); err != nil {
			return err
		}
	}
	return nil
}

// meetings visits the years and the meetings.
func (w *walk) meetings(ctx context.Context) error {
	years, err := w.p.source.Years(ctx, w.p.zone)
	if err != nil {
		return err
	}
	for _, y := range years {
		if err := w.visit(Address{Kind: Year, ID: strconv.Itoa(y.Year)}); err != nil {
			return err
		}
	}
	if err := w.p.eachMeeting(ctx, func(m store.Meeting) error {
		return w.visit(Address{Kind: Meeting, ID: m.ID})
	}); err != nil {
		return err
	}
	sitemaps, err := w.p.sitemapYears(ctx)
	if err != nil {
		return err
	}
	for _, y := range sitemaps {
		if err := w.visit(Address{Kind: SitemapYear, ID: strconv.Itoa(y)}); err != nil {
			return err
		}
	}
	return nil
}

// months visits the lists of documents of no meeting.
func (w *walk) months(ctx context.Context) error {
	years, err := w.p.documentMonths(ctx, Address{Lang: w.p.lang})
	if err != nil {
		return err
	}
	for _, y := range years {
		for _, m := range y.Months {
			if err := w.visit(m.Address); err != nil {
				return err
			}
		}
	}
	return nil
}

// documents visits all that belongs to documents.
func (w *walk) documents(ctx context.Context) error {
	return w.p.eachRow(ctx, Address{Lang: w.p.lang}, store.EntryQuery{WasPublished: true}, func(r row) error {
		first, err := w.p.firstOf(ctx, r.Entry)
		if err != nil || !first {
			return err
		}
		d, err := w.p.documentData(ctx, Address{Kind: Document, Lang: w.p.lang, ID: r.Entry.Digest.String()}, w.p.StaticLinks())
		if err != nil {
			return err
		}
		for _, a := range d.addresses() {
			if a.Kind == Headers {
				if w.periods[a] {
					continue
				}
				w.periods[a] = true
			}
			if err := w.visit(a); err != nil {
				return err
			}
		}
		return nil
	})
}

// addresses are all addresses that belong to a document.
func (d *documentData) addresses() []Address {
	id := d.Entry.Digest.String()
	list := []Address{{Kind: Document, ID: id}, {Kind: Permalink, ID: id}}
	if !d.Withdrawn {
		list = append(list, Address{Kind: Attestation, ID: id}, Address{Kind: AttestationFile, ID: id})
	}
	if d.HasOTS {
		list = append(list, Address{Kind: OTS, ID: id})
	}
	if d.HasReceipt {
		list = append(list, Address{Kind: Receipt, ID: id})
	}
	if d.File.ID != "" {
		list = append(list, d.File)
	}
	return append(list, d.Headers...)
}

// firstOf reports whether an entry is the first one of its digest.
func (p *Page) firstOf(ctx context.Context, e store.Entry) (bool, error) {
	entries, err := p.source.Entries(ctx, store.EntryQuery{Digest: &e.Digest, PublishedOnly: true, WasPublished: true, Order: store.ByID, Limit: 1})
	return err == nil && len(entries) > 0 && entries[0].ID == e.ID, err
}
