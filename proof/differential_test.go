package proof

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var (
	mutations = flag.Int("mutations", 10_000, "how many mutated proofs the reference implementation is asked about")
	seed      = flag.Uint64("seed", 1, "the seed of the mutations")
)

// TestTheReferenceImplementationAgrees shows proofs and what is almost a proof to
// python-opentimestamps too: the same are refused; the same attestations are found in what is
// accepted, each of the same message; it is written as the same bytes, and merged to the same.
//
// These are all the differences that there may be, and each is checked to be exactly that:
//
//   - A height of more than 64 bits. The reference counts without bounds. No chain has so many
//     blocks, so nothing is lost, and no program that reads our answers meets such a number.
//   - One operation twice beside itself. The reference keeps what follows the last and forgets the
//     others, which may hold the only attestation of a proof; here all are kept. Told to keep all,
//     the reference comes to the same. No writer makes such proofs, the reference itself cannot.
//   - More than [MaxSize] bytes, or more work than maxWork. The reference has no limit, and a small
//     hostile proof fills its memory. Larger proofs than such answers of calendars give rise to are
//     not known.
//
// Where a bare timestamp is followed by other bytes, the reference as a client of calendars does
// not look at them. Here they are refused, as both refuse them in files; the comparison asks the
// reference to look.
func TestTheReferenceImplementationAgrees(t *testing.T) {
	ref := startReference(t)
	m := newMutator(t, *seed)
	count := map[string]int{}
	var previous []byte // an accepted file
	differences := 0
	for i := range uint64(*mutations) {
		m.reset(*seed, i)
		q := question{kind: 'F', file: m.file()}
		switch {
		case m.one(10) && previous != nil:
			q = question{kind: 'M', file: previous, other: q.file}
		case m.one(10):
			q = question{kind: 'T', file: q.file[min(bodyOf(q.file), len(q.file)):], msg: m.bytes(max(0, m.length(1, 32, MaxHexlify, MaxMessage)-1))}
		}
		theirs := ref.ask(t, q)
		ours := q.answer()
		verdict, err := compare(ours, theirs)
		if err != nil {
			t.Errorf("case %d of seed %d: %v\n%s", i, *seed, err, q)
			if differences++; differences == 5 {
				t.Fatal("and so on")
			}
			continue
		}
		count[verdict]++
		if q.kind == 'F' && theirs.accepted && ours.err == nil && len(q.file) < 20_000 {
			previous = q.file
		}
	}
	for _, verdict := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%7d %s", count[verdict], verdict)
	}
	// Unless many are of either kind, the mutations are too mild or too wild to show anything.
	for _, verdict := range []string{bothAccept, bothRefuse} {
		if n := count[verdict]; *mutations >= 1000 && n < *mutations/5 {
			t.Errorf("%s: only %d of %d", verdict, n, *mutations)
		}
	}
}

// What a comparison may come to.
const (
	bothAccept = "accepted by both, with the same attestations and the same bytes"
	bothRefuse = "refused by both"
	united     = "accepted by both, an operation stands twice: the same once the reference keeps both"
	large      = "accepted by the reference, refused here: a number of more than 64 bits"
	costly     = "accepted by the reference, refused here: too large or too much work"
)

// question is one proof, or two.
type question struct {
	kind             byte // as testdata/reference.py has it
	file, other, msg []byte
}

func (q question) bytes() []byte {
	b := []byte{q.kind}
	switch q.kind {
	case 'T':
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(q.msg))), q.msg...)
		return append(b, q.file...)
	case 'M':
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(q.file))), q.file...)
		return append(b, q.other...)
	}
	return append(b, q.file...)
}

func (q question) String() string {
	return fmt.Sprintf("%c %x\nmessage %x\nand %x", q.kind, q.file[:min(len(q.file), 20_000)], q.msg, q.other)
}

// answer is what an implementation makes of a question.
type answer struct {
	accepted  bool
	err       error // why not
	again     bool  // an operation stands twice beside itself; only the reference says so
	canonical []byte
	attested  []Attested
}

// answer is ours.
func (q question) answer() answer {
	stamp, err := q.timestamp()
	if err != nil {
		return answer{err: err}
	}
	canonical, err := stamp.Marshal()
	if err != nil {
		return answer{err: err}
	}
	return answer{accepted: true, canonical: canonical, attested: stamp.All()}
}

func (q question) timestamp() (*Timestamp, error) {
	if q.kind == 'T' {
		return ParseTimestamp(q.file, q.msg)
	}
	f, err := Parse(q.file)
	if err != nil || q.kind == 'F' {
		if err != nil {
			return nil, err
		}
		return f.Timestamp, nil
	}
	other, err := Parse(q.other)
	if err != nil {
		return nil, err
	}
	return Merge(f.Timestamp, other.Timestamp)
}

// compare says what two answers come to; an error is a difference that has no explanation.
func compare(ours, theirs answer) (string, error) {
	switch {
	case !ours.accepted && !theirs.accepted:
		return bothRefuse, nil
	case !theirs.accepted:
		return "", fmt.Errorf("accepted here, refused by the reference: %v", theirs.err)
	case !ours.accepted:
		return excuse(ours.err, theirs)
	case !bytes.Equal(ours.canonical, theirs.canonical):
		return "", fmt.Errorf("written differently\nhere  %x\nthere %x", ours.canonical, theirs.canonical)
	}
	if a, b := sorted(ours.attested), sorted(theirs.attested); !slices.Equal(a, b) {
		return "", fmt.Errorf("other attestations or messages\nhere  %v\nthere %v", a, b)
	}
	if theirs.again {
		return united, nil
	}
	return bothAccept, nil
}

// excuse says why we may refuse what the reference accepts.
func excuse(err error, theirs answer) (string, error) {
	var syntax *SyntaxError
	if !errors.As(err, &syntax) && err.Error() != errWork {
		return "", fmt.Errorf("accepted by the reference, refused here without a place: %w", err)
	}
	switch {
	case strings.Contains(err.Error(), "does not fit into 64 bits"):
		for _, a := range theirs.attested {
			// What fits into 64 bits has at most ten bytes, and the tenth is 0 or 1.
			if p := a.Payload; a.Kind() != KindPending && a.Kind() != KindUnknown && (len(p) > 10 || len(p) == 10 && p[9] > 1) {
				return large, nil
			}
		}
	case strings.Contains(err.Error(), "a proof has at most 1048576"), strings.Contains(err.Error(), errWork):
		return costly, nil
	}
	return "", fmt.Errorf("accepted by the reference, refused here: %w", err)
}

// sorted lists attestations in an order that does not depend on who lists them. The same one is
// there as often as it is reached.
func sorted(attested []Attested) []string {
	var list []string
	for _, a := range attested {
		list = append(list, fmt.Sprintf("%x %x of %x", a.Tag, a.Payload, a.Msg))
	}
	slices.Sort(list)
	return list
}

// reference is a process that runs testdata/reference.py.
type reference struct {
	in  *bufio.Writer
	out *bufio.Reader
}

// startReference skips the test where python-opentimestamps is not installed.
func startReference(t *testing.T) *reference {
	t.Helper()
	python := ""
	for _, path := range []string{"/usr/bin/python3", "python3"} { // Debian's packages are seen by its own python
		if exec.CommandContext(t.Context(), path, "-c", "import opentimestamps.core.timestamp").Run() == nil {
			python = path
			break
		}
	}
	if python == "" {
		t.Skip("the reference implementation is not installed (Debian: apt-get install python3-opentimestamps)")
	}
	cmd := exec.Command(python, "testdata/reference.py") // ends when its input does
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("the reference implementation ended with %v", err)
		}
	})
	return &reference{bufio.NewWriter(in), bufio.NewReader(out)}
}

// ask waits for the answer to q.
func (r *reference) ask(t *testing.T, q question) answer {
	t.Helper()
	b := q.bytes()
	r.in.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))) // Flush tells of an error
	r.in.Write(b)
	if err := r.in.Flush(); err != nil {
		t.Fatalf("the reference implementation takes no more questions: %v", err)
	}
	b, err := sized(r.out)
	if err != nil || len(b) == 0 {
		t.Fatalf("the reference implementation gives no answer: %v\n%s", err, q)
	}
	if b[0] == 'N' {
		return answer{err: errors.New(string(b[1:]))}
	}
	a := answer{accepted: true, again: b[1] == 1}
	rest := bytes.NewReader(b[2:])
	a.canonical, err = sized(rest)
	for err == nil && rest.Len() > 0 {
		var next Attested
		next.Msg, err = sized(rest)
		if err == nil {
			_, err = io.ReadFull(rest, next.Tag[:])
		}
		if err == nil {
			next.Payload, err = sized(rest)
		}
		a.attested = append(a.attested, next)
	}
	if err != nil {
		t.Fatalf("the reference implementation's answer cannot be read: %v\n%x", err, b)
	}
	return a
}

// sized reads 4 bytes of length, and so many bytes.
func sized(r io.Reader) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}
