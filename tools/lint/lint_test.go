package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wide is text of short words that makes a line of n columns after "// ".
func wide(n int) string { return strings.Repeat("w ", n)[:n-len("// ")-1] + "w" }

func lines(n int, line string) string { return strings.Repeat(line+"\n", n) }

// Each violation is planted and found; beside it stands the nearest thing that is allowed.
func TestFindsEachViolation(t *testing.T) {
	const head = "package a\n\n"
	long := strings.Repeat("é", 120)
	for _, c := range []struct {
		name, file, source string
		want               string // in the finding; "": nothing is found
		line               int
	}{
		{"a comment of 100 columns", "a.go", head + "// " + wide(100), "", 0},
		{"a comment of 101 columns", "a.go", head + "// " + wide(101), "101 columns", 3},
		{"a tab is 4 columns", "a.go", head + "func f() {\n\t// " + wide(96) + "\n}", "", 0},
		{"a comment of 101 columns with its tab", "a.go", head + "func f() {\n\t// " + wide(97) + "\n}", "101 columns", 4},
		{"letters are counted, not bytes", "a.go", head + "// é" + wide(99), "", 0},
		{"a comment beside code", "a.go", head + "var a = 1 // " + wide(101), "", 0},
		{"a wide line in a block of comment", "a.go", head + "/*\n" + wide(104) + "\n*/", "101 columns", 4},
		{"a block of comment beside code", "a.go", head + "var a /* " + wide(120) + " */ = 1", "", 0},
		{"slashes in a string", "a.go", head + "const a = `\n// " + wide(101) + "\n`", "", 0},
		{"a long word", "a.go", head + "// " + long, "", 0},
		{"a long word of a list", "a.go", head + "//   - " + long, "", 0},
		{"a long word that could stand alone", "a.go", head + "// one two " + long, "columns", 3},
		{"two words that fit on two lines", "a.go", head + "// " + long[:120] + " " + long[:120], "columns", 3},
		{"a directive", "a.go", head + "//go:generate " + wide(120), "", 0},
		{"the output of an example", "a_test.go", head + "func Example() {\n\t// Output:\n\t// " + wide(120) + "\n}", "", 0},
		{"no output in a file of no test", "a.go", head + "func Example() {\n\t// Output:\n\t// " + wide(120) + "\n}", "columns", 5},

		{"a function of 80 lines", "a.go", head + "func f() {\n" + lines(78, "") + "}", "", 0},
		{"a function of 81 lines", "a.go", head + "func f() {\n" + lines(79, "") + "}", "f has 81 lines", 3},
		{"the lines of its documentation", "a.go", head + lines(20, "// f") + "func f() {\n" + lines(78, "") + "}", "", 0},
		{"a table", "a.go", head + "func f() {\n\t_ = []int{\n" + lines(80, "1,") + "\t}\n}", "", 0},
		{"a table and too many lines beside it", "a.go", head + "func f() {\n\t_ = []int{\n" + lines(80, "1,") + "\t}\n" + lines(77, "") + "}", "f has 81 lines", 3},
		{"a literal too short for a table", "a.go", head + "func f() {\n\t_ = []int{\n" + lines(10, "1,") + "\t}\n" + lines(67, "") + "}", "f has 81 lines", 3},
		{"a long function in a table", "a.go", head + "var a = []any{\n" + lines(9, "1,") + "func() {\n" + lines(79, "") + "},\n}", "literal has 81 lines", 13},

		{"targets", "Makefile", ".PHONY: a b\n\na: b ## does a\n\nb: ## does b\n", "", 0},
		{"a file and a variable", "Makefile", "a := b\nbin/a: b\n\ttouch $@\n$(A):\n", "", 0},
		{"a target that is not phony", "Makefile", ".PHONY: a\na: ## does a\nb: ## does b\n", "does not name the target b", 3},
		{"a target without explanation", "Makefile", ".PHONY: a\na:\n", "target a has no explanation", 2},
		{"a comment of 100 columns in a Makefile", "Makefile", "# w" + wide(100), "", 0},
		{"a comment of 101 columns in a Makefile", "Makefile", "\n# w" + wide(101), "101 columns", 2},
		{"a phony name without target", "Makefile", ".PHONY: a b\na: ## does a\n", "names b", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.source), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := lint([]string{dir})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" && len(found) > 0 || c.want != "" && len(found) != 1 {
				t.Fatalf("found %v, want %q", found, c.want)
			}
			if c.want != "" && (!strings.Contains(found[0].text, c.want) || found[0].line != c.line) {
				t.Errorf("found %v, want %q in line %d", found, c.want, c.line)
			}
		})
	}
}

func TestReadsTheWholeTreeButWhatIsBuiltOrHidden(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for _, name := range []string{"a.go", "b/c/a.go", "b/Makefile", "bin/a.go", ".hidden/a.go", "b/a.txt"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		source := "package a\n\n// " + wide(101)
		if strings.HasSuffix(name, "Makefile") {
			source = "a:\n"
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, "bin/") && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".txt") {
			want = append(want, path)
		}
	}
	found, err := lint([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.file)
	}
	got = slices.Compact(got)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found something in %v, want %v", got, want)
	}
}

func TestAFileThatIsNoGoIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.go")
	if err := os.WriteFile(path, []byte("not Go"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lint([]string{path}); err == nil {
		t.Error("read what is no Go")
	}
}
