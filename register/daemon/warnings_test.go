package daemon

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ancre/internal/warning"
	"ancre/register"
	"ancre/register/control"
	"ancre/register/files"
	"ancre/register/store"
)

// A warning of the register without a kind in the table would be told as a damaged store.
func TestEveryKindOfTheRegisterIsInTheTable(t *testing.T) {
	found := 0
	for _, pattern := range []string{"../*.go", "../watch/*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`\bwarn[A-Z]\w* *= "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
				found++
				if kindOf[m[1]] == nil {
					t.Errorf("%s has the kind %q, which is not in kindOf", path, m[1])
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d kinds were found", found)
	}
}

func TestWhatAnOperatorIsTold(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	ok := func() looks {
		return looks{now: now, freeOK: true, free: 100 * files.DefaultReserve, backup: &control.BackupReport{Taken: now.Add(-time.Hour), Documents: 5},
			status: register.Status{Counts: store.Counts{Entries: 5, Proofs: map[store.ProofState]int{}}}}
	}
	for name, c := range map[string]struct {
		change func(*looks)
		kind   *warning.Kind
		says   string
	}{
		"all is well":                {func(*looks) {}, nil, ""},
		"a digest waits for minutes": {func(l *looks) { l.status.Counts.OldestWaiting = now.Add(-10 * time.Minute) }, nil, ""},
		"a digest waits for hours": {func(l *looks) {
			l.status.Counts.OldestWaiting, l.status.Counts.Proofs[store.Waiting] = now.Add(-3*time.Hour), 2
		}, warning.RegisterWaiting, "2 documents wait for the node"},
		"the disk is nearly full": {func(l *looks) { l.free = 7 * files.DefaultReserve }, warning.RegisterDisk, "448 MB left"},
		"an old backup has all":   {func(l *looks) { l.backup.Taken = now.Add(-30 * 24 * time.Hour) }, nil, ""},
		"an old backup lacks one": {func(l *looks) { l.backup.Taken, l.status.Counts.Entries = now.Add(-8*24*time.Hour), 6 },
			warning.RegisterBackupOld, "does not have 1 document that came later"},
		"the nightly backup failed": {func(l *looks) { l.failure = os.ErrPermission }, warning.RegisterBackupFailed, "permission denied"},
		"the node is away":          {func(l *looks) { l.status.Warnings = []register.Warning{{Kind: "node", Text: "away"}} }, warning.RegisterNode, "away"},
		"the command fails": {func(l *looks) {
			l.notifier = []warning.Warning{warning.New(warning.Notify, "correct it in ancre.conf and restart ancred")}
		}, warning.RegisterNotify, "correct it in register.conf and restart ancre-register"},
	} {
		l := ok()
		c.change(&l)
		got := new(daemon).warnings(l)
		switch {
		case c.kind == nil && len(got) != 0:
			t.Errorf("%s: %v", name, got[0].Text)
		case c.kind != nil && (len(got) != 1 || got[0].Kind != c.kind || !strings.Contains(got[0].Text, c.says)):
			t.Errorf("%s: %v", name, got)
		}
	}
}
