package proof

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Timestamp is a message with what is known about its time: attestations of the message itself, and
// operations that lead to other messages whose time is known. A message existed before every result
// of operations on it.
type Timestamp struct {
	Msg          []byte
	Attestations []Attestation
	Branches     []Branch
}

// Branch is an operation and the timestamp of its result.
type Branch struct {
	Op   Op
	Next *Timestamp
}

// Attested is an attestation with the message that it is about.
type Attested struct {
	Msg []byte
	Attestation
}

// ParseTimestamp reads a timestamp of msg without a file's header, as calendars send it. The result
// is canonical: sorted, without duplicates, each number in as few bytes as it needs.
func ParseTimestamp(b, msg []byte) (*Timestamp, error) {
	if err := checkSize(b); err != nil {
		return nil, err
	}
	b = bytes.Clone(b)
	return parseTimestamp(&reader{b: b, end: len(b)}, bytes.Clone(msg))
}

func checkSize(b []byte) error {
	if len(b) > MaxSize {
		return &SyntaxError{Offset: MaxSize, Reason: fmt.Sprintf("%d bytes, a proof has at most %d", len(b), MaxSize)}
	}
	return nil
}

// parseTimestamp reads a timestamp to the end of r.
func parseTimestamp(r *reader, msg []byte) (*Timestamp, error) {
	p := parser{reader: r, left: maxWork}
	t, err := p.timestamp(msg, 0)
	if err != nil {
		return nil, err
	}
	if err := r.done("the timestamp"); err != nil {
		return nil, err
	}
	return union(t)
}

// moreItems stands before each item but the last.
const moreItems = 0xff

type parser struct {
	*reader
	left budget
}

// timestamp reads the timestamp of a message that depth operations led to. Items but the last begin
// with ff.
func (p *parser) timestamp(msg []byte, depth int) (*Timestamp, error) {
	if depth > MaxDepth {
		return nil, p.fail(p.off, "more than %d operations one after the other", MaxDepth)
	}
	t := &Timestamp{Msg: msg}
	for more := true; more; {
		at := p.off
		tag, err := p.byte("an operation or attestation")
		if err != nil {
			return nil, err
		}
		if more = tag == moreItems; more {
			at = p.off
			if tag, err = p.byte("an operation or attestation"); err != nil {
				return nil, err
			}
		}
		if tag == 0x00 {
			a, err := readAttestation(p.reader)
			if err != nil {
				return nil, err
			}
			if !p.left.spend(1, len(a.Payload)+nodeCost) {
				return nil, p.fail(at, errWork)
			}
			t.Attestations = append(t.Attestations, a)
			continue
		}
		op, err := readOp(p.reader, Tag(tag), at)
		if err != nil {
			return nil, err
		}
		result, err := op.Apply(msg)
		if err != nil {
			return nil, p.fail(at, "%v", err)
		}
		if !p.left.spend(1, len(msg)+len(result)+nodeCost) {
			return nil, p.fail(at, errWork)
		}
		next, err := p.timestamp(result, depth+1)
		if err != nil {
			return nil, err
		}
		t.Branches = append(t.Branches, Branch{op, next})
	}
	return t, nil
}

// Marshal writes the timestamp without a file's header, canonically. It checks what it writes: each
// message must be the result of its operation, each limit is kept, each branch ends in an
// attestation.
func (t *Timestamp) Marshal() ([]byte, error) {
	c, err := union(t)
	if err != nil {
		return nil, err
	}
	b := c.append(nil)
	if len(b) > MaxSize {
		return nil, fmt.Errorf("the timestamp would be %d bytes long, at most %d are allowed", len(b), MaxSize)
	}
	return b, nil
}

// append writes a canonical timestamp.
func (t *Timestamp) append(b []byte) []byte {
	items := len(t.Attestations) + len(t.Branches)
	more := func(b []byte) []byte {
		if items--; items > 0 {
			b = append(b, 0xff)
		}
		return b
	}
	for _, a := range t.Attestations {
		b = a.append(more(b))
	}
	for _, br := range t.Branches {
		b = br.Op.append(more(b))
		b = br.Next.append(b)
	}
	return b
}

// Merge returns a new canonical timestamp that says all that a and b say. Both must be about the
// same message; neither is changed.
func Merge(a, b *Timestamp) (*Timestamp, error) {
	if a == nil || b == nil {
		return nil, errors.New("there is no timestamp to merge")
	}
	if !bytes.Equal(a.Msg, b.Msg) {
		return nil, fmt.Errorf("these timestamps cannot be merged: one is about the message %s, the other about %s", shortHex(a.Msg), shortHex(b.Msg))
	}
	return union(a, b)
}

// union returns the canonical timestamp that says all that ts say, checked from the first message
// to the last attestation. It is the one gate between trees that anybody may have put together and
// what this package writes or verifies.
func union(ts ...*Timestamp) (*Timestamp, error) {
	left := budget(maxWork)
	if ts[0] == nil {
		return nil, errors.New("there is no timestamp")
	}
	if n := len(ts[0].Msg); n > MaxMessage {
		return nil, fmt.Errorf("the message of the timestamp is %d bytes long, at most %d are allowed", n, MaxMessage)
	}
	return unionAt(ts, ts[0].Msg, 0, &left)
}

// unionAt unites timestamps of msg, depth operations below the top. Every tree that [Parse] accepts
// costs here what it cost there, so that whatever was read can be written.
func unionAt(ts []*Timestamp, msg []byte, depth int, left *budget) (*Timestamp, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("more than %d operations one after the other", MaxDepth)
	}
	u := &Timestamp{Msg: msg}
	var branches []Branch
	for _, t := range ts {
		if t == nil {
			return nil, errors.New("an operation leads to no timestamp")
		}
		if !bytes.Equal(t.Msg, msg) {
			return nil, fmt.Errorf("a timestamp is about the message %s, but operations lead to %s", shortHex(t.Msg), shortHex(msg))
		}
		for _, a := range t.Attestations {
			c, err := a.canonical()
			if err != nil {
				return nil, err
			}
			if !left.spend(1, len(a.Payload)+nodeCost) {
				return nil, errors.New(errWork)
			}
			u.Attestations = append(u.Attestations, c)
		}
		// Paid for before they are gathered: a tree put together by hand may meet itself again and
		// again.
		if !left.spend(len(t.Branches), len(msg)+nodeCost) {
			return nil, errors.New(errWork)
		}
		branches = append(branches, t.Branches...)
	}
	slices.SortFunc(u.Attestations, Attestation.compare)
	u.Attestations = slices.CompactFunc(u.Attestations, Attestation.Equal)
	if len(u.Attestations) == 0 && len(branches) == 0 {
		return nil, fmt.Errorf("nothing is known of the message %s: a timestamp needs an attestation or an operation", shortHex(msg))
	}

	slices.SortStableFunc(branches, func(a, b Branch) int { return a.Op.compare(b.Op) })
	for len(branches) > 0 {
		op := branches[0].Op
		var same []*Timestamp
		for len(branches) > 0 && branches[0].Op.compare(op) == 0 {
			same = append(same, branches[0].Next)
			branches = branches[1:]
		}
		result, err := op.Apply(msg)
		if err != nil {
			return nil, err
		}
		if !left.spend(len(same), len(result)) {
			return nil, errors.New(errWork)
		}
		next, err := unionAt(same, result, depth+1, left)
		if err != nil {
			return nil, err
		}
		u.Branches = append(u.Branches, Branch{op, next})
	}
	return u, nil
}

// Then applies operations, one after the other, and returns the timestamp of the last result. If t
// has it already, that one is returned; else Then adds it, and it needs an attestation or a further
// operation before it can be written.
func (t *Timestamp) Then(ops ...Op) (*Timestamp, error) {
	for _, op := range ops {
		next, err := t.then(op)
		if err != nil {
			return nil, err
		}
		t = next
	}
	return t, nil
}

func (t *Timestamp) then(op Op) (*Timestamp, error) {
	for _, br := range t.Branches {
		if br.Op.compare(op) == 0 {
			return br.Next, nil
		}
	}
	result, err := op.Apply(t.Msg)
	if err != nil {
		return nil, err
	}
	next := &Timestamp{Msg: result}
	t.Branches = append(t.Branches, Branch{op, next})
	return next, nil
}

// Attest adds an attestation of the message.
func (t *Timestamp) Attest(a Attestation) { t.Attestations = append(t.Attestations, a) }

// All lists the attestations of the message and of everything that operations make of it, in the
// order in which they are written.
func (t *Timestamp) All() []Attested { return t.appendAll(nil) }

func (t *Timestamp) appendAll(all []Attested) []Attested {
	if t == nil {
		return all
	}
	for _, a := range t.Attestations {
		all = append(all, Attested{t.Msg, a})
	}
	for _, br := range t.Branches {
		all = br.Next.appendAll(all)
	}
	return all
}
