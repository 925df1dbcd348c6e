package itest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	// A command in the README: at the start of an indented line, after sudo, or in backquotes.
	shown  = regexp.MustCompile("(?m)(?:^    (?:sudo )?|`)(ancre (?:[^`#\n]+))")
	option = regexp.MustCompile(`(?:^|\s|,|\(|\x60)(--?[a-z][a-z-]*)`)
)

func TestReadmeNamesEveryVerbAndOnlyFlagsThatExist(t *testing.T) {
	readme := readFile(t, "../README.md")
	verbs, wallet := verbsIn(help(t)), verbsIn(help(t, "wallet"))
	if len(verbs) < 8 || len(wallet) < 5 {
		t.Fatalf("help names the verbs %v and %v: too few", verbs, wallet)
	}

	named := make(map[string]bool)
	for _, m := range shown.FindAllStringSubmatch(readme, -1) {
		words := strings.Fields(m[1])[1:]
		for len(words) > 1 && strings.HasPrefix(words[0], "--") { // global flags with a value
			words = words[2:]
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "--") {
			continue
		}
		if !verbs[words[0]] {
			t.Errorf("README shows %q, and there is no verb %q", m[1], words[0])
			continue
		}
		named[words[0]] = true
		of := words[:1]
		if words[0] == "wallet" && len(words) > 1 {
			if of = words[:2]; !wallet[words[1]] {
				t.Errorf("README shows %q, and there is no verb %q", m[1], words[1])
				continue
			}
			named["wallet "+words[1]] = true
		}
		text := help(t, of...)
		for _, f := range option.FindAllStringSubmatch(m[1], -1) {
			if !regexp.MustCompile(`(?m)(^|[\s,])` + regexp.QuoteMeta(f[1]) + `([\s,\[]|$)`).MatchString(text) {
				t.Errorf("README shows %q, and `ancre %s --help` knows no %s", m[1], strings.Join(of, " "), f[1])
			}
		}
	}
	for verb := range verbs {
		if !named[verb] {
			t.Errorf("README does not name `ancre %s`", verb)
		}
	}
	for verb := range wallet {
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
		text := help(t, of...)
		for _, f := range option.FindAllStringSubmatch(row[3], -1) {
			if !strings.Contains(text, f[1]) {
				t.Errorf("README gives `ancre %s` the flag %s, and its help does not", strings.Join(of, " "), f[1])
			}
		}
	}
}

func TestReadmeNamesOnlySettingsAndMethodsThatExist(t *testing.T) {
	readme, sample := readFile(t, "../README.md"), readFile(t, "../sample.conf")
	for _, m := range regexp.MustCompile("`(spv|wallet|batch|anchor|rpc|calendar|log|metrics)\\.([a-z_]+)").FindAllStringSubmatch(readme, -1) {
		_, section, _ := strings.Cut(sample, "\n["+m[1]+"]")
		section, _, _ = strings.Cut(section, "\n[")
		if !strings.Contains(section, "#"+m[2]+" = ") {
			t.Errorf("README names %s.%s, and sample.conf has no such key", m[1], m[2])
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
	for _, m := range regexp.MustCompile(`"method":"([a-z]+)"|ancre rpc ([a-z]+)`).FindAllStringSubmatch(readme, -1) {
		method := m[1] + m[2]
		if method == "help" {
			continue
		}
		if err := d.Call(t.Context(), nil, "help", method); err != nil {
			t.Errorf("README shows the method %s: %v", method, err)
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
	for _, m := range regexp.MustCompile("(?m)(?:^    |`|sudo )make ([a-z]+)").FindAllStringSubmatch(readme, -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
			t.Errorf("README shows make %s, and the Makefile has no such target", m[1])
		}
	}
}

// A Go that is older than go.mod allows refuses to build, and its message names no remedy.
func TestReadmeAsksForTheGoOfTheModule(t *testing.T) {
	module := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "../go.mod"))
	readme := regexp.MustCompile(`With Go (\d+\.\d+) or later`).FindStringSubmatch(readFile(t, "../README.md"))
	if module == nil || readme == nil || module[1] != readme[1] {
		t.Errorf("README asks for %q, and go.mod for %q", readme, module)
	}
}

// The published files contain no path of the machine on which they were made.
func TestFrontDocumentsNameNoMachine(t *testing.T) {
	paths := []string{"../Makefile", "../.ci/run", "../sample.conf", "../.editorconfig"}
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../contrib/*", "../contrib/*/*"} {
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
	for verb, args := range map[string][]string{"": {"--help"}, "check": {"check", "--help"}, "restore": {"restore", "--help"}} {
		out, err := exec.CommandContext(t.Context(), bin.Ancred, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ancred %v: %v\n%s", args, err, out)
		}
		helps[verb] = string(out)
	}
	shown := 0
	for _, paper := range papers {
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
