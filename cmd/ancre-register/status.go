package main

import (
	"strings"
	"time"

	"ancre/internal/humanize"
	"ancre/register/control"

	"github.com/spf13/cobra"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the register is",
		Long: `Show how the register is: its warnings, the node, what waits, the public page, the watched folder, the disk, the last backup.

Exit status: 0 the register runs (there may be warnings), 1 it does not.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.status(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(s, false)
			}
			a.showStatus(s)
			return nil
		},
	}
}

func (a *app) showStatus(s control.Status) {
	network := s.Network
	if network == "" {
		network = "no network yet"
	}
	a.say("ancre-register %s, %s, running for %s\n", s.Version, network, humanize.Duration(time.Since(s.Started)))
	for _, w := range s.Warnings {
		a.say("Warning: %s\n", w.Text)
	}
	a.say("data       %s\n", s.DataDir)
	a.say("register   %s in %s, %s on line\n", humanize.Plural(s.Documents, "document", "documents"), humanize.Plural(s.Meetings, "meeting", "meetings"), humanize.Count(s.Published))
	p := s.Proofs
	line := humanize.Count(p.Complete) + " complete, " + humanize.Count(p.Mined) + " in a block, " + humanize.Count(p.Pending) + " pending, " + humanize.Count(p.Waiting) + " waiting for the node"
	if p.OldestWaiting != nil {
		line += " (the oldest since " + humanize.Local(*p.OldestWaiting) + ")"
	}
	a.say("proofs     %s\n", line)
	a.say("node       %s\n", nodeLine(s.Node))
	for _, text := range s.Node.Warnings {
		a.say("           the node says: %s\n", text)
	}
	if s.Page.Listen == "" {
		a.say("page       off\n")
	} else {
		a.say("page       %s (listens on %s)\n", s.Page.URL, s.Page.Listen)
	}
	if s.Watched != "" {
		a.say("watched    %s\n", s.Watched)
	}
	if s.Disk.FreeBytes > 0 {
		a.say("disk       %s free\n", humanize.Bytes(s.Disk.FreeBytes))
	}
	if b := s.LastBackup; b != nil {
		a.say("backup     %s, %s: %s\n", humanize.Local(b.Taken), humanize.Plural(b.Documents, "document", "documents"), b.File)
	} else {
		a.say("backup     none\n")
	}
	var names []string
	for _, b := range s.Bodies {
		names = append(names, b.ID+" ("+b.Name+")")
	}
	a.say("bodies     %s\n", strings.Join(names, ", "))
}

// nodeLine says how the node is.
func nodeLine(n control.NodeStatus) string {
	since := ""
	if n.Since != nil {
		since = " since " + humanize.Local(*n.Since)
	}
	switch {
	case n.Since == nil:
		return n.RPC + ", not asked yet"
	case !n.Reachable:
		return n.RPC + ", away" + since + ": " + n.Error
	case !n.Synced:
		return n.RPC + ", " + n.Network + ", syncing, block " + humanize.Count(n.Height)
	}
	return n.RPC + ", " + n.Network + ", block " + humanize.Count(n.Height) + since
}
