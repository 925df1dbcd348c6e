package page

import (
	"context"
	"errors"
	"fmt"

	"ancre/internal/printable"
	"ancre/register/page/attestation"
	"ancre/register/store"
)

// attest gathers what the attestation of a document says. One that was withdrawn has none.
func (p *Page) attest(ctx context.Context, a Address, l Links) (*attestation.Text, *documentData, error) {
	d, err := p.documentData(ctx, a, l)
	if err != nil {
		return nil, nil, err
	}
	if d.Withdrawn {
		return nil, nil, fmt.Errorf("attestation of %s: %w", a.ID, store.ErrNotFound)
	}
	e := d.Entry
	f := attestation.Facts{
		Authority: printable.Line(p.name(a.Lang)), Zone: p.zone,
		Title: printable.Line(e.Title), Kind: say(a.Lang, "kind."+string(e.Kind)), Number: d.Number(),
		FileName: d.FileName(), Size: e.Size, Digest: e.Digest, OnlineSince: e.OnlineSince, Proof: d.Proof, Permalink: d.Permalink,
		Verifier: l.Absolute(Address{Kind: Check, Lang: a.Lang}),
	}
	f.Proof.Digest, f.Proof.State = e.Digest, d.State()
	if f.Network, err = p.source.Network(ctx); err != nil {
		return nil, nil, err
	}
	if d.Meeting != nil {
		f.Meeting = say(a.Lang, "meeting.title", d.Meeting.Name(), d.Meeting.DayText())
	}
	if d.ReplacedBy != nil {
		f.ReplacedBy, f.ReplacedAt = d.ReplacedBy.Digest, e.ReplacedAt
	}
	if f.OTS, err = p.source.OTS(ctx, e.Digest); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, nil, err
	}
	if f.Proof.State == store.Mined {
		// The node completes a proof when its block is final. Until then the proof names no block.
		f.Proof.State = store.Pending
	}
	text, err := attestation.New(f, string(a.Lang))
	return text, d, err
}

// attestation makes the attestation of a document as a page, made to be printed.
func (p *Page) attestation(ctx context.Context, a Address, l Links) (Answer, error) {
	text, d, err := p.attest(ctx, a, l)
	if err != nil {
		return Answer{}, err
	}
	if err := d.drawQR(a.Lang); err != nil {
		return Answer{}, err
	}
	v := &view{Page: p, Address: a, Links: l, Title: text.Title + " – " + text.Subject, NoIndex: true}
	v.trail()
	v.documentTrail(d.row)
	v.Trail = append(v.Trail, link{Text: d.Name(), URL: v.To(a.DocumentOf(d.Entry.Digest))})
	v.Data = struct {
		*attestation.Text
		Document *documentData
	}{text, d}
	return p.html(ctx, v, "attestation")
}

// attestationFile makes the same as PDF.
func (p *Page) attestationFile(ctx context.Context, a Address, l Links) (Answer, error) {
	text, d, err := p.attest(ctx, a, l)
	if err != nil {
		return Answer{}, err
	}
	body, err := text.PDF()
	if err != nil {
		return Answer{}, err
	}
	return Answer{Type: "application/pdf", Body: body, MaxAge: keepPage, Name: "attestation-" + d.Entry.Digest.String()[:16] + ".pdf"}, nil
}
