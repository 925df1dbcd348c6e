package proof

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	//lint:ignore SA1019 proofs may hold this old hash; nothing here makes new ones with it
	"golang.org/x/crypto/ripemd160"
	"golang.org/x/crypto/sha3"
)

// Tag names an operation, and is the byte that stands for it in a file.
type Tag byte

// All operations. The reference implementation knows no other, and an unknown one makes a proof
// unreadable: nobody can say what its result is.
const (
	SHA1      Tag = 0x02
	RIPEMD160 Tag = 0x03
	SHA256    Tag = 0x08
	Keccak256 Tag = 0x67 // as Ethereum has it, with the padding from before SHA-3 was standardized
	Append    Tag = 0xf0
	Prepend   Tag = 0xf1
	Reverse   Tag = 0xf2
	Hexlify   Tag = 0xf3
)

// String returns the operation's customary name, or its number.
func (t Tag) String() string {
	switch t {
	case SHA1:
		return "sha1"
	case RIPEMD160:
		return "ripemd160"
	case SHA256:
		return "sha256"
	case Keccak256:
		return "keccak256"
	case Append:
		return "append"
	case Prepend:
		return "prepend"
	case Reverse:
		return "reverse"
	case Hexlify:
		return "hexlify"
	}
	return fmt.Sprintf("operation 0x%02x", byte(t))
}

// known reports whether the tag is one of those above.
func (t Tag) known() bool {
	return t.Hash() != nil || t.hasArg() || t == Reverse || t == Hexlify
}

// hasArg reports whether the operation has an argument.
func (t Tag) hasArg() bool { return t == Append || t == Prepend }

// Hash returns a new hash of the kind, nil when the operation is not a hash. It serves to hash the
// file that a proof is about.
func (t Tag) Hash() hash.Hash {
	switch t {
	case SHA1:
		return sha1.New()
	case RIPEMD160:
		return ripemd160.New()
	case SHA256:
		return sha256.New()
	case Keccak256:
		return sha3.NewLegacyKeccak256()
	}
	return nil
}

// Size returns how many bytes the hash has, 0 when the operation is not a hash.
func (t Tag) Size() int {
	switch t {
	case SHA1, RIPEMD160:
		return 20
	case SHA256, Keccak256:
		return 32
	}
	return 0
}

// Op is one operation: it turns one message into another.
type Op struct {
	Tag Tag
	Arg []byte // of Append and Prepend, 1 to MaxMessage bytes; empty otherwise
}

// String returns the name and, in hex, the argument.
func (o Op) String() string {
	if len(o.Arg) == 0 {
		return o.Tag.String()
	}
	return o.Tag.String() + " " + hex.EncodeToString(o.Arg)
}

// check returns an error if the operation cannot be written.
func (o Op) check() error {
	switch n := len(o.Arg); {
	case !o.Tag.known():
		return fmt.Errorf("unknown %v", o.Tag)
	case o.Tag.hasArg() && (n < 1 || n > MaxMessage):
		return fmt.Errorf("the argument of %v is %d bytes long, 1 to %d are allowed", o.Tag, n, MaxMessage)
	case !o.Tag.hasArg() && n != 0:
		return fmt.Errorf("%v has an argument of %d bytes, none is allowed", o.Tag, n)
	}
	return nil
}

// Apply returns the result of the operation on the message. It does not change msg.
func (o Op) Apply(msg []byte) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if len(msg) > MaxMessage {
		return nil, fmt.Errorf("%v of a message of %d bytes, at most %d are allowed", o.Tag, len(msg), MaxMessage)
	}
	switch o.Tag {
	case Append, Prepend:
		if n := len(msg) + len(o.Arg); n > MaxMessage {
			return nil, fmt.Errorf("the result of %v is %d bytes long, at most %d are allowed", o.Tag, n, MaxMessage)
		}
		if o.Tag == Append {
			return slices.Concat(msg, o.Arg), nil
		}
		return slices.Concat(o.Arg, msg), nil
	case Reverse:
		// An empty result would let a proof lead in a circle.
		if len(msg) == 0 {
			return nil, fmt.Errorf("%v of an empty message, at least 1 byte is needed", o.Tag)
		}
		r := bytes.Clone(msg)
		slices.Reverse(r)
		return r, nil
	case Hexlify:
		if n := len(msg); n < 1 || n > MaxHexlify {
			return nil, fmt.Errorf("%v of a message of %d bytes, 1 to %d are allowed", o.Tag, n, MaxHexlify)
		}
		return hex.AppendEncode(nil, msg), nil
	}
	h := o.Tag.Hash()
	h.Write(msg)
	return h.Sum(nil), nil
}

// compare orders operations as they are written: by tag, then by argument.
func (o Op) compare(p Op) int {
	if o.Tag != p.Tag {
		return int(o.Tag) - int(p.Tag)
	}
	return bytes.Compare(o.Arg, p.Arg)
}

func (o Op) append(b []byte) []byte {
	b = append(b, byte(o.Tag))
	if o.Tag.hasArg() {
		b = appendVarbytes(b, o.Arg)
	}
	return b
}

// readOp reads what follows after the tag at offset at.
func readOp(r *reader, tag Tag, at int) (Op, error) {
	if !tag.known() {
		fail := r.unsupported
		if tag == moreItems {
			fail = r.fail // no version can have an operation of this name
		}
		return Op{}, fail(at, "unknown operation 0x%02x", byte(tag))
	}
	o := Op{Tag: tag}
	if tag.hasArg() {
		arg, err := r.varbytes(1, MaxMessage, "the argument of "+tag.String())
		if err != nil {
			return Op{}, err
		}
		o.Arg = arg
	}
	return o, nil
}
