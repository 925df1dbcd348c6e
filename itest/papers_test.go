package itest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/internal/version"
)

// papers are the documents that describe the code to people, beside the guides.
var papers = []string{"ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}

// A document that names what is gone sends its reader the wrong way. TestPapersNameOnlyWhatExists
// checks every path, every package member, every test and every make target that the papers and
// the guides name.
func TestPapersNameOnlyWhatExists(t *testing.T) {
	c := newCode(t)
	for _, paper := range slices.Concat(papers, guides(t)) {
		path := filepath.Join("..", paper)
		for _, wrong := range c.wrong(readFile(t, path), filepath.Dir(path)) {
			t.Errorf("%s names %s", paper, wrong)
		}
	}
}

func TestPapersAreCheckedForEachKindOfName(t *testing.T) {
	c := newCode(t)
	for text, want := range map[string]string{
		"`proof/verify.go`, `proof/`, `.ci/run` and `batcher`": "",
		"`batcher/simulation_*_test.go`":                       "",
		"`proof/nowhere.go`":                                   "the path proof/nowhere.go",
		"`nowhere/`":                                           "the path nowhere/",
		"`Nowhere.md`":                                         "the path Nowhere.md",
		"`calendar/nowhere_*.go`":                              "the path calendar/nowhere_*.go",
		"[a link](docs/nowhere.md)":                            "the link docs/nowhere.md",
		"[a link](docs/proofs.md), [another](https://example.org/x)": "",
		"`go test ./proof -run TestThePublishedExampleVerifies`":     "",
		"    go test ./nowhere":             "the path ./nowhere",
		"`TestPapersNameOnlyWhatExists`":    "",
		"TestNothingOfThisNameExists":       "the test TestNothingOfThisNameExists",
		"`FuzzNothingOfThisName`":           "the test FuzzNothingOfThisName",
		"    go test ./batcher -run TestP3": "",
		"`TestP3`":                          "the test TestP3",
		"`make test`, make sure":            "",
		"    make nowhere":                  "the make target nowhere",
		"`proof.Verify`, `spv.connect`, `store.Store`, `json.Marshaler`": "",
		"`proof.Nothing`": "the name proof.Nothing",
		"`http://127.0.0.1:14780/` and `/block/HASH`, `application/json`": "",
	} {
		got := strings.Join(c.wrong(text, ".."), ", ")
		if got != want {
			t.Errorf("%q: names %q, want %q", text, got, want)
		}
	}
}

// ARCHITECTURE.md is the map: a package that is not on it is a package that nobody finds.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text := readFile(t, "../ARCHITECTURE.md")
	for _, p := range listPackages(t, "ancre/...") {
		name := strings.TrimPrefix(p.ImportPath, "ancre/")
		short := strings.TrimPrefix(name, "internal/") // they have a list of their own
		if !regexp.MustCompile("`" + regexp.QuoteMeta(short) + "/?`").MatchString(text) {
			t.Errorf("ARCHITECTURE.md does not name %s", name)
		}
	}
}

// The index of the documents in the README has each document that there is.
func TestReadmeListsEveryDocument(t *testing.T) {
	readme := readFile(t, "../README.md")
	found, err := filepath.Glob("../*.md")
	if err != nil || len(found) == 0 {
		t.Fatalf("*.md: %q, %v", found, err)
	}
	for _, path := range slices.Concat(found, guides(t)) {
		name := strings.TrimPrefix(path, "../")
		if name != "README.md" && !strings.Contains(readme, "\n| `"+name+"` |") {
			t.Errorf("the index of the documents in README.md does not have %s", name)
		}
	}
}

// The changelog begins with the version that the source has.
func TestChangelogBeginsWithThisVersion(t *testing.T) {
	m := regexp.MustCompile(`(?m)^## \[([^\]]+)\]`).FindStringSubmatch(readFile(t, "../CHANGELOG.md"))
	if m == nil || m[1] != version.Number {
		t.Errorf("CHANGELOG.md begins with %q, the version is %s", m, version.Number)
	}
}

// code is what exists: the names that papers may use.
type code struct {
	tests    map[string]bool            // names of tests, benchmarks and fuzz targets
	members  map[string]map[string]bool // exported names, by name of the package
	makefile string
}

func newCode(t *testing.T) *code {
	t.Helper()
	c := &code{tests: make(map[string]bool), members: make(map[string]map[string]bool), makefile: readFile(t, "../Makefile")}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"bin", "testdata", "node_modules"}, d.Name())):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go"):
			return c.read(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.tests) < 500 || len(c.members) < 20 {
		t.Fatalf("only %d tests and %d packages were read", len(c.tests), len(c.members))
	}
	return c
}

// read adds the names that one file declares.
func (c *code) read(path string) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	members := c.members[f.Name.Name]
	if members == nil {
		members = make(map[string]bool)
		c.members[f.Name.Name] = members
	}
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if isTest.MatchString(decl.Name.Name) && strings.HasSuffix(path, "_test.go") {
				c.tests[decl.Name.Name] = true
			}
			if decl.Recv == nil {
				members[decl.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					members[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						members[name.Name] = true
					}
				}
			}
		}
	}
	return nil
}

var (
	isTest   = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)[A-Z]\w+$`)
	aTest    = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	aSpan    = regexp.MustCompile("`([^`\n]+)`")
	aLink    = regexp.MustCompile(`\]\(([^)]+)\)`)
	aPackage = regexp.MustCompile(`(?:^|\s)(\./[a-z][\w/-]*)`)
	aTarget  = regexp.MustCompile("(?:^    |`)make ([a-z]+)")
	aMember  = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)(?:\.\w+)?$`)

	// A path of ours has a folder, or ends as a file does. A route of a server begins with a slash.
	aPath = regexp.MustCompile(`^(?:\.?[\w*-][\w.*-]*/)+[\w.*-]*$|^[\w*-]+\.(?:go|md|conf|mod|yml|json|svg|service|tmpl)$`)

	// What looks like a path of ours and is none: packages of Go's library, types of content, what
	// make builds, files of the register's data and backups, and examples of files that people
	// have.
	foreign = regexp.MustCompile(`^(?:bin/.*|net/http|crypto/\w+|encoding/\w+|log/slog|golang\.org/.*|application/\w+|store/index|(?:ancre|register)\.conf|MEETING/KIND/.*|\d{4}-\d\d-\d\d/.*|(?:convocation|contract|report)\..*|nonce/\w+|files/\w+/?|sums/.*|register-backup\.json)$`)
)

// wrong returns what a text names that does not exist. Links are relative to dir.
func (c *code) wrong(text, dir string) (list []string) {
	note := func(kind, name string) {
		if said := kind + " " + name; !slices.Contains(list, said) {
			list = append(list, said)
		}
	}
	for _, m := range aLink.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], "://") && !exists(filepath.Join(dir, m[1])) {
			note("the link", m[1])
		}
	}
	for _, m := range aSpan.FindAllStringSubmatch(text, -1) {
		span := m[1]
		if member := aMember.FindStringSubmatch(span); member != nil && c.members[member[1]] != nil && !c.members[member[1]][member[2]] {
			note("the name", span)
		}
		if aPath.MatchString(span) && !foreign.MatchString(span) && !exists(filepath.Join("..", span)) {
			note("the path", span)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		for _, name := range aTest.FindAllString(line, -1) {
			// The beginning of a name is enough for -run.
			if !c.tests[name] && !(strings.Contains(line, "-run") && c.begins(name)) {
				note("the test", name)
			}
		}
		if strings.Contains(line, "go test") || strings.Contains(line, "go run") || strings.Contains(line, "go build") {
			for _, m := range aPackage.FindAllStringSubmatch(line, -1) {
				if !exists(filepath.Join("..", m[1])) {
					note("the path", m[1])
				}
			}
		}
		for _, m := range aTarget.FindAllStringSubmatch(line, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(c.makefile) {
				note("the make target", m[1])
			}
		}
	}
	return list
}

func (c *code) begins(name string) bool {
	for test := range c.tests {
		if strings.HasPrefix(test, name) {
			return true
		}
	}
	return false
}

// exists reports whether a path, or a pattern, leads to something.
func exists(path string) bool {
	if strings.Contains(path, "*") {
		found, err := filepath.Glob(path)
		return err == nil && len(found) > 0
	}
	_, err := os.Stat(path)
	return err == nil
}
