package proof

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Explanation is a proof in words: what it is about, and each step from there to its attestations.
type Explanation struct {
	HashOp   string `json:"hash"`   // sha1, ripemd160, sha256 or keccak256
	Digest   string `json:"digest"` // of the file, hex
	Complete bool   `json:"complete"`
	Lines    []Line `json:"steps"`
}

// Line is one step or one attestation. Where a message has several continuations, each is a branch
// of its own, one level deeper.
type Line struct {
	Level  int    `json:"level"`            // how many forks lie above
	Branch string `json:"branch,omitempty"` // of the first line of a branch: which it is, as in "2/3"

	// Of a step:
	Op       string `json:"op,omitempty"`
	Argument string `json:"argument,omitempty"` // hex
	Result   string `json:"result,omitempty"`   // hex

	// Of an attestation:
	Attestation Kind   `json:"attestation,omitempty"`
	URI         string `json:"uri,omitempty"`         // of a pending one
	Commitment  string `json:"commitment,omitempty"`  // of a pending one: what to ask the calendar for, hex
	Height      uint64 `json:"height,omitempty"`      // of a block
	MerkleRoot  string `json:"merkle_root,omitempty"` // of a Bitcoin or Litecoin block, in the displayed (reversed) order
	Tag         string `json:"tag,omitempty"`         // of an unknown one, hex
	Payload     string `json:"payload,omitempty"`     // of an unknown one, hex

	TxID string `json:"txid,omitempty"` // of the step whose result is a transaction's id: the id as it is displayed
	Note string `json:"note,omitempty"` // what a person may want to know of it
}

// Explain puts a proof into words. It fails where [File.Marshal] would.
func Explain(f *File) (*Explanation, error) {
	t, err := f.checked()
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		HashOp:   f.HashOp.String(),
		Digest:   hex.EncodeToString(f.Digest),
		Complete: f.IsComplete(),
	}
	e.add(t, 0, -1)
	return e, nil
}

// add appends the lines of t. hashed is how often a Bitcoin transaction was hashed to get here, -1
// when none was.
func (e *Explanation) add(t *Timestamp, level, hashed int) {
	for _, a := range t.Attestations {
		l := Line{Level: level}
		l.attest(Attested{t.Msg, a})
		e.Lines = append(e.Lines, l)
	}
	if _, err := parseTx(t.Msg); err == nil {
		hashed = 0
	}
	for i, br := range t.Branches {
		l := Line{
			Level:    level,
			Op:       br.Op.Tag.String(),
			Argument: hex.EncodeToString(br.Op.Arg),
			Result:   hex.EncodeToString(br.Next.Msg),
		}
		if n := len(t.Branches); n > 1 {
			l.Level++
			l.Branch = fmt.Sprintf("%d/%d", i+1, n)
		}
		below := -1
		if br.Op.Tag == SHA256 && hashed >= 0 {
			below = hashed + 1
		}
		switch below {
		case 1:
			l.Note = fmt.Sprintf("the hash of a Bitcoin transaction of %d bytes", len(t.Msg))
		case 2: // a transaction's id is its hash hashed again
			l.TxID = reversedHex([32]byte(br.Next.Msg))
		}
		e.Lines = append(e.Lines, l)
		e.add(br.Next, l.Level, below)
	}
}

// attest fills in an attestation.
func (l *Line) attest(a Attested) {
	l.Attestation = a.Kind()
	height, _ := a.Height()
	switch l.Attestation {
	case KindPending:
		l.URI, _ = a.URI()
		l.Commitment = hex.EncodeToString(a.Msg)
		l.Note = "not in Bitcoin as far as this proof knows: ask the calendar for the rest"
	case KindBitcoin, KindLitecoin:
		l.Height = height
		if len(a.Msg) != 32 {
			l.Note = fmt.Sprintf("false: a Merkle root has 32 bytes, not %d", len(a.Msg))
			break
		}
		l.MerkleRoot = reversedHex([32]byte(a.Msg))
	case KindEthereum:
		l.Height = height
	default:
		l.Tag = hex.EncodeToString(a.Tag[:])
		l.Payload = hex.EncodeToString(a.Payload)
	}
	if l.Attestation == KindLitecoin || l.Attestation == KindEthereum || l.Attestation == KindUnknown {
		l.Note = "nothing that is verified here"
	}
}

// Text lays the explanation out for a terminal, a line for each step. Unless verbose, results are
// left out and long values shortened.
func (e *Explanation) Text(verbose bool) string {
	value := func(s string) string {
		if n := len(s); !verbose && n > 128 {
			return fmt.Sprintf("%s…%s (%d bytes)", s[:32], s[n-16:], n/2)
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "file with %s %s\n", e.HashOp, e.Digest)
	for _, l := range e.Lines {
		// Deep nesting is no use to the eye, and a hostile proof would make a page of spaces of it.
		indent := strings.Repeat("    ", min(l.Level, 10))
		if l.Branch != "" {
			fmt.Fprintf(&b, "%sbranch %s:\n", indent[4:], l.Branch)
		}
		b.WriteString(indent)
		if l.Op != "" {
			b.WriteString(l.Op)
			if l.Argument != "" {
				b.WriteString(" " + value(l.Argument))
			}
			if verbose {
				b.WriteString("\n" + indent + "  = " + l.Result)
			}
		} else {
			b.WriteString(l.words(value))
		}
		b.WriteByte('\n')
		if l.TxID != "" {
			fmt.Fprintf(&b, "%s  # transaction id %s\n", indent, l.TxID)
		} else if l.Note != "" {
			fmt.Fprintf(&b, "%s  # %s\n", indent, l.Note)
		}
	}
	return b.String()
}

// words tells an attestation.
func (l Line) words(value func(string) string) string {
	switch l.Attestation {
	case KindPending:
		return fmt.Sprintf("promised by the calendar at %s for %s", cmp.Or(l.URI, "an empty address"), value(l.Commitment))
	case KindBitcoin:
		if l.MerkleRoot == "" {
			return fmt.Sprintf("attested by Bitcoin block %d", l.Height)
		}
		return fmt.Sprintf("attested by Bitcoin block %d, if its Merkle root is %s", l.Height, l.MerkleRoot)
	case KindLitecoin:
		return fmt.Sprintf("attested by Litecoin block %d", l.Height)
	case KindEthereum:
		return fmt.Sprintf("attested by Ethereum block %d", l.Height)
	}
	return strings.TrimSpace(fmt.Sprintf("attested by something of tag %s %s", l.Tag, value(l.Payload)))
}

// reversedHex shows a hash as Bitcoin's people are used to see it.
func reversedHex(h [32]byte) string {
	slices.Reverse(h[:])
	return hex.EncodeToString(h[:])
}
