package btclogslog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/btcsuite/btclog"
)

func TestLevelsArriveAsAnOperatorShouldSeeThem(t *testing.T) {
	var out bytes.Buffer
	l := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))

	l.Debugf("detail %d", 1)
	l.Info("rescanned", 7)
	if out.Len() != 0 {
		t.Fatalf("a library's information must be debug here, got %q", out.String())
	}
	l.Warn("peer", "hung up")
	l.Errorf("rescan ended: %v", "timeout")
	l.Critical("gone")
	for _, want := range []string{`level=INFO msg="peer hung up"`, `level=WARN msg="rescan ended: timeout"`, `level=ERROR msg=gone`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("log %q lacks %q", out.String(), want)
		}
	}
}

// expensive stands for the closures that dump whole blocks when they are printed.
type expensive struct{ t *testing.T }

func (e expensive) String() string {
	e.t.Error("formatted a message that nobody reads")
	return ""
}

func TestNothingIsFormattedThatNobodyReads(t *testing.T) {
	l := New(slog.New(slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{Level: slog.LevelInfo})))
	l.Tracef("%v", expensive{t})
	l.Debug(expensive{t})
	l.SetLevel(btclog.LevelOff)
	l.Errorf("%v", expensive{t})
	New(nil).Error(expensive{t})
}

func TestAForwarderFollowsItsTarget(t *testing.T) {
	var f Forwarder
	l := f.Logger()
	l.Error("to nobody")
	for _, name := range []string{"first", "second"} {
		var out bytes.Buffer
		f.Set(slog.New(slog.NewTextHandler(&out, nil)).With("logger", name))
		l.Error("to the", name)
		if want := `msg="to the ` + name + `" logger=` + name; !strings.Contains(out.String(), want) {
			t.Errorf("log %q lacks %q", out.String(), want)
		}
	}
}
