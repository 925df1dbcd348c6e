package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"ancre/internal/printable"
	"ancre/register/store"

	"rsc.io/qr"
)

// documentData is what the page of a document shows.
type documentData struct {
	row
	Also       []row // other entries with the same bytes: of other meetings, under other names
	Headers    []Address
	File       Address // the file itself; the zero Address if it is not offered
	HasOTS     bool
	HasReceipt bool
	Permalink  string        // the whole address; "" if the public address is not known
	QR         template.HTML // of Permalink, once drawQR was called
	Period     int32
}

// document makes the page of a digest.
func (p *Page) document(ctx context.Context, a Address, l Links) (Answer, error) {
	d, err := p.documentData(ctx, a, l)
	if err != nil {
		return Answer{}, err
	}
	if err := d.drawQR(a.Lang); err != nil {
		return Answer{}, err
	}
	v := &view{Page: p, Address: a, Links: l, Data: d}
	v.trail()
	v.documentTrail(d.row)
	if d.Withdrawn {
		v.Title, v.NoIndex = v.T("withdrawn.name"), true
	} else {
		v.Title = d.Name()
		v.Description = v.T("document.description", v.T("kind."+string(d.Entry.Kind)), d.Name())
	}
	return p.html(ctx, v, "document")
}

// documentTrail adds the meeting of a document, or the list that it is in.
func (v *view) documentTrail(r row) {
	if m := r.Meeting; m != nil {
		v.Part = Meetings
		v.Trail = append(v.Trail,
			link{Text: v.T("nav.meetings"), URL: v.To(v.Address.At(Meetings))},
			link{Text: v.T("meeting.title", m.Name(), m.DayText()), URL: v.To(m.Address)})
		return
	}
	month := r.Entry.AddedAt.In(v.zone)
	v.Trail = append(v.Trail,
		link{Text: v.T("nav.documents"), URL: v.To(v.Address.At(Documents))},
		link{Text: monthText(v.Address.Lang, month), URL: v.To(v.Address.With(DocumentsMonth, month.Format(monthForm)))})
}

// monthForm is how the IDs of months are written.
const monthForm = "2006-01"

// documentData gathers what is known of a digest.
func (p *Page) documentData(ctx context.Context, a Address, l Links) (*documentData, error) {
	digest, ok := a.Digest()
	if !ok {
		return nil, fmt.Errorf("document %q: %w", a.ID, store.ErrNotFound)
	}
	entries, err := p.source.Entries(ctx, store.EntryQuery{Digest: &digest, PublishedOnly: true, WasPublished: true})
	if err != nil {
		return nil, err
	}
	rows, err := p.rows(ctx, a, entries)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("document %s: %w", digest, store.ErrNotFound)
	}
	if err := p.addMeetings(ctx, a, rows); err != nil {
		return nil, err
	}
	// What is on line comes first. The others are shown if they have something of their own to say.
	slices.SortStableFunc(rows, func(x, y row) int {
		switch {
		case x.Withdrawn == y.Withdrawn:
			return 0
		case x.Withdrawn:
			return 1
		}
		return -1
	})
	for i := range rows {
		if err := p.addReplacements(ctx, &rows[i]); err != nil {
			return nil, err
		}
	}
	d := &documentData{row: rows[0]}
	for _, r := range rows[1:] {
		if !r.Withdrawn {
			d.Also = append(d.Also, r)
		}
	}
	d.offers(a, rows)
	if h := d.Proof.Height; h > 0 {
		d.Headers = headersOf(h)
	}
	d.Permalink = l.Absolute(Address{Kind: Permalink, ID: a.ID})
	return d, nil
}

// drawQR draws the QR code of the permalink, if there is one.
func (d *documentData) drawQR(lang Lang) (err error) {
	if d.Permalink != "" {
		d.QR, err = qrOf(d.Permalink, say(lang, "document.qr"))
	}
	return err
}

// offers says what can be downloaded.
func (d *documentData) offers(a Address, rows []row) {
	if d.Withdrawn {
		return
	}
	d.HasOTS = d.State() != store.Waiting
	d.HasReceipt = d.State() == store.Complete
	for _, r := range rows {
		if !r.Withdrawn && r.Entry.Download {
			d.File = fileAddress(r.Entry)
			return
		}
	}
}

// fewMeetings is up to how many meetings are asked for one by one, and not all at once.
const fewMeetings = 30

// addMeetings tells each document its meeting.
func (p *Page) addMeetings(ctx context.Context, at Address, rows []row) error {
	wanted := map[string]bool{}
	for _, r := range rows {
		if r.Entry.Meeting != "" {
			wanted[r.Entry.Meeting] = true
		}
	}
	meetings, err := p.meetingsOf(ctx, wanted)
	if err != nil {
		return err
	}
	views, err := p.meetingViews(ctx, at, meetings)
	if err != nil {
		return err
	}
	byID := make(map[string]*meetingView, len(views))
	for i := range views {
		byID[views[i].ID] = &views[i]
	}
	for i := range rows {
		rows[i].Meeting = byID[rows[i].Entry.Meeting]
	}
	return nil
}

// meetingsOf returns the meetings with these IDs, as far as they are published.
func (p *Page) meetingsOf(ctx context.Context, ids map[string]bool) (list []store.Meeting, err error) {
	if len(ids) > fewMeetings {
		err = p.eachMeeting(ctx, func(m store.Meeting) error {
			if ids[m.ID] {
				list = append(list, m)
			}
			return nil
		})
		return list, err
	}
	for id := range ids {
		m, err := p.source.Meeting(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// addReplacements finds the entries that r replaces, and that replaces r.
func (p *Page) addReplacements(ctx context.Context, r *row) (err error) {
	if r.Replaces, err = p.entryByID(ctx, r.Entry.Replaces); err != nil {
		return err
	}
	r.ReplacedBy, err = p.entryByID(ctx, r.Entry.ReplacedBy)
	return err
}

// entryByID returns an entry that is or was on line, nil if there is none with that ID.
func (p *Page) entryByID(ctx context.Context, id int64) (*store.Entry, error) {
	if id == 0 {
		return nil, nil
	}
	list, err := p.source.Entries(ctx, store.EntryQuery{After: id - 1, Limit: 1, Order: store.ByID, PublishedOnly: true, WasPublished: true})
	if err != nil || len(list) == 0 || list[0].ID != id || !visible(list[0]) {
		return nil, err
	}
	return &list[0], nil
}

// headersOf returns the windows that are needed to check a proof that ends in a block: that of the
// block, and the next one if fewer than 6 blocks of it come after it.
func headersOf(height int32) []Address {
	list := []Address{HeadersOf(height)}
	if next := HeadersOf(height + 5); next != list[0] && (height+5)%2016 != 0 {
		list = append(list, next)
	}
	return list
}

// safeExtensions are the extensions that files keep in an export, whose server chooses the media
// type by them. None of them is shown as a page or run.
var safeExtensions = []string{".pdf", ".odt", ".ods", ".odp", ".docx", ".xlsx", ".pptx", ".txt", ".csv", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".zip", ".eml", ".p7m", ".p7s"}

// fileAddress is where the bytes of an entry are.
func fileAddress(e store.Entry) Address {
	ext := ".bin"
	if i := strings.LastIndexByte(e.FileName, '.'); i >= 0 {
		if own := strings.ToLower(e.FileName[i:]); slices.Contains(safeExtensions, own) {
			ext = own
		}
	}
	return Address{Kind: File, ID: e.Digest.String(), Ext: ext}
}

// DownloadName is the name under which the file is saved. It cannot name a folder, nor pretend to
// have another extension by turning the direction of its text.
func (r row) DownloadName() string { return downloadName(r.Entry.FileName) }

func downloadName(name string) string {
	name = strings.Map(func(c rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, c) {
			return '_'
		}
		return c
	}, printable.Line(name))
	name = strings.TrimLeft(strings.TrimSpace(name), ".")
	return cmp.Or(name, "document") // without a name, a browser could show the file
}

// Height is the height of the block, as commands take it.
func (d *documentData) Height() string { return strconv.Itoa(int(d.Proof.Height)) }

// LocalMoment shows a time in the page's zone, and names the zone.
func (v *view) LocalMoment(t time.Time) template.HTML {
	t = t.In(v.zone)
	name, _ := t.Zone()
	if v.zone.String() == "Europe/Paris" {
		name = v.T("zone.paris")
	}
	return timeTag(t.Format(time.RFC3339), momentText(v.Address.Lang, t, shortDay)+" ("+name+")")
}

// qrOf draws a QR code. It is black on white in the dark too, as cameras expect.
func qrOf(text, label string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("QR code of %s: %w", text, err)
	}
	const quiet = 4 // modules around it, as the standard asks
	var b strings.Builder
	size := code.Size + 2*quiet
	fmt.Fprintf(&b, `<svg class="qr" role="img" aria-label="%s" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%[3]dH0z"/><path fill="#000" d="`,
		template.HTMLEscapeString(label), size, size, size)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1H%dz", x+quiet, y+quiet, run, x+quiet)
				x += run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil
}
