// Package doctor looks at an installation of Ancre, and says of each thing that it is fine, or what
// is wrong with it and what to do.
//
// It has two halves. [Gather] looks at the programs, the processes, systemd, the ports, the peers,
// the disk, cron and the daemon. It changes nothing, and it returns within its limit with what it
// has seen until then. [Examine] judges what was seen. It is a pure function, so tests can show it
// any machine.
//
// A person pastes the results into mails. So [Facts] hold no secret: no password, no cookie, no
// entry of rpc.auth, no command line and no line of a crontab.
package doctor

import (
	"fmt"
	"slices"
	"strings"

	"ancre/internal/warning"
)

// Status says what a result means.
type Status string

const (
	Fine    Status = "fine"
	Warning Status = "warning" // it works, and somebody should look at it
	Failed  Status = "failed"  // something does not work
	Unknown Status = "unknown" // it could not be looked at
)

// Result is what one check found. A check may have several results. The names of the checks and the
// meanings of the members never change.
type Result struct {
	Check  string `json:"check"` // its name in the table of checks: "wallet"
	Status Status `json:"status"`
	Text   string `json:"text"`   // what was seen
	Remedy string `json:"remedy"` // a command that can be pasted, or a sentence; empty: there is nothing to do
}

// check is one thing to look at. judge returns its results, without the name of the check.
type check struct {
	name  string
	local bool // it is about this machine, not about the daemon that is asked
	judge func(f *Facts) []Result
}

// checks returns all checks in the order in which they are printed: first what the rest depends on.
func checks() []check {
	return []check{
		{"programs", true, programs},
		{"service", true, service},
		{"daemons", true, daemons},
		{"configuration", true, configuration},
		{"rpc", false, rpcPort},
		{"calendar", false, calendar},
		{"network", true, network},
		{"peers", false, peers},
		{"sync", false, synced},
		{"clock", false, clock},
		{"disk", true, disk},
		{"wallet", false, wallet},
		{"backup", false, backup},
		{"notify", false, notified},
		{"next_batch", false, nextBatch},
		{"next_anchor", false, nextAnchor},
		{"cron", true, cron},
		{"log", true, logRate},
		{"warnings", false, otherWarnings},
	}
}

// Names returns the names of all checks.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// Examine judges what was seen. Each check has at least one result, unless it is about this machine
// and the daemon runs on another one.
func Examine(f *Facts) []Result {
	var all []Result
	for _, c := range checks() {
		if c.local && f.Remote {
			continue
		}
		for _, r := range c.judge(f) {
			r.Check = c.name
			all = append(all, r)
		}
	}
	return all
}

// Count returns how many of the results have a status.
func Count(all []Result, s Status) int {
	n := 0
	for _, r := range all {
		if r.Status == s {
			n++
		}
	}
	return n
}

func fine(format string, args ...any) Result {
	return Result{Status: Fine, Text: fmt.Sprintf(format, args...)}
}

func warn(remedy, format string, args ...any) Result {
	return Result{Status: Warning, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(remedy, format string, args ...any) Result {
	return Result{Status: Failed, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

func unknown(remedy, format string, args ...any) Result {
	return Result{Status: Unknown, Text: fmt.Sprintf(format, args...), Remedy: remedy}
}

// one is the results of a check that has only one.
func one(r Result) []Result { return []Result{r} }

// missing is the result for a fact that is not known. what is named as the beginning of a sentence:
// "the crontabs of other users".
func missing[T any](f *Facts, fact Fact[T], what string) Result {
	if !f.Settings.known && !f.Settings.denied && fact.missing == f.Settings.missing {
		return unknown("", "not looked at while the configuration is wrong")
	}
	remedy := ""
	if fact.denied && !f.Me.Root {
		remedy = f.Me.asRoot(f.Me.Ancre + " doctor")
	}
	return unknown(remedy, "%s: %s", what, fact.missing)
}

// seen are the kinds of the daemon's warnings that a check repeats. The check "warnings" repeats
// the rest.
var seen = map[string][]*warning.Kind{
	"peers":    {warning.NoneNamed, warning.NoPeers, warning.FewPeers, warning.Peer, warning.FetchesFail},
	"sync":     {warning.StaleTip, warning.HeadersStuck, warning.FiltersBlock, warning.FiltersStuck, warning.HeadersUnreadable, warning.Chain},
	"clock":    {warning.ClockBehind, warning.ClockOff},
	"disk":     {warning.Store, warning.DiskLow, warning.DiskUnreadable, warning.DiskSlow},
	"wallet":   {warning.Wallet, warning.WalletSyncing, warning.WalletShort, warning.BalanceLow, warning.BalanceUnreadable},
	"backup":   {warning.BackupOld, warning.BackupFailed},
	"notify":   {warning.Notify},
	"calendar": {warning.CalendarURI, warning.CalendarProxy, warning.CalendarBudget},
}

// said returns the daemon's warnings of a check as results.
func (f *Facts) said(check string) []Result {
	return f.warned(func(kind string) bool {
		return slices.ContainsFunc(seen[check], func(k *warning.Kind) bool { return k.Name() == kind })
	})
}

// warned returns those of the daemon's warnings whose kind is wanted.
func (f *Facts) warned(wanted func(kind string) bool) (all []Result) {
	if !f.Info.known {
		return nil
	}
	for _, w := range f.Info.value.Details {
		if !wanted(w.Kind) {
			continue
		}
		r := warn("", "%s", w.Text)
		if w.Severity == string(warning.Critical) {
			r.Status = Failed
		}
		for _, k := range warning.Table() {
			if k.Name() == w.Kind {
				r.Remedy = k.Remedy()
			}
		}
		all = append(all, r)
	}
	return all
}

// otherWarnings repeats the warnings of the daemon that belong to no other check.
func otherWarnings(f *Facts) []Result {
	if !f.Info.known {
		return one(missing(f, f.Info, silent))
	}
	all := f.warned(func(kind string) bool {
		for _, kinds := range seen {
			if slices.ContainsFunc(kinds, func(k *warning.Kind) bool { return k.Name() == kind }) {
				return false
			}
		}
		return true
	})
	if len(all) == 0 {
		return one(fine("the daemon warns of nothing else"))
	}
	return all
}

// silent begins the results of checks that need an answer of the daemon.
const silent = "ancred was not asked"

// join joins the parts of a sentence: "a, b and c".
func join(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
