package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

var (
	changelogVersion = regexp.MustCompile(`(?m)^## \[([^\]]+)\] - (\S+)$`)
	changelogGroup   = regexp.MustCompile(`^### (.*)$`)
	markup           = strings.NewReplacer("`", "", "*", "").Replace
)

// debianChangelog writes CHANGELOG.md as Debian has it, for apt and dpkg-parsechangelog. The first
// entry gets the version of the package. A version without a date is of the time of the sources.
func debianChangelog(markdown, version string, now time.Time) (string, error) {
	heads := changelogVersion.FindAllStringSubmatchIndex(markdown, -1)
	if len(heads) == 0 {
		return "", fmt.Errorf("CHANGELOG.md has no version")
	}
	var text strings.Builder
	for i, head := range heads {
		end := len(markdown)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		number, date := markdown[head[2]:head[3]], markdown[head[4]:head[5]]
		if i == 0 {
			number = version
		}
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			day = now
		}
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "ancre (%s) stable; urgency=medium\n\n", number)
		writeChanges(&text, markdown[head[1]:end])
		fmt.Fprintf(&text, "\n -- %s  %s\n", maintainer, day.Format(time.RFC1123Z))
	}
	return text.String(), nil
}

// writeChanges writes each paragraph and each item of a version as an item, below its group.
func writeChanges(text *strings.Builder, markdown string) {
	var item []string
	groups := 0
	flush := func() {
		if len(item) > 0 {
			writeWrapped(text, "  * ", "    ", strings.Join(item, " "))
		}
		item = nil
	}
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\n")
		switch m := changelogGroup.FindStringSubmatch(line); {
		case m != nil:
			flush()
			if groups++; groups > 1 {
				text.WriteString("\n")
			}
			fmt.Fprintf(text, "  [ %s ]\n", m[1])
		case line == "":
			flush()
		case strings.HasPrefix(line, "- "):
			flush()
			item = append(item, markup(line[2:]))
		default:
			item = append(item, markup(strings.TrimSpace(line)))
		}
	}
	flush()
}

// writeWrapped breaks a paragraph at 78 columns.
func writeWrapped(text *strings.Builder, first, next, paragraph string) {
	line := first
	for _, word := range strings.Fields(paragraph) {
		if len([]rune(line))+len([]rune(word)) > 78 && line != first {
			text.WriteString(strings.TrimRight(line, " ") + "\n")
			line = next
		}
		line += word + " "
	}
	text.WriteString(strings.TrimRight(line, " ") + "\n")
}
