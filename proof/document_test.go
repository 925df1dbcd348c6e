package proof_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/proof"
	"ancre/proof/receipt"
)

const document = "../docs/proofs.md"

// example is the worked example of docs/proofs.md, made with this package. Three messages are in
// one batch, a fourth is alone in another; one transaction commits to both batches, and is the
// second of a block of three.
type example struct {
	values        map[string]string // each value that the document shows, by the name that it has there
	complete      *proof.File
	pending       *proof.File
	header        proof.Header
	digest, nonce [32]byte
	anchored      proof.Inclusion
	block         []byte // the header's 80 bytes
}

// examplePendingAt is the calendar of the example.
const examplePendingAt = "https://calendar.example.org"

func newExample(t *testing.T) example {
	t.Helper()
	x := example{values: map[string]string{}}
	leaves := x.submit()
	roots := [][32]byte{proof.Root(leaves[:3]), proof.Root(leaves[3:])}
	x.show("root1", roots[0][:])
	x.show("root2", roots[1][:])
	tx := x.pay(proof.Root(roots))
	branch, merkleRoot := x.mine(proof.TxID(tx))

	x.anchored = proof.Inclusion{Path: proof.Path(leaves[:3], 0), RootPath: proof.Path(roots, 0), Tx: tx, TxIndex: 1, Branch: branch, Height: exampleHeight, MerkleRoot: merkleRoot}
	var err error
	if x.complete, err = proof.Complete(x.digest, x.nonce, x.anchored); err != nil {
		t.Fatal(err)
	}
	if x.pending, err = proof.Pending(x.digest, x.nonce, examplePendingAt); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*proof.File{"complete": x.complete, "pending": x.pending} {
		ots := marshal(t, f)
		sum := sha256.Sum256(ots)
		x.show(name, ots)
		x.show("sha256 of the "+name+" proof", sum[:])
	}
	return x
}

// exampleHeight is the block in which the example's anchor is mined.
const exampleHeight = 102

func (x *example) show(name string, b []byte) { x.values[name] = hex.EncodeToString(b) }

// submit makes the leaves of four documents. The example follows the first.
func (x *example) submit() [][32]byte {
	var key [32]byte
	for i := range key {
		key[i] = byte(i)
	}
	x.show("key", key[:])
	var leaves [][32]byte
	for i, content := range []string{"Agenda of 7 May\n", "Minutes of 7 May\n", "Budget of 2027\n", "Notice of 8 May\n"} {
		digest := sha256.Sum256([]byte(content))
		nonce := proof.Nonce(key, digest[:])
		leaf := proof.Leaf(digest[:], nonce)
		x.show(fmt.Sprintf("digest%d", i+1), digest[:])
		x.show(fmt.Sprintf("nonce%d", i+1), nonce[:])
		x.show(fmt.Sprintf("leaf%d", i+1), leaf[:])
		if i == 0 {
			x.digest, x.nonce = digest, nonce
		}
		leaves = append(leaves, leaf)
	}
	pair := proof.Root(leaves[:2])
	x.show("pair", pair[:])
	return leaves
}

// pay makes the transaction that commits to the anchor root.
func (x *example) pay(anchorRoot [32]byte) []byte {
	x.show("anchorroot", anchorRoot[:])
	tx := binary.LittleEndian.AppendUint32(nil, 2)
	tx = append(tx, 1)
	tx = append(tx, bytes.Repeat([]byte{0xaa}, 32)...)
	tx = append(tx, 0, 0, 0, 0, 0)
	tx = binary.LittleEndian.AppendUint32(tx, 0xfffffffd)
	tx = append(tx, 2)
	tx = append(binary.LittleEndian.AppendUint64(tx, 0), 0x22, 0x6a, 0x20)
	x.show("before", tx)
	tx = append(tx, anchorRoot[:]...)
	after := append(binary.LittleEndian.AppendUint64(nil, 19_847), 0x16, 0x00, 0x14)
	after = append(after, bytes.Repeat([]byte{0xbb}, 20)...)
	after = binary.LittleEndian.AppendUint32(after, exampleHeight-1)
	x.show("after", after)
	tx = append(tx, after...)
	txid := proof.TxID(tx)
	x.show("txid", txid[:])
	x.values["txid as it is displayed"] = reversed(txid)
	return tx
}

// mine puts the transaction between two others into a block with proof of work.
func (x *example) mine(txid [32]byte) (branch [][32]byte, merkleRoot [32]byte) {
	txids := [][32]byte{[32]byte(bytes.Repeat([]byte{0xc0}, 32)), txid, [32]byte(bytes.Repeat([]byte{0x33}, 32))}
	x.show("first", txids[0][:])
	x.show("third", txids[2][:])
	branch = proof.BlockBranch(txids, 1)
	left := proof.BlockRootFromBranch(txid, branch[:1], 1)
	x.show("left", left[:])
	x.show("right", branch[1][:])
	merkleRoot = proof.BlockRootFromBranch(txid, branch, 1)
	x.show("merkleroot", merkleRoot[:])

	mined := time.Date(2027, 5, 7, 18, 0, 0, 0, time.UTC)
	x.block = append([]byte{0, 0, 0, 0x20}, bytes.Repeat([]byte{0xdd}, 32)...)
	x.block = append(x.block, merkleRoot[:]...)
	x.block = binary.LittleEndian.AppendUint32(x.block, uint32(mined.Unix()))
	x.block = append(x.block, 0xff, 0xff, 0x7f, 0x20) // regtest's difficulty
	for nonce := uint32(0); ; nonce++ {
		whole := binary.LittleEndian.AppendUint32(bytes.Clone(x.block), nonce)
		if hash := proof.TxID(whole); hash[31] < 0x7f { // twice SHA-256, as of transactions
			x.block = whole
			x.header = proof.Header{Height: exampleHeight, Hash: hash, MerkleRoot: merkleRoot, Time: mined}
			break
		}
	}
	x.show("header", x.block)
	x.values["blockhash as it is displayed"] = reversed(x.header.Hash)
	return branch, merkleRoot
}

func reversed(h [32]byte) string {
	slices.Reverse(h[:])
	return hex.EncodeToString(h[:])
}

func marshal(t *testing.T, f *proof.File) []byte {
	t.Helper()
	b, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// blocks returns the document's indented blocks, without the indent.
func blocks(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, part := range regexp.MustCompile(`(?m)(?:^    .*\n)+`).FindAllString(string(text), -1) {
		lines := strings.Split(strings.Trim(part, "\n"), "\n")
		for i, line := range lines {
			lines[i] = strings.TrimPrefix(line, "    ")
		}
		if block := strings.Join(lines, "\n"); block != "" {
			list = append(list, block)
		}
	}
	return list
}

// command is one line for the shell, and what it writes.
type command struct{ line, output string }

// transcript returns the document's commands: lines that begin with "$ ", each followed by its
// output.
func transcript(t *testing.T) []command {
	t.Helper()
	var list []command
	for _, block := range blocks(t) {
		if !strings.HasPrefix(block, "$ ") {
			continue
		}
		for _, line := range strings.Split(block, "\n") {
			if c, ok := strings.CutPrefix(line, "$ "); ok {
				list = append(list, command{line: c})
			} else {
				list[len(list)-1].output += line + "\n"
			}
		}
	}
	if len(list) < 20 {
		t.Fatalf("only %d commands found in %s", len(list), document)
	}
	return list
}

// shown returns the value that a command shows: its name ("show NAME" or "show "$(…)" # NAME") and
// what the document says it is.
func (c command) shown() (name, value string, ok bool) {
	if m := regexp.MustCompile(`show "\$(\w+)"$`).FindStringSubmatch(c.line); m != nil {
		return m[1], strings.TrimSpace(c.output), true
	}
	if m := regexp.MustCompile(`# (?:the )?(.+)$`).FindStringSubmatch(c.line); m != nil {
		return m[1], strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(c.output), "  -")), true
	}
	return "", "", false
}

func TestTheDocumentsExampleIsWhatThisPackageComputes(t *testing.T) {
	x := newExample(t)
	seen := map[string]bool{}
	for _, c := range transcript(t) {
		name, value, ok := c.shown()
		if !ok {
			continue
		}
		seen[name] = true
		if want, ok := x.values[name]; !ok {
			t.Errorf("the document shows %q, which is not checked here", name)
		} else if value != want {
			t.Errorf("%s is %s, the document shows %s", name, want, value)
		}
	}
	for name := range x.values {
		if !seen[name] {
			t.Errorf("the document does not show %s", name)
		}
	}
}

// Each line of the tables of bytes begins with hex, and what it means stands behind two spaces.
func TestTheDocumentsTablesOfBytesAreTheExamplesProofs(t *testing.T) {
	x := newExample(t)
	var tables []string
	for _, block := range blocks(t) {
		if !strings.HasPrefix(block, hex.EncodeToString([]byte("\x00OpenTimestamps"))) {
			continue
		}
		whole := ""
		for _, line := range strings.Split(block, "\n") {
			value, _, _ := strings.Cut(line, "  ")
			whole += strings.ReplaceAll(value, " ", "")
		}
		tables = append(tables, whole)
	}
	want := []string{x.values["complete"], x.values["pending"]}
	if !slices.Equal(tables, want) {
		t.Errorf("the tables hold\n%q\nwant\n%q", tables, want)
	}
}

func TestTheDocumentsReceiptsAreTheExamples(t *testing.T) {
	x := newExample(t)
	v2, err := receipt.NewV2(x.digest, x.nonce, x.anchored)
	if err != nil {
		t.Fatal(err)
	}
	v4, err := receipt.NewV4(x.digest, x.nonce, x.anchored, x.header.Time, examplePendingAt)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, r := range []receipt.Receipt{v2, v4} {
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, strings.TrimSpace(string(b)))
	}
	for _, block := range blocks(t) {
		if strings.HasPrefix(block, "{") {
			got = append(got, block)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the document's receipts are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// oneHeader is a chain of which one block is known.
type oneHeader proof.Header

func (h oneHeader) Header(_ context.Context, height uint64) (proof.Header, error) {
	if height != h.Height {
		return proof.Header{}, proof.ErrNoHeader
	}
	return proof.Header(h), nil
}

func TestTheDocumentsExampleVerifies(t *testing.T) {
	x := newExample(t)
	f, err := proof.Parse(marshal(t, x.complete))
	if err != nil {
		t.Fatal(err)
	}
	r, err := proof.Verify(t.Context(), f, x.digest[:], oneHeader(x.header))
	if err != nil || r.Outcome != proof.OutcomeValid || r.Header != x.header {
		t.Errorf("%v at %d, %s, error %v", r.Outcome, r.Header.Height, r.Reason, err)
	}
}

// TestTheDocumentIsFollowedByHand runs each command of the document in one shell that finds
// sha256sum and xxd, and nothing else.
func TestTheDocumentIsFollowedByHand(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here")
	}
	tools := t.TempDir()
	for _, tool := range []string{"sha256sum", "xxd"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("there is no %s here (Debian: apt-get install xxd)", tool)
		}
		if err := os.Symlink(path, filepath.Join(tools, tool)); err != nil {
			t.Fatal(err)
		}
	}
	commands := transcript(t)
	const end = "-- end of output --"
	var script strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&script, "%s\nprintf '%%s\\n' '%s'\n", c.line, end)
	}
	cmd := exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-s")
	cmd.Dir, cmd.Env, cmd.Stdin = t.TempDir(), []string{"PATH=" + tools, "LC_ALL=C"}, strings.NewReader(script.String())
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("the shell ended with %v\n%s", err, complaints.String())
	}
	outputs := strings.Split(string(out), end+"\n")
	if len(outputs) != len(commands)+1 {
		t.Fatalf("%d commands, %d outputs\n%s", len(commands), len(outputs)-1, out)
	}
	for i, c := range commands {
		if outputs[i] != c.output {
			t.Errorf("$ %s\nwrites\n%s\nthe document says\n%s", c.line, outputs[i], c.output)
		}
	}
	if update := flag.Lookup("update"); update.Value.String() == "true" {
		writeOutputs(t, outputs)
	}

	// What was made by hand is what this package makes.
	x := newExample(t)
	for name, f := range map[string]*proof.File{"agenda.txt.ots": x.complete, "pending.ots": x.pending} {
		b, err := os.ReadFile(filepath.Join(cmd.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if want := marshal(t, f); !bytes.Equal(b, want) {
			t.Errorf("%s made by hand:\n%x\nwant\n%x", name, b, want)
		}
	}
}

// writeOutputs puts what commands wrote into the document.
func writeOutputs(t *testing.T, outputs []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	next, skip := 0, false
	for _, line := range strings.SplitAfter(string(text), "\n") {
		if strings.HasPrefix(line, "    $ ") {
			b.WriteString(line)
			for _, written := range strings.SplitAfter(outputs[next], "\n") {
				if written != "" {
					b.WriteString("    " + written)
				}
			}
			next, skip = next+1, true
			continue
		}
		if skip = skip && strings.HasPrefix(line, "    "); !skip {
			b.WriteString(line)
		}
	}
	if err := os.WriteFile(document, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
