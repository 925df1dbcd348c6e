package main

import (
	"strings"
	"testing"

	"ancre/internal/manpage"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Whoever has only the manual pages finds every verb and every flag in them.
func TestManualPagesNameEveryVerbAndFlag(t *testing.T) {
	pages := make(map[string]string)
	for _, p := range manpage.Commands((&app{terminal: new(terminal)}).command(), manpage.Edition{}) {
		pages[p.Name] = strings.ReplaceAll(string(p.Text), `\-`, "-")
	}
	flags := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		page, ok := pages[name]
		if !ok {
			t.Errorf("%s has no page", cmd.CommandPath())
			return
		}
		delete(pages, name)
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if flags++; !f.Hidden && !strings.Contains(page, "--"+f.Name) {
				t.Errorf("%s.1 does not explain --%s", name, f.Name)
			}
		})
		if cmd.HasParent() && !strings.Contains(page, strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-")+"(1)") {
			t.Errorf("%s.1 does not name the page above it", name)
		}
		for _, sub := range cmd.Commands() {
			if !sub.IsAvailableCommand() || sub.Name() == "help" {
				continue
			}
			if !strings.Contains(page, name+"-"+sub.Name()+"(1)") {
				t.Errorf("%s.1 does not name the page of %s", name, sub.Name())
			}
			look(sub)
		}
	}
	look((&app{terminal: new(terminal)}).command())
	if len(pages) > 0 || flags < 20 {
		t.Errorf("pages without a command: %v; %d flags were looked for", pages, flags)
	}
}
