package page

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ancre/register/store"
)

// digestList is the answer at the address of a byte: all digests that begin with it, and all that
// the check tool needs to judge any of them. So no later request says which one a visitor has.
type digestList struct {
	First   string                 `json:"first"`
	Network string                 `json:"network"`
	Digests map[string]digestEntry `json:"digests"` // written in the order of its keys
}

type digestEntry struct {
	Kind        string     `json:"kind"`
	Title       string     `json:"title"`
	FileName    string     `json:"file_name"`
	Meeting     string     `json:"meeting"`
	State       string     `json:"state"`
	OnlineSince time.Time  `json:"online_since"`
	Withdrawn   *time.Time `json:"withdrawn,omitempty"`
	ReplacedBy  string     `json:"replaced_by,omitempty"`
	Height      int32      `json:"height,omitempty"`
	Page        string     `json:"page"`          // relative to the register's address
	OTS         []byte     `json:"ots,omitempty"` // base64
}

// digests makes the list of the digests that begin with a byte.
func (p *Page) digests(ctx context.Context, a Address, l Links) (Answer, error) {
	b, err := hex.DecodeString(a.ID)
	if err != nil || len(b) != 1 {
		return Answer{}, fmt.Errorf("digests that begin with %q: %w", a.ID, store.ErrNotFound)
	}
	list := digestList{First: a.ID, Digests: map[string]digestEntry{}}
	if list.Network, err = p.source.Network(ctx); err != nil {
		return Answer{}, err
	}
	entries, err := p.source.Entries(ctx, store.EntryQuery{FirstByte: &b[0], PublishedOnly: true, WasPublished: true, Order: store.ByDigest})
	if err != nil {
		return Answer{}, err
	}
	rows, err := p.rows(ctx, a, entries)
	if err != nil {
		return Answer{}, err
	}
	if err := p.addMeetings(ctx, a.In(p.lang), rows); err != nil {
		return Answer{}, err
	}
	for i := range rows {
		r := &rows[i]
		key := r.Entry.Digest.String()
		if known, ok := list.Digests[key]; ok && (r.Withdrawn || known.Withdrawn == nil) {
			continue // the first entry of a digest that is on line speaks for it
		}
		if r.ReplacedBy == nil {
			if r.ReplacedBy, err = p.entryByID(ctx, r.Entry.ReplacedBy); err != nil {
				return Answer{}, err
			}
		}
		if list.Digests[key], err = p.digestEntry(ctx, l, *r); err != nil {
			return Answer{}, err
		}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Type: typeJSON, Body: append(body, '\n'), MaxAge: keepData, AnyOrigin: true}, nil
}

func (p *Page) digestEntry(ctx context.Context, l Links, r row) (digestEntry, error) {
	e := r.Entry
	to := Address{Kind: Document, Lang: p.lang, ID: e.Digest.String()}
	d := digestEntry{State: string(r.State()), OnlineSince: e.OnlineSince.UTC(), Height: r.Proof.Height, Page: to.path()}
	if l.Static {
		d.Page = to.FileName()
	}
	if r.ReplacedBy != nil {
		d.ReplacedBy = r.ReplacedBy.Digest.String()
	}
	if r.Withdrawn {
		d.Withdrawn = timeOf(e.WithdrawnAt)
		return d, nil
	}
	d.Kind, d.Title, d.FileName = string(e.Kind), e.Title, e.FileName
	if r.Meeting != nil {
		d.Meeting = say(p.lang, "meeting.title", r.Meeting.Name(), r.Meeting.DayText())
	}
	if r.State() == store.Waiting {
		return d, nil
	}
	ots, err := p.source.OTS(ctx, e.Digest)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return d, err
	}
	d.OTS = ots
	return d, nil
}

// ots makes the proof of a document.
func (p *Page) ots(ctx context.Context, a Address, _ Links) (Answer, error) {
	return p.bytesOf(ctx, a, p.source.OTS, "application/vnd.opentimestamps.ots", ".ots")
}

// receipt makes the receipt of a document.
func (p *Page) receipt(ctx context.Context, a Address, _ Links) (Answer, error) {
	return p.bytesOf(ctx, a, p.source.Receipt, typeJSON, ".receipt.json")
}

// bytesOf makes an answer of what belongs to a digest.
func (p *Page) bytesOf(ctx context.Context, a Address, read func(context.Context, store.Digest) ([]byte, error), mediaType, after string) (Answer, error) {
	d, ok := a.Digest()
	if !ok {
		return Answer{}, fmt.Errorf("%q: %w", a.ID, store.ErrNotFound)
	}
	name, err := p.nameOfDigest(ctx, d)
	if err != nil {
		return Answer{}, err
	}
	body, err := read(ctx, d)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Type: mediaType, Body: body, MaxAge: keepData, AnyOrigin: true, Name: name + after}, nil
}

// nameOfDigest returns the file name of a digest that is on line.
func (p *Page) nameOfDigest(ctx context.Context, d store.Digest) (string, error) {
	e, err := p.onLine(ctx, d, false)
	if err != nil {
		return "", err
	}
	return downloadName(e.FileName), nil
}

// onLine returns an entry of a digest that is on line, and whose file is offered if that is asked.
func (p *Page) onLine(ctx context.Context, d store.Digest, offered bool) (store.Entry, error) {
	entries, err := p.source.Entries(ctx, store.EntryQuery{Digest: &d, PublishedOnly: true})
	if err != nil {
		return store.Entry{}, err
	}
	for _, e := range entries {
		if e.Published && (e.Download || !offered) {
			return e, nil
		}
	}
	return store.Entry{}, fmt.Errorf("document %s: %w", d, store.ErrNotFound)
}

// file makes the document itself. It is saved, and never shown: it may hold scripts.
func (p *Page) file(ctx context.Context, a Address, _ Links) (Answer, error) {
	d, ok := a.Digest()
	if !ok {
		return Answer{}, fmt.Errorf("%q: %w", a.ID, store.ErrNotFound)
	}
	e, err := p.onLine(ctx, d, true)
	if err != nil {
		return Answer{}, err
	}
	content, err := p.source.File(ctx, d)
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Status: http.StatusOK, Type: safeType(e.MediaType), Content: content, MaxAge: keepData,
		Name: downloadName(e.FileName), ETag: `"` + d.String() + `"`,
	}, nil
}

// safeTypes are the media types under which files are sent. All others are bytes.
var safeTypes = map[string]bool{
	"application/pdf": true, "text/plain": true, "text/csv": true, "image/jpeg": true, "image/png": true, "image/tiff": true, "application/zip": true,
	"application/vnd.oasis.opendocument.text":                                   true,
	"application/vnd.oasis.opendocument.spreadsheet":                            true,
	"application/vnd.oasis.opendocument.presentation":                           true,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   true,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         true,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": true,
}

func safeType(mediaType string) string {
	if safeTypes[mediaType] {
		return mediaType
	}
	return typeBytes
}

// headers makes a window of block headers.
func (p *Page) headers(ctx context.Context, a Address, _ Links) (Answer, error) {
	period, err := strconv.ParseInt(a.ID, 10, 32)
	if err != nil {
		return Answer{}, fmt.Errorf("headers of period %q: %w", a.ID, store.ErrNotFound)
	}
	body, err := p.source.Headers(ctx, int32(period))
	if err != nil {
		return Answer{}, err
	}
	const whole = 8 + 32 + 4 + 2017*80 + 32
	answer := Answer{Type: typeBytes, Body: body, MaxAge: keepData, AnyOrigin: true, Name: a.ID + ".headers"}
	if len(body) == whole {
		answer.MaxAge, answer.Forever = keepYear, true
	}
	return answer, nil
}
