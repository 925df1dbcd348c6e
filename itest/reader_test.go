package itest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ancre/rpc"
)

// python is the interpreter that Debian's packages are for, which need not be the first on PATH.
const python = "/usr/bin/python3"

// needPython skips the test without the reference library of OpenTimestamps.
func (w *world) needPython() {
	w.Helper()
	if err := exec.CommandContext(w.ctx, python, "-c", "import opentimestamps").Run(); err != nil {
		w.Skipf("%s has no module opentimestamps (Debian: python3-opentimestamps)", python)
	}
}

// wantReadByPython has the reference library of OpenTimestamps read a complete proof. The library
// checks it against the header that the Bitcoin node has, and then against our daemon, which
// answers `ots verify --bitcoin-node` as bitcoind does. It is a subtest, skipped without the
// library.
func (w *world) wantReadByPython(digest string, p rpc.Proof) {
	w.Helper()
	w.Run("read by python-opentimestamps", func(t *testing.T) { w.in(t).readByPython(digest, p) })
}

func (w *world) readByPython(digest string, p rpc.Proof) {
	w.Helper()
	w.needPython()
	raw, err := base64.StdEncoding.DecodeString(p.Proof)
	w.must(err)
	file := filepath.Join(w.TempDir(), digest+".ots")
	w.must(os.WriteFile(file, raw, 0o600))
	block, err := w.node.BlockAt(w.ctx, p.Height)
	w.must(err)
	var header bytes.Buffer
	w.must(block.Header.Serialize(&header))

	read := func(height int32, digest string) (string, error) {
		cmd := exec.CommandContext(w.ctx, python, "testdata/read_proof.py", file, digest, strconv.Itoa(int(height)), hex.EncodeToString(header.Bytes()))
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	out, err := read(p.Height, digest)
	if err != nil {
		w.Fatalf("the reference library refuses the proof of %s: %v\n%s", digest, err, out)
	}
	if out != strconv.FormatInt(block.Header.Timestamp.Unix(), 10) {
		w.Errorf("the reference library says the block is of %s, and the node says %d", out, block.Header.Timestamp.Unix())
	}
	if _, err := read(p.Height, randomDigest()); err == nil {
		w.Error("the check with the reference library passes for any digest")
	}

	user, password, err := w.daemon.Credentials()
	w.must(err)
	url := fmt.Sprintf("http://%s:%s@%s", user, password, w.daemon.Addr())
	at, err := exec.CommandContext(w.ctx, python, "testdata/verify_at_node.py", file, digest, url).CombinedOutput()
	if want := fmt.Sprintf("%d %s\n", p.Height, out); err != nil || string(at) != want {
		w.Errorf("verified with the daemon in the place of a Bitcoin node: %v, %q, want %q", err, at, want)
	}
}
