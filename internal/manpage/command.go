package manpage

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands returns a page for a command of cobra's, and one for each command below it: ancre.1,
// ancre-wallet.1, ancre-wallet-create.1.
func Commands(root *cobra.Command, e Edition) []Page {
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	pages := []Page{command(root, e)}
	for _, cmd := range children(root) {
		pages = append(pages, Commands(cmd, e)...)
	}
	return pages
}

// children returns the commands below cmd that have a page.
func children(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool {
		return !c.IsAvailableCommand() || c.Name() == "help"
	})
}

// pageName is the name of a command's page: "ancre-wallet-create".
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func command(cmd *cobra.Command, e Edition) Page {
	p := newPage(pageName(cmd), 1, lowerFirst(cmd.Short), e)
	p.heading("SYNOPSIS")
	verbs := children(cmd)
	if len(verbs) > 0 {
		p.line(`\fB%s\fR VERB …`, escape(cmd.CommandPath()))
	} else {
		args := strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())
		p.line(`\fB%s\fR%s`, escape(cmd.CommandPath()), escape(args))
	}
	p.heading("DESCRIPTION")
	p.body(cmp.Or(cmd.Long, cmd.Short))

	if len(verbs) > 0 {
		p.heading("VERBS")
		for _, verb := range verbs {
			p.item(pageName(verb)+"(1)", verb.Short+".")
		}
	}
	if cmd.HasAvailableLocalFlags() {
		p.heading("OPTIONS")
		p.flags(cmd.LocalFlags())
	}
	if cmd.HasAvailableInheritedFlags() {
		p.heading("OPTIONS OF EVERY VERB")
		p.flags(cmd.InheritedFlags())
	}
	if cmd.Example != "" {
		p.heading("EXAMPLES")
		p.verbatim(cmd.Example)
	}

	p.heading("SEE ALSO")
	also := []string{"ancred(8)", "ancre.conf(5)"}
	if cmd.Root().Name() == "ancre-register" {
		also = []string{"ancre(1)", "register.conf(5)"}
	}
	for parent := cmd.Parent(); parent != nil; parent = parent.Parent() {
		also = slices.Insert(also, 0, pageName(parent)+"(1)")
	}
	p.prose(strings.Join(also, ", "))
	return p.done()
}

// flags explains each flag of a set.
func (p *page) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		arg, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if arg != "" && f.NoOptDefVal == "" {
			term += " " + arg
		}
		p.item(term, usage)
	})
}

// lowerFirst is for the line that whatis and apropos show: "ancre-stamp - submit the hashes …".
func lowerFirst(s string) string {
	if len(s) < 2 || s[1] < 'a' || s[1] > 'z' {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
