package sqlitestore

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestThePageOnTheFormatNamesEveryColumn holds docs/register-format.md.
func TestThePageOnTheFormatNamesEveryColumn(t *testing.T) {
	text, err := os.ReadFile("../../../docs/register-format.md")
	must(t, err)
	page := string(text)
	for _, want := range []string{fmt.Sprintf("it is %d.", version), fmt.Sprintf("%#x", applicationID), "`" + File + "`", "`" + Lock + "`"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	s := exampleStore(t)
	rows, err := s.read.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'search_%' ORDER BY name")
	tables, err := collect(rows, err, func(name *string) []any { return []any{name} })
	must(t, err)
	if want := []string{"bodies", "entries", "meetings", "proofs", "register", "search"}; !slices.Equal(tables, want) {
		t.Errorf("the tables are %q: change the page, and this test", tables)
	}
	for _, table := range tables {
		rows, err := s.read.QueryContext(t.Context(), "SELECT name FROM pragma_table_info(?)", table)
		columns, err := collect(rows, err, func(name *string) []any { return []any{name} })
		must(t, err)
		_, row, _ := strings.Cut(page, "\n| `"+table+"` |")
		row, _, _ = strings.Cut(row, "\n")
		if table == "entries" {
			row += page[strings.Index(page, "`entries` has five more"):]
		}
		for _, column := range columns {
			if table != "search" && !strings.Contains(row, "`"+column+"`") {
				t.Errorf("the page does not have the column %s of %s", column, table)
			}
		}
	}
}
