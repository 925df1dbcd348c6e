package itest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ancre/calendar"
	"ancre/itest/harness"
	"ancre/proof"
)

// handIn stamps a file at the daemon's calendar as OpenTimestamps clients do: they add a nonce of
// their own first. It writes the proof beside the file.
func (w *world) handIn(file string) {
	w.Helper()
	content, err := os.ReadFile(file)
	w.must(err)
	sum := sha256.Sum256(content)
	t := &proof.Timestamp{Msg: sum[:]}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	next, err := t.Then(proof.Op{Tag: proof.Append, Arg: nonce})
	w.must(err)
	next, err = next.Then(proof.Op{Tag: proof.SHA256})
	w.must(err)
	client := calendar.NewClient(calendar.ClientConfig{})
	defer client.Close()
	answer, err := client.Submit(w.ctx, "http://"+w.daemon.CalendarAddr(), next.Msg)
	w.must(err)
	next.Attestations, next.Branches = answer.Attestations, answer.Branches
	data, err := (&proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: t}).Marshal()
	w.must(err)
	w.must(os.WriteFile(file+".ots", data, 0o600))
}

// A file is stamped at one daemon. Somebody else, who runs no daemon or another one, completes and
// verifies the proof with the command. They need the first daemon only for its calendar, and not at
// all once the proof is complete.
func TestProofsOfAnotherDaemonAreFollowed(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startQuick(fundSats)
		uri := "http://" + w.daemon.CalendarAddr()
		b := w.newDaemon(w.node) // somebody else's; it does not run yet
		at := func(want int, says string, args ...string) harness.Result {
			w.Helper()
			res, err := b.Ancre(w.ctx, args...)
			w.must(err)
			if res.Code != want || !strings.Contains(res.Stdout+res.Stderr, says) {
				w.Fatalf("ancre %s: exit status %d, want %d and something of %q\n%s%s", strings.Join(args, " "), res.Code, want, says, res.Stdout, res.Stderr)
			}
			return res
		}
		w.must(b.WriteConfig())

		dir := w.TempDir()
		first, second := filepath.Join(dir, "minutes.txt"), filepath.Join(dir, "agenda.txt")
		w.must(os.WriteFile(first, []byte("minutes "+randomDigest()), 0o600))
		w.must(os.WriteFile(second, []byte("agenda "+randomDigest()), 0o600))
		w.ancre(0, "stamp", first) // over JSON-RPC
		w.handIn(second)           // at the calendar
		pending, err := os.ReadFile(second + ".ots")
		w.must(err)

		at(3, "only with --calendar "+uri, "upgrade", first, second)
		res := at(3, "pending", "upgrade", "--calendar", uri, first, second)
		if n := strings.Count(res.Stdout, `says "Pending confirmation in Bitcoin blockchain"`); n != 2 {
			t.Errorf("the calendar's answer is printed %d times for two files:\n%s", n, res.Stdout)
		}
		w.call(nil, "closebatch")
		w.mineUntilFinal()

		w.must(b.Start(w.ctx))
		w.must(b.AwaitHeight(w.ctx, w.node))
		at(3, "waiting for the calendar at "+uri, "verify", "--offline", second)
		at(0, "valid", "verify", "--calendar", uri, second)
		if after, err := os.ReadFile(second + ".ots"); err != nil || !bytes.Equal(after, pending) {
			t.Errorf("verify changed the file (%v)", err)
		}
		w.must(b.Stop())
		at(0, "complete, in Bitcoin block", "upgrade", "--calendar", uri, first, second)
		if kept, err := os.ReadFile(second + ".ots.bak"); err != nil || !bytes.Equal(kept, pending) {
			t.Errorf("the pending proof is not kept (%v)", err)
		}

		// The daemon that made the stamp is not needed any more, nor any other daemon: only
		// Bitcoin's peers, or a file of headers.
		w.must(w.daemon.Stop())
		at(0, "was complete already", "upgrade", "--calendar", uri, first, second)
		headers := filepath.Join(dir, "bitcoin.headers")
		at(0, "", "headers", "export", "--spv", headers)
		for _, source := range [][]string{{"--spv"}, {"--headers", headers}} {
			out := at(0, "valid", slices.Concat([]string{"verify"}, source, []string{first, second})...).Stdout
			if n := strings.Count(out, ": valid, existed before Bitcoin block"); n != 2 {
				t.Errorf("verify %s finds %d of two proofs valid:\n%s", source, n, out)
			}
		}
	})
}
