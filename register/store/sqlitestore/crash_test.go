package sqlitestore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"ancre/register/store"
	"ancre/register/store/storetest"
)

// writerDir has the process write into the store in that directory until it is killed.
const writerDir = "ANCRE_TEST_WRITER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(context.Background(), dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled adds entries, each of which replaces the one before, and publishes and follows
// them. It prints the number of each entry for which all that was acknowledged.
func writeUntilKilled(ctx context.Context, dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	if err := s.PutBodies(ctx, storetest.Bodies); err != nil {
		return err
	}
	m, _, err := s.AddMeeting(ctx, crashSession())
	if err != nil {
		return err
	}
	first, err := s.CountEntries(ctx, store.EntryQuery{})
	if err != nil {
		return err
	}
	for n := first; ; n++ {
		e, _, err := s.AddEntry(ctx, crashEntry(n, m.ID))
		if err == nil && n%3 == 0 {
			err = s.Publish(ctx, []int64{e.ID}, true, e.AddedAt)
		}
		if err == nil && n%5 == 0 {
			err = s.Follow(ctx, []store.Proof{{Digest: e.Digest, State: store.Pending, Batch: uint64(n)}}, strconv.Itoa(n))
		}
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func crashSession() store.Meeting {
	m := storetest.Session("2026-12-15")
	m.Published = true
	return m
}

func crashEntry(n int, meeting string) store.Entry {
	e := storetest.Document(n, meeting)
	e.FileName = "budget.pdf"
	return e
}

// TestNoCrashLosesWhatWasAcknowledged kills a process at random moments. Everything that it
// acknowledged is there, and of what it was writing all or nothing.
func TestNoCrashLosesWhatWasAcknowledged(t *testing.T) {
	lives := 30
	if n, err := strconv.Atoi(os.Getenv("ANCRE_CRASHES")); err == nil {
		lives = n
	}
	dir, acknowledged, total := t.TempDir(), map[int]bool{}, 0
	for life := range lives {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		length := time.Duration(10+rand.IntN(150)) * time.Millisecond
		if len(acknowledged) == 0 {
			length *= time.Duration(1 + life) // a busy machine takes longer to start a process
		}
		kill := time.AfterFunc(length, func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			must(t, err)
			acknowledged[n] = true
			total = n + 1
		}
		kill.Stop()
		_ = cmd.Wait() // it was killed
		if stderr.String() != "" {
			t.Fatal(stderr.String())
		}
		s, err := Open(dir, Options{})
		must(t, err)
		total = checkAfterCrash(t, s, acknowledged, total)
		must(t, s.Close())
	}
	if len(acknowledged) == 0 {
		t.Error("no entry was acknowledged in any life")
	}
	t.Logf("%d lives, %d entries", lives, total)
}

// checkAfterCrash returns how many entries there are: at least so many as were acknowledged, and
// one more if the process was killed before it could say so.
func checkAfterCrash(t *testing.T, s *Store, acknowledged map[int]bool, least int) int {
	t.Helper()
	ctx := t.Context()
	must(t, s.Check(ctx))
	entries, err := s.Entries(ctx, store.EntryQuery{})
	must(t, err)
	if n := len(entries); n < least || n > least+1 {
		t.Fatalf("%d entries are there, want %d, or one more", n, least)
	}
	for n, e := range entries {
		want := crashEntry(n, "2026-12-15")
		want.ID = int64(n + 1)
		if n > 0 {
			want.Replaces = int64(n)
		}
		if n < len(entries)-1 {
			want.ReplacedBy, want.ReplacedAt = int64(n+2), crashEntry(n+1, "").AddedAt
		}
		if n%3 == 0 && (acknowledged[n] || e.Published) {
			want.Published, want.Download, want.OnlineSince = true, true, want.AddedAt
		}
		if e != want {
			t.Fatalf("entry %d is\n%+v, want\n%+v", n, e, want)
		}
		p, err := s.Proof(ctx, e.Digest)
		must(t, err)
		if n%5 == 0 && acknowledged[n] && (p.State != store.Pending || p.Batch != uint64(n)) {
			t.Fatalf("the proof of entry %d is %+v", n, p)
		}
	}
	if found, err := s.CountEntries(ctx, store.EntryQuery{Text: "budget"}); err != nil || found != len(entries) {
		t.Fatalf("%d of %d entries are found by a word (%v)", found, len(entries), err)
	}
	return len(entries)
}
