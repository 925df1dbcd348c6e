package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ancre/internal/warning"
)

// The events that a command is told of.
const (
	Raised   = "raised"   // a warning began
	Reminder = "reminder" // it is still there
	Cleared  = "cleared"  // it is over
	Test     = "test"     // an operator asked for it
)

// Event is what a command reads from standard input, as one line of JSON. Members keep their names
// and meanings. Later versions may add members, and other events.
type Event struct {
	Event    string    `json:"event"`    // Raised, Reminder, Cleared or Test
	Kind     string    `json:"kind"`     // of the warning, a name from docs/metrics.md; "test" for a test
	Severity string    `json:"severity"` // critical: look now; warning: look today; info: only a test has it
	Text     string    `json:"text"`     // the warning, with its figures and what to do
	Time     time.Time `json:"time"`     // when it happened, in UTC
	Since    time.Time `json:"since"`    // when the warning began, in UTC
	Network  string    `json:"network"`
	Host     string    `json:"host"` // the name of this machine
	Version  string    `json:"version"`
	Subject  string    `json:"subject"` // all this in one line, for a person
	Message  string    `json:"message"` // all this in several lines, for a person

	says, remedy    string // of the kind
	program, status string // whose warning it is, and the command that shows all of them; empty: those of ancred
}

// words writes Subject and Message.
func (e *Event) words() {
	says := strings.TrimSuffix(e.says, ".")
	about := map[string]string{Raised: "warning: ", Reminder: "reminder: ", Cleared: "over: "}[e.Event]
	if e.Event == Raised && e.Severity == string(warning.Critical) {
		about = "act now: "
	}
	e.Subject = fmt.Sprintf("Ancre on %s: %s%s", e.Host, about, says)

	const layout = "2006-01-02 15:04 UTC"
	var m strings.Builder
	since := e.Since.UTC().Format(layout)
	switch e.Event {
	case Raised, Reminder:
		when := map[bool]string{true: "Somebody should look now", false: "Somebody should look today"}[e.Severity == string(warning.Critical)]
		if e.Event == Reminder {
			when = "This is a reminder: the warning is still there"
		}
		fmt.Fprintf(&m, "%s\n%s\n\nWhat to do: %s\n\n%s. It began at %s.\n", e.says, e.Text, e.remedy, when, since)
	case Cleared:
		fmt.Fprintf(&m, "This warning is over:\n%s\n\nIt began at %s and was over at %s. The last text was:\n%s\n", e.says, since, e.Time.UTC().Format(layout), e.Text)
	default:
		fmt.Fprintf(&m, "%s\n", e.Text)
	}
	fmt.Fprintf(&m, "\nMachine: %s\nNetwork: %s\nVersion of %s: %s\n", e.Host, e.Network, cmp.Or(e.program, "ancred"), e.Version)
	if e.Event != Test {
		fmt.Fprintf(&m, "Kind of warning: %s\n\"%s\" on that machine shows all that is wrong now.\n", e.Kind, cmp.Or(e.status, "ancre status"))
	}
	e.Message = m.String()
}

// line returns the event as the command reads it.
func (e Event) line() ([]byte, error) {
	e.words()
	e.Time, e.Since = e.Time.UTC().Truncate(time.Second), e.Since.UTC().Truncate(time.Second)
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}
