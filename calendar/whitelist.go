package calendar

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"ancre/internal/humanize"
	"ancre/internal/loopback"
	"ancre/proof"
)

// ErrNotListed says that a calendar is not on a [Whitelist].
var ErrNotListed = errors.New("is not on the list of calendars that may be asked")

// wellKnown are the public calendars that the reference implementation asks by default
// (python-opentimestamps, opentimestamps/calendar.py). The aggregators at which files are stamped
// are not among them: pending attestations name the calendars behind.
var wellKnown = [...]string{
	"https://*.calendar.opentimestamps.org",
	"https://*.calendar.eternitywall.com",
	"https://*.calendar.catallaxy.com",
}

// Whitelist says which calendars may be asked. A proof comes from a stranger and can name any
// address. Asking there would let the stranger send requests into our network, and would show when
// and from where the proof is verified.
type Whitelist struct {
	entries []listed
}

// listed is one entry: an address, or with wildcard, all hosts below its host.
type listed struct {
	address
	wildcard bool
}

// WellKnown returns a new list with the public calendars that OpenTimestamps' own client asks.
func WellKnown() *Whitelist {
	var w Whitelist
	for _, s := range wellKnown {
		if err := w.Add(s); err != nil {
			panic(err) // a constant is wrong; a test holds them
		}
	}
	return &w
}

// Add allows one more calendar: https://HOST, with :PORT and /PATH if it has them, or http:// on
// this machine. HOST alone allows both schemes, where they are allowed. *.HOST allows all hosts
// below HOST.
func (w *Whitelist) Add(s string) error {
	switch {
	case strings.Contains(s, "@"):
		// The error does not repeat the address: it may hold a password.
		return errors.New("the address of a calendar has a user or a password (@): proofs cannot name them, and calendars do not ask for them")
	case strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f }):
		return fmt.Errorf("calendar %q: proofs name hosts in ASCII: write an international name in its registered form, which begins with xn--", humanize.Clip(s))
	}
	full, schemes := s, 1
	if !strings.Contains(s, "://") {
		full, schemes = "https://"+s, 2
	}
	var l listed
	scheme, rest, _ := strings.Cut(full, "://")
	if below, ok := strings.CutPrefix(rest, "*."); ok {
		l.wildcard, full = true, scheme+"://"+below
	}
	var err error
	if l.address, err = parseAddress(full); err != nil {
		return fmt.Errorf("calendar %q: %w", humanize.Clip(s), err)
	}
	if l.wildcard && (!strings.Contains(l.host, ".") || l.isIP()) {
		return fmt.Errorf("calendar %q: *. must be followed by a domain with a dot, such as *.example.org", humanize.Clip(s))
	}
	w.entries = append(w.entries, l)
	if schemes == 2 && l.isLoopback() && !l.wildcard {
		l.scheme = "http"
		w.entries = append(w.entries, l)
	}
	return nil
}

// Check returns nil if the calendar at uri may be asked. It returns an error that wraps
// [ErrNotListed] if the calendar is not on the list, and another error if it must never be asked:
// the address is malformed, or the connection would not be encrypted.
func (w *Whitelist) Check(uri string) error {
	a, err := parseAddress(uri)
	if err != nil {
		return err
	}
	for _, l := range w.entries {
		hosts := a.host == l.host
		if l.wildcard {
			// One name or more, as in the reference: alice.btc.calendar.opentimestamps.org.
			hosts = strings.HasSuffix(a.host, "."+l.host)
		}
		if hosts && a.scheme == l.scheme && a.port == l.port && a.path == l.path {
			return nil
		}
	}
	return ErrNotListed
}

// address is the URI of a calendar in its parts. Two spellings of the same address become equal.
type address struct {
	scheme string // http or https
	host   string // lower case, no dot at the end; no brackets, which proofs cannot have
	port   string // empty: the default port of the scheme
	path   string // empty, or begins with a slash and ends without one
}

// parseAddress reads the URI of a calendar strictly: an address that it refuses is never asked. Its
// errors do not repeat the URI.
func parseAddress(uri string) (address, error) {
	if _, err := proof.PendingAt(uri); err != nil {
		return address{}, fmt.Errorf("is not an address that a proof can name: %w", err)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Opaque != "" || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return address{}, errors.New("is not the address of a calendar: write https://HOST or https://HOST:PORT")
	}
	a := address{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), port: u.Port(), path: strings.TrimSuffix(u.Path, "/")}
	if err := a.checkHost(); err != nil {
		return address{}, err
	}
	if strings.HasSuffix(u.Host, ":") {
		return address{}, errors.New("has a colon and no port after it")
	}
	if a.port != "" {
		n, err := strconv.ParseUint(a.port, 10, 16)
		if err != nil || n == 0 {
			return address{}, fmt.Errorf("has the port %q: it must be a number from 1 to 65535", a.port)
		}
		if a.port = strconv.FormatUint(n, 10); a.scheme == "https" && n == 443 || a.scheme == "http" && n == 80 {
			a.port = ""
		}
	}
	for i, part := range strings.Split(a.path, "/") {
		if i > 0 && (part == "" || part == "." || part == "..") {
			return address{}, errors.New("has a path with an empty part, or with . or .. as a part")
		}
	}
	if a.scheme == "http" && !a.isLoopback() {
		return address{}, errors.New("would be asked without encryption, so anyone on the way could change the answer: use https://, or http:// on 127.0.0.1 and localhost")
	}
	return a, nil
}

// checkHost accepts names, and IP addresses in their usual form. Some resolvers also take 127.1 or
// 0x7f000001 for an address: it would be compared as a name, and then lead somewhere else.
func (a address) checkHost() error {
	if a.isIP() {
		return nil
	}
	const maxName, maxLabel = 253, 63 // RFC 1035
	labels := strings.Split(a.host, ".")
	ok := len(a.host) <= maxName
	for _, l := range labels {
		ok = ok && l != "" && len(l) <= maxLabel && l[0] != '-' && l[len(l)-1] != '-' && strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	}
	last := labels[len(labels)-1]
	if !ok || last != "" && last[0] >= '0' && last[0] <= '9' {
		return fmt.Errorf("has the host %q, which is neither a name nor an IP address in its usual form", humanize.Clip(a.host))
	}
	return nil
}

func (a address) isIP() bool {
	_, err := netip.ParseAddr(a.host)
	return err == nil
}

// isLoopback reports whether the calendar is on this machine, judging by its address alone.
func (a address) isLoopback() bool { return loopback.IsHost(a.host) }

// url is the URL of a route, which begins with a slash.
func (a address) url(route string) string { return a.scheme + "://" + a.hostPort() + a.path + route }

// hostPort is the host as requests name it.
func (a address) hostPort() string {
	if a.port == "" {
		return a.host
	}
	return net.JoinHostPort(a.host, a.port)
}
