package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/register/control"

	"github.com/spf13/cobra"
)

func (a *app) meetingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "meeting",
		Short: "Add, list, show and change meetings",
		Long:  "Add, list, show and change meetings. A meeting is known by its date: 2026-12-15, with the body behind it unless that is the first one.",
		Args:  cobra.ArbitraryArgs,
		RunE:  command.NeedVerb,
	}
	cmd.AddCommand(a.meetingAddCommand(), a.meetingListCommand(), a.meetingShowCommand(), a.meetingStatusCommand(), a.meetingSetCommand())
	return cmd
}

func (a *app) meetingAddCommand() *cobra.Command {
	var n control.NewMeeting
	cmd := &cobra.Command{
		Use:   "add DATE",
		Short: "Add a meeting",
		Long: `Add a meeting on DATE, such as 2026-12-15, and print its name: the date, with the body behind it unless that is the first body
of register.conf.

Adding a meeting again that the body has at that time changes nothing.`,
		Example: `  ancre-register meeting add 2026-12-15 --time 18:30 --place "Salle du conseil"
  ancre-register meeting add 2026-12-17 --body bureau --time 09:00`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Date = args[0]
			var m control.AddedMeeting
			err := a.call(cmd.Context(), func(c *control.Client) (err error) {
				m, err = c.AddMeeting(cmd.Context(), n)
				return err
			})
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(m, false)
			case m.Added:
				a.say("%s: added, %s\n", m.ID, meetingLine(m.Meeting))
			default:
				a.say("%s: already there, %s\n", m.ID, meetingLine(m.Meeting))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.Time, "time", "", "`HH:MM` at which it starts, such as 18:30")
	f.StringVar(&n.Body, "body", "", "`NAME` of the body that meets, as in register.conf (default the first one)")
	f.StringVar(&n.Title, "title", "", "`TEXT` to show instead of the body's name and the date")
	f.StringVar(&n.Place, "place", "", "`TEXT` that says where")
	f.StringVar(&n.State, "state", "", "`STATE`: planned, convoked, held or cancelled (default planned)")
	f.StringVar(&n.Zone, "zone", "", "time `ZONE` of the date, such as Indian/Reunion (default page.time_zone)")
	f.BoolVar(&n.Publish, "publish", false, "show it on the public page at once; its first published document does so too")
	a.addQuiet(f)
	f.SortFlags = false
	return cmd
}

// meetingLine says what a meeting is, in one line.
func meetingLine(m control.Meeting) string {
	parts := []string{localStart(m), m.Body}
	if m.Title != "" {
		parts = append(parts, m.Title)
	}
	if m.Place != "" {
		parts = append(parts, m.Place)
	}
	parts = append(parts, m.State)
	if m.Published {
		parts = append(parts, "on line")
	} else {
		parts = append(parts, "not on line")
	}
	return strings.Join(parts, ", ")
}

// localStart returns the start of a meeting as its clocks show it. At midnight, no time was given.
func localStart(m control.Meeting) string {
	start := m.Start
	if zone, err := time.LoadLocation(m.Zone); err == nil {
		start = start.In(zone)
	}
	if start.Hour() == 0 && start.Minute() == 0 {
		return start.Format(time.DateOnly)
	}
	return start.Format("2006-01-02 15:04")
}

func (a *app) meetingListCommand() *cobra.Command {
	var q control.MeetingQuery
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List meetings, the newest first",
		Long:    "List meetings, the newest first.",
		Example: "  ancre-register meeting list --from 2026-01-01 --to 2026-12-31",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all control.Meetings
			err := a.call(cmd.Context(), func(c *control.Client) (err error) {
				all, err = c.Meetings(cmd.Context(), q)
				return err
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all, false)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			for _, m := range all.Meetings {
				row(w, "%s\t%s\n", m.ID, meetingLine(m))
			}
			_ = w.Flush() // the stream remembers what could not be written
			switch {
			case len(all.Meetings) == 0:
				a.note("no meetings: add one with \"ancre-register meeting add DATE\"")
			case all.More:
				a.note("there are more: choose with --from, --to or --body, or raise --limit")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Body, "body", "", "only those of the body of this `NAME`")
	f.StringVar(&q.From, "from", "", "only those on this `DATE` or later")
	f.StringVar(&q.To, "to", "", "only those on this `DATE` or earlier")
	f.IntVar(&q.Limit, "limit", 100, "at most `N` of them, 1 to 1000")
	f.SortFlags = false
	return cmd
}

func (a *app) meetingShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show MEETING",
		Short: "Show a meeting and its documents",
		Long:  "Show a meeting and its documents. \"ancre-register meeting status\" says what is missing.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.fetchMeeting(cmd, args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(m, false)
			}
			a.say("%s: %s\n", m.ID, meetingLine(m.Meeting))
			a.table(m.Documents, false)
			return nil
		},
	}
}

func (a *app) fetchMeeting(cmd *cobra.Command, id string) (m control.MeetingStatus, err error) {
	return m, a.call(cmd.Context(), func(c *control.Client) (err error) {
		m, err = c.Meeting(cmd.Context(), id)
		return err
	})
}

func (a *app) meetingStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status MEETING",
		Short: "Say what a meeting has, and what it lacks",
		Long: `Say which documents the law wants of a meeting (CGCT), which are there, since when, and how far their proofs are.

Exit status: 0 all that is wanted is there and proven, 1 something is missing or came too late, 3 something is awaited, or a
proof is pending.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.fetchMeeting(cmd, args[0])
			if err != nil {
				return err
			}
			c := m.Completeness
			status := exitDone
			switch {
			case c.Missing > 0 || c.Late > 0:
				status = exitFailed
			case !c.Complete || c.Awaited > 0:
				status = exitPending
			}
			if a.json {
				if err := a.printJSON(m, false); err != nil {
					return err
				}
				return command.Finish(status)
			}
			a.say("%s: %s\n", m.ID, meetingLine(m.Meeting))
			if c.ConvokeBy != "" {
				a.say("convocation by %s (%s of %s)\n", c.ConvokeBy, humanize.Plural(m.ClearDays, "clear day", "clear days"), m.BodyName)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			for _, i := range c.Items {
				row(w, "%s\t%s\t%s\n", i.Kind, itemState(i), itemProof(i))
			}
			_ = w.Flush() // the stream remembers what could not be written
			a.say("%s\n", verdict(c))
			return command.Finish(status)
		},
	}
}

// itemState says what became of a kind of document.
func itemState(i control.Item) string {
	count := humanize.Plural(i.Documents, "document", "documents")
	if i.Replaced > 0 {
		count += fmt.Sprintf(" (%d replaced)", i.Replaced)
	}
	due := ""
	if i.Due != "" {
		due = ", wanted by " + i.Due
	}
	switch i.State {
	case "there":
		return count + since(i)
	case "late":
		return "late: " + count + since(i) + due
	case "within":
		return "none of its own: it may be in another document"
	case "awaited":
		return "awaited" + due
	case "missing":
		return "missing" + due
	}
	return i.State
}

func since(i control.Item) string {
	if i.Since == nil {
		return ""
	}
	return ", since " + humanize.Local(*i.Since)
}

// itemProof says how far the proofs of a kind are.
func itemProof(i control.Item) string {
	switch {
	case i.Proof == "":
		return ""
	case i.ProvenInTime:
		return "proof " + i.Proof + ", proven in time"
	}
	return "proof " + i.Proof
}

func verdict(c control.Completeness) string {
	var open []string
	for _, part := range []struct {
		n    int
		what string
	}{{c.Missing, "missing"}, {c.Late, "late"}, {c.Awaited, "awaited"}} {
		if part.n > 0 {
			open = append(open, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if pending := c.ProofStates["waiting"] + c.ProofStates["pending"] + c.ProofStates["mined"]; pending > 0 {
		open = append(open, humanize.Plural(pending, "proof not complete", "proofs not complete"))
	}
	if len(open) == 0 {
		return "complete: all that is wanted is there, and all proofs are complete"
	}
	return "not complete: " + strings.Join(open, ", ")
}

func (a *app) meetingSetCommand() *cobra.Command {
	var date, clock, title, place, state string
	var publish bool
	cmd := &cobra.Command{
		Use:   "set MEETING",
		Short: "Change a meeting",
		Long: `Change a meeting. What no flag names stays as it is. Its name stays, even if its date changes: addresses of the public page
have it.`,
		Example: `  ancre-register meeting set 2026-12-15 --state held
  ancre-register meeting set 2026-12-15 --date 2026-12-18 --time 19:00
  ancre-register meeting set 2026-12-15 --publish=false`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var u control.MeetingUpdate
			changed := false
			for name, field := range map[string]struct {
				to    **string
				value *string
			}{"date": {&u.Date, &date}, "time": {&u.Time, &clock}, "title": {&u.Title, &title}, "place": {&u.Place, &place}, "state": {&u.State, &state}} {
				if cmd.Flags().Changed(name) {
					*field.to, changed = field.value, true
				}
			}
			if cmd.Flags().Changed("publish") {
				u.Publish, changed = &publish, true
			}
			if !changed {
				return command.Usagef("what to change? Name one of --date, --time, --title, --place, --state, --publish")
			}
			var m control.Meeting
			err := a.call(cmd.Context(), func(c *control.Client) (err error) {
				m, err = c.ChangeMeeting(cmd.Context(), args[0], u)
				return err
			})
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(m, false)
			}
			a.say("%s: %s\n", m.ID, meetingLine(m))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&date, "date", "", "`DATE`, such as 2026-12-15")
	f.StringVar(&clock, "time", "", "`HH:MM` at which it starts")
	f.StringVar(&title, "title", "", "`TEXT` to show instead of the body's name and the date")
	f.StringVar(&place, "place", "", "`TEXT` that says where")
	f.StringVar(&state, "state", "", "`STATE`: planned, convoked, held or cancelled")
	f.BoolVar(&publish, "publish", false, "show it on the public page; --publish=false takes it off, with its documents")
	a.addQuiet(f)
	f.SortFlags = false
	return cmd
}
