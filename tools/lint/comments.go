package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxColumns = 100
	tabColumns = 4
)

// wideComments finds the lines that hold nothing but a comment and are wider than maxColumns. Lines
// that cannot be broken may be wider: see unbreakable. So may the output of an example, which a
// test compares.
func wideComments(path, source string, set *token.FileSet, file *ast.File) (found []finding) {
	lines := strings.Split(source, "\n")
	for _, group := range file.Comments {
		output := false
		for _, comment := range group.List {
			first, last := set.Position(comment.Pos()), set.Position(comment.End())
			for n := first.Line; n <= last.Line; n++ {
				line := strings.TrimRight(lines[n-1], "\r")
				if n == first.Line && strings.TrimSpace(line[:first.Column-1]) != "" {
					continue // code comes before it
				}
				output = output || strings.HasSuffix(path, "_test.go") && outputLine.MatchString(line)
				if width := columns(line); width > maxColumns && !output && !unbreakable(line) {
					found = append(found, finding{path, n, tooWide(width)})
				}
			}
		}
	}
	return found
}

func tooWide(width int) string {
	return fmt.Sprintf("this comment is %d columns wide, at most %d are allowed", width, maxColumns)
}

// outputLine begins the output of an example.
var outputLine = regexp.MustCompile(`^\s*//\s*(Output|Unordered output):`)

// columns is the width of a line.
func columns(line string) int {
	return utf8.RuneCountInString(line) + strings.Count(line, "\t")*(tabColumns-1)
}

// unbreakable reports whether a comment is a directive, such as //go:build, or one long word, such
// as a URL, with at most a short one before it, such as "-".
func unbreakable(line string) bool {
	text := strings.TrimSpace(line)
	if directive.MatchString(text) {
		return true
	}
	words := strings.Fields(strings.TrimPrefix(text, "//"))
	last := words[len(words)-1]
	indent := columns(line[:strings.Index(line, text)])
	return len(words) == 1 || len(words) == 2 && indent+len("// ")+utf8.RuneCountInString(last) > maxColumns
}

// directive has no space after its slashes.
var directive = regexp.MustCompile(`^//[a-z]+:[a-z]`)
