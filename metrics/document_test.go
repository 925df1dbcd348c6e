package metrics

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ancre/internal/warning"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md")

// The document has every metric, because its tables are written from the table of this package.
func TestDocumentExplainsEveryMetric(t *testing.T) {
	documents(t, "-update writes them. -->\n", "<!-- end -->\n", tables())
}

func TestDocumentExplainsEveryWarning(t *testing.T) {
	documents(t, "-update writes it. -->\n", "<!-- end of warnings -->\n", warnings())
}

// documents wants a text between two marks of the document.
func documents(t *testing.T, begin, end, text string) {
	t.Helper()
	const path = "../docs/metrics.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the tables", path)
	}
	want := before + begin + text + end + after
	if string(raw) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the table of metrics says: go test ./metrics -update", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tables writes one for each heading.
func tables() string {
	var b strings.Builder
	group := ""
	for _, m := range slices.Concat(Table(), RegisterTable()) {
		if m.Group != group {
			group = m.Group
			fmt.Fprintf(&b, "\n### %s\n\n| metric | kind | labels | what it tells |\n|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String() + "\n"
}

// warnings writes the table of the warnings.
func warnings() string {
	var b strings.Builder
	b.WriteString("\n| name | severity | what is wrong | what to do |\n|---|---|---|---|\n")
	for _, k := range warning.All() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name(), k.Severity(), k.Says(), k.Remedy())
	}
	return b.String() + "\n"
}

// Whoever reads a name in a graph must find what it means, in words.
func TestEveryMetricHasAGroupAndWords(t *testing.T) {
	seen := make(map[string]bool)
	for _, m := range slices.Concat(Table(), RegisterTable()) {
		if seen[m.Name] || m.Group == "" || len(m.Help) < 30 || !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "|\n") {
			t.Errorf("%s: group %q, %q: want a name of its own, a group, and a sentence", m.Name, m.Group, m.Help)
		}
		if strings.HasSuffix(m.Name, "_total") != (m.Kind == Counter) {
			t.Errorf("%s is a %s", m.Name, m.Kind)
		}
		seen[m.Name] = true
	}
}
