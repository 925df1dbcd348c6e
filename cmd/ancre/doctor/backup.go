package doctor

import (
	"fmt"

	"ancre/internal/humanize"
)

// backup says how old the last backup is, and whether the next one runs by itself.
func backup(f *Facts) []Result {
	info, ok := f.Info.Get()
	if !ok {
		return one(missing(f, f.Info, silent))
	}
	all := f.said("backup")
	timer, ok := f.Timer.Get()
	idle := ok && timer.Load == "loaded" && timer.Active != "active" && f.Me.Service
	enable := f.Me.asRoot("systemctl enable --now " + timer.Unit)
	if len(all) > 0 {
		for i := range all {
			if idle {
				all[i].Remedy = enable
			}
		}
		return all
	}
	last := info.LastBackup
	text := "there is no digest yet, so there is nothing to back up"
	switch {
	case last != nil:
		text = fmt.Sprintf("the last one is %s old, with %s", humanize.Duration(f.Now.Sub(last.Taken)), humanize.Plural(last.Digests, "digest", "digests"))
		if last.Rehearsed {
			text += ", a store was rebuilt from it"
		}
		if last.Copied {
			text += ", and it was copied elsewhere"
		}
	case info.Digests > 0:
		text = "there is none yet"
	}
	if idle {
		return one(warn(enable, "%s; no timer makes the next one (%s is %s)", text, timer.Unit, timer.Active))
	}
	return one(fine("%s", text))
}
