package files

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ancre/register/store"
)

// putterDir has the process put documents into that directory until it is killed.
const putterDir = "ANCRE_TEST_PUTTER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(putterDir); dir != "" {
		putUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// putUntilKilled prints the digest of each document that was acknowledged.
func putUntilKilled(dir string) {
	d, err := Open(dir, Options{Reserve: 1})
	for i := 0; err == nil; i++ {
		var digest store.Digest
		content := strings.Repeat(fmt.Sprintf("%d %d ", os.Getpid(), i), 1+rand.IntN(20_000))
		if digest, _, err = d.Put(context.Background(), strings.NewReader(content)); err == nil {
			err = d.PutOTS(digest, []byte("proof of "+digest.String()))
		}
		if err == nil {
			_, err = fmt.Println(digest)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestNoCrashLosesWhatWasAcknowledged kills a process at random moments.
func TestNoCrashLosesWhatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[store.Digest]bool{}
	for life := range 25 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), putterDir+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		length := time.Duration(20+rand.IntN(80)) * time.Millisecond
		if len(acknowledged) == 0 {
			length *= time.Duration(1 + life) // a busy machine takes longer to start a process
		}
		kill := time.AfterFunc(length, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			digest, err := store.ParseDigest(lines.Text())
			must(t, err)
			acknowledged[digest] = true
		}
		kill.Stop()
		_ = cmd.Wait() // it was killed

		d := opened(t, dir)
		found := 0
		for item, err := range d.All(t.Context()) {
			must(t, err)
			if !item.Document {
				t.Errorf("%s has a proof and no document", item.Digest)
				continue
			}
			must(t, d.Verify(t.Context(), item.Digest)) // none is half
			if !acknowledged[item.Digest] {
				continue
			}
			found++
			if ots, err := d.OTS(item.Digest); err != nil || string(ots) != "proof of "+item.Digest.String() {
				t.Errorf("the proof of %s: %q, %v", item.Digest, ots, err)
			}
		}
		if found != len(acknowledged) {
			t.Fatalf("%d of %d acknowledged documents are there", found, len(acknowledged))
		}
		if left, err := os.ReadDir(dir + "/" + incoming); err != nil || len(left) > 0 {
			t.Errorf("%d unfinished files are left (%v)", len(left), err)
		}
		must(t, d.Close())
	}
	if len(acknowledged) == 0 {
		t.Error("no document was acknowledged in any life")
	}
}
