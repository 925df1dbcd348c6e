package journal

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file returns a file that JOURNAL_STREAM says leads to the journal, and its path.
func file(t *testing.T) (*os.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	id, ok := identity(f)
	if !ok {
		t.Skip("this system has no such numbers")
	}
	t.Setenv(variable, id)
	return f, path
}

func TestOnlyTheStreamsThatSystemdNamesLeadToTheJournal(t *testing.T) {
	f, _ := file(t)
	if !Reads(f) || Reads(new(bytes.Buffer)) || Line(f, Warning, "a") != "<4>a" || Line(new(bytes.Buffer), Warning, "a") != "a" {
		t.Error("a file is not told from others")
	}
	other, err := os.Create(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if Reads(other) { // as after 2>file in a service
		t.Error("another file is taken for the journal")
	}
	t.Setenv(variable, "")
	if Reads(f) {
		t.Error("without the variable there is no journal")
	}
}

func TestEachLevelHasItsPriority(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(NewHandler(&out, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
	}))
	log.Debug("d\n<0>forged")
	log.Info("i", "a", 1)
	log.With("batch", 7).WithGroup("g").Warn("w", "a", 1)
	log.Error("e")
	log.Log(t.Context(), slog.LevelError+4, "f")
	want := []string{`<7>level=DEBUG msg="d\n<0>forged"`, `<6>level=INFO msg=i a=1`, `<4>level=WARN msg=w batch=7 g.a=1`, `<3>level=ERROR msg=e`, `<3>level=ERROR+4 msg=f`}
	if got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q\nwant %q", got, want)
	}
	quiet := slog.New(NewHandler(&out, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn})
	}))
	out.Reset()
	if quiet.Info("no"); out.Len() > 0 || quiet.Enabled(t.Context(), slog.LevelInfo) {
		t.Errorf("logged %q", out.String())
	}
}
