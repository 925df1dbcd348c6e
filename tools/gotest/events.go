package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// An event is a line of go test -json: see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string // "": the package
	Output  string
}

// follow reads the events of go test. It prints what go test prints without -json and -v: of a test
// that passes or is skipped nothing, of one that fails everything. It returns the skipped tests.
func follow(w io.Writer, events io.Reader) (skipped []skip, err error) {
	type test struct{ pkg, name string }
	output := make(map[test]*strings.Builder) // of the tests that run
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return skipped, nil
		} else if err != nil {
			return skipped, err
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			fmt.Fprintf(w, "%s", line) // what is no event comes from the go command itself
			continue
		}
		t := test{e.Package, e.Test}
		switch {
		case e.Action == "build-output":
			fmt.Fprint(w, e.Output)
		case e.Action == "output" && e.Test == "":
			if e.Output != "PASS\n" {
				fmt.Fprint(w, e.Output)
			}
		case e.Action == "output":
			if output[t] == nil {
				output[t] = new(strings.Builder)
			}
			if !progress.MatchString(e.Output) {
				output[t].WriteString(e.Output)
			}
		case e.Action == "fail" && e.Test == "":
			// The program ended in the middle of these.
			for unfinished, text := range output {
				if unfinished.pkg == e.Package {
					fmt.Fprint(w, text)
					delete(output, unfinished)
				}
			}
		case e.Action == "fail":
			if output[t] != nil {
				fmt.Fprint(w, output[t])
			}
			delete(output, t)
		case e.Action == "skip" && e.Test != "":
			text := ""
			if output[t] != nil {
				text = output[t].String()
			}
			skipped = append(skipped, skip{reasonIn(text), e.Package + "." + e.Test})
			delete(output, t)
		case e.Action == "pass":
			delete(output, t)
		}
	}
}

// progress are the lines that go test -v prints while a test runs.
var progress = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME)\s`)

// located is a line that a test logs, with the place where it did.
var located = regexp.MustCompile(`^\s+[\w.-]+\.go:\d+: (.*)`)

// reasonIn finds what a test said last before it skipped itself: its reason.
func reasonIn(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		if m := located.FindStringSubmatch(line); m != nil {
			reason = m[1]
		}
	}
	return reason
}
