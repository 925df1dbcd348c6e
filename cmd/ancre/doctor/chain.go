package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ancre/internal/humanize"
)

// enoughPeers is how many peers find out one that lies; see package spv.
const enoughPeers = 3

// network says whether this machine reaches Bitcoin's network.
func network(f *Facts) []Result {
	if info, ok := f.Info.Get(); ok && len(info.Chain.Peers) > 0 {
		return one(fine("ancred is connected to %s, so outbound connections work", humanize.Plural(len(info.Chain.Peers), "node", "nodes")))
	}
	reach, ok := f.Reach.Get()
	if !ok {
		return one(missing(f, f.Reach, "whether this machine reaches Bitcoin nodes"))
	}
	return one(judgeReach(reach, f.Settings.value))
}

// judgeReach says what came of connecting to nodes.
func judgeReach(r Reach, s Settings) Result {
	answered, filters, timeouts := 0, 0, 0
	var errs []string
	for _, t := range r.Tries {
		switch {
		case t.Err == "" && t.Filters:
			filters++
			fallthrough
		case t.Err == "":
			answered++
		case t.Timeout:
			timeouts++
			fallthrough
		default:
			errs = append(errs, t.Address+": "+t.Err)
		}
	}
	tried := humanize.Plural(len(r.Tries), "node", "nodes")
	switch {
	case r.NoSeeds:
		return fail("set spv.connect to the HOST:PORT of a node", "on %s no nodes can be discovered, and spv.connect names none", s.Network)
	case r.ProxyErr != "":
		return fail("start the proxy, or correct spv.proxy", "the proxy %s (spv.proxy) cannot be reached: %s", s.Proxy, r.ProxyErr)
	case filters > 0:
		return fine("%d of %s answered on TCP port %s, %d serve compact filters", answered, tried, r.Port, filters)
	case answered > 0 && len(s.Connect) > 0:
		return fail("run these nodes with -blockfilterindex=1 -peerblockfilters=1, or name others in spv.connect", "%d of %s answered, and none serves compact filters", answered, tried)
	case answered > 0:
		return warn("", "%d of %s answered on TCP port %s, and none of them serves compact filters; ancred tries others", answered, tried, r.Port)
	case s.Proxy != "":
		return fail("check that the proxy reaches the Internet and allows TCP port "+r.Port, "no node could be reached through the proxy %s (spv.proxy): %s", s.Proxy, humanize.Few(errs))
	case len(r.Tries) == 0 && r.Lookups > 0 && r.Lookups == r.NotFound:
		return fail("check the Internet connection, and the name servers in /etc/resolv.conf", "no name of a Bitcoin node can be looked up: %s", r.Lookup)
	case len(s.Connect) > 0:
		return fail("check that the nodes in spv.connect run, and that the firewall allows outbound connections to them", "none of the nodes in spv.connect answers: %s", humanize.Few(errs))
	case len(r.Tries) > 0 && timeouts == len(r.Tries):
		return fail("allow outbound TCP connections to port "+r.Port+" in the firewall", "none of %s answered on TCP port %s: a firewall drops the connections", tried, r.Port)
	}
	return fail("allow outbound TCP connections to port "+r.Port+" in the firewall", "none of %s answered on TCP port %s: %s", tried, r.Port, humanize.Few(errs))
}

// peers says how many nodes the daemon is connected to.
func peers(f *Facts) []Result {
	info, ok := f.Info.Get()
	if !ok {
		return one(missing(f, f.Info, silent))
	}
	said := f.said("peers")
	all := info.Chain.Peers
	without := 0
	for _, p := range all {
		if !p.Filters {
			without++
		}
	}
	text := humanize.Plural(len(all), "peer", "peers")
	switch {
	case len(all) == 0:
		if len(said) > 0 {
			for i := range said {
				said[i].Status = Failed
			}
			return said
		}
		return one(warn(f.Me.Ancre+" doctor", "no peer is connected yet, %s after the start: look again in a minute", humanize.Duration(time.Duration(info.UptimeSeconds)*time.Second)))
	case len(said) > 0:
		return said
	case without == 0:
		text += ", all serve compact filters"
	case without == len(all):
		return one(fail("name other nodes in spv.add_peers", "%s, and none serves compact filters", text))
	default:
		text += fmt.Sprintf(", %d of them serve compact filters", len(all)-without)
	}
	return one(fine("%s", text))
}

// synced says how far the daemon follows the chain.
func synced(f *Facts) []Result {
	info, ok := f.Info.Get()
	if !ok {
		return one(missing(f, f.Info, silent))
	}
	if said := f.said("sync"); len(said) > 0 {
		return said
	}
	c := info.Chain
	if c.Synced {
		at := ""
		if c.BlockTime != nil {
			at = " of " + humanize.Local(*c.BlockTime)
		}
		return one(fine("synced to block %s%s", humanize.Count(c.Height), at))
	}
	left := ""
	if c.RemainingSeconds > 0 {
		left = ", " + humanize.Duration(time.Duration(c.RemainingSeconds)*time.Second) + " left"
	}
	if len(c.Peers) == 0 {
		return one(warn("", "not synced: block %s of %s, and there is no peer to sync from", humanize.Count(c.Height), humanize.Count(c.TargetHeight)))
	}
	return one(warn(f.Me.Ancre+" status --watch", "syncing: block %s of %s (%.1f%%)%s; digests are accepted meanwhile, and paid for afterwards",
		humanize.Count(c.Height), humanize.Count(c.TargetHeight), 100*c.Progress, left))
}

// clockWrong is how far a clock may differ from those of the nodes. Package spv warns at the same.
const clockWrong = 10 * time.Minute

// clock compares this machine's clock with those of the nodes, and asks the system.
func clock(f *Facts) []Result {
	if said := f.said("clock"); len(said) > 0 {
		for i := range said {
			said[i].Remedy = f.setClock()
		}
		return said
	}
	set := f.setClock()
	var agrees []string
	if ahead, nodes, ok := nodesAhead(f.Reach.value); ok {
		if ahead.Abs() >= clockWrong {
			where := "behind"
			if ahead < 0 {
				where = "ahead of"
			}
			return one(fail(set, "the clock of this machine is %s %s those of %s", humanize.Duration(ahead.Abs()), where, humanize.Plural(nodes, "Bitcoin node", "Bitcoin nodes")))
		}
		agrees = append(agrees, "agrees with "+humanize.Plural(nodes, "Bitcoin node", "Bitcoin nodes"))
	} else if info, ok := f.Info.Get(); ok && len(info.Chain.Peers) >= min(enoughPeers, max(len(f.Settings.value.Connect), 1)) {
		agrees = append(agrees, "agrees with ancred's peers within 10 minutes")
	}
	ntp, ok := f.NTP.Get()
	switch {
	case f.Remote || !ok && len(agrees) > 0:
	case !ok:
		return one(missing(f, f.NTP, "the clock"))
	case ntp.Synced:
		agrees = append(agrees, "is set by the system")
	case ntp.On && len(agrees) > 0:
		agrees = append(agrees, "a service that sets it runs")
	case len(agrees) > 0:
		return one(warn(set, "the clock %s, but nothing keeps it right", join(agrees)))
	default:
		return one(warn(set, "nothing says that the clock is right: the system does not set it, and no node was asked"))
	}
	if len(agrees) == 0 {
		return one(unknown("", "the clock of the other machine: its daemon has no peers to compare it with"))
	}
	return one(fine("the clock %s", join(agrees)))
}

// setClock returns how to have the clock set.
func (f *Facts) setClock() string {
	if f.NTP.value.None {
		return f.Me.asRoot("apt install systemd-timesyncd")
	}
	return f.Me.asRoot("timedatectl set-ntp true")
}

// nodesAhead returns the median of how far the clocks of the nodes are before this machine's. ok is
// false if too few answered: one node may be wrong itself.
func nodesAhead(r Reach) (ahead time.Duration, nodes int, ok bool) {
	var all []time.Duration
	for _, t := range r.Tries {
		if t.Err == "" {
			all = append(all, t.Ahead)
		}
	}
	if len(all) < min(enoughPeers, len(r.Tries)) || len(all) == 0 {
		return 0, 0, false
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], len(all), true
}

// calendar says whether the calendar answers, and whether others can complete its proofs.
func calendar(f *Facts) []Result {
	s, ok := f.Settings.Get()
	if !ok {
		return one(missing(f, f.Settings, "the calendar"))
	}
	port, ok := f.Calendar.Get()
	switch {
	case f.Remote:
		return append(f.said("calendar"), fine("not asked: the daemon runs on another machine"))
	case s.Calendar == "":
		return one(fine("off: \"ancre upgrade\" alone completes proofs"))
	case !ok:
		return one(missing(f, f.Calendar, "the calendar at "+s.Calendar))
	}
	var all []Result
	switch port.State {
	case Answers, Starting:
	case Closed:
		if rpc := f.RPC.value.State; rpc == Closed {
			return one(fail(f.start(), "nothing listens at %s: no daemon runs", port.Address))
		}
		return one(fail("restart ancred, with this calendar.listen", "nothing listens at %s (calendar.listen)", port.Address))
	default:
		return one(fail("stop that program, or set another calendar.listen", "%s answers at %s (calendar.listen), and it is not the calendar: %s", port.who(), port.Address, port.Text))
	}
	if said := f.said("calendar"); len(said) > 0 {
		return said
	}
	if wrong, ok := f.Public.Get(); ok && wrong != "" {
		all = append(all, warn("check DNS, the web server and its certificate; proofs that point to this address cannot be completed meanwhile",
			"%s (calendar.uri) does not answer from here: %s", s.CalendarURI, wrong))
		return all
	}
	if strings.HasPrefix(s.CalendarURI, "http://127.0.0.1") || strings.HasPrefix(s.CalendarURI, "http://localhost") {
		return one(fine("answers at %s; proofs point to %s, so only programs on this machine can complete them", port.Address, s.CalendarURI))
	}
	return one(fine("answers at %s, and as %s", port.Address, s.CalendarURI))
}
