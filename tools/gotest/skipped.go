package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// A skip is something that was not done.
type skip struct{ reason, what string }

// addTo adds lines to a file that reportFile reads.
func addTo(file string, skipped []skip) error {
	var lines strings.Builder
	for _, s := range skipped {
		fmt.Fprintf(&lines, "%s\t%s\n", strings.ReplaceAll(s.reason, "\t", " "), s.what)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(lines.String()); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// reportFile reports what is in a file that addTo or a script has written.
func reportFile(w io.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var skipped []skip
	for line := range strings.Lines(string(text)) {
		reason, what, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		skipped = append(skipped, skip{reason, what})
	}
	report(w, skipped)
	return nil
}

// namesPerReason bounds a long list.
const namesPerReason = 4

// report prints each reason once, with what was skipped for it.
func report(w io.Writer, skipped []skip) {
	var reasons []string
	names := make(map[string][]string)
	for _, s := range skipped {
		if names[s.reason] == nil {
			reasons = append(reasons, s.reason)
		}
		if !slices.Contains(names[s.reason], s.what) {
			names[s.reason] = append(names[s.reason], s.what)
		}
	}
	if len(reasons) == 0 {
		fmt.Fprintln(w, "Nothing was skipped.")
		return
	}
	fmt.Fprintln(w, "Skipped:")
	for _, reason := range reasons {
		list, more := names[reason], ""
		if n := len(list) - namesPerReason; n > 0 {
			list, more = list[:namesPerReason], fmt.Sprintf("\n      and %d more", n)
		}
		fmt.Fprintf(w, "  %s\n      %s%s\n", reason, strings.Join(list, "\n      "), more)
	}
}
