package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"ancre/internal/manpage"
)

// Whoever has only the manual page finds every verb and every flag in it.
func TestManualPageNamesEveryVerbAndFlag(t *testing.T) {
	help := func(args ...string) string {
		var out strings.Builder
		if run(args, world{out: &out, err: io.Discard}) != exitDone {
			return ""
		}
		return out.String()
	}
	page := strings.ReplaceAll(string(manpage.Daemon("ancred", "anchors hashes in Bitcoin", help, manpage.Edition{}).Text), `\-`, "-")
	verbs := regexp.MustCompile(`(?m)^(?:Usage:|      ) ancred ([a-z]+)`).FindAllStringSubmatch(usage, -1)
	if len(verbs) < 3 {
		t.Fatalf("the help names the verbs %q: too few", verbs)
	}
	for _, verb := range verbs {
		text := help(verb[1], "--help")
		if text == "" && verb[1] == "version" {
			continue // explained by its name
		}
		if !strings.Contains(page, "VERB "+strings.ToUpper(verb[1])) {
			t.Errorf("ancred.8 has no section on %s", verb[1])
		}
		for _, flag := range regexp.MustCompile(`--[a-z]+`).FindAllString(text, -1) {
			if _, section, _ := strings.Cut(page, "VERB "+strings.ToUpper(verb[1])); !strings.Contains(section, flag) {
				t.Errorf("ancred.8 does not explain %s of %s", flag, verb[1])
			}
		}
	}
}

func TestManualPageOfTheConfigurationNamesEveryKey(t *testing.T) {
	sample, err := os.ReadFile("../../sample.conf")
	if err != nil {
		t.Fatal(err)
	}
	page := string(manpage.Configuration("ancre.conf", "configuration", string(sample), manpage.Edition{}).Text)
	keys := regexp.MustCompile(`(?m)^#([a-z_]+) = `).FindAllStringSubmatch(string(sample), -1)
	if len(keys) < 20 {
		t.Fatalf("sample.conf has only the keys %q", keys)
	}
	for _, key := range keys {
		if !strings.Contains(page, "\\fB"+key[1]+" = ") {
			t.Errorf("ancre.conf.5 does not explain %s", key[1])
		}
	}
}
