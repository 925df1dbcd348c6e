package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// settings returns the table of all keys, bound to the fields of c, but those of bodies. Relative
// paths start at dir, the folder of the file.
func (c *Register) settings(dir string) []setting {
	return []setting{
		{key: "datadir", set: text(&c.DataDir, dataDir(dir))},
		{key: "network", set: text(&c.Network, optional(oneOf(Networks()...)))},
		{key: "publish", set: list(&c.Publish, oneOf(Kinds()...))},

		{key: "node.rpc", set: text(&c.Node.RPC, optional(nodeAddress))},
		{key: "node.cookie", set: text(&c.Node.Cookie, optional(file(dir)))},
		{key: "node.user", set: text(&c.Node.User, optional(userName))},
		{key: "node.password_file", set: text(&c.Node.PasswordFile, optional(file(dir)))},

		{key: "page.listen", set: text(&c.Page.Listen, orOff(listenAddress))},
		{key: "page.url", set: text(&c.Page.URL, pageURL)},
		{key: "page.name", set: text(&c.Page.Name, optional(oneLine(200)))},
		{key: "page.name_en", set: text(&c.Page.NameEN, optional(oneLine(200)))},
		{key: "page.site", set: text(&c.Page.Site, optional(webAddress))},
		{key: "page.siret", set: text(&c.Page.SIRET, optional(siret))},
		{key: "page.language", set: text(&c.Page.Language, oneOf("fr", "en"))},
		{key: "page.time_zone", set: text(&c.Page.TimeZone, timeZone)},
		{key: "page.logo", set: text(&c.Page.Logo, optional(file(dir)))},
		{key: "page.colour", set: text(&c.Page.Colour, optional(colour))},
		{key: "page.css", set: text(&c.Page.CSS, optional(file(dir)))},
		{key: "page.texts", set: text(&c.Page.Texts, optional(file(dir)))},
		{key: "page.footer", set: list(&c.Page.Footer, footerLink)},
		{key: "page.accessibility", set: text(&c.Page.Accessibility, oneOf("none", "partial", "full"))},
		{key: "page.embed", set: list(&c.Page.Embed, origin)},
		{key: "page.trusted_proxies", set: list(&c.Page.TrustedProxies, addressOrNetwork)},

		{key: "watch.dir", set: text(&c.Watch.Dir, optional(file(dir)))},
		{key: "watch.settle", set: duration(&c.Watch.Settle, time.Second, time.Hour)},
		{key: "watch.sweep", set: duration(&c.Watch.Sweep, time.Second, 24*time.Hour)},

		{key: "control.socket", set: text(&c.Control.Socket, optional(file(dir)))},

		{key: "log.level", set: text(&c.Log.Level, oneOf("debug", "info", "warn", "error"))},
		{key: "log.format", set: text(&c.Log.Format, oneOf("text", "json"))},

		{key: "metrics.listen", set: text(&c.Metrics.Listen, orOff(listenAddress))},
		{key: "metrics.pprof", set: boolean(&c.Metrics.Pprof)},

		{key: "notify.command", set: command(&c.Notify.Command)},

		{key: "backup.dir", set: text(&c.Backup.Dir, optional(file(dir)))},
		{key: "backup.keep", set: integer(&c.Backup.Keep, 1, 10_000)},
	}
}

// settings returns the table of a body's keys.
func (b *Body) settings() []setting {
	section := "body." + b.ID + "."
	return []setting{
		{key: section + "name", set: text(&b.Name, oneLine(200))},
		{key: section + "name_en", set: text(&b.NameEN, optional(oneLine(200)))},
		{key: section + "clear_days", set: integer(&b.ClearDays, 0, 60)},
	}
}

// bodyID is what may stand in an address, and in the ID of a meeting.
var bodyID = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$`)

// checkBody accepts the ID of the n-th body. Digits after a "-" would look like the second meeting
// of a day.
func checkBody(id string, n int) error {
	const maxID, maxBodies = 40, 100
	switch {
	case !bodyID.MatchString(id) || len(id) > maxID:
		return fmt.Errorf("the name of a body in addresses must have lower-case letters without accents, and digits and \"-\" after a letter, at most %d: such as [body.bureau]", maxID)
	case n > maxBodies:
		return fmt.Errorf("there may be at most %d bodies", maxBodies)
	}
	return nil
}

// oneLine accepts text for people, on one line.
func oneLine(most int) check {
	return func(s string) (string, error) {
		switch {
		case strings.TrimSpace(s) == "":
			return "", errors.New("must not be empty")
		case !utf8.ValidString(s) || strings.ContainsFunc(s, isControl):
			return "", errors.New("must be text on one line, without control characters")
		case utf8.RuneCountInString(s) > most:
			return "", fmt.Errorf("must have at most %d characters", most)
		}
		return strings.TrimSpace(s), nil
	}
}

// isControl reports whether a character would do something to a terminal, or to the order of the
// text around it.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// nodeAddress accepts HOST:PORT, and a URL without credentials.
func nodeAddress(s string) (string, error) {
	if !strings.Contains(s, "://") {
		return hostPort(s)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("must be HOST:PORT, http://HOST:PORT or https://HOST:PORT")
	case u.User != nil:
		return "", errors.New("must not hold a user or a password: set node.user and node.password_file")
	}
	return s, nil
}

func userName(s string) (string, error) {
	if strings.ContainsAny(s, ": \t\r\n") {
		return "", errors.New("must be the NAME of a line in rpc.auth of the node's ancre.conf")
	}
	return s, nil
}

// pageURL accepts what stands before every address of the page. The page has the whole host.
func pageURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(s, "#") || strings.HasSuffix(s, "?") {
		return "", errors.New("must be https://HOST, http://HOST, or one with :PORT, without a path or a slash at the end")
	}
	if err := checkHost(u.Hostname()); err != nil {
		return "", err
	}
	if port := u.Port(); port != "" {
		if err := checkPort(port); err != nil {
			return "", err
		}
	}
	return s, nil
}

// origin accepts what may stand in a Content-Security-Policy.
func origin(s string) (string, error) {
	if _, err := pageURL(s); err != nil {
		return "", fmt.Errorf("%q %w", s, err)
	}
	return s, nil
}

// siret accepts the number of an establishment.
func siret(s string) (string, error) {
	digits := strings.ReplaceAll(s, " ", "")
	sum := 0
	for i, r := range digits {
		if r < '0' || r > '9' {
			sum = -1
			break
		}
		n := int(r - '0')
		if i%2 == 0 { // Luhn: of 14 digits, every second one from the left counts twice
			n = 2*n%10 + 2*n/10
		}
		sum += n
	}
	switch {
	case len(digits) != 14 || sum < 0:
		return "", errors.New("must be the 14 digits of the authority's SIRET")
	case sum%10 != 0:
		return "", errors.New("is not a SIRET: one of its digits is wrong")
	}
	return digits, nil
}

func timeZone(s string) (string, error) {
	if _, err := time.LoadLocation(s); err != nil || s == "" || s == "Local" {
		return "", errors.New(`must be the name of a time zone, such as "Europe/Paris" or "Indian/Reunion"`)
	}
	return s, nil
}

func colour(s string) (string, error) {
	if !regexp.MustCompile(`^#[0-9a-fA-F]{6}$`).MatchString(s) {
		return "", errors.New(`must be a colour as style sheets write it, with six digits: "#1d4f7c"`)
	}
	return s, nil
}

// webAddress accepts the address of a page.
func webAddress(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return "", errors.New(`must be the address of a page, such as "https://www.example.org/"`)
	}
	return s, nil
}

// footerLink accepts "TEXT URL".
func footerLink(s string) (string, error) {
	s, err := oneLine(500)(s)
	if err != nil {
		return "", err
	}
	at := strings.LastIndexByte(s, ' ')
	u, err := url.Parse(s[at+1:])
	if at < 1 || err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "mailto" || u.Scheme != "mailto" && u.Hostname() == "" {
		return "", fmt.Errorf(`%q must be a text and an address, such as "Site de la commune https://www.example.org/"`, s)
	}
	return s, nil
}
