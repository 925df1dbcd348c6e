package itest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

// walk follows a guide for operators from its first line to its last, on an empty machine, as its
// reader would. Regtest stands for mainnet: the configuration says so, and a node of the harness
// mines.
type walk struct {
	*testing.T
	ctx   context.Context
	guide string
	node  *harness.Node
	m     *harness.Machine // at which the officer sits
	mails *mailServer

	installed bool     // an older version is installed
	secret    string   // the passphrase of the wallet
	words     string   // of the wallet of the machine
	oldWords  string   // of the wallet of the machine before
	digests   uint64   // that the machine before had
	crontab   []string // the lines of the guide
	ran       int      // commands
}

// step is a line of the guide that a test cannot simply type.
type step struct {
	why     string // another line is run in its place, or none
	instead string // the line that is run; empty: none, if there is a why
	answers func(*walk) []harness.Typed
	prints  string // and a part of what it prints
	before  func(*walk)
	after   func(w *walk, printed string)
}

// follow runs every block of the guide, in order.
func (w *walk) follow(steps map[string]step) {
	text := readFile(w.T, "../"+w.guide)
	for _, b := range blocksOf(text) {
		switch lines := commandsOf(b.text); {
		case strings.HasPrefix(b.text, "["):
			w.configure(b.text, steps)
		case isSetting.MatchString(lines[0]):
			if steps[lines[0]].why == "" {
				w.Errorf("%s, the block at line %d: the setting has no section", w.guide, b.line)
			}
		case isCron.MatchString(lines[0]):
			w.installCrontab(lines)
		default:
			for _, line := range lines {
				w.run(fmt.Sprintf("%s, the block at line %d", w.guide, b.line), line, steps[line])
			}
		}
	}
}

// isCron matches a line of a crontab.
var isCron = regexp.MustCompile(`^[\d*]\S* \S+ \S+ \S+ \S+ `)

// isSetting matches a line of TOML.
var isSetting = regexp.MustCompile(`^[a-z_]+ = `)

// run types one line.
func (w *walk) run(where, line string, s step) {
	w.Helper()
	if s.why != "" && s.instead == "" {
		return
	}
	if s.before != nil {
		s.before(w)
	}
	typed := line
	if s.instead != "" {
		typed = s.instead
	}
	var answers []harness.Typed
	if s.answers != nil {
		answers = s.answers(w)
	}
	began := time.Now()
	res, err := w.m.Type(w.ctx, officer, typed, answers...)
	w.Logf("%4.1f s  %s: $ %s\n%s", time.Since(began).Seconds(), w.m.Name, typed, res.Stdout)
	if err != nil {
		w.Fatalf("%s: %v", where, err)
	}
	if res.Code != 0 || !strings.Contains(res.Stdout, s.prints) {
		w.Fatalf("%s: %s: exit status %d, want 0 and %q", where, line, res.Code, s.prints)
	}
	w.ran++
	if s.after != nil {
		s.after(w, res.Stdout)
	}
}

func (w *walk) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// root runs a line as the administrator, for the test and not for the guide.
func (w *walk) root(line string) string {
	w.Helper()
	out, err := w.m.Root(w.ctx, line)
	w.must(err)
	return out
}

const serviceConfig = "/etc/ancre/ancre.conf"

// configure puts a fragment of TOML into the service's configuration, as its reader would: a key
// that is there gets the new value, a section that is there gets the new key.
func (w *walk) configure(fragment string, steps map[string]step) {
	w.Helper()
	raw, err := os.ReadFile(w.m.Path(serviceConfig))
	w.must(err)
	section := ""
	text := string(raw)
	for line := range strings.Lines(fragment) {
		line = strings.TrimSpace(trailing.ReplaceAllString(line, ""))
		if s := steps[line]; s.instead != "" {
			line = s.instead
		}
		if strings.HasPrefix(line, "[") {
			if section = line; !strings.Contains(text, "\n"+section+"\n") {
				text += "\n" + section + "\n"
			}
			continue
		}
		key, _, ok := strings.Cut(line, " = ")
		if !ok {
			continue
		}
		before, after, _ := strings.Cut(text, section+"\n")
		if section == "" {
			before, after = text, ""
		}
		own, rest := after, ""
		if i := strings.Index(after, "\n["); i >= 0 {
			own, rest = after[:i], after[i:]
		}
		own = regexp.MustCompile(`(?m)^`+key+` = .*\n?`).ReplaceAllString(own, "")
		text = before + section + "\n" + line + "\n" + own + rest
	}
	w.must(os.WriteFile(w.m.Path(serviceConfig), []byte(text), 0o640)) // it keeps its owner and mode
	w.Logf("%s: %s is now\n%s", w.m.Name, serviceConfig, text)
}

// regtest makes the configuration of a fresh installation that of a practice network.
func (w *walk) regtest() {
	w.Helper()
	raw, err := os.ReadFile(w.m.Path(serviceConfig))
	w.must(err)
	text := string(raw) + "network = \"regtest\"\n\n[spv]\nconnect = [\"127.0.0.1:18444\"]\n"
	w.must(os.WriteFile(w.m.Path(serviceConfig), []byte(text), 0o640))
}

// installCrontab gives the officer the lines of a crontab, every minute instead of at their time.
func (w *walk) installCrontab(lines []string) {
	w.Helper()
	var text strings.Builder
	for _, line := range lines {
		fields := strings.SplitN(line, " ", 6)
		text.WriteString("* * * * * " + fields[5] + "\n")
		w.ran++
	}
	w.must(os.WriteFile(w.m.Path("/tmp/crontab"), []byte(text.String()), 0o644))
	w.root("mkdir -p /home/" + officer + "/documents && echo minutes >/home/" + officer + "/documents/minutes.txt && chown -R " + officer + " /home/" + officer + "/documents")
	w.root("crontab -u " + officer + " /tmp/crontab")
	w.crontab = lines
}

// info returns the answer of getinfo.
func (w *walk) info() (info rpc.Info) {
	w.Helper()
	w.must(json.Unmarshal([]byte(w.root("ancre --json status")), &info))
	return info
}

// awaitInfo waits for a state of the daemon.
func (w *walk) awaitInfo(what string, ok func(rpc.Info) bool) {
	w.Helper()
	w.must(harness.Await(w.ctx, what, func(ctx context.Context) (bool, string, error) {
		out, err := w.m.Root(ctx, "ancre --json status")
		var info rpc.Info
		if err == nil {
			err = json.Unmarshal([]byte(out), &info)
		}
		if err != nil {
			return false, err.Error(), nil
		}
		return ok(info), out, nil
	}))
}

// mine makes blocks, and waits until the daemon has seen them.
func (w *walk) mine(blocks int) {
	w.Helper()
	w.must(w.node.Mine(w.ctx, blocks, ""))
	height, err := w.node.Height(w.ctx)
	w.must(err)
	w.awaitInfo("the daemon to see the blocks", func(i rpc.Info) bool { return i.Chain.Synced && i.Chain.Height >= height })
}

// nextDay is what happens until tomorrow: the open batch is sealed, paid for and becomes final.
func (w *walk) nextDay() {
	w.Helper()
	w.root("ancre rpc closebatch")
	for {
		var batches []rpc.Batch
		w.must(json.Unmarshal([]byte(w.root("ancre --json rpc listbatches 0 1000")), &batches))
		if !slices.ContainsFunc(batches, func(b rpc.Batch) bool { return b.State != "open" && b.State != "final" }) {
			return
		}
		w.must(harness.Await(w.ctx, "the payment to reach the node", func(ctx context.Context) (bool, string, error) {
			out, err := w.m.Root(ctx, "ancre --json rpc listanchors 0 1000")
			if err != nil {
				return false, "", err
			}
			var anchors []rpc.Anchor
			if err := json.Unmarshal([]byte(out), &anchors); err != nil {
				return false, "", err
			}
			txids, err := w.node.Mempool(ctx)
			missing := len(anchors) == 0 || slices.ContainsFunc(anchors, func(a rpc.Anchor) bool {
				return a.State == "broadcast" && !slices.Contains(txids, a.TxID)
			})
			return !missing, out, err
		}))
		w.mine(1)
	}
}
