package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	targetLine = regexp.MustCompile(`^([a-z][a-z-]*):([^=]|$)`)
	phonyLine  = regexp.MustCompile(`^\.PHONY:(.*)`)
)

// makefile finds wide comments, targets that .PHONY does not name or that have no explanation for
// make help, and names in .PHONY that are no target. Only a target with a capital, a dot, a slash
// or a variable in it is a file.
func makefile(path string, source []byte) (found []finding, err error) {
	lines := strings.Split(strings.ReplaceAll(string(source), "\\\n", " "), "\n")
	var phony, targets []string
	phonyAt := 1
	for n, line := range lines {
		if m := phonyLine.FindStringSubmatch(line); m != nil {
			phony, phonyAt = append(phony, strings.Fields(m[1])...), n+1
		}
	}
	for n, line := range lines {
		if width := columns(line); strings.HasPrefix(line, "#") && width > maxColumns {
			found = append(found, finding{path, n + 1, tooWide(width)})
		}
		m := targetLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		targets = append(targets, m[1])
		if !slices.Contains(phony, m[1]) {
			found = append(found, finding{path, n + 1, fmt.Sprintf(".PHONY does not name the target %s", m[1])})
		}
		if !strings.Contains(line, "## ") {
			found = append(found, finding{path, n + 1, fmt.Sprintf("the target %s has no explanation (## …) for make help", m[1])})
		}
	}
	for _, name := range phony {
		if !slices.Contains(targets, name) {
			found = append(found, finding{path, phonyAt, fmt.Sprintf(".PHONY names %s, which is no target", name)})
		}
	}
	return found, nil
}
