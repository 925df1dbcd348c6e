package register

import (
	"slices"
	"time"

	"ancre/register/law"
	"ancre/register/page"
	"ancre/register/store"
)

// needs are the requirements of the page that stand for a kind of document.
var needs = map[store.Kind]page.Need{
	store.Convocation:  page.NeedConvocation,
	store.Agenda:       page.NeedAgenda,
	store.Note:         page.NeedNote,
	store.Deliberation: page.NeedDeliberations,
	store.Minutes:      page.NeedMinutes,
}

// onlineMonths is how long an act stays on line at least (CGCT R2131-1).
const onlineMonths = 2

// requirements says what the law asks of a meeting, for the public. It judges what is on line. If
// the register has a document that is not on line, the requirement is uncertain: the page neither
// shows the document nor says that it is missing.
func requirements(s MeetingStatus, rules []law.Rule, now time.Time) (all []page.Requirement) {
	public := s
	public.Entries = slices.DeleteFunc(slices.Clone(s.Entries), func(e store.Entry) bool { return e.OnlineSince.IsZero() })
	input := law.Input{Body: s.Body, Meeting: s.Meeting, Entries: public.Entries, Proofs: s.Proofs, Next: s.next, Now: now}
	public.Report = law.Completeness(rules, input)
	for _, item := range public.Report.Items {
		if !item.Wanted {
			continue
		}
		all = append(all, requirement(item, s.Report))
		if item.Kind == store.Convocation {
			all = append(all, clearDays(item, s))
		}
	}
	if len(public.Entries) > 0 {
		all = append(all, proofs(public))
	}
	if r, ok := onlinePeriod(public.Entries, now); ok {
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b page.Requirement) int {
		return slices.Index(page.Needs, a.What) - slices.Index(page.Needs, b.What)
	})
	return all
}

// requirement is what the page says of one kind of document. whole is the report on all entries.
func requirement(item law.Item, whole law.Report) page.Requirement {
	r := page.Requirement{What: needs[item.Kind], Due: item.Due, Law: item.Rule.Source, Found: len(item.Entries)}
	switch item.State {
	case law.There:
		r.State, r.Done = page.Met, item.Since
	case law.Within:
		r.State = page.Met
	case law.Late:
		r.State, r.Done = page.Late, item.Since
	case law.Awaited:
		r.State = page.NotYet
	default:
		r.State = page.Missing
	}
	if r.Found == 0 && item.Since.IsZero() && isThere(item.Kind, whole) {
		r.State = page.Uncertain
	}
	return r
}

// isThere reports whether the register has a document of a kind.
func isThere(kind store.Kind, r law.Report) bool {
	return slices.ContainsFunc(r.Items, func(i law.Item) bool { return i.Kind == kind && !i.Since.IsZero() })
}

// clearDays compares the days between the convocation and the meeting with those that the law
// wants.
func clearDays(item law.Item, s MeetingStatus) page.Requirement {
	r := requirement(item, s.Report)
	r.What, r.Days, r.Found = page.NeedClearDays, s.Body.ClearDays, 0
	if !item.Since.IsZero() {
		r.Found = law.ClearDays(item.Since, s.Meeting)
	}
	return r
}

// proofs says whether all proofs are complete.
func proofs(s MeetingStatus) page.Requirement {
	r := page.Requirement{What: page.NeedProofs, State: page.NotYet, Found: s.Report.Proofs[store.Complete]}
	if r.Found == len(s.Entries) {
		r.State = page.Met
		for _, e := range s.Entries {
			if at := s.Proofs[e.Digest].BlockTime; at.After(r.Done) {
				r.Done = at
			}
		}
	}
	return r
}

// onlinePeriod says whether acts stayed on line for as long as they must. ok is false if none was
// on line.
func onlinePeriod(entries []store.Entry, now time.Time) (r page.Requirement, ok bool) {
	r = page.Requirement{What: page.NeedTwoMonths, State: page.Met}
	for _, e := range entries {
		if e.Kind != store.Deliberation && e.Kind != store.Act {
			continue
		}
		ok = true
		until := e.OnlineSince.AddDate(0, onlineMonths, 0)
		if until.After(r.Due) {
			r.Due = until
		}
		switch {
		case !e.Published && e.WithdrawnAt.Before(until):
			r.State = page.Missing
		case now.Before(until) && r.State == page.Met:
			r.State = page.NotYet
		}
		r.Found++
	}
	return r, ok
}
