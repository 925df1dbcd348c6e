package lightclient

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/proof"
	"ancre/verify"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/gofrs/flock"
)

func TestWithoutPeersAndWithoutHeadersThereIsNoSource(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "verify")
	c := Config{Params: &chaincfg.RegressionNetParams, Dir: dir}
	for range 2 { // the lock is free again
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no peer is connected") || !strings.Contains(err.Error(), "no headers were kept to use instead") {
			t.Errorf("%v", err)
		}
	}
}

func TestRunsWaitForEachOther(t *testing.T) {
	dir := t.TempDir()
	lock := flock.New(filepath.Join(dir, "lock"))
	if ok, err := lock.TryLock(); err != nil || !ok {
		t.Fatal(ok, err)
	}
	defer lock.Unlock()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	waited := false
	_, err := Open(ctx, Config{Params: &chaincfg.RegressionNetParams, Dir: dir, Waiting: func() {
		waited = true
		interrupt()
	}})
	if !waited || !errors.Is(err, context.Canceled) {
		t.Errorf("waited: %t; %v", waited, err)
	}
}

func TestErrorsNameAnotherDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for hint, want := range map[string]string{"": "", "name another place": "; name another place"} {
		_, err := Open(t.Context(), Config{Params: &chaincfg.RegressionNetParams, Dir: filepath.Join(file, "below"), OtherDir: hint})
		if err == nil || !strings.Contains(err.Error(), "cannot create a directory") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}

// What is said of headers that are not up to date.
func TestHeadersThatAreBehindSaySo(t *testing.T) {
	raw, err := os.Open("../testdata/regtest.headers")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	info, err := raw.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := verify.OpenFile(t.Context(), raw, info.Size(), &chaincfg.RegressionNetParams, nil)
	if err != nil {
		t.Fatal(err)
	}
	verdict := func(s *Source, height uint64) verify.Verdict {
		t.Helper()
		f := &proof.File{HashOp: proof.SHA256, Digest: make([]byte, 32)}
		f.Timestamp = &proof.Timestamp{Msg: f.Digest, Attestations: []proof.Attestation{proof.BitcoinAt(height)}}
		got, err := verify.New(verify.Config{Source: s, Params: &chaincfg.RegressionNetParams}).Proof(t.Context(), f, f.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	now := &Source{FileSource: file}
	if trust := now.Trust(); trust.Source != "spv" || strings.Contains(trust.Words+trust.Warning, "2026") {
		t.Errorf("%+v", trust)
	}
	if got := verdict(now, 8); got.Outcome != proof.OutcomeUnverifiable || got.Needed != "block headers up to block 8" {
		t.Errorf("%+v", got)
	}
	behind := &Source{FileSource: file, behind: errors.New("no peer is connected")}
	if trust := behind.Trust(); !strings.HasSuffix(trust.Words, ", up to 2026-01-02 04:04 UTC only") || !strings.HasSuffix(trust.Warning, "They are of 2026-01-02 04:04 UTC, since no peer is connected.") {
		t.Errorf("%+v", trust)
	}
	if got := verdict(behind, 8); !strings.HasSuffix(got.Reason, "; no peer is connected") || got.Needed != "block headers up to block 8: verify again when a peer answers" {
		t.Errorf("%+v", got)
	}
}
