package watch

import (
	"path"
	"slices"
	"strings"
)

// Names of files that programs make for themselves while they write, and that are no documents.
var (
	ignoredPrefixes = []string{
		".",  // hidden: .DS_Store, .~lock.act.odt# (LibreOffice), .act.pdf.Xy12 (rsync)
		"~$", // Microsoft Office's lock
		"~",  // its temporary files
	}
	ignoredSuffixes = []string{
		"~", "#", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp", ".lock", ".lck",
	}
	ignoredNames = []string{"thumbs.db", "desktop.ini"} // Windows'
)

// isIgnored reports whether a file or folder is left alone without a warning.
func isIgnored(name string) bool {
	lower := strings.ToLower(name)
	return slices.Contains(ignoredNames, lower) ||
		slices.ContainsFunc(ignoredPrefixes, func(p string) bool { return strings.HasPrefix(lower, p) }) ||
		slices.ContainsFunc(ignoredSuffixes, func(s string) bool { return strings.HasSuffix(lower, s) })
}

func baseOf(rel string) string { return path.Base(rel) }
