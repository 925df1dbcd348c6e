package page

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/register/store"
)

var verbs = regexp.MustCompile(`%[a-z]`)

// verbsOf returns the verbs of each form of a text.
func verbsOf(text string) (list []string) {
	for form := range strings.SplitSeq(text, "|") {
		list = append(list, strings.Join(verbs.FindAllString(form, -1), " "))
	}
	return list
}

func TestBothLanguagesHaveTheSameWords(t *testing.T) {
	for key, fr := range wordsFR {
		en, ok := wordsEN[key]
		if !ok {
			t.Errorf("%q is not in English", key)
			continue
		}
		if !slices.Equal(verbsOf(fr), verbsOf(en)) {
			t.Errorf("%q: %q and %q have different verbs", key, fr, en)
		}
		if fr == "" || en == "" {
			t.Errorf("%q is empty", key)
		}
	}
	for key := range wordsEN {
		if _, ok := wordsFR[key]; !ok {
			t.Errorf("%q is not in French", key)
		}
	}
}

// French has a space that does not break before : ; ? ! » and %, and after «.
func TestFrenchTextsBreakWhereTheyMay(t *testing.T) {
	wrong := regexp.MustCompile(`[^ \x{a0}\x{202f}](»|[;?!](\s|$))| [:;?!»]| %[^sd]|«[^\x{a0}]`)
	check := func(name, text string) {
		if m := wrong.FindString(text); m != "" {
			t.Errorf("%s: %q in %q", name, m, text)
		}
	}
	for key, text := range wordsFR {
		check(key, text)
	}
	texts, err := filepath.Glob("texts/*.fr.md")
	if err != nil || len(texts) == 0 {
		t.Fatal(texts, err)
	}
	for _, name := range texts {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		check(name, string(raw))
	}
}

// usedKeys are the keys that templates and code name.
func usedKeys(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	key := regexp.MustCompile(`(?:\bt|\bsay\([^,()]*(?:\.[A-Za-z]+)?,|\.T\() ?"([a-z][a-z0-9.]*)"`)
	files, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	code, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, code...) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "words_") {
			continue
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range key.FindAllStringSubmatch(string(raw), -1) {
			if !strings.HasSuffix(m[1], ".") {
				used[m[1]] = true
			}
		}
	}
	for _, k := range store.Kinds {
		used["kind."+string(k)], used["kind."+string(k)+".many"] = true, true
	}
	for _, s := range store.ProofStates {
		used["state."+string(s)], used["document."+string(s)] = true, true
	}
	for _, s := range store.MeetingStates {
		used["meeting."+string(s)] = true
	}
	for _, s := range RequirementStates {
		used["law."+string(s)] = true
	}
	for _, n := range Needs {
		used["need."+string(n)] = true
	}
	for _, s := range []string{"text", "from", "to", "order"} {
		used["search.wrong."+s] = true
	}
	for _, s := range []string{"non", "partielle", "totale"} {
		used["conformity."+s] = true
	}
	for k := Home; k <= Map; k++ {
		if routeOf[k].id == nil {
			used["nav."+k.String()] = true
		}
	}
	return used
}

func TestEveryWordIsThereAndIsUsed(t *testing.T) {
	used := usedKeys(t)
	for key := range used {
		if _, ok := wordsFR[key]; !ok {
			t.Errorf("there is no text %q", key)
		}
	}
	for key := range wordsFR {
		if !used[key] {
			t.Errorf("the text %q is not used", key)
		}
	}
}

func TestPluralsFollowTheLanguage(t *testing.T) {
	for _, tt := range []struct {
		lang Lang
		n    int
		want string
	}{
		{French, 0, "0 séance"}, {French, 1, "1 séance"}, {French, 2, "2 séances"},
		{English, 0, "0 meetings"}, {English, 1, "1 meeting"}, {English, 2, "2 meetings"},
	} {
		if got := say(tt.lang, "meetings.count", tt.n); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.lang, got, tt.want)
		}
	}
}
