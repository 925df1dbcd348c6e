package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"ancre/proof"
)

// The bug that it catches: a proof that somebody put there while calendars were asked is replaced
// by the older one.
func TestUpgradeReplacesNothingThatItDidNotRead(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, commitments := r.promised("a", c.URL)
	answer := r.anchored(commitments[0])
	newer := []byte("another proof")
	c.does(func(w http.ResponseWriter, _ *http.Request) {
		r.must(os.WriteFile(file+proofSuffix, newer, 0o644))
		w.Write(answer)
	})
	a := r.ancre("--json", "upgrade", "--calendar", c.URL, file).is(t, exitFailed, `"result":"failed"`, "was changed while its proof was being completed")
	if got := r.read(file + proofSuffix); string(got) != string(newer) || exists(file+proofSuffix+backupSuffix) {
		t.Errorf("the file holds %q", got)
	}
	if strings.Contains(a.out, `"complete":true`) {
		t.Errorf("said to be complete: %s", a.out)
	}
}

// The bug that it catches: a file of a stranger's archive has a name that looks like what is said
// of another file.
func TestNamesOfFilesAreNoResults(t *testing.T) {
	r := newRig(t)
	const forged = "contract.pdf: complete, in Bitcoin block 800,000"
	for _, name := range []string{"a\n" + forged + "\nb", "\r" + forged + "\x1b[K", "\u202eslipu", "\xff"} {
		file := r.write(name, "content")
		r.must(os.WriteFile(file+proofSuffix, []byte("no proof"), 0o644))
		for _, args := range [][]string{{"upgrade", "-r", r.dir}, {"upgrade", file}, {"info", file}, {"info", file + "x"}, {"receipt", file}, {"status", file}} {
			wantOwnLines(t, r.ancre(args...), args[0])
		}
		r.must(os.Remove(file + proofSuffix))
		r.write(name+v2Suffix, `{"@context": "https://w3id.org/chainpoint/v2"}`)
		file, _ = r.promised(name, "https://calendar.invalid")
		for _, args := range [][]string{{"verify", "--offline", file}, {"verify", "-r", r.dir}, {"verify", file + v2Suffix}, {"stamp", file}} {
			wantOwnLines(t, r.ancre(args...), args[0])
		}
		r.must(os.Remove(file))
		wantOwnLines(t, r.ancre("verify", file+proofSuffix), "verify without the file")
		r.must(os.Remove(file + proofSuffix))
		r.must(os.Remove(file + v2Suffix))
	}
}

// wantOwnLines wants no line that a file's name made.
func wantOwnLines(t *testing.T, a answer, what string) {
	t.Helper()
	for line := range strings.Lines(strings.ReplaceAll(a.out+a.err, "\r", "\n")) {
		if strings.HasPrefix(line, "contract.pdf") || strings.ContainsAny(line, "\x1b\u202e") || !utf8.ValidString(line) {
			t.Errorf("%s: %q", what, line)
		}
	}
}

// The bug that it catches: a calendar that names a false block keeps the others from ever being
// asked for what they promised.
func TestALyingCalendarDoesNotEndTheOthersPromises(t *testing.T) {
	r, liar, honest := newRig(t), newFakeCalendar(t), newFakeCalendar(t)
	file, c := r.promised("a", liar.URL, honest.URL)
	upgrade := []string{"upgrade", "--calendar", liar.URL, "--calendar", honest.URL, file}
	liar.has(c[0], r.attesting(c[0], proof.BitcoinAt(1)))
	r.ancre(upgrade...).is(t, exitDone, "complete, in Bitcoin block 1")
	r.ancre(upgrade...).is(t, exitDone, "was complete already")
	if got := r.kinds(file); got != "bitcoin pending" {
		t.Errorf("the proof holds %s", got)
	}
	honest.has(c[1], r.anchored(c[1]))
	r.ancre(upgrade...).is(t, exitDone, "complete, in Bitcoin block 1")
	if got := r.kinds(file); got != "bitcoin bitcoin" {
		t.Errorf("the proof holds %s", got)
	}
	r.ancre("verify", "--offline", file).is(t, exitDone, "valid, existed before Bitcoin block 1")
	asked := honest.questions()
	r.ancre(upgrade...).is(t, exitDone, "was complete already")
	if honest.questions() != asked {
		t.Error("a calendar is asked for what it has given")
	}
}
