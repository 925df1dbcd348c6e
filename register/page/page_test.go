package page_test

import (
	"strings"
	"testing"

	"ancre/register/page"
	"ancre/register/page/pagetest"
)

func TestEveryAddressOfAnExportIsRendered(t *testing.T) {
	p, err := page.New(page.Config{Source: pagetest.Generate(3, 12), URL: "https://registre.example"})
	if err != nil {
		t.Fatal(err)
	}
	for a, err := range p.Pages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.Render(t.Context(), a, p.StaticLinks())
		if err != nil {
			t.Errorf("%s: %v", a.Path(), err)
		}
		if s := string(answer.Body); strings.HasPrefix(answer.Type, "text/html") && (strings.Contains(s, "ZgotmplZ") || strings.Contains(s, "%!")) {
			t.Errorf("%s: %s", a.Path(), s)
		}
	}
}
