package doctor

import "ancre/rpc"

// notified says whether somebody is told when a warning begins.
func notified(f *Facts) []Result {
	s, ok := f.Settings.Get()
	tried, wanted := f.Notified.Get()
	switch {
	case wanted:
		return one(judgeNotify(f, tried))
	case f.Notified.missing != "":
		r := missing(f, f.Notified, "whether notify.command works")
		if f.Notified.denied && !f.Me.Root {
			r.Remedy = f.Me.asRoot(f.Me.Ancre + " doctor --notify")
		}
		return one(r)
	case len(f.said("notify")) > 0:
		return f.said("notify")
	case f.Remote:
		return one(fine("ancred does not say that it fails"))
	case !ok:
		return one(missing(f, f.Settings, "who is told of warnings"))
	case s.Notify == "" && s.Metrics:
		return one(fine("no command is run when a warning begins; Prometheus can fetch the metrics"))
	case s.Notify == "":
		return one(warn("set command below [notify] in the configuration, and restart ancred: see docs/operating.md", "nobody is told when a warning begins"))
	}
	return one(fine("%s is run when a warning begins or ends; \"%s doctor --notify\" tries it", s.Notify, f.Me.Ancre))
}

// judgeNotify says what came of trying the command. What the command printed stays out: it may name
// the address of a chat, which is a secret.
func judgeNotify(f *Facts, t rpc.NotifyTest) Result {
	if !t.OK {
		return fail(f.admin("rpc testnotify"), "%s failed: %s; the command below shows what it printed", t.Program, t.Error)
	}
	return fine("%s was run with a test event and succeeded: look whether it arrived", t.Program)
}
