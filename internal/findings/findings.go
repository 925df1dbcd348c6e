// Package findings has what the verb "check" of a daemon finds before a start: whether the daemon
// would start, and what would be wrong with it.
package findings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
	"ancre/internal/journal"
	"ancre/internal/printable"
)

// Level says what a finding means for the daemon.
type Level string

// The levels.
const (
	Fine    Level = "fine"
	Caution Level = "warning" // the daemon starts, and something is not as it should be
	Fatal   Level = "error"   // the daemon would not start
)

// Finding is the result of one check.
type Finding struct {
	About string `json:"about"` // a key of the configuration, or what was looked at
	Level Level  `json:"level"`
	Text  string `json:"text"` // what was found and, unless it is fine, what to do
}

// List is what was found, in the order of the checks.
type List []Finding

// Add adds a finding.
func (l *List) Add(about string, level Level, format string, args ...any) {
	*l = append(*l, Finding{about, level, fmt.Sprintf(format, args...)})
}

// NewDir checks that a directory can be made: it makes one beside it for a moment, which is named
// after the program.
func (l *List) NewDir(about, dir, program string) {
	parent := datadir.Nearest(dir)
	probe, err := os.MkdirTemp(parent, "."+program+"-check-*")
	if err != nil {
		l.Add(about, Fatal, "%s cannot be made: %v", dir, atomicfile.Denied(&fs.PathError{Op: "write", Path: parent, Err: errors.Unwrap(err)}))
		return
	}
	_ = os.Remove(probe)
	l.Add(about, Fine, "%s will be made", dir)
}

// Address checks that a server can listen. running names the daemon that has the address already,
// as "an ancred"; it is "" if none runs. other names what may have it else: "another program".
func (l *List) Address(about, listen, running, other string) {
	if listen == "" {
		l.Add(about, Fine, "off")
		return
	}
	if running != "" {
		l.Add(about, Fine, "%s: not tried, %s runs", listen, running)
		return
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		l.Add(about, Fatal, "%v: if %s uses the port, stop that one, or choose another address", err, other)
		return
	}
	_ = ln.Close()
	l.Add(about, Fine, "%s is free", listen)
}

// Report is what the verb prints as JSON.
type Report struct {
	Starts   bool `json:"starts"`
	Findings List `json:"findings"`
}

// Report says whether the daemon would start.
func (l List) Report() Report {
	return Report{!slices.ContainsFunc(l, func(f Finding) bool { return f.Level == Fatal }), l}
}

// priorities are those of the levels in the journal, where the unit's ExecStartPre prints.
var priorities = map[Level]string{Fatal: journal.Error, Caution: journal.Warning, Fine: journal.Info}

// Text returns what the verb prints for a person, or for the journal if out leads there. If it is
// quiet, only what is wrong.
func (r Report) Text(program string, quiet bool, out io.Writer) string {
	var text strings.Builder
	for _, f := range r.Findings {
		if !quiet || f.Level != Fine {
			line := fmt.Sprintf("%-8s %s: %s\n", f.Level, printable.Line(f.About), printable.Line(f.Text))
			text.WriteString(journal.Line(out, priorities[f.Level], line))
		}
	}
	switch {
	case !r.Starts:
		text.WriteString(program + " would not start like this.\n")
	case !quiet:
		text.WriteString(program + " would start.\n")
	}
	return text.String()
}
