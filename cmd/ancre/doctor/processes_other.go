//go:build !linux

package doctor

import (
	"context"

	"ancre/internal/datadir"
)

// processes says only whether a daemon runs in the data directory: how to find others differs from
// system to system.
func (g *gatherer) processes(context.Context) {
	s, ok := g.settings.Get()
	if !ok {
		return
	}
	const why = "ancre does not list the processes of this system"
	state, err := datadir.Inspect(s.Dir, s.Network)
	g.put(func(f *Facts) {
		f.Processes, f.DataDirs = Missing[[]Process](why), Missing[[]DataDir](why)
		if err == nil {
			f.InUse = Known(state == datadir.Used)
		}
	})
}

// listener does not know what listens on this system.
func listener(string) string { return "" }
