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

func TestExportedHeadersSpareTheDownload(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(200)
	c := openClient(t, t.TempDir(), n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "block"), filepath.Join(dir, "filter")}
	last, err := c.ExportHeaders(t.Context(), files[0], files[1])
	if err != nil || last != 200-exportReserve {
		t.Fatalf("exported up to %d, %v", last, err)
	}
	if _, err := c.ExportHeaders(t.Context(), files[0], files[1]); err == nil {
		t.Error("wrote over an export that was there")
	}

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

	damaged := func(name string, from string, change func([]byte) []byte) string {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, change(b), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}

	// At the next start nothing is read again, or else the damage would be found, and the rest
	// comes from a peer.
	broken := damaged("broken", files[0], func(b []byte) []byte { b[10+100*80+40] ^= 1; return b })
	again := openConfig(t, Config{Dir: empty, HeadersImport: []string{broken, files[1]}, Connect: []string{n.p2p}})
	startClient(t, again)
	waitAt(t, again, n)
	if touches, err := again.Touches(t.Context(), n.hashAt(100), [][]byte{anyoneCanSpend}); err != nil || !touches {
		t.Errorf("filter of a block whose header was imported: %v, %v", touches, err)
	}

	cut := damaged("cut", files[1], func(b []byte) []byte { return b[:len(b)-1] })
	shorter := damaged("shorter", files[1], func(b []byte) []byte { return b[:len(b)-32] })
	mainnet := damaged("mainnet", files[0], func(b []byte) []byte { copy(b, "\xf9\xbe\xb4\xd9"); return b })
	text := damaged("text", files[0], func(b []byte) []byte { return []byte("not headers at all") })
	own := damaged("own", files[0], func(b []byte) []byte { return b[10:] })
	for _, tt := range []struct {
		name    string
		files   []string
		names   string // what the error must name
		atStart bool
	}{
		{"one file", files[:1], "there must be two", false},
		{"three files", append(files, "x"), "there must be two", false},
		{"a file that is not there", []string{filepath.Join(dir, "nothing"), files[1]}, "nothing", false},
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
	n := newNode(t, "btcd")
	n.mine(50)
	c := openClient(t, t.TempDir(), n.p2p)
	startClient(t, c)
	waitAt(t, c, n)
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "block"), filepath.Join(dir, "filter")}
	if _, err := c.ExportHeaders(t.Context(), files[0], files[1]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	importing := openConfig(t, Config{Dir: t.TempDir(), HeadersImport: files})
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
