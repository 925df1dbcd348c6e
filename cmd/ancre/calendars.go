package main

import (
	"fmt"

	"ancre/calendar"
	"ancre/verify"

	"github.com/spf13/pflag"
)

// calendarOptions are the flags that say which calendars are asked besides the well-known ones and
// the daemon's.
type calendarOptions struct {
	allowed []string
	offline bool // none is
}

func (o *calendarOptions) addTo(f *pflag.FlagSet) {
	f.StringArrayVar(&o.allowed, "calendar", nil, "also ask the calendar at `URL` if a proof names it; may be repeated")
}

// addOffline is for commands that can do without calendars.
func (o *calendarOptions) addOffline(f *pflag.FlagSet) {
	f.BoolVar(&o.offline, "offline", false, "ask no calendar")
}

// check makes --headers imply --offline: who brings the headers in a file wants nobody to be asked.
func (o *calendarOptions) check(src sourceOptions) error {
	for flag, set := range map[string]bool{"--offline": o.offline, "--headers": src.headers != ""} {
		if set && len(o.allowed) > 0 {
			return fmt.Errorf("%[1]s and --calendar exclude each other: with %[1]s no calendar is asked", flag)
		}
	}
	o.offline = o.offline || src.headers != ""
	return nil
}

// openCalendars returns the calendars that may be asked: the well-known ones, the daemon's own, and
// those that the flags allow; nil when none is. The caller calls closeCalendars in the end.
func (a *app) openCalendars(o calendarOptions) (calendars *verify.Calendars, closeCalendars func(), err error) {
	if o.offline {
		return nil, func() {}, nil
	}
	cfg, err := a.configuration()
	if err != nil {
		return nil, nil, err // also because a proxy may stand in it: nothing must go around that
	}
	list := calendar.WellKnown()
	for _, s := range o.allowed {
		if err := list.Add(s); err != nil {
			return nil, nil, usagef("--calendar: %w", err)
		}
	}
	// The daemon promises at whatever address its operator chose. One that cannot be asked is left
	// to the daemon.
	_ = list.Add(cfg.Calendar.URI)
	client := calendar.NewClient(calendar.ClientConfig{Proxy: cfg.SPV.Proxy, UserAgent: "ancre/" + versionText()})
	return verify.NewCalendars(verify.CalendarsConfig{
		Client: client, Allowed: list,
		HowToAllow: func(uri string) string { return "--calendar " + uri },
	}), client.Close, nil
}
