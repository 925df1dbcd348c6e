// Package pagetest is a register in memory for tests and benchmarks of the public page. It
// generates meetings and documents in all states, the same ones each time.
package pagetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ancre/register/page"
	"ancre/register/store"
)

// Source implements [page.Source]. Its exported fields may be changed before it is used.
type Source struct {
	NetworkName string
	BodyList    []store.Body
	MeetingList []store.Meeting // the newest first
	EntryList   []store.Entry   // by ID
	ProofOf     map[store.Digest]store.Proof
	Bytes       map[store.Digest][]byte // files that are offered
	NodeState   page.Node
	Needs       []page.Requirement // of every meeting
	Err         error              // what every method returns, if it is not nil

	once      sync.Once
	byMeeting map[string][]int
	byDigest  map[store.Digest][]int
	revision  atomic.Uint64
}

// Epoch is when the generated register begins.
var Epoch = time.Date(2026, 12, 15, 17, 30, 0, 0, time.UTC)

// Generate returns a register of that many meetings, each with that many documents.
func Generate(meetings, documents int) *Source {
	s := &Source{
		NetworkName: "mainnet",
		BodyList: []store.Body{
			{ID: "conseil", Name: "Conseil municipal", NameEN: "Municipal council", ClearDays: 5},
			{ID: "bureau", Name: "Bureau communautaire"},
		},
		ProofOf: map[store.Digest]store.Proof{}, Bytes: map[store.Digest][]byte{},
		NodeState: page.Node{Reachable: true, Since: Epoch, Height: 930_000, BlockTime: Epoch},
	}
	for i, need := range page.Needs {
		state := page.RequirementStates[i%len(page.RequirementStates)]
		s.Needs = append(s.Needs, page.Requirement{What: need, State: state, Due: Epoch.AddDate(0, 0, i-7), Law: "CGCT L2121-10", Found: i})
		if need == page.NeedClearDays {
			s.Needs[i].Days = 5
		}
		if state == page.Met || state == page.Late {
			s.Needs[i].Done = Epoch.AddDate(0, 0, -8)
		}
	}
	for i := range meetings {
		start := Epoch.AddDate(0, 0, -7*i)
		m := store.Meeting{
			ID: start.Format(time.DateOnly), Body: "conseil", Start: start, Zone: "Europe/Paris", Place: "Salle du conseil, hôtel de ville",
			State: store.Held, Published: true, CreatedAt: start.AddDate(0, 0, -20), ChangedAt: start,
		}
		if i == 0 {
			m.State = store.Convoked
		}
		s.MeetingList = append(s.MeetingList, m)
		for j := range documents {
			s.add(m, j)
		}
	}
	return s
}

// add adds the document with that number to a meeting.
func (s *Source) add(m store.Meeting, j int) {
	kind := store.Deliberation
	if j < len(store.Kinds) {
		kind = store.Kinds[j]
	}
	id := int64(len(s.EntryList) + 1)
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], uint64(id))
	e := store.Entry{
		ID: id, Digest: sha256.Sum256(seed[:]), Meeting: m.ID, Kind: kind,
		Title: fmt.Sprintf("Document %d de la séance du %s", j+1, m.ID), Number: fmt.Sprintf("%d-%03d", m.Start.Year(), id%1000),
		FileName: fmt.Sprintf("%s-%03d.pdf", kind, j+1), MediaType: "application/pdf", Size: 1000 * id,
		AddedAt: m.Start.AddDate(0, 0, -8), Published: true, Download: true, OnlineSince: m.Start.AddDate(0, 0, -7),
	}
	s.EntryList = append(s.EntryList, e)
	p := store.Proof{Digest: e.Digest, State: store.Complete, AddedAt: e.AddedAt, SubmittedAt: e.AddedAt, Batch: uint64(id)}
	if j%10 == 9 {
		p.State = store.ProofStates[id%3]
	}
	if p.State == store.Complete || p.State == store.Mined {
		p.Height, p.BlockTime = 930_000-int32(Epoch.Sub(m.Start).Hours()*6), m.Start.AddDate(0, 0, -7).Add(3*time.Hour)
		p.BlockHash = fmt.Sprintf("%064x", p.Height)
	}
	if p.State == store.Complete {
		p.CompleteAt = p.BlockTime.Add(time.Hour)
	}
	s.ProofOf[e.Digest] = p
}

// Bump makes the revision grow.
func (s *Source) Bump() { s.revision.Add(1) }

// Revision implements [page.Source], as do the methods below.
func (s *Source) Revision() uint64 { return s.revision.Load() }

func (s *Source) Network(context.Context) (string, error) { return s.NetworkName, s.Err }

func (s *Source) Bodies(context.Context) ([]store.Body, error) { return s.BodyList, s.Err }

func (s *Source) Years(_ context.Context, zone *time.Location) ([]store.YearCount, error) {
	var years []store.YearCount
	for _, m := range s.MeetingList {
		if !m.Published {
			continue
		}
		y := m.Start.In(zone).Year()
		if n := len(years); n > 0 && years[n-1].Year == y {
			years[n-1].Meetings++
		} else {
			years = append(years, store.YearCount{Year: y, Meetings: 1})
		}
	}
	return years, s.Err
}

func (s *Source) Meetings(_ context.Context, q store.MeetingQuery) ([]store.Meeting, error) {
	var list []store.Meeting
	for _, m := range s.MeetingList {
		if m.Published && (q.Body == "" || m.Body == q.Body) && within(m.Start, q.From, q.To) {
			list = append(list, m)
		}
	}
	if q.OldestFirst {
		slices.Reverse(list)
	}
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list, s.Err
}

func within(t, from, to time.Time) bool {
	return (from.IsZero() || !t.Before(from)) && (to.IsZero() || t.Before(to))
}

func (s *Source) Meeting(_ context.Context, id string) (store.Meeting, error) {
	for _, m := range s.MeetingList {
		if m.ID == id && m.Published {
			return m, s.Err
		}
	}
	return store.Meeting{}, fmt.Errorf("meeting %q: %w", id, store.ErrNotFound)
}

func (s *Source) Completeness(context.Context, string) ([]page.Requirement, error) {
	return s.Needs, s.Err
}

func (s *Source) index() {
	s.byMeeting, s.byDigest = map[string][]int{}, map[store.Digest][]int{}
	for i, e := range s.EntryList {
		s.byMeeting[e.Meeting] = append(s.byMeeting[e.Meeting], i)
		s.byDigest[e.Digest] = append(s.byDigest[e.Digest], i)
	}
}

func (s *Source) candidates(q store.EntryQuery) []int {
	s.once.Do(s.index)
	switch {
	case q.Meeting != nil:
		return s.byMeeting[*q.Meeting]
	case q.Digest != nil:
		return s.byDigest[*q.Digest]
	}
	all := make([]int, len(s.EntryList))
	for i := range all {
		all[i] = i
	}
	return all
}

func (s *Source) match(q store.EntryQuery) []store.Entry {
	var list []store.Entry
	starts := map[string]time.Time{"": {}}
	for _, m := range s.MeetingList {
		if m.Published {
			starts[m.ID] = m.Start
		}
	}
	for _, i := range s.candidates(q) {
		e := s.EntryList[i]
		start, ok := starts[e.Meeting]
		if e.Meeting == "" {
			start = e.AddedAt
		}
		was := q.WasPublished && !e.OnlineSince.IsZero()
		if ok && (e.Published || was) && (q.Kind == "" || q.Kind == e.Kind) && e.ID > q.After &&
			(q.Meeting == nil || *q.Meeting == e.Meeting) && (q.Digest == nil || *q.Digest == e.Digest) &&
			(q.FirstByte == nil || *q.FirstByte == e.Digest[0]) && within(start, q.From, q.To) && hasWords(e, q.Text) {
			list = append(list, e)
		}
	}
	switch q.Order {
	case store.ByMeeting:
		slices.SortStableFunc(list, func(a, b store.Entry) int {
			return cmp.Or(starts[b.Meeting].Compare(starts[a.Meeting]), cmp.Compare(slices.Index(store.Kinds, a.Kind), slices.Index(store.Kinds, b.Kind)), cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID, b.ID))
		})
	case store.ByDigest:
		slices.SortStableFunc(list, func(a, b store.Entry) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	}
	return list
}

func hasWords(e store.Entry, text string) bool {
	in := strings.ToLower(e.Title + " " + e.Number + " " + e.FileName)
	for _, word := range strings.Fields(strings.ToLower(text)) {
		if !strings.Contains(in, word) {
			return false
		}
	}
	return true
}

func (s *Source) Entries(_ context.Context, q store.EntryQuery) ([]store.Entry, error) {
	list := s.match(q)
	list = list[min(q.Offset, len(list)):]
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list, s.Err
}

func (s *Source) CountEntries(_ context.Context, q store.EntryQuery) (int, error) {
	return len(s.match(q)), s.Err
}

func (s *Source) Proofs(_ context.Context, ds []store.Digest) ([]store.Proof, error) {
	list := make([]store.Proof, len(ds))
	for i, d := range ds {
		list[i] = s.ProofOf[d]
	}
	return list, s.Err
}

// OTS returns a proof that is well-formed. It leads to the block or calendar that the state of the
// proof names, and verifies against no real block.
func (s *Source) OTS(_ context.Context, d store.Digest) ([]byte, error) {
	p := s.ProofOf[d]
	if s.online(d) == nil || p.State == "" || p.State == store.Waiting {
		return nil, fmt.Errorf("proof of %s: %w", d, store.ErrNotFound)
	}
	b := []byte("\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08")
	b = append(b, d[:]...)
	b = append(b, 0xf0, 32) // append 32 bytes
	nonce := sha256.Sum256(d[:])
	b = append(append(b, nonce[:]...), 0x08, 0x00) // SHA-256, then an attestation
	if p.Height == 0 {
		const uri = "https://calendar.example"
		b = append(b, 0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e, byte(len(uri)+1), byte(len(uri)))
		return append(b, uri...), s.Err
	}
	b = append(b, 0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01)
	height := binary.AppendUvarint(nil, uint64(p.Height))
	return append(append(b, byte(len(height))), height...), s.Err
}

// Receipt returns bytes that stand for a receipt.
func (s *Source) Receipt(_ context.Context, d store.Digest) ([]byte, error) {
	if s.online(d) == nil || s.ProofOf[d].State != store.Complete {
		return nil, fmt.Errorf("receipt of %s: %w", d, store.ErrNotFound)
	}
	return []byte(`{"targetHash":"` + d.String() + `"}`), s.Err
}

// online returns an entry of a digest that is on line.
func (s *Source) online(d store.Digest) *store.Entry {
	for i := range s.EntryList {
		if e := &s.EntryList[i]; e.Digest == d && e.Published {
			return e
		}
	}
	return nil
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (s *Source) File(_ context.Context, d store.Digest) (io.ReadSeekCloser, error) {
	e := s.online(d)
	if e == nil || !e.Download {
		return nil, fmt.Errorf("file of %s: %w", d, store.ErrNotFound)
	}
	b, ok := s.Bytes[d]
	if !ok {
		b = []byte("the bytes of " + d.String())
	}
	return content{bytes.NewReader(b)}, s.Err
}

// Headers returns bytes that stand for a window of headers.
func (s *Source) Headers(_ context.Context, period int32) ([]byte, error) {
	if period < 0 || period > s.NodeState.Height/2016 {
		return nil, fmt.Errorf("headers of period %d: %w", period, store.ErrNotFound)
	}
	return []byte(fmt.Sprintf("ANCREHW1 %d", period)), s.Err
}

func (s *Source) Node(context.Context) page.Node { return s.NodeState }
