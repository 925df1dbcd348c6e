package itest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/itest/harness"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// help runs `ancre … --help`.
func help(t *testing.T, args ...string) string {
	t.Helper()
	d, err := harness.NewDaemon(bin, nil, t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.Ancre(t.Context(), append(args, "--help")...)
	if err != nil || res.Code != 0 {
		t.Fatalf("ancre %v --help: status %d, %v\n%s", args, res.Code, err, res.Stderr)
	}
	return res.Stdout
}

// verbsIn reads the verbs from a help text: indented lines, name and explanation apart.
func verbsIn(text string) map[string]bool {
	verbs := make(map[string]bool)
	before, _, _ := strings.Cut(text, "\nFlags:")
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+)  +[A-Z]`).FindAllStringSubmatch(before, -1) {
		if m[1] != "help" {
			verbs[m[1]] = true
		}
	}
	return verbs
}

var (
	// A command in a guide: at the start of an indented line, after sudo, or in backquotes.
	shown  = regexp.MustCompile("(?m)(?:^    (?:sudo )?|`(?:sudo )?)(ancre (?:[^`#\n|&;>]+))")
	option = regexp.MustCompile(`(?:^|\s|,|\(|\x60)(--?[a-z][a-z-]*)`)
)

// guides returns the documents that tell people what to type and to set: the README and everything
// in docs/, in every language.
func guides(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md"}
	err := filepath.WalkDir("../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			found = append(found, strings.TrimPrefix(path, "../"))
		}
		return err
	})
	if err != nil || len(found) < 12 || !slices.Contains(found, "docs/fr/exploitation.md") {
		t.Fatalf("the guides are %q, %v", found, err)
	}
	return found
}

// verbHelp has the help texts of the verbs, each read once.
type verbHelp struct {
	t             *testing.T
	verbs, wallet map[string]bool
	texts         map[string]string
}

func newVerbHelp(t *testing.T) *verbHelp {
	h := &verbHelp{t: t, verbs: verbsIn(help(t)), wallet: verbsIn(help(t, "wallet")), texts: make(map[string]string)}
	if len(h.verbs) < 8 || len(h.wallet) < 5 {
		t.Fatalf("help names the verbs %v and %v: too few", h.verbs, h.wallet)
	}
	return h
}

func (h *verbHelp) of(verb ...string) string {
	name := strings.Join(verb, " ")
	if _, ok := h.texts[name]; !ok {
		h.texts[name] = help(h.t, verb...)
	}
	return h.texts[name]
}

// check reports the verbs and flags of a command that do not exist. It returns the verb, "" if the
// command has none.
func (h *verbHelp) check(guide, command string) string {
	words := strings.Fields(command)[1:]
	for len(words) > 1 && strings.HasPrefix(words[0], "--") { // global flags with a value
		words = words[2:]
	}
	if len(words) == 0 || strings.HasPrefix(words[0], "--") {
		return ""
	}
	if !h.verbs[words[0]] {
		h.t.Errorf("%s shows %q, and there is no verb %q", guide, command, words[0])
		return ""
	}
	of := words[:1]
	if words[0] == "wallet" && len(words) > 1 {
		if of = words[:2]; !h.wallet[words[1]] {
			h.t.Errorf("%s shows %q, and there is no verb %q", guide, command, words[1])
			return words[0]
		}
	}
	if words[0] == "headers" && len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		of = words[:2] // each of its verbs has flags of its own
	}
	for _, f := range option.FindAllStringSubmatch(command, -1) {
		if !regexp.MustCompile(`(?m)(^|[\s,])` + regexp.QuoteMeta(f[1]) + `([\s,\[]|$)`).MatchString(h.of(of...)) {
			h.t.Errorf("%s shows %q, and `ancre %s --help` knows no %s", guide, command, strings.Join(of, " "), f[1])
		}
	}
	return strings.Join(of, " ")
}

func TestGuidesShowOnlyVerbsAndFlagsThatExist(t *testing.T) {
	h := newVerbHelp(t)
	shows := 0
	for _, guide := range guides(t) {
		for _, m := range shown.FindAllStringSubmatch(readFile(t, "../"+guide), -1) {
			h.check(guide, m[1])
			shows++
		}
	}
	if shows < 60 {
		t.Errorf("the guides show only %d commands", shows)
	}
}

func TestReadmeNamesEveryVerbAndOnlyFlagsThatExist(t *testing.T) {
	readme, h := readFile(t, "../README.md"), newVerbHelp(t)
	named := make(map[string]bool)
	for _, m := range shown.FindAllStringSubmatch(readme, -1) {
		verb := h.check("README", m[1])
		first, _, _ := strings.Cut(verb, " ")
		named[verb], named[first] = true, true
	}
	for verb := range h.verbs {
		if !named[verb] {
			t.Errorf("README does not name `ancre %s`", verb)
		}
	}
	for verb := range h.wallet {
		if !named["wallet "+verb] && !strings.Contains(readme, "`"+verb+"`") {
			t.Errorf("README does not name `ancre wallet %s`", verb)
		}
	}
	// The flags that the table of commands names in its second column.
	for _, row := range regexp.MustCompile("(?m)^\\| `ancre ([a-z]+)( [a-z]+)?[^|]*\\|(.*)\\|$").FindAllStringSubmatch(readme, -1) {
		of := []string{row[1]}
		if row[1] == "wallet" {
			of = append(of, strings.TrimSpace(row[2]))
		}
		for _, f := range option.FindAllStringSubmatch(row[3], -1) {
			if !strings.Contains(h.of(of...), f[1]) {
				t.Errorf("README gives `ancre %s` the flag %s, and its help does not", strings.Join(of, " "), f[1])
			}
		}
	}
}

// The README is the first page, and no more.
func TestReadmeIsOnePage(t *testing.T) {
	if lines := strings.Count(readFile(t, "../README.md"), "\n"); lines > 150 {
		t.Errorf("README.md has %d lines; at most 150 are allowed: the guides in docs/ have room", lines)
	}
}

func TestGuidesNameOnlySettingsAndMethodsThatExist(t *testing.T) {
	sample := readFile(t, "../sample.conf")
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^#?\[([a-z_]+)\]`).FindAllStringSubmatch(sample, -1) {
		sections = append(sections, m[1])
	}
	if len(sections) < 8 {
		t.Fatalf("sample.conf has the sections %q: too few", sections)
	}
	setting := regexp.MustCompile("`(" + strings.Join(sections, "|") + `)\.([a-z_]+)`)
	method := regexp.MustCompile(`"method":\s*"([a-z]+)"|ancre rpc ([a-z]+)`)
	methods := make(map[string]string) // each method, and a guide that shows it
	for _, guide := range guides(t) {
		text := readFile(t, "../"+guide)
		for _, m := range setting.FindAllStringSubmatch(text, -1) {
			_, section, _ := strings.Cut(sample, "["+m[1]+"]")
			section, _, _ = strings.Cut(section, "\n[")
			if !strings.Contains(section, "#"+m[2]+" = ") {
				t.Errorf("%s names %s.%s, and sample.conf has no such key", guide, m[1], m[2])
			}
		}
		for _, m := range method.FindAllStringSubmatch(text, -1) {
			methods[m[1]+m[2]] = guide
		}
	}
	d, err := harness.NewDaemon(bin, nil, t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	d.Set("spv", "connect", `["127.0.0.1:9"]`)
	t.Cleanup(func() { _ = d.Kill9() })
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	delete(methods, "help")
	for method, guide := range methods {
		if err := d.Call(t.Context(), nil, "help", method); err != nil {
			t.Errorf("%s shows the method %s: %v", guide, method, err)
		}
	}
}

func TestTheTwoCommandsOfTheReadmeAreInTheMakefile(t *testing.T) {
	readme, makefile := readFile(t, "../README.md"), readFile(t, "../Makefile")
	for _, target := range []string{"demo", "test"} {
		if !strings.Contains(readme, "\n    make "+target+"\n") {
			t.Errorf("README does not show make %s on a line of its own", target)
		}
	}
	for _, guide := range guides(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^    |`|sudo )make ([a-z]+)").FindAllStringSubmatch(readFile(t, "../"+guide), -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s shows make %s, and the Makefile has no such target", guide, m[1])
			}
		}
	}
}

// A Go that is older than go.mod allows refuses to build, and its message names no remedy.
func TestGuidesAskForTheGoOfTheModule(t *testing.T) {
	module := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "../go.mod"))
	readme := regexp.MustCompile(`With Go (\d+\.\d+) or later`).FindStringSubmatch(readFile(t, "../README.md"))
	if module == nil || readme == nil || module[1] != readme[1] {
		t.Fatalf("README asks for %q, and go.mod for %q", readme, module)
	}
	for _, guide := range guides(t) {
		for _, m := range regexp.MustCompile(`\bGo[ \x{a0}](\d+\.\d+)`).FindAllStringSubmatch(readFile(t, "../"+guide), -1) {
			if m[1] != module[1] {
				t.Errorf("%s names Go %s, and go.mod asks for %s", guide, m[1], module[1])
			}
		}
	}
}

// The published files contain no path of the machine on which they were made.
func TestFrontDocumentsNameNoMachine(t *testing.T) {
	paths := []string{"../Makefile", "../.ci/run", "../sample.conf", "../.editorconfig"}
	for _, guide := range guides(t) {
		paths = append(paths, "../"+guide)
	}
	for _, pattern := range []string{"../*.md", "../contrib/*", "../contrib/*/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			continue
		}
		text := readFile(t, path)
		for _, bad := range []string{"/root/", "/work/", "/home/"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s names %s", path, bad)
			}
		}
	}
}

// The commands of ancred that the papers show, at the start of an indented line or in backquotes,
// have verbs and flags that exist.
func TestPapersShowCommandsOfAncredThatExist(t *testing.T) {
	ancred := regexp.MustCompile("(?m)(?:^    (?:sudo )?|`)ancred((?: +[^`#&\n]+)?)")
	helps := make(map[string]string)
	for verb, args := range map[string][]string{"": {"--help"}, "check": {"check", "--help"}, "restore": {"restore", "--help"}, "move": {"move", "--help"}, "mail": {"mail", "--help"}} {
		out, err := exec.CommandContext(t.Context(), bin.Ancred, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ancred %v: %v\n%s", args, err, out)
		}
		helps[verb] = string(out)
	}
	shown := 0
	for _, paper := range slices.Concat(papers, guides(t)) {
		for _, m := range ancred.FindAllStringSubmatch(readFile(t, filepath.Join("..", paper)), -1) {
			verb := ""
			for _, word := range strings.Fields(m[1]) {
				if _, ok := helps[word]; ok {
					verb = word
				} else if word == strings.ToLower(word) && !strings.ContainsAny(word, "-./") && verb == "" {
					verb = word
				}
			}
			text, ok := helps[verb]
			if !ok {
				t.Errorf("%s shows ancred%s, and there is no verb %q", paper, m[1], verb)
			}
			for _, f := range option.FindAllStringSubmatch(m[1], -1) {
				if !strings.Contains(text, f[1]) && !strings.Contains(helps[""], f[1]) {
					t.Errorf("%s shows ancred%s, and its help knows no %s", paper, m[1], f[1])
				}
			}
			shown++
		}
	}
	if shown < 5 {
		t.Errorf("the papers show only %d commands of ancred", shown)
	}
}

// French has a no-break space before a high sign and inside quotation marks. Code is left alone.
func TestFrenchGuidesHaveFrenchTypography(t *testing.T) {
	code := regexp.MustCompile("(?m)^ {4}.*$|`[^`\n]*`")
	wrong := regexp.MustCompile(`[^\x{a0}\x{202f}\s:?!.|*][?!;](?:\s|$)|[^\x{a0}\s|:-]:(?:\s|$)| [?!;:»](?:\s|$)|«[^\x{a0}\x{202f}]|\w'\w`)
	checked := 0
	for _, guide := range guides(t) {
		if !strings.HasPrefix(guide, "docs/fr/") {
			continue
		}
		checked++
		for i, line := range strings.Split(code.ReplaceAllString(readFile(t, "../"+guide), "x\u00a0"), "\n") {
			if found := wrong.FindString(line); found != "" {
				t.Errorf("%s:%d: %q in %q", guide, i+1, found, line)
			}
		}
	}
	if checked < 3 {
		t.Errorf("only %d guides are in French", checked)
	}
}
