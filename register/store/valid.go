package store

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a machine without zones must give a meeting the same date
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Lengths in bytes.
const (
	MaxFileName = 255 // as long as file systems allow
	MaxTitle    = 2000
	MaxPlace    = 500
	MaxNumber   = 100
	maxBodyID   = 40
	maxName     = 200
	maxNetwork  = 20
	maxMedia    = 200
)

// The years in which a meeting can be: a date outside of them is a typing error.
const (
	firstYear = 1800
	lastYear  = 2200
)

var (
	bodyID    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	mediaType = regexp.MustCompile(`^[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+(; ?[ -~]+)?$`)
)

// Check refuses an entry that no engine stores, with an error that wraps [ErrInvalid]. It changes
// texts to Unicode's composed form, and times to the precision of the store. Every engine calls it.
func (e *Entry) Check() error {
	e.Title, e.Number, e.FileName = norm.NFC.String(e.Title), norm.NFC.String(e.Number), norm.NFC.String(e.FileName)
	e.AddedAt, e.OnlineSince = Milliseconds(e.AddedAt), Milliseconds(e.OnlineSince)
	switch {
	case !slices.Contains(Kinds, e.Kind):
		return invalid("the kind %q is none of %s", e.Kind, list(Kinds))
	case e.Size < 0:
		return invalid("the size of %q is %d bytes", e.FileName, e.Size)
	case e.MediaType != "" && (len(e.MediaType) > maxMedia || !mediaType.MatchString(e.MediaType)):
		return invalid("the media type %q does not read like application/pdf", e.MediaType)
	}
	return errors.Join(CheckFileName(e.FileName), checkLine("title", e.Title, MaxTitle), checkLine("number", e.Number, MaxNumber))
}

// Check refuses a meeting that no engine stores, and changes its texts and times, as [Entry.Check]
// does.
func (m *Meeting) Check() error {
	m.Title, m.Place = norm.NFC.String(m.Title), norm.NFC.String(m.Place)
	m.Start, m.CreatedAt = Milliseconds(m.Start), Milliseconds(m.CreatedAt)
	if m.State == "" {
		m.State = Planned
	}
	if !slices.Contains(MeetingStates, m.State) {
		return invalid("the state %q is none of %s", m.State, list(MeetingStates))
	}
	if year := m.Start.Year(); year < firstYear || year > lastYear {
		return invalid("a meeting in the year %d: it must be between %d and %d", year, firstYear, lastYear)
	}
	if _, err := m.zone(); err != nil {
		return err
	}
	return errors.Join(checkLine("title", m.Title, MaxTitle), checkLine("place", m.Place, MaxPlace))
}

// Check refuses a body that no engine stores. Its ID stands in addresses.
func (b *Body) Check() error {
	b.Name, b.NameEN = norm.NFC.String(b.Name), norm.NFC.String(b.NameEN)
	switch {
	case len(b.ID) > maxBodyID || !bodyID.MatchString(b.ID):
		return invalid("the body %q must have an ID of lower-case letters, digits and hyphens that begins with a letter, such as conseil", b.ID)
	case b.Name == "":
		return invalid("the body %s has no name", b.ID)
	case b.ClearDays < 0 || b.ClearDays > 366:
		return invalid("the body %s has %d clear days: they must be between 0 and 366", b.ID, b.ClearDays)
	}
	return errors.Join(checkLine("name", b.Name, maxName), checkLine("name", b.NameEN, maxName))
}

// Date returns the day of the meeting in its zone: "2026-12-15".
func (m *Meeting) Date() (string, error) {
	zone, err := m.zone()
	if err != nil {
		return "", err
	}
	return m.Start.In(zone).Format(time.DateOnly), nil
}

func (m *Meeting) zone() (*time.Location, error) {
	if m.Zone == "" || m.Zone == "Local" {
		return nil, invalid("a meeting needs the name of its time zone, such as Europe/Paris")
	}
	zone, err := time.LoadLocation(m.Zone)
	if err != nil {
		return nil, invalid("the time zone %q is unknown: it must be an IANA name, such as Europe/Paris", m.Zone)
	}
	return zone, nil
}

// CheckNetwork refuses what is not the name of a network.
func CheckNetwork(network string) error {
	if network == "" {
		return invalid("the network has no name")
	}
	return checkLine("network", network, maxNetwork)
}

// CheckFileName refuses a name that could lead out of a directory, or that does not show what it
// is: one with separators, control characters, or characters that turn the order of the line
// around. [CleanFileName] makes an allowed name of any.
func CheckFileName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return invalid("%q is not the name of a file", name)
	case len(name) > MaxFileName:
		return invalid("the file name %q has %d bytes: at most %d are allowed", name[:32]+"…", len(name), MaxFileName)
	case !utf8.ValidString(name):
		return invalid("the file name %q is not UTF-8", name)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r == '/' || r == '\\' || isUnsafe(r) }); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return invalid("the file name %q has the character %U in it", name, r)
	}
	return nil
}

// isUnsafe reports whether a character ends a line or controls a terminal. Characters that turn the
// order of a line around are allowed, as they are in names of files: whoever shows a text shows
// them inertly.
func isUnsafe(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) }

// checkLine refuses a text that does not stand on one line.
func checkLine(what, text string, most int) error {
	if len(text) > most {
		return invalid("the %s has %d bytes: at most %d are allowed", what, len(text), most)
	}
	if !utf8.ValidString(text) {
		return invalid("the %s %q is not UTF-8", what, text)
	}
	if i := strings.IndexFunc(text, isUnsafe); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		return invalid("the %s %q has the character %U in it", what, text, r)
	}
	return nil
}

func list[T ~string](all []T) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Milliseconds returns a time as the store keeps it: to the millisecond, in UTC.
func Milliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// Check refuses a proof that no engine stores, and changes its times, as [Entry.Check] does.
func (p *Proof) Check() error {
	p.SubmittedAt, p.BlockTime, p.CompleteAt = Milliseconds(p.SubmittedAt), Milliseconds(p.BlockTime), Milliseconds(p.CompleteAt)
	switch {
	case !slices.Contains(ProofStates, p.State):
		return invalid("the state %q of the proof of %s is none of %s", p.State, p.Digest, list(ProofStates))
	case p.Height < 0:
		return invalid("the proof of %s has the block height %d", p.Digest, p.Height)
	}
	return checkLine("block hash", p.BlockHash, 2*len(p.Digest))
}
