package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"ancre/cmd/ancre/doctor"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/internal/version"

	"github.com/spf13/cobra"
)

func (a *app) doctorCommand() *cobra.Command {
	var notify bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with this installation, and what to do",
		Long: `Look at everything that Ancre needs, and print a line for each thing: it is fine, or what is wrong and what to do. The command
changes nothing, and ends within half a minute. It also works when no daemon runs. The result holds no passwords, so it can be
sent to somebody who helps.

What you may not see is "unknown": run it again with sudo to see it.

Exit status: 0 nothing failed (there may be warnings, and unknown things), 1 something failed.`,
		Example: `  sudo ancre doctor
  ancre doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkQuiet(); err != nil {
				return err
			}
			return a.doctor(cmd.Context(), notify)
		},
	}
	a.addQuiet(cmd.Flags())
	cmd.Flags().BoolVar(&notify, "notify", false, "also have the daemon run notify.command with a test event")
	return cmd
}

// look is [doctor.Gather]. A test of the printing replaces it, because what is seen may differ from
// one look to the next.
var look = doctor.Gather

func (a *app) doctor(ctx context.Context, notify bool) error {
	client, err := a.daemon(ctx)
	if err != nil && (a.rpcURL != "" || a.rpcUser != "" || a.rpcCookie != "") {
		return err // a wrong flag is not what is wrong with the machine
	}
	if client != nil {
		client.Hint = ""
	}
	waits := a.startWaits()
	facts := look(ctx, doctor.Target{
		Flags: a.flags, Client: client, Problem: err, Remote: client != nil && !isLoopback(client.URL()),
		Version: version.Text(), Notify: notify, Command: a.commandLine(), Progress: waits.show,
	}, doctor.Limit)
	waits.end()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return a.showResults(doctor.Examine(facts))
}

// commandLine returns how the person called this program, with the flags that name the daemon. The
// password is not among them.
func (a *app) commandLine() string {
	line := a.flags.Command("ancre")
	for _, flag := range []struct{ name, value string }{{"rpc", a.rpcURL}, {"rpc-user", a.rpcUser}, {"rpc-cookie", a.rpcCookie}} {
		if flag.value != "" {
			line += " --" + flag.name + " " + flag.value
		}
	}
	return line
}

// showResults prints what was found. The exit status is 1 if something failed.
func (a *app) showResults(all []doctor.Result) error {
	failed, warnings, unknown := doctor.Count(all, doctor.Failed), doctor.Count(all, doctor.Warning), doctor.Count(all, doctor.Unknown)
	exit := exitDone
	if failed > 0 {
		exit = exitFailed
	}
	if a.json {
		for i := range all {
			all[i].Text, all[i].Remedy = printable.Name(all[i].Text), printable.Name(all[i].Remedy)
		}
		err := a.printJSON(struct {
			Healthy  bool            `json:"healthy"` // nothing failed
			Failed   int             `json:"failed"`
			Warnings int             `json:"warnings"`
			Unknown  int             `json:"unknown"`
			Results  []doctor.Result `json:"results"`
		}{failed == 0, failed, warnings, unknown, all}, false)
		if err != nil {
			return err
		}
		return command.Finish(exit)
	}
	for _, r := range gathered(all) {
		a.showResult(r)
	}
	a.say("\n%s.\n", summary(failed, warnings, unknown))
	return command.Finish(exit)
}

// showResult prints a line, and a second one with what to do. With --quiet, only warnings and what
// failed is printed, on standard error.
func (a *app) showResult(r doctor.Result) {
	w := a.out
	if a.quiet {
		w = a.err
		if r.Status == doctor.Fine || r.Status == doctor.Unknown {
			return
		}
	}
	row(w, "%-8s %s: %s\n", r.Status, r.Check, r.Text)
	if r.Remedy != "" {
		row(w, "         -> %s\n", r.Remedy)
	}
}

func summary(failed, warnings, unknown int) string {
	var parts []string
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", failed))
	}
	if warnings > 0 {
		parts = append(parts, humanize.Plural(warnings, "warning", "warnings"))
	}
	if unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d unknown", unknown))
	}
	if len(parts) == 0 {
		return "All is fine"
	}
	return strings.Join(parts, ", ")
}

// gathered puts unknown results with the same text and remedy on one line: without a daemon, half
// of the checks say the same.
func gathered(all []doctor.Result) (out []doctor.Result) {
	for _, r := range all {
		same := slices.IndexFunc(out, func(o doctor.Result) bool {
			return r.Status == doctor.Unknown && o.Status == r.Status && o.Text == r.Text && o.Remedy == r.Remedy
		})
		if same < 0 {
			out = append(out, r)
			continue
		}
		out[same].Check += ", " + r.Check
	}
	return out
}

// waits shows on a terminal what a command still waits for, in one line.
type waits struct {
	app  *app
	mu   sync.Mutex
	used bool
}

// startWaits returns nil where nobody sits at a terminal; all methods then do nothing.
func (a *app) startWaits() *waits {
	if !a.errTerm || a.json {
		return nil
	}
	return &waits{app: a}
}

func (w *waits) show(things []string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = true
	line := "Looking at " + strings.Join(things, ", ") + " …"
	if width := max(w.app.width()-1, 1); utf8.RuneCountInString(line) > width {
		line = string([]rune(line)[:width])
	}
	fmt.Fprint(printable.Raw(w.app.err), "\r"+line+"\x1b[K")
}

// end removes the line.
func (w *waits) end() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used {
		fmt.Fprint(printable.Raw(w.app.err), "\r\x1b[K")
	}
}
