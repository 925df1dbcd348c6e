package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A program that is stuck is ended, and its log shows where it was stuck.
func TestAbortEndsAProgramThatIsStuck(t *testing.T) {
	if !interruptible {
		t.Skip("programs are killed here")
	}
	log := filepath.Join(t.TempDir(), "log")
	p, err := start("stuck", log, false, os.Environ(), "sh", "-c", "trap '' INT; trap 'echo traces; exit 2' QUIT; echo ready; while :; do sleep 0.1; done")
	if err != nil {
		t.Fatal(err)
	}
	for tail(log, 1) == "" {
		time.Sleep(10 * time.Millisecond)
	}
	if err := p.abort(); err == nil || !strings.Contains(err.Error(), log) || !strings.Contains(err.Error(), "traces") {
		t.Errorf("the error is %q: want %s, and its end", err, log)
	}
	if p.running() {
		t.Error("it still runs")
	}
	if err := p.abort(); err == nil || !strings.Contains(err.Error(), "traces") {
		t.Errorf("of a program that has ended: %q, want the end of its log", err)
	}
}
