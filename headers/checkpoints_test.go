package headers

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// The page's verifier reads the lists of the files alone, so they must have all.
func TestTheListsHaveBtcdsCheckpoints(t *testing.T) {
	for _, p := range networks {
		text, err := os.ReadFile("checkpoints/" + p.Name + ".txt")
		if len(p.Checkpoints) == 0 && os.IsNotExist(err) && p.GenerateSupported {
			continue // a private network
		}
		if err != nil {
			t.Error(err)
			continue
		}
		list, err := ParseCheckpoints(string(text), p.Name)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, c := range builtIn(p) {
			if !slices.ContainsFunc(list, func(l Checkpoint) bool { return l.Height == c.Height && l.Hash == c.Hash }) {
				t.Errorf("checkpoints/%s.txt does not have block %d, %s", p.Name, c.Height, c.Hash)
			}
		}
		if all := Checkpoints(p); len(all) != len(list) || !all[0].Dated() || all[0].Height != 0 {
			t.Errorf("%s: %d checkpoints, and %d are in the file", p.Name, len(all), len(list))
		}
	}
}

// A dated checkpoint that was mistyped would give a false floor. Its hash must come from a header
// with these bits and this time, and one of mainnet's is at hand.
func TestTheDatedCheckpointIsARealHeader(t *testing.T) {
	newest := NetworkOf(&chaincfg.MainNetParams).newest()
	h := parse(realWindow(t).Raw)
	if newest.Height == 800_000 && (h.BlockHash() != newest.Hash || h.Bits != newest.Bits || h.Timestamp.Unix() != newest.Time) {
		t.Errorf("%+v is not %+v", newest, h)
	}
}

func TestAListIsReadStrictly(t *testing.T) {
	const (
		title = "# ancre checkpoints 1 mainnet\n"
		first = "0 000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f 1d00ffff 1231006505\n"
		known = "11111 0000000069e244f73d78e8fd29ba2fd2ed618bd6fa2ee92559f542fdb26e7c1d - -\n"
	)
	list, err := ParseCheckpoints(title+first+"# a comment\n"+known, "mainnet")
	if err != nil || len(list) != 2 || list[0].Bits != 0x1d00ffff || list[0].Time != 1231006505 || list[1].Height != 11111 || list[1].Dated() {
		t.Fatalf("%+v, %v", list, err)
	}
	if text := FormatCheckpoints("mainnet", []string{"a comment"}, list); text != title+"# a comment\n"+first+known {
		t.Errorf("it is written as %q", text)
	}
	for _, c := range []struct{ name, text, want string }{
		{"no title", first, "the first line is not"},
		{"an empty file", "", "the first line is not"},
		{"another version", strings.Replace(title, "1", "2", 1) + first, "the first line is not"},
		{"another network", strings.Replace(title, "mainnet", "signet", 1), `those of "signet", and those of mainnet`},
		{"cut short", title + first + known[:50], "cut short"},
		{"two spaces", title + strings.Replace(first, " ", "  ", 1), "one space between"},
		{"an empty line", title + "\n" + first, "one space between"},
		{"a carriage return", title + strings.Replace(first, "\n", "\r\n", 1), "time"},
		{"a negative height", title + "-" + known, "height"},
		{"leading zeros", title + "0" + known, "height"},
		{"a height beyond all", title + "9" + strings.Replace(known, "11111", "999999999", 1), "height"},
		{"an upper-case hash", title + strings.ToUpper(known), "hash"},
		{"a short hash", title + strings.Replace(known, "0000", "", 1), "hash"},
		{"bits alone", title + strings.Replace(first, "1231006505", "-", 1), "time"},
		{"a time alone", title + strings.Replace(first, "1d00ffff", "-", 1), "bits"},
		{"short bits", title + strings.Replace(first, "1d00ffff", "d00ffff", 1), "bits"},
		{"other bits", title + strings.Replace(first, "1d00ffff", "1700ffff", 1), "does not meet the difficulty"},
		{"negative bits", title + strings.Replace(first, "1d00ffff", "1d80ffff", 1), "does not meet the difficulty"},
		{"a changed hash", title + strings.Replace(first, "000000000019", "100000000019", 1), "does not meet the difficulty"},
		{"twice", title + known + known, "line 3: block 11111 comes after block 11111"},
		{"falling heights", title + known + first, "heights must rise"},
	} {
		if _, err := ParseCheckpoints(c.text, "mainnet"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q", c.name, err, c.want)
		}
	}
}

func TestListsThatContradictEachOtherAreRefused(t *testing.T) {
	a := builtIn(&chaincfg.MainNetParams)
	if _, err := merge(a, []Checkpoint{{Height: 11111, Hash: a[0].Hash}}); err == nil || !strings.Contains(err.Error(), "block 11111 is") {
		t.Error(err)
	}
	dated := Checkpoint{Height: 11111, Hash: a[1].Hash, Bits: 0x1d00ffff, Time: 1}
	for _, lists := range [][2][]Checkpoint{{a, {dated}}, {{dated}, a}} {
		all, err := merge(lists[0], lists[1])
		if err != nil || len(all) != len(a) || !all[1].Dated() {
			t.Errorf("%d of %d, %v, %v", len(all), len(a), all[1], err)
		}
	}
}
