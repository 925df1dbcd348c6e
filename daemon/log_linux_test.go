package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ancre/config"
)

// In the journal each line has its priority, and the text form no second time.
func TestTheLogInTheJournal(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		path := filepath.Join(t.TempDir(), "journal")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
		log, err := newLogger(f, config.Log{Level: "info", Format: format})
		if err != nil {
			t.Fatal(err)
		}
		log.Warn("a\nb", "height", 1)
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if format == "text" {
			if want := "<4>level=WARN msg=\"a\\nb\" height=1\n"; string(got) != want {
				t.Errorf("%q, want %q", got, want)
			}
		} else if line, ok := strings.CutPrefix(string(got), "<4>"); !ok || !json.Valid([]byte(line)) {
			t.Errorf("%q", got)
		}
		// A log that goes elsewhere is as it is without systemd.
		var out bytes.Buffer
		if log, err = newLogger(&out, config.Log{Level: "info", Format: format}); err != nil {
			t.Fatal(err)
		}
		log.Warn("a")
		if !strings.Contains(out.String(), "time") || strings.HasPrefix(out.String(), "<") {
			t.Errorf("%q", out.String())
		}
	}
}
