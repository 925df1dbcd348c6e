package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ancre/config"
	"ancre/internal/datadir"
	"ancre/internal/humanize"
)

// The units of the package and of make install.
const (
	serviceUnit = config.ServiceUnit + ".service"
	timerUnit   = "ancre-backup.timer"
)

// programs finds ancred, and asks it for its version and for what it finds wrong.
func (g *gatherer) programs(ctx context.Context) {
	var all []Program
	for _, path := range daemonPaths() {
		out, _, _ := run(ctx, path, "--version")
		version, _ := strings.CutPrefix(strings.TrimSpace(out), "ancred ")
		all = append(all, Program{Path: path, Version: humanize.Clip(version)})
	}
	check := g.check(ctx, all)
	g.put(func(f *Facts) { f.Programs, f.Check = Known(all), check })
}

// daemonPaths returns the copies of ancred: the one beside this program or on PATH first, then
// those where packages and make install put them.
func daemonPaths() (paths []string) {
	var infos []fs.FileInfo
	add := func(path string) {
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			return
		}
		for _, other := range infos {
			if os.SameFile(info, other) {
				return
			}
		}
		infos, paths = append(infos, info), append(paths, path)
	}
	if own, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(own); err == nil {
			own = resolved
		}
		add(filepath.Join(filepath.Dir(own), "ancred"+filepath.Ext(own)))
	}
	if path, err := exec.LookPath("ancred"); err == nil {
		add(path)
	}
	for _, dir := range []string{"/usr/bin", "/usr/local/bin"} {
		add(filepath.Join(dir, "ancred"))
	}
	return paths
}

// check asks ancred what is wrong with its configuration. It is only asked as a user who may look
// into the data directory: for another one, it would find fault with that.
func (g *gatherer) check(ctx context.Context, programs []Program) Fact[[]Finding] {
	s, ok := g.settings.Get()
	switch {
	case !ok && g.settings.denied:
		return Denied[[]Finding]()
	case !ok:
		return Missing[[]Finding]("the configuration is wrong")
	case len(programs) == 0:
		return Missing[[]Finding]("there is no ancred to ask")
	case !mayLookInto(s.Dir):
		return Denied[[]Finding]()
	}
	args := []string{"check", "--json"}
	for _, flag := range []struct{ name, value string }{{"config", g.Flags.File}, {"datadir", g.Flags.DataDir}, {"network", g.Flags.Network}} {
		if flag.value != "" {
			args = append(args, "--"+flag.name, flag.value)
		}
	}
	out, errs, err := run(ctx, programs[0].Path, args...)
	var answer struct {
		Findings []Finding `json:"findings"`
	}
	if json.Unmarshal([]byte(out), &answer) != nil || len(answer.Findings) == 0 {
		why := firstLine(errs)
		if why == "" && err != nil {
			why = err.Error()
		}
		return Missing[[]Finding](programs[0].Path + " check: " + humanize.ClipTo(why, 300))
	}
	return Known(answer.Findings)
}

// mayLookInto reports whether this user may look into the data directory, or make it.
func mayLookInto(dir string) bool {
	_, err := os.ReadDir(dir)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// systemd looks at the units, the log and the credential.
func (g *gatherer) systemd(ctx context.Context) {
	service := unit(ctx, serviceUnit)
	g.put(func(f *Facts) { f.Service = service })
	s, ok := service.Get()
	if !ok || s.Load != "loaded" {
		why := serviceUnit + " does not exist, so it has no log"
		if !ok {
			why = service.missing
		}
		g.put(func(f *Facts) {
			f.Log, f.Timer, f.Unlock = Missing[int](why), Missing[Service](why), Known(g.passphraseFile())
		})
		return
	}
	if s.Active != "active" {
		s.LastLine = lastLine(ctx)
		g.put(func(f *Facts) { f.Service = Known(s) })
	}
	unlock, timer := g.unlock(), unit(ctx, timerUnit)
	g.put(func(f *Facts) { f.Unlock, f.Timer = unlock, timer })
	lines := countLines(ctx)
	g.put(func(f *Facts) { f.Log = lines })
}

// unit asks systemd for the state of a unit.
func unit(ctx context.Context, name string) Fact[Service] {
	out, errs, err := run(ctx, "systemctl", "show", name, "--no-pager",
		"--property=LoadState,UnitFileState,ActiveState,SubState,ActiveEnterTimestamp,NRestarts")
	if err == nil && strings.Contains(out, "LoadState=") {
		return Known(parseUnit(name, out))
	}
	if why := firstLine(errs); why != "" && !strings.Contains(why, "not been booted with systemd") {
		return Missing[Service](humanize.ClipTo(why, 200))
	}
	return Missing[Service]("there is no systemd here")
}

// parseUnit reads what systemctl show prints.
func parseUnit(name, out string) Service {
	s := Service{Unit: name}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			s.Load = value
		case "UnitFileState":
			s.Enabled = value
		case "ActiveState":
			s.Active = value
		case "SubState":
			s.Sub = value
		case "NRestarts":
			s.Restarts, _ = strconv.Atoi(value)
		case "ActiveEnterTimestamp":
			if at, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", value); err == nil {
				s.Since = at
			}
		}
	}
	return s
}

// lastLine returns the last line that ancred itself wrote into the journal.
func lastLine(ctx context.Context) Fact[string] {
	lines := journal(ctx, "-n", "1")
	out, ok := lines.Get()
	if !ok {
		return lines
	}
	return Known(humanize.ClipTo(strings.TrimSpace(out), 400))
}

// countLines counts the lines of ancred's log of the last hour, up to a little above manyLines.
func countLines(ctx context.Context) Fact[int] {
	lines := journal(ctx, "--since", "-1h", "-n", strconv.Itoa(manyLines+1))
	out, ok := lines.Get()
	if !ok {
		return Fact[int]{denied: lines.denied, missing: lines.missing}
	}
	return Known(strings.Count(out, "\n"))
}

// journal returns lines that ancred itself wrote into the journal.
func journal(ctx context.Context, args ...string) Fact[string] {
	out, errs, err := run(ctx, "journalctl", append([]string{"_SYSTEMD_UNIT=" + serviceUnit, "-q", "-o", "cat", "--no-pager"}, args...)...)
	switch {
	case out == "" && !mayReadJournal():
		return Denied[string]() // journalctl itself then only says that there is nothing
	case err != nil:
		return Missing[string](humanize.ClipTo(firstLine(errs), 200))
	}
	return Known(out)
}

// mayReadJournal reports whether this user may read the journal of the system.
func mayReadJournal() bool {
	var found []string
	for _, dir := range []string{"/var/log/journal", "/run/log/journal"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*", "system.journal"))
		found = append(found, files...)
	}
	for _, file := range found {
		if f, err := os.Open(file); err == nil {
			f.Close()
			return true
		}
	}
	return os.Geteuid() == 0
}

// unlock says where the service takes the passphrase from at each start.
func (g *gatherer) unlock() Fact[string] {
	if from := g.passphraseFile(); from != "" {
		return Known(from)
	}
	// systemd searches these directories for LoadCredential=passphrase:ancre.passphrase.
	denied := false
	for _, dir := range []string{"/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore", "/etc/credstore.encrypted", "/run/credstore.encrypted"} {
		_, err := os.Stat(filepath.Join(dir, "ancre.passphrase"))
		if err == nil {
			return Known("the systemd credential " + filepath.Join(dir, "ancre.passphrase"))
		}
		denied = denied || errors.Is(err, fs.ErrPermission)
	}
	if denied {
		return Denied[string]()
	}
	return Known("")
}

func (g *gatherer) passphraseFile() string {
	if g.cfg.Wallet.PassphraseFile == "" {
		return ""
	}
	return "wallet.passphrase_file (" + g.cfg.Wallet.PassphraseFile + ")"
}

// clock asks the system whether it sets its clock.
func (g *gatherer) clock(ctx context.Context) {
	out, errs, err := run(ctx, "timedatectl", "show", "--no-pager")
	ntp := Fact[NTP]{}
	switch {
	case errors.Is(err, exec.ErrNotFound), strings.Contains(errs, "not been booted with systemd"):
		ntp = Missing[NTP]("no system service says whether it is right")
	case err != nil || !strings.Contains(out, "NTPSynchronized="):
		why := firstLine(errs)
		if why == "" {
			why = "timedatectl says nothing of it"
		}
		ntp = Missing[NTP](humanize.ClipTo(why, 200))
	default:
		ntp = Known(parseClock(out))
	}
	g.put(func(f *Facts) { f.NTP = ntp })
}

// parseClock reads what timedatectl show prints.
func parseClock(out string) (n NTP) {
	for line := range strings.Lines(out) {
		switch strings.TrimSpace(line) {
		case "CanNTP=no":
			n.None = true
		case "NTP=yes":
			n.On = true
		case "NTPSynchronized=yes":
			n.Synced = true
		}
	}
	return n
}

// disk looks at the file system of the data directory.
func (g *gatherer) disk(context.Context) {
	s, ok := g.settings.Get()
	switch {
	case !ok && g.settings.denied && g.cfg.OnServiceMachine():
		s.Dir = config.ServiceDataDir // unless the configuration says otherwise
	case !ok:
		g.put(func(f *Facts) { f.Disk = Fact[Disk]{denied: g.settings.denied, missing: g.settings.missing} })
		return
	}
	d := diskAt(datadir.Nearest(s.Dir))
	g.put(func(f *Facts) { f.Disk = d })
}
