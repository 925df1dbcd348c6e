package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ancre/internal/humanize"
	"ancre/rpc"
)

// programs compares the versions of ancre, of ancred and of the daemon that runs.
func programs(f *Facts) []Result {
	all, ok := f.Programs.Get()
	if !ok {
		return one(missing(f, f.Programs, "the installed programs"))
	}
	var results []Result
	info, answered := f.Info.Get()
	switch {
	case len(all) == 0 && !answered:
		results = append(results, warn("install ancred: see docs/operating.md", "this is ancre %s, and there is no ancred beside it or on PATH", f.Client))
	case len(all) > 0 && all[0].Version != "" && all[0].Version != f.Client:
		results = append(results, warn("install both programs of one version", "this is ancre %s, and %s is ancred %s", f.Client, all[0].Path, all[0].Version))
	}
	if len(all) > 1 {
		var paths []string
		for _, p := range all {
			paths = append(paths, fmt.Sprintf("%s (%s)", p.Path, versionOf(p)))
		}
		results = append(results, warn("remove the copies that are not of the package, for example with make uninstall", "there are several copies of ancred: %s", join(paths)))
	}
	if installed := newest(all, f.Client); answered && info.Version != installed {
		results = append(results, warn(f.restart(), "the running ancred is %s, and %s is installed", info.Version, installed))
	}
	if len(results) == 0 {
		return one(fine("ancre and ancred %s", f.Client))
	}
	return results
}

func versionOf(p Program) string {
	if p.Version == "" {
		return "of an unknown version"
	}
	return p.Version
}

// newest returns the version that the daemon should have: that of the installed ancred.
func newest(all []Program, client string) string {
	if len(all) > 0 && all[0].Version != "" {
		return all[0].Version
	}
	return client
}

// restart returns how to restart the daemon.
func (f *Facts) restart() string {
	if s, ok := f.Service.Get(); ok && s.Active == "active" {
		return f.Me.asRoot("systemctl restart " + s.Unit)
	}
	return "stop ancred and start it again"
}

// service says whether systemd runs ancred, now and after the next start of the machine.
func service(f *Facts) []Result {
	s, ok := f.Service.Get()
	if !ok {
		return one(missing(f, f.Service, "what starts ancred with the machine"))
	}
	enable := f.Me.asRoot("systemctl enable --now " + s.Unit)
	log := "journalctl -u " + s.Unit + " -n 50"
	switch {
	case s.Load == "masked":
		return one(fail(f.Me.asRoot("systemctl unmask "+s.Unit), "%s is masked, so it cannot start", s.Unit))
	case s.Load != "loaded":
		return one(warn("install the package, or run make install: see docs/operating.md", "ancred is not installed as a service, so it does not start with the machine"))
	case s.Active == "failed", s.Sub == "auto-restart", s.Active == "activating" && s.Restarts > 0:
		text := fmt.Sprintf("%s does not start (%s, %s)", s.Unit, s.Active, s.Sub)
		if s.Restarts > 0 {
			text = fmt.Sprintf("%s does not start, and systemd has tried %s", s.Unit, humanize.Plural(s.Restarts, "time", "times"))
		}
		if line, ok := s.LastLine.Get(); ok && line != "" {
			text += ": " + line
		}
		return one(fail(f.Me.asRoot(log), "%s", text))
	case s.Active == "activating", s.Active == "reloading", s.Active == "deactivating":
		return one(warn(f.Me.asRoot(log), "%s is %s", s.Unit, s.Active))
	case s.Active != "active" && f.byHand() != nil:
		return one(warn("stop the ancred that a person started; then "+enable, "%s does not run, and a person started an ancred, which does not start with the machine", s.Unit))
	case s.Active != "active":
		return one(fail(enable, "%s does not run (%s)", s.Unit, s.Active))
	case s.Enabled == "disabled":
		return one(warn(f.Me.asRoot("systemctl enable "+s.Unit), "%s runs, but does not start with the machine", s.Unit))
	}
	text := s.Unit + " is active"
	if s.Enabled != "" {
		text = s.Unit + " is " + s.Enabled + " and active"
	}
	if !s.Since.IsZero() && f.Now.After(s.Since) {
		text += " for " + humanize.Duration(f.Now.Sub(s.Since))
	}
	if s.Restarts > 0 {
		return one(warn(f.Me.asRoot(log), "%s, and systemd had to restart it %s", text, humanize.Plural(s.Restarts, "time", "times")))
	}
	return one(fine("%s", text))
}

// byHand returns the daemon that a person started, if there is one.
func (f *Facts) byHand() *Process {
	for i := range f.Processes.value {
		if f.Processes.value[i].Unit == "" {
			return &f.Processes.value[i]
		}
	}
	return nil
}

// daemons says which daemons run on this machine, and which data directories they leave alone.
func daemons(f *Facts) []Result {
	all, ok := f.Processes.Get()
	if !ok {
		if used, ok := f.InUse.Get(); ok && used {
			return one(fine("an ancred runs in %s", f.Settings.value.Dir))
		}
		return one(missing(f, f.Processes, "which daemons run"))
	}
	var results []Result
	for _, p := range all {
		results = append(results, fine("%s", p))
	}
	if len(all) == 0 {
		results = append(results, fail(f.start(), "no ancred runs on this machine"))
	}
	if second := secondDaemon(all); second != nil {
		results = append(results, warn("stop the one that nothing needs: each has its own wallet, batches and proofs", "two daemons run on %s: %s, and %s", second[0].Network, second[0], second[1]))
	}
	return append(results, f.forgotten(all)...)
}

// start returns how to start the daemon.
func (f *Facts) start() string {
	if s, ok := f.Service.Get(); ok && s.Load == "loaded" {
		return f.Me.asRoot("systemctl enable --now " + s.Unit)
	}
	return strings.Replace(f.Me.Ancre, "ancre", "ancred", 1)
}

func (p Process) String() string {
	how := "started by a person"
	if p.Unit != "" {
		how = "started by " + p.Unit
	}
	dir := "in a data directory that you may not see"
	if p.Dir != "" {
		dir = "in " + p.Dir
	}
	return fmt.Sprintf("ancred (process %d), %s, runs as %s %s", p.PID, how, p.User, dir)
}

// secondDaemon returns two daemons of the same network.
func secondDaemon(all []Process) []Process {
	for i, p := range all {
		for _, q := range all[i+1:] {
			if p.Network == q.Network && p.Network != "" {
				return []Process{p, q}
			}
		}
	}
	return nil
}

// forgotten returns a warning for each data directory with a wallet in which no daemon runs, while
// one of the same network runs elsewhere: its money lies where nothing spends it.
func (f *Facts) forgotten(running []Process) (all []Result) {
	for _, d := range f.DataDirs.value {
		other := slices.IndexFunc(running, func(p Process) bool { return p.Network == d.Network && p.Dir != d.Path })
		if d.InUse || !d.HasWallet || other < 0 || slices.ContainsFunc(running, func(p Process) bool { return p.Dir == d.Path }) {
			continue
		}
		all = append(all, warn(f.Me.asRoot("ancred move "+filepath.Dir(d.Path)),
			"%s holds a wallet and batches, and no daemon runs there; the one that runs is in %s. Unless that one is used already, move it there", d.Path, orElsewhere(running[other].Dir)))
	}
	return all
}

func orElsewhere(dir string) string {
	if dir == "" {
		return "another directory"
	}
	return dir
}

// configuration says whether the daemon could start with its configuration.
func configuration(f *Facts) []Result {
	s, ok := f.Settings.Get()
	if !ok {
		r := missing(f, f.Settings, "the configuration")
		if !f.Settings.denied {
			r.Status, r.Text, r.Remedy = Failed, f.Settings.missing, "correct this line, and run: "+f.Me.asRoot("ancred check")
		}
		return one(r)
	}
	where := s.File
	if where == "" {
		where = "no file, so the defaults hold"
	}
	found, ok := f.Check.Get()
	if !ok {
		return one(missing(f, f.Check, where+": whether ancred could start"))
	}
	var all []Result
	fineOnes := 0
	for _, each := range found {
		switch {
		case each.Level == "fine":
			fineOnes++
		case each.About == "disk": // it has a check of its own
		case f.Info.known && slices.ContainsFunc(f.Info.value.Details, func(w rpc.Warning) bool { return w.Text == each.Text }): // the daemon says it
		case each.Level == "error":
			all = append(all, fail(f.Me.asRoot("ancred check"), "%s: %s", each.About, each.Text))
		default:
			all = append(all, warn("", "%s: %s", each.About, each.Text))
		}
	}
	if len(all) == 0 {
		return one(fine("%s; ancred check finds nothing wrong with %s", where, humanize.Plural(fineOnes, "thing", "things")))
	}
	return all
}

// who names what listens at a port.
func (p Port) who() string {
	if p.Owner == "" {
		return "another program"
	}
	return p.Owner
}

// rpcPort says whether JSON-RPC answers this user.
func rpcPort(f *Facts) []Result {
	p, ok := f.RPC.Get()
	if !ok {
		return one(missing(f, f.RPC, "JSON-RPC"))
	}
	who, by := "ancred", ""
	if p.Owner != "" {
		who, by = p.Owner, " ("+p.Owner+")"
	}
	switch p.State {
	case Answers:
		return one(fine("%s answers at %s", who, p.Address))
	case Starting:
		return one(warn(f.Me.Ancre+" doctor", "%s is starting: %s", who, p.Text))
	case Closed:
		return one(fail(f.start(), "nothing listens at %s", p.Address))
	case NoCookie:
		if p.Denied && !f.Me.Root {
			return one(unknown(f.Me.asRoot(f.Me.Ancre+" doctor"), "something%s listens at %s, and you may not ask it: %s", by, p.Address, p.Text))
		}
		return one(fail("name the data directory of that daemon with --datadir, or stop it", "something%s listens at %s, and it is not the daemon that is meant: %s", by, p.Address, p.Text))
	case Refuses:
		return one(fail("name the data directory of that daemon with --datadir, or stop it", "the daemon%s that answers at %s refuses the credentials: %s", by, p.Address, p.Text))
	case Mute:
		return one(fail(f.restart(), "%s accepts connections at %s, and did not answer in time", p.who(), p.Address))
	}
	return one(fail("stop that program, or set another rpc.listen", "%s answers at %s, and it is not ancred: %s", p.who(), p.Address, p.Text))
}
