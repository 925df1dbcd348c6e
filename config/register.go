package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// Register is the configuration of ancre-register, register.conf. Each field has a tag with the key
// that sets it.
type Register struct {
	DataDir string   `toml:"datadir"` // may begin with ~/, see [Register.Dir]
	Network string   `toml:"network"` // one of Networks; empty: that of the node on this machine
	Publish []string `toml:"publish"` // kinds of documents that are put on line as they come

	Node    RegisterNode    `toml:"node"`
	Page    RegisterPage    `toml:"page"`
	Watch   RegisterWatch   `toml:"watch"`
	Control RegisterControl `toml:"control"`
	Log     Log             `toml:"log"`
	Metrics Metrics         `toml:"metrics"`
	Notify  Notify          `toml:"notify"`
	Backup  RegisterBackup  `toml:"backup"`

	Bodies []Body // [body.ID], in the order of the file

	found found // how RegisterFlags.Load came to it
}

// RegisterNode says where the node is, and how the register logs in. With nothing set, it is the
// ancred of this machine.
type RegisterNode struct {
	RPC          string `toml:"rpc"`           // HOST:PORT or a URL; empty: rpc.listen in the node's ancre.conf
	Cookie       string `toml:"cookie"`        // absolute; empty: looked for
	User         string `toml:"user"`          // of rpc.auth in the node's ancre.conf; empty: a cookie
	PasswordFile string `toml:"password_file"` // absolute; one line
}

// RegisterPage configures the public page.
type RegisterPage struct {
	Listen         string   `toml:"listen"`          // HOST:PORT; empty: there is no page
	URL            string   `toml:"url"`             // by which the public reaches it, without a slash at the end
	Name           string   `toml:"name"`            // of the authority
	NameEN         string   `toml:"name_en"`         // empty: Name
	Site           string   `toml:"site"`            // the authority's web site; empty: no link to it
	SIRET          string   `toml:"siret"`           // of the authority: 14 digits, or empty
	Language       string   `toml:"language"`        // "fr" or "en": of visitors who prefer neither
	TimeZone       string   `toml:"time_zone"`       // IANA name
	Logo           string   `toml:"logo"`            // absolute path of a picture; empty: none
	Colour         string   `toml:"colour"`          // of links and headings, "#1d4f7c"; empty: a dark blue
	CSS            string   `toml:"css"`             // absolute path of a style sheet after the page's own; empty: none
	Texts          string   `toml:"texts"`           // absolute path of a directory; empty: the page's own texts
	Footer         []string `toml:"footer"`          // links: "TEXT URL"
	Accessibility  string   `toml:"accessibility"`   // what the RGAA has every page say: none, partial, full
	Embed          []string `toml:"embed"`           // origins of sites that may show the check tool in a frame
	TrustedProxies []string `toml:"trusted_proxies"` // addresses and networks (CIDR) whose X-Forwarded-For is believed
}

// RegisterWatch configures the watched folder.
type RegisterWatch struct {
	Dir    string        `toml:"dir"`    // absolute; empty: none is watched
	Settle time.Duration `toml:"settle"` // a file is taken once it has not changed for so long
	Sweep  time.Duration `toml:"sweep"`  // between two looks at the whole folder
}

// RegisterControl configures the door for the verbs of ancre-register.
type RegisterControl struct {
	Socket string `toml:"socket"` // absolute; empty: see [Register.Socket]
}

// RegisterBackup configures the backups that the register makes by itself.
type RegisterBackup struct {
	Dir  string `toml:"dir"`  // absolute; empty: it makes none
	Keep int    `toml:"keep"` // how many of them stay there
}

// Body is who meets.
type Body struct {
	ID        string
	Name      string `toml:"name"`
	NameEN    string `toml:"name_en"`    // empty: Name
	ClearDays int    `toml:"clear_days"` // between the day of the convocation and that of the meeting, neither counted
}

// Kinds returns the kinds of documents.
func Kinds() []string {
	return []string{"convocation", "agenda", "note", "draft", "deliberation", "minutes", "annex", "act"}
}

// clearDays is what the French law asks for municipalities of 3,500 inhabitants and for groups of
// municipalities (CGCT L2121-12, L5211-1).
const clearDays = 5

// DefaultRegister returns the configuration of an empty register.conf.
func DefaultRegister() Register {
	return Register{
		DataDir: "~/.ancre/register",
		Page: RegisterPage{Listen: "127.0.0.1:14784", URL: "http://127.0.0.1:14784", Language: "fr",
			TimeZone: "Europe/Paris", Accessibility: "none"},
		Watch:  RegisterWatch{Settle: 5 * time.Second, Sweep: time.Minute},
		Log:    Log{Level: "info", Format: "text"},
		Backup: RegisterBackup{Keep: 14},
		Bodies: []Body{{ID: "conseil", Name: "Conseil municipal", NameEN: "Municipal council", ClearDays: clearDays}},
	}
}

// loadRegister returns the defaults, overridden by the file at path.
func loadRegister(path string) (Register, error) {
	data, err := readConfig(path)
	if err != nil {
		return Register{}, err
	}
	c := DefaultRegister()
	if isSamePath(path, RegisterServiceFile) && RegisterServiceFile != "" {
		c.DataDir = RegisterServiceDataDir
	}
	return c, c.parse(path, data)
}

// parse sets the values in data. name is the name of the file, for errors and for relative paths.
func (c *Register) parse(name string, data []byte) error {
	standard := c.Bodies
	c.Bodies = nil
	bodies := make([]*Body, 0, 8)
	read, err := readFile(name, data, c.settings(filepath.Dir(name)), family{"body", func(id string) ([]setting, error) {
		b := &Body{ID: id, ClearDays: clearDays}
		if i := slices.IndexFunc(standard, func(s Body) bool { return s.ID == id }); i >= 0 {
			*b = standard[i]
		}
		bodies = append(bodies, b)
		return b.settings(), checkBody(id, len(bodies))
	}})
	if err != nil {
		return err
	}
	for _, b := range bodies {
		if b.Name == "" {
			return fmt.Errorf("%s: [body.%s] needs a name, such as name = \"Bureau communautaire\"", name, b.ID)
		}
		c.Bodies = append(c.Bodies, *b)
	}
	if len(bodies) == 0 {
		c.Bodies = standard
	}
	set := func(key string) bool { return read[key] != "" }
	if key, err := c.conflict(set); err != nil {
		return fmt.Errorf("%s %w", read[key], err)
	}
	if set("page.listen") && !set("page.url") && c.Page.Listen != "" {
		c.Page.URL = "http://" + reachable(c.Page.Listen)
	}
	return nil
}

// conflict finds values that are each allowed, but make no sense together. It returns a key that
// the file sets.
func (c *Register) conflict(set func(key string) bool) (key string, err error) {
	switch n := c.Node; {
	case n.User != "" && n.Cookie != "":
		return "node.user", errors.New("and node.cookie exclude each other: remove one of them")
	case n.User != "" && n.PasswordFile == "":
		return "node.user", errors.New("needs node.password_file, a file with the password on one line")
	case n.User == "" && n.PasswordFile != "":
		return "node.password_file", errors.New("needs node.user, a user of rpc.auth in the node's ancre.conf")
	}
	switch m := c.Metrics; {
	case m.Listen == "":
		if m.Pprof {
			return "metrics.pprof", errors.New("needs metrics.listen, which is off: set it too, for example to \"127.0.0.1:14792\"")
		}
	case m.Listen == c.Page.Listen:
		return "metrics.listen", errors.New("is the address of page.listen too: give one of them another port")
	case m.Pprof && !isLoopback(m.Listen):
		return "metrics.pprof", fmt.Errorf("metrics.listen = %q needs no password, so anyone who reaches it could slow the register down: "+
			"use a loopback address, such as \"127.0.0.1:14792\", and reach it through ssh -L", m.Listen)
	}
	if c.Watch.Dir != "" && c.Watch.Settle > c.Watch.Sweep {
		key := "watch.settle"
		if !set(key) {
			key = "watch.sweep"
		}
		return key, fmt.Errorf("watch.settle = %q must not be longer than watch.sweep = %q", Brief(c.Watch.Settle), Brief(c.Watch.Sweep))
	}
	return "", nil
}
