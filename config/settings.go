package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ancre/internal/loopback"
	"ancre/internal/money"
)

// setting is one key of the file.
type setting struct {
	key    string            // with its section: batch.interval
	set    func(v any) error // stores a TOML value, or says what is allowed
	secret bool              // its value is not repeated in errors
}

// show returns a value as it is shown in errors.
func (s setting) show(v any) string {
	const enough = 80
	if s.secret {
		return "(not shown)"
	}
	text := fmt.Sprint(v)
	switch v := v.(type) {
	case string:
		text = strconv.Quote(v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = setting{}.show(e)
		}
		text = "[" + strings.Join(parts, ", ") + "]"
	case map[string]any, []map[string]any:
		text = "(a table)"
	}
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return text
}

// leastFee is the cost of the cheapest anchor, 153 vB at 1 sat/vB, rounded up. With a lower cap
// ancred could never pay.
const leastFee = 200

// settings returns the table of all keys, bound to the fields of c. Relative paths start at dir,
// the folder of the file, because nobody knows the working directory of a service.
func (c *Config) settings(dir string) []setting {
	return []setting{
		{key: "datadir", set: text(&c.DataDir, dataDir(dir))},
		{key: "network", set: text(&c.Network, oneOf(Networks()...))},

		{key: "spv.connect", set: list(&c.SPV.Connect, peer)},
		{key: "spv.add_peers", set: list(&c.SPV.AddPeers, peer)},
		{key: "spv.proxy", set: text(&c.SPV.Proxy, optional(hostPort))},
		{key: "spv.headers_import", set: headerFiles(&c.SPV.HeadersImport, dir)},

		{key: "wallet.passphrase_file", set: text(&c.Wallet.PassphraseFile, optional(file(dir)))},
		{key: "wallet.price", set: text(&c.Wallet.Price, optional(price))},

		{key: "batch.interval", set: duration(&c.Batch.Interval, time.Second, 168*time.Hour)},
		{key: "batch.max_digests", set: integer(&c.Batch.MaxDigests, 1, 1<<24)},

		// Final is followed for 100 blocks more, and the store remembers 128: see
		// store.CursorDepth.
		{key: "anchor.confirmations", set: integer(&c.Anchor.Confirmations, 1, 100)},
		// On mainnet, less than an hour is only a few blocks, and by chance there may be none. On
		// networks with blocks on demand, short targets are useful.
		{key: "anchor.target", set: duration(&c.Anchor.Target, time.Minute, 168*time.Hour)},
		{key: "anchor.max_feerate", set: integer(&c.Anchor.MaxFeeRate, 1, 10_000)},
		{key: "anchor.max_fee", set: integer(&c.Anchor.MaxFeeSats, leastFee, 10_000_000)},
		{key: "anchor.monthly_budget", set: zeroOr(&c.Anchor.MonthlyBudget, leastFee, 1_000_000_000)},

		{key: "rpc.listen", set: text(&c.RPC.Listen, listenAddress)},
		{key: "rpc.auth", set: list(&c.RPC.Auth, authLine), secret: true},
		{key: "rpc.hosts", set: list(&c.RPC.Hosts, hostName)},
		{key: "rpc.max_digests", set: zeroOr(&c.RPC.MaxDigests, 1, 1_000_000_000)},
		{key: "rpc.max_user_digests", set: zeroOr(&c.RPC.MaxUserDigests, 1, 1_000_000_000)},

		{key: "calendar.listen", set: text(&c.Calendar.Listen, orOff(listenAddress))},
		{key: "calendar.uri", set: text(&c.Calendar.URI, calendarURI)},
		{key: "calendar.rate_limit", set: zeroOr(&c.Calendar.RateLimit, 1, 100_000)},
		{key: "calendar.max_digests", set: zeroOr(&c.Calendar.MaxDigests, 1, 1_000_000_000)},
		{key: "calendar.trusted_proxies", set: list(&c.Calendar.TrustedProxies, addressOrNetwork)},

		{key: "log.level", set: text(&c.Log.Level, oneOf("debug", "info", "warn", "error"))},
		{key: "log.format", set: text(&c.Log.Format, oneOf("text", "json"))},

		{key: "metrics.listen", set: text(&c.Metrics.Listen, orOff(listenAddress))},
		{key: "metrics.pprof", set: boolean(&c.Metrics.Pprof)},

		{key: "notify.command", set: command(&c.Notify.Command)},

		{key: "backup.keep", set: integer(&c.Backup.Keep, 1, 10_000)},
		{key: "backup.copy", set: copyCommand(&c.Backup.Copy)},
	}
}

// conflict finds values that are each allowed, but make no sense together. It returns a key that
// the file sets.
func (c *Config) conflict(set func(key string) bool) (key string, err error) {
	if a := c.Anchor; a.MonthlyBudget > 0 && a.MaxFeeSats > a.MonthlyBudget {
		if !set("anchor.max_fee") {
			return "anchor.monthly_budget", fmt.Errorf("is less than anchor.max_fee, which is %d by default: lower anchor.max_fee too", a.MaxFeeSats)
		}
		return "anchor.max_fee", fmt.Errorf("is more than anchor.monthly_budget = %d: one anchor cannot cost more than a whole month", a.MonthlyBudget)
	}
	if c.Calendar.Listen == c.RPC.Listen {
		key := "calendar.listen"
		if !set(key) {
			key = "rpc.listen"
		}
		return key, errors.New("is the address of both rpc.listen and calendar.listen: give one of them another port")
	}
	switch m := c.Metrics; {
	case m.Listen == "":
		if m.Pprof {
			return "metrics.pprof", errors.New("needs metrics.listen, which is off: set it too, for example to \"127.0.0.1:14790\"")
		}
	case m.Listen == c.RPC.Listen:
		return "metrics.listen", errors.New("is the address of rpc.listen too: give one of them another port")
	case m.Listen == c.Calendar.Listen:
		return "metrics.listen", errors.New("is the address of calendar.listen too: give one of them another port")
	case m.Pprof && !isLoopback(m.Listen):
		return "metrics.pprof", fmt.Errorf("metrics.listen = %q needs no password, so anyone who reaches it could slow ancred down and see what it does: "+
			"use a loopback address, such as \"127.0.0.1:14790\", and reach it through ssh -L", m.Listen)
	}
	return "", nil
}

// complete sets defaults that follow from other keys: calendar.uri follows from calendar.listen.
func (c *Config) complete(set func(key string) bool) {
	if set("calendar.listen") && !set("calendar.uri") && c.Calendar.Listen != "" {
		c.Calendar.URI = "http://" + reachable(c.Calendar.Listen)
	}
}

// reachable returns the address at which a listener is reached, as far as it can be written into a
// proof (without the brackets of IPv6): by programs on this machine, where the listener is for all
// of its addresses.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified():
		host = "127.0.0.1"
	case ip != nil && ip.To4() == nil:
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// isLoopback reports whether a listener at HOST:PORT is for programs on this machine alone.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && loopback.IsHost(host)
}

// check converts a value of the file into the stored value. Its error says what is allowed.
type check func(string) (string, error)

func text(to *string, check check) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		if !ok {
			return errors.New("must be a string, in quotes")
		}
		s, err := check(s)
		if err == nil {
			*to = s
		}
		return err
	}
}

func boolean(to *bool) func(any) error {
	return func(v any) error {
		b, ok := v.(bool)
		if !ok {
			return errors.New("must be true or false, without quotes")
		}
		*to = b
		return nil
	}
}

// list stores an array of strings. It stores an empty array as nil, as Default does.
func list(to *[]string, check check) func(any) error {
	return func(v any) error {
		elements, ok := v.([]any)
		if !ok {
			return errors.New(`must be an array of strings, such as ["a", "b"]`)
		}
		var out []string
		for i, e := range elements {
			s, ok := e.(string)
			if !ok {
				return fmt.Errorf("entry %d must be a string, in quotes", i+1)
			}
			s, err := check(s)
			if err != nil {
				return fmt.Errorf("entry %d: %w", i+1, err)
			}
			out = append(out, s)
		}
		*to = out
		return nil
	}
}

func integer[T int | int32 | int64](to *T, least, most int64) func(any) error {
	return func(v any) error {
		n, ok := v.(int64)
		if !ok || n < least || n > most {
			return fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		*to = T(n)
		return nil
	}
}

// zeroOr accepts 0, which turns a limit off, and the values of a range.
func zeroOr[T int | int32 | int64](to *T, least, most int64) func(any) error {
	inner := integer(to, least, most)
	return func(v any) error {
		if v == int64(0) {
			*to = 0
			return nil
		}
		if err := inner(v); err != nil {
			return fmt.Errorf("must be 0 for no limit, or a whole number from %d to %d", least, most)
		}
		return nil
	}
}

func duration(to *time.Duration, least, most time.Duration) func(any) error {
	return func(v any) error {
		s, _ := v.(string)
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return fmt.Errorf(`must be a time from %s to %s as a string with units, such as "6h", "90m" or "30s"`, Brief(least), Brief(most))
		}
		*to = d
		return nil
	}
}

// Brief writes a round duration as a person would: 168h, not 168h0m0s.
func Brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func oneOf(allowed ...string) check {
	return func(s string) (string, error) {
		if !slices.Contains(allowed, s) {
			return "", fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
		}
		return s, nil
	}
}

// optional also accepts the empty string, which means: not configured.
func optional(inner check) check {
	return func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		return inner(s)
	}
}

// orOff also accepts "off" and the empty string. It stores both as the empty string: nothing
// listens.
func orOff(inner check) check {
	return func(s string) (string, error) {
		if s == "" || s == "off" {
			return "", nil
		}
		return inner(s)
	}
}

func price(s string) (string, error) {
	p, err := money.CheckPrice(s)
	return string(p), err
}

// dataDir keeps ~/ for NetworkDir, so that --datadir works on a machine without a home directory.
func dataDir(dir string) check {
	return func(s string) (string, error) {
		if s == "" {
			return "", errors.New("must name a directory")
		}
		if strings.HasPrefix(s, "~") || filepath.IsAbs(s) {
			return s, nil
		}
		return filepath.Join(dir, s), nil
	}
}

func file(dir string) check {
	return func(s string) (string, error) {
		if s == "" {
			return "", errors.New("must name a file")
		}
		s, err := expand(s)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(s) {
			s = filepath.Join(dir, s)
		}
		return filepath.Abs(s)
	}
}

func headerFiles(to *[]string, dir string) func(any) error {
	inner := list(to, file(dir))
	return func(v any) error {
		if elements, ok := v.([]any); ok && len(elements) != 0 && len(elements) != 2 {
			return errors.New(`must be empty, or name two files: ["BLOCK_HEADERS", "FILTER_HEADERS"]`)
		}
		return inner(v)
	}
}

// command accepts a program and its arguments. The program is named by its absolute path, because a
// service has no working directory, and searching for it could find another one.
func command(to *[]string) func(any) error {
	const maxArgs, maxBytes = 64, 4096
	inner := list(to, func(s string) (string, error) {
		if strings.ContainsRune(s, 0) || len(s) > maxBytes {
			return "", fmt.Errorf("must be at most %d bytes, none of them 0", maxBytes)
		}
		return s, nil
	})
	return func(v any) error {
		elements, _ := v.([]any)
		if len(elements) > maxArgs {
			return fmt.Errorf("must have at most %d entries", maxArgs)
		}
		if len(elements) > 0 {
			if program, ok := elements[0].(string); ok && !filepath.IsAbs(program) {
				return errors.New(`must begin with the absolute path of a program, each argument an entry of its own, such as ["/usr/lib/ancre/notify-mail", "it@example.org"]`)
			}
		}
		return inner(v)
	}
}

// copyCommand accepts a command in which the path of a backup has a place.
func copyCommand(to *[]string) func(any) error {
	inner := command(to)
	return func(v any) error {
		if err := inner(v); err != nil || len(*to) == 0 {
			return err
		}
		if !slices.ContainsFunc((*to)[1:], func(s string) bool { return strings.Contains(s, BackupFile) }) {
			return fmt.Errorf("must have %s in one of its arguments, in place of the backup, such as [\"/usr/bin/rsync\", %q, \"backup@other.example.org:ancre/\"]", BackupFile, BackupFile)
		}
		return nil
	}
}

// peer accepts HOST and HOST:PORT, HOST a name, an IPv4 address or an IPv6 address (in brackets
// when a port follows).
func peer(s string) (string, error) {
	if ip := net.ParseIP(s); ip != nil {
		return s, nil
	}
	if !strings.Contains(s, ":") {
		return s, checkHost(s)
	}
	return hostPort(s)
}

func hostPort(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q must be HOST:PORT, such as 127.0.0.1:9050 or [::1]:9050", s)
	}
	if err := checkPort(port); err != nil {
		return "", err
	}
	return s, checkHost(host)
}

// listenAddress accepts HOST:PORT and :PORT, which means every interface.
func listenAddress(s string) (string, error) {
	if port, ok := strings.CutPrefix(s, ":"); ok {
		return s, checkPort(port)
	}
	return hostPort(s)
}

// hostName accepts a name or an address without a port, because callers may use any port.
func hostName(s string) (string, error) {
	if strings.Contains(s, ":") && net.ParseIP(s) == nil {
		return "", fmt.Errorf("%q must be a name or an IP address, without a port", s)
	}
	return s, checkHost(s)
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q must be a number from 1 to 65535", port)
	}
	return nil
}

// checkHost accepts addresses and well-formed host names. The host need not exist: this only
// catches typing errors.
func checkHost(host string) error {
	const maxName = 253 // RFC 1035
	if addr, _, _ := strings.Cut(host, "%"); net.ParseIP(addr) != nil {
		return nil
	}
	ok := host != "" && len(host) <= maxName && !strings.HasPrefix(host, "-") && !strings.HasPrefix(host, ".")
	for _, r := range host {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}
	if !ok {
		return fmt.Errorf("host %q must be a name or an IP address", host)
	}
	return nil
}

// addressOrNetwork accepts an IP address, or a network of them in CIDR notation, and stores the
// network.
func addressOrNetwork(s string) (string, error) {
	network, err := netip.ParsePrefix(s)
	if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
		network, err = addr.Prefix(addr.BitLen())
	}
	// An IPv4 address in IPv6 notation is IPv4, as in the addresses of connections.
	if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(a.Unmap(), network.Bits()-96)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("%q must be an IP address, such as 127.0.0.1 or ::1, or a network, such as 10.0.0.0/8", s)
	case network.Bits() == 0:
		return "", fmt.Errorf("%s includes everyone, so any client could claim any address: name only the proxy", s)
	case network != network.Masked():
		return "", fmt.Errorf("%s has bits set beyond its prefix length: write %s", s, network.Masked())
	}
	return network.String(), nil
}

// authLine checks only the form. Its errors do not repeat the line, because logs must not have
// hashes.
func authLine(s string) (string, error) {
	parts := strings.Split(s, ":")
	salted := len(parts) == 3 && strings.Count(parts[2], "$") == 1 && !strings.HasPrefix(parts[2], "$") && !strings.HasSuffix(parts[2], "$")
	if !salted || parts[0] == "" || strings.ContainsAny(s, " \t\r\n") {
		return "", errors.New("must be NAME:ROLES:SALT$HASH; \"ancre auth NAME ROLES\" creates such a line")
	}
	for role := range strings.SplitSeq(parts[1], ",") {
		if _, err := oneOf("submit", "verify", "read", "admin")(role); err != nil {
			return "", fmt.Errorf("the role of %s, %q, %w", parts[0], role, err)
		}
	}
	return s, nil
}

// calendarURI accepts what a pending attestation may contain (at most 1000 bytes of a small
// alphabet), but no path: OpenTimestamps clients ask at the root of the host, whatever the path.
func calendarURI(s string) (string, error) {
	const maxURI = 1000
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(s, "http://")
	}
	u, err := url.Parse(s)
	if !ok || err != nil || u.Hostname() == "" || strings.Contains(rest, "/") || len(s) > maxURI {
		return "", fmt.Errorf("must be http://HOST, https://HOST, or one with :PORT, at most %d bytes, without a path or a slash at the end", maxURI)
	}
	if port := u.Port(); port != "" || strings.Contains(rest, ":") {
		if err := checkPort(port); err != nil {
			return "", err
		}
	}
	for _, r := range rest {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:", r)) {
			return "", fmt.Errorf("holds %q: only letters, digits and -._: are allowed", r)
		}
	}
	return s, nil
}
