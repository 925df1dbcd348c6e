package main

import (
	"fmt"

	"ancre/calendar"
	"ancre/internal/command"
	"ancre/internal/version"
	"ancre/verify"

	"github.com/spf13/pflag"
)

// calendarOptions are the flags that say which calendars may be asked, besides the well-known ones
// and the daemon's.
type calendarOptions struct {
	allowed []string
	offline bool // no calendar may be asked
}

func (o *calendarOptions) addTo(f *pflag.FlagSet) {
	f.StringArrayVar(&o.allowed, "calendar", nil, "also ask the calendar at `URL` if a proof names it; may be repeated")
}

// addOffline adds the flag of commands that work without calendars.
func (o *calendarOptions) addOffline(f *pflag.FlagSet) {
	f.BoolVar(&o.offline, "offline", false, "ask no calendar")
}

// check makes --headers imply --offline: a machine with a file of headers may have no network.
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
// those that the flags allow. It returns nil if no calendar may be asked. The caller must call
// closeCalendars.
func (a *app) openCalendars(o calendarOptions) (calendars *verify.Calendars, closeCalendars func(), err error) {
	if o.offline {
		return nil, func() {}, nil
	}
	cfg, err := a.configuration()
	if err != nil {
		return nil, nil, err // it may name a proxy, and nothing must go around that
	}
	list := calendar.WellKnown()
	for _, s := range o.allowed {
		if err := list.Add(s); err != nil {
			return nil, nil, command.Usagef("--calendar: %w", err)
		}
	}
	// The operator chose the address of the daemon's calendar. If it may not be asked, the daemon
	// answers for it.
	_ = list.Add(cfg.Calendar.URI)
	client := calendar.NewClient(calendar.ClientConfig{Proxy: cfg.SPV.Proxy, UserAgent: "ancre/" + version.Text()})
	return verify.NewCalendars(verify.CalendarsConfig{
		Client: client, Allowed: list,
		HowToAllow: func(uri string) string { return "--calendar " + uri },
	}), client.Close, nil
}
