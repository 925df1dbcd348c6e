package version

import (
	"regexp"
	"runtime/debug"
	"testing"
)

func TestTextSaysWhatAProgramWasBuiltFrom(t *testing.T) {
	vcs := func(revision, modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
	}
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for name, c := range map[string]struct {
		main     string
		settings []debug.BuildSetting
		want     string
	}{
		"a release":                    {"v" + Number, vcs(commit, "false"), Number},
		"a commit":                     {"v0.0.0-20260102030405-0123456789ab", vcs(commit, "false"), Number + "+0123456789ab"},
		"a changed release":            {"v" + Number + "+dirty", vcs(commit, "true"), Number + "+0123456789ab.modified"},
		"a commit after another tag":   {"v0.1.0", vcs(commit, "false"), Number + "+0123456789ab"},
		"a folder without repository":  {"(devel)", nil, Number},
		"a module of a module proxy":   {"v0.1.9", nil, Number},
		"a system with short revision": {"(devel)", vcs("12", "false"), Number + "+12"},
	} {
		if got := text(&debug.BuildInfo{Main: debug.Module{Path: "ancre", Version: c.main}, Settings: c.settings}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Peers are told the version in a user agent (BIP14), in which these characters have a meaning.
func TestTextFitsInAUserAgent(t *testing.T) {
	if text := Text(); !regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(\+[0-9a-z.]+)?$`).MatchString(text) {
		t.Errorf("the version is %q", text)
	}
}
