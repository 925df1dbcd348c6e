package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestWordsAreFolded(t *testing.T) {
	for text, want := range map[string][]string{
		"":                         nil,
		" … — «»":                  nil,
		"Séance nᵒ 2026-112":       {"seance", "no", "2026", "112"},
		"ŒUVRE, œuvre":             {"oeuvre", "oeuvre"},
		"De\u0301libe\u0301ration": {"deliberation"},
		"l’École d'été":            {"l", "ecole", "d", "ete"},
		"ﬁn":                       {"fin"},
		"Straße STRASSE":           {"strasse", "strasse"},
		"a\x00b\x1bc\u202ed":       {"a", "b", "c", "d"},
		"budget_2026.PDF":          {"budget", "2026", "pdf"},
		"Ελλάδα Москва 東京":         {"ελλαδα", "москва", "東京"},
		"no \xff UTF-8":            {"no", "utf", "8"},
		"İstanbul ısı":             {"istanbul", "isi"},
	} {
		if got := Words(text); !slices.Equal(got, want) {
			t.Errorf("%q has the words %q, want %q", text, got, want)
		}
	}
}

func TestNumbersSortAsPeopleCount(t *testing.T) {
	sorted := []string{"", "0", "7", "10", "2025-112", "2026-9", "2026-9 bis", "2026-10", "2026-010a", "2026-100", "A-2", "a-10", strings.Repeat("9", 99), strings.Repeat("9", 100)}
	keys := make([]string, len(sorted))
	for i, number := range sorted {
		keys[i] = NumberKey(number)
	}
	// Long numbers stand among the numbers, before letters.
	want := slices.Clone(keys)
	slices.Sort(want)
	order := func(a, b string) bool { return NumberKey(a) < NumberKey(b) }
	for i := 1; i < len(sorted)-2; i++ {
		if !order(sorted[i-1], sorted[i]) {
			t.Errorf("%q does not stand before %q: keys %q and %q", sorted[i-1], sorted[i], keys[i-1], keys[i])
		}
	}
	if a, b := sorted[len(sorted)-2], sorted[len(sorted)-1]; !order(a, b) || !order("5", a) || !order(b, "A") {
		t.Errorf("numbers of 99 and 100 digits: %q, %q", NumberKey(a), NumberKey(b))
	}
}

func FuzzNumberKey(f *testing.F) {
	f.Add("2026-112", "2026-9")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == b && NumberKey(a) != NumberKey(b) {
			t.Errorf("%q has two keys", a)
		}
	})
}

func TestFileNames(t *testing.T) {
	for name, allowed := range map[string]bool{
		"a": true, "délibération n° 7.pdf": true, "<script>.html": true, "…": true, "a\u200fb": true, "-rf": true, " ": true, "...": true,
		strings.Repeat("é", 127) + "x": true, strings.Repeat("é", 128): false,
		"": false, ".": false, "..": false, "a/b": false, `a\b`: false, "a\x00": false, "a\n": false, "a\x7f": false, "a\u0085b": false, "a\u2028b": false, "\xff": false,
	} {
		if err := CheckFileName(name); (err == nil) != allowed || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, allowed: %v", name, err, allowed)
		}
	}
}

func TestParseDigest(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	if d, err := ParseDigest(strings.ToUpper(hex)); err != nil || d.String() != hex {
		t.Errorf("%s, %v", d, err)
	}
	for _, text := range []string{"", hex[:63], hex + "0", "g" + hex[1:], " " + hex[1:]} {
		if d, err := ParseDigest(text); err == nil || d != (Digest{}) {
			t.Errorf("%q: %s, %v", text, d, err)
		}
	}
}

// The date of a meeting is read in its zone, also where the day is another one in UTC, and where
// the clock is put back.
func TestTheDateOfAMeeting(t *testing.T) {
	for start, want := range map[string]string{
		"2026-12-14T22:59:59Z": "2026-12-14", "2026-12-14T23:00:00Z": "2026-12-15", "2026-06-14T22:00:00Z": "2026-06-15", "2026-10-25T00:30:00Z": "2026-10-25", "2026-10-25T01:30:00Z": "2026-10-25",
	} {
		m := Meeting{Zone: "Europe/Paris"}
		if err := m.Start.UnmarshalText([]byte(start)); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Date(); err != nil || got != want {
			t.Errorf("%s is on %s in Paris (%v), want %s", start, got, err, want)
		}
	}
}
