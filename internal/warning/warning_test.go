package warning

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
)

func TestEveryKindHasANameOfItsOwnAndWords(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range Table() {
		if seen[k.Name()] || !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(k.Name()) {
			t.Errorf("the name %q is not its own, or no label", k.Name())
		}
		seen[k.Name()] = true
		for _, text := range []string{k.Says(), k.Remedy()} {
			if len(text) < 12 || !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "|\n") {
				t.Errorf("%s: %q is no sentence", k.Name(), text)
			}
		}
		if k.Severity() != Critical && k.Severity() != Soon {
			t.Errorf("%s has the severity %q", k.Name(), k.Severity())
		}
	}
}

// variables returns the names of the kinds in table.go.
func variables(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "table.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, spec := range vars.Specs {
			if v := spec.(*ast.ValueSpec); len(v.Values) == 1 {
				names = append(names, v.Names[0].Name)
			}
		}
	}
	if len(names) != len(table) {
		t.Fatalf("table.go declares %d kinds, and the table has %d", len(names), len(table))
	}
	return names
}

// A kind that no room raises is a promise that nobody keeps, and one without a test may be broken.
func TestEveryKindIsRaisedAndTested(t *testing.T) {
	const root = "../.."
	use := regexp.MustCompile(`\bwarning\.([A-Z]\w+)`)
	code, tests := make(map[string]bool), make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "warning") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		raw, err := os.ReadFile(path)
		to := code
		if strings.HasSuffix(path, "_test.go") {
			to = tests
		}
		for _, m := range use.FindAllSubmatch(raw, -1) {
			to[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range variables(t) {
		if !code[name] {
			t.Errorf("no room raises %s", name)
		}
		if !tests[name] {
			t.Errorf("no test is about %s", name)
		}
	}
}

func TestABoardHoldsOneWarningOfEachKind(t *testing.T) {
	var b Board
	b.Clear(NoPeers)
	b.Set(NoPeers, "one")
	b.Set(Damage, "two")
	b.Set(NoPeers, "three")
	if got := b.List(); !slices.Equal(Texts(got), []string{"two", "three"}) || !Has(got, NoPeers) || Has(got, Store) {
		t.Errorf("%q", got)
	}
	b.Clear(Damage, Store)
	if got := b.List(); !slices.Equal(got, []Warning{{NoPeers, "three"}}) {
		t.Errorf("%q", got)
	}
}
