package calendar

import (
	"errors"
	"io"
	"log"
	"net/url"
	"strings"
	"testing"
)

// quiet drops what servers log when a test refuses them.
var quiet = log.New(io.Discard, "", 0)

func TestWellKnownCalendarsAreAsked(t *testing.T) {
	w := WellKnown()
	for _, uri := range []string{
		"https://alice.btc.calendar.opentimestamps.org",
		"https://bob.btc.calendar.opentimestamps.org",
		"https://finney.calendar.eternitywall.com",
		"https://btc.calendar.catallaxy.com",
		"https://Alice.BTC.calendar.OpenTimestamps.org",
		"https://alice.btc.calendar.opentimestamps.org:443",
		"https://alice.btc.calendar.opentimestamps.org/",
	} {
		if err := w.Check(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	for _, uri := range []string{
		"https://calendar.opentimestamps.org",
		"https://evilcalendar.opentimestamps.org",
		"https://a.pool.opentimestamps.org",
		"https://alice.btc.calendar.opentimestamps.org.evil.example",
		"https://evil.example/alice.btc.calendar.opentimestamps.org",
		"https://evil.example:443/.calendar.opentimestamps.org",
		"https://alice.btc.calendar.opentimestamps.org:8443",
		"https://alice.btc.calendar.opentimestamps.org/below",
		"https://127.0.0.1",
		"https://169.254.169.254",
	} {
		if err := w.Check(uri); !errors.Is(err, ErrNotListed) {
			t.Errorf("%s: %v, want it not listed", uri, err)
		}
	}
}

// An address is never asked if it is malformed, or if two programs could read it differently.
func TestTrickyAddressesAreRefused(t *testing.T) {
	w := WellKnown()
	for _, uri := range []string{
		"", "https", "https:", "https://", "https:///x", "https://:443", "//alice.btc.calendar.opentimestamps.org",
		"http://alice.btc.calendar.opentimestamps.org",
		"ftp://alice.btc.calendar.opentimestamps.org",
		"https:alice.btc.calendar.opentimestamps.org",
		"https://alice.btc.calendar.opentimestamps.org.",
		"https://.calendar.opentimestamps.org",
		"https://a..calendar.opentimestamps.org",
		"https://-a.calendar.opentimestamps.org",
		"https://alice.btc.calendar.opentimestamps.org:",
		"https://alice.btc.calendar.opentimestamps.org:0",
		"https://alice.btc.calendar.opentimestamps.org:65536",
		"https://evil.example:80:443",
		"https://evil.example@alice.btc.calendar.opentimestamps.org",
		"https://alice.btc.calendar.opentimestamps.org?x=1",
		"https://alice.btc.calendar.opentimestamps.org#x",
		"https://alice.btc.calendar.opentimestamps.org/../x",
		"https://alice.btc.calendar.opentimestamps.org//",
		"https://al%69ce.btc.calendar.opentimestamps.org",
		"https://kalender\u0456.calendar.opentimestamps.org",
		"https://" + strings.Repeat("a", 64) + ".calendar.opentimestamps.org",
		"https://127.1", "https://2130706433", "https://0x7f000001", "https://0177.0.0.1", "https://127.0.0.1.", "https://[::1]",
		"http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://0.0.0.0:14788", "http://169.254.169.254",
	} {
		if err := w.Check(uri); err == nil || errors.Is(err, ErrNotListed) {
			t.Errorf("%s: %v, want it refused whatever the list says", uri, err)
		}
	}
}

func TestCalendarsThatAreAllowed(t *testing.T) {
	for _, c := range []struct{ allowed, uri string }{
		{"https://calendar.example", "https://calendar.example"},
		{"https://Calendar.Example/", "https://calendar.example"},
		{"calendar.example", "https://calendar.example"},
		{"calendar.example:8443", "https://calendar.example:8443"},
		{"https://calendar.example:443", "https://calendar.example"},
		{"https://calendar.example/ots", "https://calendar.example/ots/"},
		{"https://*.example.org", "https://a.b.example.org"},
		{"*.example.org", "https://a.example.org"},
		{"http://127.0.0.1:14788", "http://127.0.0.1:14788"},
		{"127.0.0.1:14788", "http://127.0.0.1:14788"},
		{"127.0.0.1:14788", "https://127.0.0.1:14788"},
		{"http://localhost:14788", "http://localhost:14788"},
		{"https://192.0.2.1", "https://192.0.2.1"},
		{"https://xn--kalnder-8wa.example", "https://xn--kalnder-8wa.example"},
	} {
		w := &Whitelist{}
		if err := w.Add(c.allowed); err != nil {
			t.Errorf("--calendar %s: %v", c.allowed, err)
		}
		if err := w.Check(c.uri); err != nil {
			t.Errorf("--calendar %s: %s: %v", c.allowed, c.uri, err)
		}
	}
	for _, c := range []struct{ allowed, uri string }{
		{"https://calendar.example", "https://calendar.example:8443"},
		{"https://calendar.example:8443", "https://calendar.example"},
		{"https://calendar.example", "https://a.calendar.example"},
		{"https://calendar.example/ots", "https://calendar.example"},
		{"https://*.example.org", "https://example.org"},
		{"https://*.example.org", "https://aexample.org"},
		{"http://127.0.0.1:14788", "https://127.0.0.1:14788"},
		{"http://127.0.0.1:14788", "http://127.0.0.1:14789"},
		{"http://127.0.0.1:14788", "http://localhost:14788"},
	} {
		w := &Whitelist{}
		if err := w.Add(c.allowed); err != nil {
			t.Errorf("--calendar %s: %v", c.allowed, err)
		}
		if err := w.Check(c.uri); !errors.Is(err, ErrNotListed) {
			t.Errorf("--calendar %s: %s: %v, want it not listed", c.allowed, c.uri, err)
		}
	}
}

// An entry that can never match, or that allows far more than was meant, is an error.
func TestCalendarsThatCannotBeAllowed(t *testing.T) {
	for allowed, want := range map[string]string{
		"http://calendar.example":        "without encryption",
		"https://alice:s3cret@x.example": "user or a password",
		"https://kal\u00e4nder.example":  "xn--",
		"https://*":                      "",
		"*":                              "",
		"*.org":                          "followed by a domain",
		"*.127.0.0.1":                    "followed by a domain",
		"https://a.*.example":            "",
		"ftp://calendar.example":         "https://HOST",
		"":                               "",
		"https://calendar.example?x":     "proof",
	} {
		w := &Whitelist{}
		err := w.Add(allowed)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("--calendar %s: %v, want something of %q", allowed, err, want)
		}
		if len(w.entries) != 0 {
			t.Errorf("--calendar %s: it is in the list all the same", allowed)
		}
	}
}

// Whatever a proof names, only addresses below three domains are asked by default, over TLS at its
// usual port. That also holds as net/url reads the address, which makes the request.
func FuzzWellKnown(f *testing.F) {
	for _, uri := range []string{
		"https://alice.btc.calendar.opentimestamps.org", "https://a.calendar.eternitywall.com:443/", "https://A.calendar.catallaxy.com",
		"https://evil.example:443/.calendar.opentimestamps.org", "https://a.calendar.opentimestamps.org:080", "https://a.calendar.opentimestamps.org//",
		"http://127.0.0.1:14788", "https://a.b.:443", "https:////a.calendar.opentimestamps.org", "https://a_.calendar.opentimestamps.org",
	} {
		f.Add(uri)
	}
	w := WellKnown()
	f.Fuzz(func(t *testing.T, uri string) {
		if w.Check(uri) != nil {
			return
		}
		a, err := parseAddress(uri)
		if err != nil {
			t.Fatalf("%q is listed, and no address: %v", uri, err)
		}
		to, err := url.Parse(a.url("/timestamp/00"))
		if err != nil || to.Scheme != "https" || to.Port() != "" || to.User != nil || to.Path != "/timestamp/00" || to.RawQuery != "" || to.Fragment != "" {
			t.Fatalf("%q is asked at %v, %v", uri, to, err)
		}
		for _, domain := range []string{".calendar.opentimestamps.org", ".calendar.eternitywall.com", ".calendar.catallaxy.com"} {
			if name, ok := strings.CutSuffix(to.Host, domain); ok && name != "" {
				return
			}
		}
		t.Fatalf("%q is asked at %s", uri, to.Host)
	})
}
