package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// axeCore is where `make clients` puts axe-core, below the directory of the module.
const axeCore = "bin/clients/node_modules/axe-core/axe.min.js"

// axeTags are the rules of WCAG 2.0 to 2.2, levels A and AA.
const axeTags = `['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']`

// Axe has axe-core look at the page, and returns what breaks a rule, a finding for each element.
// Without axe-core it skips the test.
func (t *Tab) Axe() (findings []string) {
	t.Helper()
	dir, err := root()
	t.must("find axe-core", err)
	source, err := os.ReadFile(filepath.Join(dir, axeCore))
	if os.IsNotExist(err) {
		t.Skip("the npm packages of itest/clients are not installed: run make clients")
	}
	t.must("read axe-core", err)
	if !Eval[bool](t, "'axe' in globalThis") {
		Eval[any](t, string(source)+"\n;0")
	}
	type violation struct {
		ID, Impact, Help string
		Nodes            []struct {
			HTML, FailureSummary string
			Target               any
		}
	}
	for _, v := range Eval[[]violation](t, `axe.run(document, {resultTypes: ['violations'], runOnly: {type: 'tag', values: `+axeTags+`}}).then((r) => r.violations)`) {
		for _, n := range v.Nodes {
			findings = append(findings, fmt.Sprintf("%s (%s): %s\n  at %v: %s\n  %s", v.ID, v.Impact, v.Help, n.Target, shortened(n.HTML),
				strings.ReplaceAll(n.FailureSummary, "\n", "\n  ")))
		}
	}
	return findings
}

// WantAccessible wants axe-core to find nothing.
func (t *Tab) WantAccessible() {
	t.Helper()
	for _, finding := range t.Axe() {
		t.Errorf("axe-core on %s: %s", t.Address(), finding)
	}
}
