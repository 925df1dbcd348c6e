package notify

import (
	"encoding/json"
	"time"
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
	Summary  string    `json:"summary"`  // what warnings of this kind say, in one short sentence
	Text     string    `json:"text"`     // the warning itself, with its figures and what to do
	Remedy   string    `json:"remedy"`   // what to do about warnings of this kind
	Time     time.Time `json:"time"`     // when it happened, in UTC
	Since    time.Time `json:"since"`    // when the warning began, in UTC
	Network  string    `json:"network"`
	Host     string    `json:"host"` // the name of this machine
	Version  string    `json:"version"`
}

// line returns the event as the command reads it.
func (e Event) line() ([]byte, error) {
	e.Time, e.Since = e.Time.UTC().Truncate(time.Second), e.Since.UTC().Truncate(time.Second)
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}
