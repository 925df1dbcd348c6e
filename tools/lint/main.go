// Command lint checks the habits of this repository that gofmt, go vet and staticcheck do not know:
// comments of at most 100 columns, functions of at most 80 lines, a Makefile whose targets are all
// phony and explained.
//
//	go run ./tools/lint [FILE|DIR ...]
package main

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A finding is a line that breaks a habit, and what is wrong with it.
type finding struct {
	file string
	line int
	text string
}

func main() {
	roots := os.Args[1:]
	if len(roots) == 0 {
		roots = []string{"."}
	}
	found, err := lint(roots)
	for _, f := range found {
		fmt.Printf("%s:%d: %s\n", f.file, f.line, f.text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
	}
	if err != nil || len(found) > 0 {
		os.Exit(1)
	}
}

// lint checks the files that it is given, and those of the folders.
func lint(roots []string) (found []finding, err error) {
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if path != root && (entry.Name() == "bin" || strings.HasPrefix(entry.Name(), ".")) {
					return fs.SkipDir
				}
				return nil
			}
			check, ok := checks[cmp.Or(filepath.Ext(path), entry.Name())]
			if !ok {
				return nil
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			here, err := check(path, source)
			slices.SortStableFunc(here, func(a, b finding) int { return cmp.Compare(a.line, b.line) })
			found = append(found, here...)
			return err
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// checks says what is checked in a file, by its extension, or by its name if it has none.
var checks = map[string]func(path string, source []byte) ([]finding, error){
	".go":      goFile,
	"Makefile": makefile,
}

func goFile(path string, source []byte) ([]finding, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return append(wideComments(path, string(source), set, file), longFunctions(path, set, file)...), nil
}
