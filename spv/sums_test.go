package spv

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// ownRecords leaves out what the libraries log. They have one logger in a process, so their records
// may come from another test.
type ownRecords struct{ slog.Handler }

func (h ownRecords) Handle(ctx context.Context, r slog.Record) error {
	if from, _ := runtime.CallersFrames([]uintptr{r.PC}).Next(); !strings.HasPrefix(from.Function, "ancre/spv.") {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// opened opens a client, closes it, and returns what was logged above the level of information.
func opened(t *testing.T, dir string) string {
	t.Helper()
	var log bytes.Buffer
	handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})
	c, err := Open(Config{Params: &chaincfg.RegressionNetParams, Dir: dir, Logger: slog.New(ownRecords{handler})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, sumsFile)); err == nil {
		t.Error("the sums are there while the files may change")
	}
	if height, hash, err := c.Best(); err != nil || height != 0 || hash != *chaincfg.RegressionNetParams.GenesisHash {
		t.Errorf("at %d, %s, %v", height, hash, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

// After an orderly end, any flipped bit in any header or filter header is found, and the files are
// restored.
func TestAFlippedBitInAHeaderFileIsFound(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	if said := opened(t, whole); said != "" {
		t.Errorf("a new directory: %s", said)
	}
	if said := opened(t, whole); said != "" {
		t.Errorf("one that is whole: %s", said)
	}
	for _, name := range []string{headersFile, filterHeadersFile} {
		want, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		for bit := 3; bit < 8*len(want); bit += 97 {
			t.Run(fmt.Sprintf("%s, bit %d", name, bit), func(t *testing.T) {
				t.Parallel()
				dir := copyDir(t, whole)
				path := filepath.Join(dir, name)
				damaged := bytes.Clone(want)
				damaged[bit/8] ^= 1 << (bit % 8)
				if err := os.WriteFile(path, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				if said := opened(t, dir); !strings.Contains(said, name) && !strings.Contains(said, "header files are damaged") {
					t.Errorf("nothing is said of the flipped bit: %s", said)
				}
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
					t.Errorf("the file is not restored: %v", err)
				}
				if said := opened(t, dir); said != "" {
					t.Errorf("the start after that: %s", said)
				}
			})
		}
	}
}

// Sums that are damaged or missing cost no headers.
func TestDamagedSumsCostNothing(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	opened(t, whole)
	sums, err := os.ReadFile(filepath.Join(whole, sumsFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(sums) {
		damaged := bytes.Clone(sums)
		damaged[i] ^= 1
		if lines, ok := checkedLines(string(damaged)); ok {
			t.Errorf("byte %d is damaged, and its lines count: %q", i, lines)
		}
		if lines, ok := checkedLines(string(sums[:i])); ok {
			t.Errorf("cut after %d bytes, its lines count: %q", i, lines)
		}
	}
	for name, put := range map[string]func(path string) error{
		"missing":     os.Remove,
		"empty":       func(path string) error { return os.Truncate(path, 0) },
		"damaged":     func(path string) error { return os.WriteFile(path, bytes.ToUpper(sums), 0o600) },
		"a directory": func(path string) error { os.Remove(path); return os.Mkdir(path, 0o700) },
	} {
		dir := copyDir(t, whole)
		if err := put(filepath.Join(dir, sumsFile)); err != nil {
			t.Fatal(err)
		}
		if said := opened(t, dir); strings.Contains(said, "removing the header") || name != "missing" && !strings.Contains(said, sumsFile) {
			t.Errorf("%s: %s", name, said)
		}
	}
}
