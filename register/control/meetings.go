package control

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"ancre/register"
	"ancre/register/store"
)

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	status, err := s.Status(r.Context())
	if err != nil {
		return err
	}
	return answer(w, status)
}

func (s *Server) addMeeting(w http.ResponseWriter, r *http.Request) error {
	var n NewMeeting
	if err := decode(w, r, &n); err != nil {
		return err
	}
	m, added, err := s.Register.AddMeeting(r.Context(), register.NewMeeting{Body: n.Body, Date: n.Date, Clock: n.Time, Zone: n.Zone, Title: n.Title,
		Place: n.Place, State: store.MeetingState(n.State), Publish: n.Publish})
	if err != nil {
		return err
	}
	return answer(w, AddedMeeting{meetingOf(m), added})
}

func (s *Server) changeMeeting(w http.ResponseWriter, r *http.Request) error {
	var u MeetingUpdate
	if err := decode(w, r, &u); err != nil {
		return err
	}
	change := register.MeetingUpdate{Date: u.Date, Clock: u.Time, Title: u.Title, Place: u.Place, Publish: u.Publish}
	if u.State != nil {
		state := store.MeetingState(*u.State)
		change.State = &state
	}
	m, err := s.Register.UpdateMeeting(r.Context(), r.PathValue("id"), change)
	if err != nil {
		return err
	}
	return answer(w, meetingOf(m))
}

func (s *Server) showMeeting(w http.ResponseWriter, r *http.Request) error {
	status, err := s.Register.MeetingStatus(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, statusOf(status))
}

// maxList is how many meetings or documents one answer has at most.
const maxList = 1000

func (s *Server) listMeetings(w http.ResponseWriter, r *http.Request) error {
	values := r.URL.Query()
	limit, err := limitOf(values)
	if err != nil {
		return err
	}
	q := store.MeetingQuery{Body: values.Get("body"), OldestFirst: values.Get("oldest_first") == "true", Limit: limit + 1}
	for _, t := range []struct {
		key string
		to  *time.Time
		add int
	}{{"from", &q.From, 0}, {"to", &q.To, 1}} {
		if v := values.Get(t.key); v != "" {
			start, err := register.ParseStart(v, "", s.Register.Zone())
			if err != nil {
				return err
			}
			*t.to = start.In(s.Register.Zone()).AddDate(0, 0, t.add)
		}
	}
	list, err := s.Register.Store().Meetings(r.Context(), q)
	if err != nil {
		return err
	}
	all := Meetings{Meetings: []Meeting{}, More: len(list) > limit}
	for _, m := range list[:min(limit, len(list))] {
		all.Meetings = append(all.Meetings, meetingOf(m))
	}
	return answer(w, all)
}

func limitOf(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return maxList, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxList {
		return 0, invalidf("the limit %q must be a number from 1 to %d", text, maxList)
	}
	return n, nil
}
