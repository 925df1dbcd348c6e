package page

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"ancre/register/store"
)

// atATime is how many entries are read at once of an answer that holds the whole register.
const atATime = 1000

// jsonMeeting and jsonDocument are the register in JSON. Their names never change; new ones may
// come.
type jsonMeeting struct {
	ID    string    `json:"id"`
	Body  string    `json:"body"`
	Title string    `json:"title,omitempty"`
	Start time.Time `json:"start"`
	Place string    `json:"place,omitempty"`
	State string    `json:"state"`
	Page  string    `json:"page"`
}

type jsonDocument struct {
	Digest      string     `json:"digest"`
	Meeting     string     `json:"meeting,omitempty"`
	Kind        string     `json:"kind,omitempty"`
	Title       string     `json:"title,omitempty"`
	Number      string     `json:"number,omitempty"`
	FileName    string     `json:"file_name,omitempty"`
	MediaType   string     `json:"media_type,omitempty"`
	Size        int64      `json:"size,omitempty"`
	OnlineSince time.Time  `json:"online_since"`
	Withdrawn   *time.Time `json:"withdrawn,omitempty"`
	ReplacedBy  string     `json:"replaced_by,omitempty"`
	ReplacedAt  *time.Time `json:"replaced_at,omitempty"`
	State       string     `json:"state"`
	Height      int32      `json:"height,omitempty"`
	BlockHash   string     `json:"block_hash,omitempty"`
	BlockTime   *time.Time `json:"block_time,omitempty"`
	Page        string     `json:"page"`
	OTS         string     `json:"ots,omitempty"`
	File        string     `json:"file,omitempty"`
}

// dataJSON makes the register in JSON: {"authority", "network", "bodies", "meetings", "documents"}.
func (p *Page) dataJSON(ctx context.Context, a Address, l Links) (Answer, error) {
	network, err := p.source.Network(ctx)
	if err != nil {
		return Answer{}, err
	}
	bodies, err := p.source.Bodies(ctx)
	if err != nil {
		return Answer{}, err
	}
	type jsonBody struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	head := struct {
		Authority string     `json:"authority"`
		Network   string     `json:"network"`
		Bodies    []jsonBody `json:"bodies"`
	}{p.authority.Name, network, []jsonBody{}}
	for _, b := range bodies {
		head.Bodies = append(head.Bodies, jsonBody{b.ID, b.Name})
	}
	beginning, err := json.Marshal(head)
	if err != nil {
		return Answer{}, err
	}
	stream := func(w io.Writer) error {
		out := &jsonList{w: bufio.NewWriterSize(w, 32<<10)}
		out.text(strings.TrimSuffix(string(beginning), "}") + ",\n\"meetings\":[")
		if err := p.eachMeeting(ctx, func(m store.Meeting) error {
			return out.item(jsonMeeting{m.ID, m.Body, m.Title, m.Start.UTC(), m.Place, string(m.State), p.pageOf(a, l, Address{Kind: Meeting, ID: m.ID})})
		}); err != nil {
			return err
		}
		out.text("\n],\n\"documents\":[")
		out.items = 0
		if err := p.eachRow(ctx, a, store.EntryQuery{WasPublished: true}, func(r row) error {
			return out.item(p.jsonDocument(a, l, r))
		}); err != nil {
			return err
		}
		out.text("\n]}\n")
		return out.w.Flush()
	}
	return Answer{Type: typeJSON, Stream: stream, MaxAge: keepData, AnyOrigin: true}, nil
}

// jsonList writes a list in JSON, an item a line.
type jsonList struct {
	w     *bufio.Writer
	items int
}

// text writes what stands around items. The writer keeps its error until Flush.
func (l *jsonList) text(s string) { l.w.WriteString(s) }

func (l *jsonList) item(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if l.items++; l.items > 1 {
		l.text(",")
	}
	l.text("\n")
	_, err = l.w.Write(b)
	return err
}

// jsonDocument says of a withdrawn document what its page says.
func (p *Page) jsonDocument(a Address, l Links, r row) jsonDocument {
	e := r.Entry
	d := jsonDocument{
		Digest: e.Digest.String(), OnlineSince: e.OnlineSince.UTC(), State: string(r.State()),
		Height: r.Proof.Height, BlockHash: r.Proof.BlockHash, BlockTime: timeOf(r.Proof.BlockTime),
		Page: p.pageOf(a, l, Address{Kind: Document, ID: e.Digest.String()}),
	}
	if r.ReplacedBy != nil {
		d.ReplacedBy, d.ReplacedAt = r.ReplacedBy.Digest.String(), timeOf(e.ReplacedAt)
	}
	if r.Withdrawn {
		d.Withdrawn = timeOf(e.WithdrawnAt)
		return d
	}
	d.Meeting, d.Kind, d.Title, d.Number = e.Meeting, string(e.Kind), e.Title, e.Number
	d.FileName, d.MediaType, d.Size = e.FileName, e.MediaType, e.Size
	if r.State() != store.Waiting {
		d.OTS = p.linkOf(a, l, Address{Kind: OTS, ID: d.Digest})
	}
	if e.Download {
		d.File = p.linkOf(a, l, fileAddress(e))
	}
	return d
}

// timeOf returns a time in UTC, nil for none.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// linkOf writes an address for programs: whole if the public address is known.
func (p *Page) linkOf(from Address, l Links, to Address) string {
	if whole := l.Absolute(to); whole != "" {
		return whole
	}
	return l.To(from, to)
}

// pageOf is linkOf for a page in the register's own language.
func (p *Page) pageOf(from Address, l Links, to Address) string {
	return p.linkOf(from, l, to.In(p.lang))
}

// eachMeeting calls f for all meetings, the newest first.
func (p *Page) eachMeeting(ctx context.Context, f func(store.Meeting) error) error {
	meetings, err := p.source.Meetings(ctx, store.MeetingQuery{PublishedOnly: true})
	if err != nil {
		return err
	}
	for _, m := range meetings {
		if !m.Published {
			continue
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

// eachRow calls f for all entries that q chooses, in the order of their IDs. It reads some at a
// time, so that the register may be larger than the memory.
func (p *Page) eachRow(ctx context.Context, at Address, q store.EntryQuery, f func(row) error) error {
	q.PublishedOnly, q.Order, q.Limit = true, store.ByID, atATime
	for {
		entries, err := p.source.Entries(ctx, q)
		if err != nil {
			return err
		}
		rows, err := p.rows(ctx, at, entries)
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].Entry.ReplacedBy != 0 && rows[i].ReplacedBy == nil {
				if err := p.addReplacements(ctx, &rows[i]); err != nil {
					return err
				}
			}
			if err := f(rows[i]); err != nil {
				return err
			}
		}
		if len(entries) < atATime {
			return nil
		}
		q.After = entries[len(entries)-1].ID
	}
}

// The columns of SCDL "délibérations" 2.1.4 (schema.data.gouv.fr), and two of ours.
var csvColumns = []string{
	"COLL_NOM", "COLL_SIRET", "DELIB_ID", "DELIB_DATE", "DELIB_MATIERE_CODE", "DELIB_MATIERE_NOM", "DELIB_OBJET", "BUDGET_ANNEE", "BUDGET_NOM",
	"PREF_ID", "PREF_DATE", "VOTE_EFFECTIF", "VOTE_REEL", "VOTE_POUR", "VOTE_CONTRE", "VOTE_ABSTENTION", "DELIB_URL", "SHA256", "PREUVE_URL",
}

// dataCSV makes the deliberations that are on line and were not replaced, in the columns of SCDL.
// Columns that the register knows nothing of are empty.
func (p *Page) dataCSV(ctx context.Context, a Address, l Links) (Answer, error) {
	stream := func(w io.Writer) error {
		dates := map[string]string{}
		if err := p.eachMeeting(ctx, func(m store.Meeting) error {
			dates[m.ID] = m.Start.In(p.zoneOf(m)).Format(time.DateOnly)
			return nil
		}); err != nil {
			return err
		}
		out := csv.NewWriter(w)
		out.UseCRLF = true // RFC 4180
		if err := out.Write(csvColumns); err != nil {
			return err
		}
		err := p.eachRow(ctx, a, store.EntryQuery{Kind: store.Deliberation}, func(r row) error {
			if r.Withdrawn || r.ReplacedBy != nil {
				return nil
			}
			return out.Write(p.csvLine(a, l, r, dates[r.Entry.Meeting]))
		})
		out.Flush()
		if err != nil {
			return err
		}
		return out.Error()
	}
	return Answer{Type: "text/csv; charset=utf-8", Stream: stream, MaxAge: keepData, AnyOrigin: true, Name: "registre.csv"}, nil
}

// csvLine is a deliberation in csvColumns.
func (p *Page) csvLine(a Address, l Links, r row, date string) []string {
	e := r.Entry
	id := e.Number
	if id == "" {
		id = e.Digest.String()
	}
	if date == "" {
		date = e.AddedAt.In(p.zone).Format(time.DateOnly)
	}
	line := make([]string, len(csvColumns))
	line[0], line[1], line[2], line[3], line[6] = cell(p.authority.Name), cell(p.authority.Number), cell(id), date, cell(nameOf(e))
	line[16] = p.pageOf(a, l, Address{Kind: Document, ID: e.Digest.String()})
	line[17] = e.Digest.String()
	if r.State() != store.Waiting {
		line[18] = p.linkOf(a, l, Address{Kind: OTS, ID: e.Digest.String()})
	}
	return line
}

// cell makes a text harmless that a spreadsheet would take for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(s[0])) {
		return "'" + s
	}
	return s
}

func itoa(n int) string { return strconv.Itoa(n) }
