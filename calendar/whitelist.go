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

// ErrNotListed says that a [Whitelist] does not have a calendar.
var ErrNotListed = errors.New("is none of the calendars that are asked")

// wellKnown are the public calendars that the reference implementation follows without being told
// to (python-opentimestamps, opentimestamps/calendar.py). The aggregators that files are stamped at
// are not among them: promises name the calendars behind.
var wellKnown = [...]string{
	"https://*.calendar.opentimestamps.org",
	"https://*.calendar.eternitywall.com",
	"https://*.calendar.catallaxy.com",
}

// Whitelist says which calendars may be asked. A proof comes from a stranger and names any address
// it likes: whoever asked there would be the stranger's hand in our network, and would tell them
// when and from where their file is looked at.
type Whitelist struct {
	entries []listed
}

// listed is one entry: an address, or with wildcard all hosts below its host.
type listed struct {
	address
	wildcard bool
}

// WellKnown returns a new list of the public calendars that OpenTimestamps' own client follows.
func WellKnown() *Whitelist {
	var w Whitelist
	for _, s := range wellKnown {
		if err := w.Add(s); err != nil {
			panic(err) // a constant of ours, held by a test
		}
	}
	return &w
}

// Add allows one more calendar: https://HOST, with :PORT and /PATH where it has them, http:// on
// this machine only. HOST alone means both schemes as far as they are allowed, and *.HOST all hosts
// below HOST.
func (w *Whitelist) Add(s string) error {
	switch {
	case strings.Contains(s, "@"):
		// Not repeated: it may hold a password.
		return errors.New("the address of a calendar holds a user or a password (@), which proofs cannot name and calendars do not ask for")
	case strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f }):
		return fmt.Errorf("calendar %q: proofs name hosts in ASCII: write an international name as it is registered, beginning with xn--", humanize.Clip(s))
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
		return fmt.Errorf("calendar %q: *. must stand before a domain of two names or more, such as *.example.org", humanize.Clip(s))
	}
	w.entries = append(w.entries, l)
	if schemes == 2 && l.isLoopback() && !l.wildcard {
		l.scheme = "http"
		w.entries = append(w.entries, l)
	}
	return nil
}

// Check returns nil when the calendar at uri may be asked, an error that wraps [ErrNotListed] when
// nobody has allowed it, and another one when it is never asked: the address is malformed, or would
// be asked in the clear.
func (w *Whitelist) Check(uri string) error {
	a, err := parseAddress(uri)
	if err != nil {
		return err
	}
	for _, l := range w.entries {
		hosts := a.host == l.host
		if l.wildcard {
			// One name or more, as in the reference: it is alice.btc.calendar.opentimestamps.org.
			hosts = strings.HasSuffix(a.host, "."+l.host)
		}
		if hosts && a.scheme == l.scheme && a.port == l.port && a.path == l.path {
			return nil
		}
	}
	return ErrNotListed
}

// address is a calendar's URI in its parts, made equal where two spellings mean the same place.
type address struct {
	scheme string // http or https
	host   string // lower case, without a dot at the end; no brackets: proofs cannot hold them
	port   string // empty when it is the scheme's own
	path   string // empty, or begins with a slash and ends without one
}

// parseAddress reads the URI of a calendar strictly: what is refused here is never asked. Errors do
// not repeat the URI.
func parseAddress(uri string) (address, error) {
	if _, err := proof.PendingAt(uri); err != nil {
		return address{}, fmt.Errorf("is no address that a proof could name: %w", err)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Opaque != "" || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return address{}, errors.New("is no address of a calendar: it must be https://HOST or https://HOST:PORT")
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
			return address{}, errors.New("has a path with an empty step, or with the step . or .. in it")
		}
	}
	if a.scheme == "http" && !a.isLoopback() {
		return address{}, errors.New("would be asked in the clear, where anybody on the way can change the answer: only https:// is asked, or http:// on 127.0.0.1 and localhost")
	}
	return a, nil
}

// checkHost accepts names, and addresses as they are customarily written: what some resolvers take
// for an address as well, such as 127.1 or 0x7f000001, would be compared as a name and then lead
// elsewhere.
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
		return fmt.Errorf("has the host %q, which is neither a name nor an IP address as it is usually written", humanize.Clip(a.host))
	}
	return nil
}

func (a address) isIP() bool {
	_, err := netip.ParseAddr(a.host)
	return err == nil
}

// isLoopback reports whether the calendar is on this machine, judging by its address alone.
func (a address) isLoopback() bool { return loopback.IsHost(a.host) }

// url is where to ask; route begins with a slash.
func (a address) url(route string) string { return a.scheme + "://" + a.hostPort() + a.path + route }

// hostPort is how the host is named in requests.
func (a address) hostPort() string {
	if a.port == "" {
		return a.host
	}
	return net.JoinHostPort(a.host, a.port)
}
