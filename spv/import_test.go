package spv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// export exports the headers of a client that follows a node, and returns the two files.
func export(t *testing.T, n *node) (files []string, last int32) {
	t.Helper()
	c := openClient(t, newDir(t), n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	dir := t.TempDir()
	files = []string{filepath.Join(dir, "block"), filepath.Join(dir, "filter")}
	last, err := c.ExportHeaders(t.Context(), files[0], files[1])
	if err != nil || last != n.height()-exportReserve {
		t.Fatalf("exported up to %d, %v", last, err)
	}
	if _, err := c.ExportHeaders(t.Context(), files[0], files[1]); err == nil {
		t.Error("wrote over an export that was there")
	}
	return files, last
}

// changed writes a changed copy of a file beside it.
func changed(t *testing.T, name, from string, change func([]byte) []byte) string {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(from), name)
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// changedHeader writes a copy of a file of block headers in which one is changed.
func changedHeader(t *testing.T, from string) string {
	t.Helper()
	return changed(t, "broken", from, func(b []byte) []byte { b[10+100*80+40] ^= 1; return b })
}

func TestExportedHeadersSpareTheDownload(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(200)
	files, last := export(t, n)

	// Into an empty directory, without any peer.
	empty := t.TempDir()
	imported := openConfig(t, Config{Dir: empty, HeadersImport: files})
	startClient(t, imported)
	if height, hash, err := imported.Best(); err != nil || height != last || hash != n.hashAt(last) {
		t.Fatalf("imported up to %d, block %s, %v", height, hash, err)
	}
	if err := imported.Close(); err != nil {
		t.Fatal(err)
	}

	// At the next start nothing is read again, or else the damage would be found, and the rest
	// comes from a peer.
	again := openConfig(t, Config{Dir: empty, HeadersImport: []string{changedHeader(t, files[0]), files[1]}, Connect: []string{n.p2p}})
	startClient(t, again)
	waitAt(t, again, n)
	if touches, err := again.Touches(t.Context(), n.hashAt(100), [][]byte{anyoneCanSpend}); err != nil || !touches {
		t.Errorf("filter of a block whose header was imported: %v, %v", touches, err)
	}
}

func TestFilesThatCannotBeImportedAreNamed(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(200)
	files, _ := export(t, n)
	cut := changed(t, "cut", files[1], func(b []byte) []byte { return b[:len(b)-1] })
	shorter := changed(t, "shorter", files[1], func(b []byte) []byte { return b[:len(b)-32] })
	mainnet := changed(t, "mainnet", files[0], func(b []byte) []byte { copy(b, "\xf9\xbe\xb4\xd9"); return b })
	text := changed(t, "text", files[0], func(b []byte) []byte { return []byte("not headers at all") })
	own := changed(t, "own", files[0], func(b []byte) []byte { return b[10:] })
	broken := changedHeader(t, files[0])
	for _, tt := range []struct {
		name    string
		files   []string
		names   string // what the error must name
		atStart bool
	}{
		{"one file", files[:1], "there must be two", false},
		{"three files", append(files, "x"), "there must be two", false},
		{"a file that is not there", []string{filepath.Join(filepath.Dir(files[0]), "nothing"), files[1]}, "nothing", false},
		{"the two files exchanged", []string{files[1], files[0]}, "filter", false},
		{"a file that was cut", []string{files[0], cut}, cut, false},
		{"files of different lengths", []string{files[0], shorter}, "not of one export", false},
		{"a file of another network", []string{mainnet, files[1]}, mainnet, false},
		{"a text", []string{text, files[1]}, text, false},
		{"a file of a data directory", []string{own, files[1]}, own, false},
		{"a changed header", []string{broken, files[1]}, broken, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Open(Config{Params: &chaincfg.RegressionNetParams, Dir: t.TempDir(), HeadersImport: tt.files, Logger: testLog(t)})
			if err == nil {
				defer c.Close()
				if !tt.atStart {
					t.Error("opened")
				}
				err = c.Start(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), tt.names) {
				t.Fatalf("error %v does not name %q", err, tt.names)
			}
			if !strings.Contains(tt.names, "two") && !strings.Contains(err.Error(), "remove spv.headers_import") {
				t.Errorf("error %v does not say what to do", err)
			}
			t.Log(err)
		})
	}
}

func TestAnImportEndsWithItsContext(t *testing.T) {
	t.Parallel()
	_, c := syncedClient(t, 50)
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "block"), filepath.Join(dir, "filter")}
	if _, err := c.ExportHeaders(t.Context(), files[0], files[1]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	importing := openConfig(t, Config{Dir: newDir(t), HeadersImport: files})
	if err := importing.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := c.ExportHeaders(ctx, filepath.Join(dir, "b"), filepath.Join(dir, "f")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("an export that was ended left %v, %v", left, err)
	}
}
