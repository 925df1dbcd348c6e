// Package version says which version of Ancre a program is. Everything that names a version asks
// here: the programs, getinfo, the metrics, and what peers and calendars are told.
package version

import (
	"runtime/debug"
	"strings"
)

// Number is the version of the source. A release has a tag of this name with a "v" before it.
const Number = "0.2.0"

// revisionLength is how many digits of a commit are shown: enough to find it.
const revisionLength = 12

// Text returns the version of this program: [Number] if it was built from the release. Otherwise
// the commit follows that it was built from, and "modified" if files had been changed: as semantic
// versioning writes it, "0.2.0+0123456789ab.modified". A build outside of a repository knows no
// commit.
func Text() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Number
	}
	return text(info)
}

// text is Text of a program that was built like this.
func text(info *debug.BuildInfo) string {
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" || info.Main.Version == "v"+Number {
		return Number
	}
	parts := []string{revision[:min(revisionLength, len(revision))]}
	if settings["vcs.modified"] == "true" {
		parts = append(parts, "modified")
	}
	return Number + "+" + strings.Join(parts, ".")
}
