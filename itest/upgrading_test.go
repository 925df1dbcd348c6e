package itest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// refusing are the packages whose refusals docs/upgrading.md quotes.
var refusing = []string{"batcher/store/pebblestore", "batcher/store/backup", "internal/datadir", "wallet", "config", "cmd/ancre"}

// An operator whose daemon refuses to start searches the page for the words that it printed.
func TestUpgradingQuotesRefusalsAsTheyAre(t *testing.T) {
	_, section, ok := strings.Cut(readFile(t, "../docs/upgrading.md"), "\n## What is refused")
	if !ok {
		t.Fatal("docs/upgrading.md has no section of refusals")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(section, -1)
	if len(quoted) < 8 {
		t.Fatalf("only %d refusals are quoted", len(quoted))
	}
	var said []*regexp.Regexp
	for _, dir := range refusing {
		said = append(said, messages(t, filepath.Join("..", dir))...)
	}
	for _, m := range quoted {
		if !matches(said, m[1]) {
			t.Errorf("nothing says %q", m[1])
		}
	}
	if matches(said, "it has format 3, this program knows 2: reinstall it") {
		t.Error("a refusal that does not exist was found")
	}
}

func matches(list []*regexp.Regexp, text string) bool {
	for _, re := range list {
		if re.MatchString(text) {
			return true
		}
	}
	return false
}

// messages returns the texts of a package, as patterns of what is printed. Another error may stand
// before or after.
func messages(t *testing.T, dir string) (list []*regexp.Regexp) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %q, %v", dir, files, err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && len(text) > 30 {
					list = append(list, pattern(text))
				}
			}
			return true
		})
	}
	return list
}

func pattern(format string) *regexp.Regexp {
	format = strings.TrimSuffix(format, ": %w")
	for _, before := range []string{"%w: ", "%s: "} {
		format = strings.TrimPrefix(format, before)
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	return regexp.MustCompile("^" + strings.Join(quoteAll(verbs.Split(format, -1)), ".+") + "$")
}

func quoteAll(parts []string) []string {
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return parts
}

// The table of formats decides whether somebody dares to downgrade.
func TestUpgradingHasTheFormatsOfThisVersion(t *testing.T) {
	page := readFile(t, "../docs/upgrading.md")
	for name, source := range map[string]string{
		"store":          "batcher/store/pebblestore/pebblestore.go",
		"backup":         "batcher/store/backup/backup.go",
		"data directory": "internal/datadir/datadir.go",
		"wallet":         "wallet/vault.go",
	} {
		m := regexp.MustCompile(`(?m)^(?:const|\t)\s*(?:format|formatVersion)\s*=\s*(\d+)$`).FindStringSubmatch(readFile(t, "../"+source))
		if m == nil {
			t.Errorf("%s has no number of a format", source)
			continue
		}
		if row := regexp.MustCompile(`(?m)^\| ` + name + `[^|\n]* \| [^|\n]*\| (\d+) \|$`).FindStringSubmatch(page); row == nil || row[1] != m[1] {
			t.Errorf("the %s has format %s; docs/upgrading.md has the row %q", name, m[1], row)
		}
	}
}
