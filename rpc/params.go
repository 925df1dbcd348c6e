package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// kind is what a parameter may be. It decides how it is read, and how help writes it.
type kind int

const (
	kindString  kind = iota
	kindDigest       // 64 lower-case hexadecimal digits, not reversed
	kindDigests      // an array of them
	kindHex          // a file's hash of any kind, in lower case
	kindHash         // a block's hash as Bitcoin's tools display it
	kindInteger
	kindBoolean
	kindBase64
	kindTime // RFC 3339, or a day
)

// param describes one parameter: help prints it, parseParams obeys it.
type param struct {
	name     string
	kind     kind
	optional bool
	def      string   // optional ones: what help says of the absent one, and what takes its place when not empty
	about    string   //
	choices  []string // kindString: the only values allowed
	min, max int64    // kindInteger: the range allowed
	secret   bool     // its value never reaches an error message or a log
}

// maxProofBase64 bounds a proof that is given for verification: far above any real one, of about
// 2,000 bytes.
const maxProofBase64 = 1 << 20

// arg is one parameter's value. Which field holds it, follows from the kind.
type arg struct {
	set     bool // given, or its default was filled in
	read    bool // the handler has asked for it: tests hold that none is documented in vain
	text    string
	number  int64
	flag    bool
	bytes   []byte
	time    time.Time
	digests [][32]byte
}

// args are a call's parameters in the order of the table.
type args struct {
	params []param
	values []arg
}

// get returns a parameter. Asking for one that the table does not have is a mistake of ours, found
// by the first test that calls the method.
func (a *args) get(name string) *arg {
	value := a.peek(name)
	value.read = true
	return value
}

// peek returns a parameter without counting it as used.
func (a *args) peek(name string) *arg {
	for i := range a.params {
		if a.params[i].name == name {
			return &a.values[i]
		}
	}
	panic(fmt.Sprintf("rpc: no parameter %q in the table", name))
}

// parseParams reads parameters by position or by name, as the table has them.
func parseParams(m *method, raw []byte) (args, *Error) {
	a := args{params: m.params, values: make([]arg, len(m.params))}
	given := make([]json.RawMessage, len(m.params))
	switch {
	case raw == nil:
	case raw[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return a, errorf(CodeInvalidRequest, "params: %v", err)
		}
		if len(list) > len(m.params) {
			return a, errorf(m.misuse(), "%s takes %s, found %d: %s", m.name, m.countParams(), len(list), m.usage())
		}
		copy(given, list)
	default:
		members, err := decodeMembers(raw)
		var twice duplicateError
		if errors.As(err, &twice) {
			return a, errorf(CodeInvalidParameter, "Parameter %s specified multiple times", clip(string(twice), 40))
		}
		if err != nil {
			return a, errorf(CodeInvalidParams, "params: %v", err)
		}
		for _, mem := range members {
			i := slices.IndexFunc(m.params, func(p param) bool { return p.name == mem.name })
			if i < 0 {
				return a, errorf(CodeInvalidParameter, "Unknown named parameter %s: %s takes %s: %s",
					clip(mem.name, 40), m.name, m.countParams(), m.usage())
			}
			given[i] = mem.value
		}
	}
	for i := range m.params {
		p, value := &m.params[i], given[i]
		if value == nil || value[0] == 'n' { // null is the same as absent
			if !p.optional {
				return a, errorf(m.misuse(), "%s: the parameter %s is missing: %s", m.name, p.name, m.usage())
			}
			if p.def == "" {
				continue
			}
			value = p.example(p.def)
		}
		if err := p.parse(value, &a.values[i]); err != nil {
			return a, err
		}
		a.values[i].set = true
	}
	return a, nil
}

// example turns a word as a person types it into the JSON that the parameter wants.
func (p *param) example(word string) json.RawMessage {
	switch p.kind {
	case kindInteger, kindBoolean, kindDigests:
		if json.Valid([]byte(word)) {
			return json.RawMessage(word)
		}
	}
	return appendJSON(nil, word)
}

// parse reads one value. What it refuses, it names: parameter, value, what is allowed.
func (p *param) parse(value json.RawMessage, a *arg) *Error {
	switch p.kind {
	case kindInteger:
		return p.parseInteger(value, a)
	case kindBoolean:
		if value[0] != 't' && value[0] != 'f' {
			return p.wrongType("true or false", value)
		}
		a.flag = value[0] == 't'
		return nil
	case kindDigests:
		return p.parseDigests(value, a)
	}

	if value[0] != '"' {
		return p.wrongType("a string", value)
	}
	if err := json.Unmarshal(value, &a.text); err != nil {
		return errorf(CodeType, "%s: %v", p.name, err)
	}
	if p.secret && losesBytes(value, a.text) {
		return errorf(CodeInvalidParameter, "%s: holds half of a surrogate pair (\\ud800 to \\udfff), which is no character", p.name)
	}
	switch p.kind {
	case kindDigest:
		a.digests = make([][32]byte, 1)
		return parseDigest(&a.digests[0], p.name, a.text)
	case kindHex:
		b, err := hex.DecodeString(a.text)
		if err != nil || strings.ToLower(a.text) != a.text || (len(b) != 20 && len(b) != 32) {
			return errorf(CodeInvalidParameter, "%s: found %d characters, %q; want 64 or 40 lower-case hexadecimal digits", p.name, len(a.text), clip(a.text, 80))
		}
		a.bytes = b
	case kindHash:
		// bitcoind takes upper case here, so we do.
		a.text = strings.ToLower(a.text)
		if len(a.text) != chainhash.MaxHashStringSize {
			return errorf(CodeInvalidParameter, "%s must be of length 64 (not %d, for '%s')", p.name, len(a.text), clip(a.text, 80))
		}
		h, err := chainhash.NewHashFromStr(a.text)
		if err != nil {
			return errorf(CodeInvalidParameter, "%s must be hexadecimal string (not '%s')", p.name, a.text)
		}
		a.bytes = h[:]
	case kindBase64:
		if len(a.text) > maxProofBase64 {
			return errorf(CodeInvalidParameter, "%s: has %d characters of base64; allowed are %d", p.name, len(a.text), maxProofBase64)
		}
		var err error
		if a.bytes, err = base64.StdEncoding.Strict().DecodeString(a.text); err != nil || strings.ContainsAny(a.text, "\r\n") {
			return errorf(CodeInvalidParameter, "%s: is not base64 (of RFC 4648, padded, in one line): %q", p.name, clip(a.text, 40))
		}
	case kindTime:
		var err error
		if a.time, err = time.Parse(time.RFC3339, a.text); err != nil {
			a.time, err = time.Parse(time.DateOnly, a.text)
		}
		if err != nil {
			return errorf(CodeInvalidParameter, "%s: %q is no time; write 2026-01-31 or 2026-01-31T12:00:00Z", p.name, clip(a.text, 40))
		}
	case kindString:
		if p.choices != nil && !slices.Contains(p.choices, a.text) {
			return errorf(CodeInvalidParameter, "%s: found %q; allowed are: %s", p.name, clip(a.text, 40), strings.Join(p.choices, ", "))
		}
	}
	return nil
}

// losesBytes reports whether decoding put U+FFFD where the JSON has something else: another secret
// would become the same.
func losesBytes(raw []byte, text string) bool {
	const replacement = string(utf8.RuneError)
	return strings.Count(text, replacement) > bytes.Count(raw, []byte(replacement))+bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
}

func (p *param) parseInteger(value json.RawMessage, a *arg) *Error {
	if c := value[0]; c != '-' && (c < '0' || c > '9') {
		return p.wrongType("an integer", value)
	}
	if bytes.ContainsAny(value, ".eE") {
		return errorf(CodeType, "%s: want an integer written without fraction or exponent, found %s", p.name, clip(string(value), 40))
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < p.min || n > p.max {
		if p.max == math.MaxInt64 {
			return errorf(CodeInvalidParameter, "%s: found %s; allowed is %d or more", p.name, clip(string(value), 40), p.min)
		}
		return errorf(CodeInvalidParameter, "%s: found %s; allowed is %d to %d", p.name, clip(string(value), 40), p.min, p.max)
	}
	a.number = n
	return nil
}

func (p *param) parseDigests(value json.RawMessage, a *arg) *Error {
	if value[0] != '[' {
		return p.wrongType("an array of strings", value)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return errorf(CodeType, "%s: %v", p.name, err)
	}
	if len(list) == 0 {
		return errorf(CodeInvalidParameter, "%s: the array is empty", p.name)
	}
	if len(list) > MaxDigests {
		return errorf(CodeInvalidParameter, "%s: the array holds %d digests; allowed are %d in one call", p.name, len(list), MaxDigests)
	}
	a.digests = make([][32]byte, len(list))
	for i, v := range list {
		if v[0] != '"' {
			return errorf(CodeType, "%s[%d]: want a string, found %s", p.name, i, kindOf(v))
		}
		if decodeDigest(&a.digests[i], v[1:len(v)-1]) {
			continue
		}
		var text string // perhaps one with escapes, else wrong
		if err := json.Unmarshal(v, &text); err != nil {
			return errorf(CodeType, "%s[%d]: %v", p.name, i, err)
		}
		if err := parseDigest(&a.digests[i], fmt.Sprintf("%s[%d]", p.name, i), text); err != nil {
			return err
		}
	}
	return nil
}

func (p *param) wrongType(want string, found []byte) *Error {
	return errorf(CodeType, "%s: want %s, found %s", p.name, want, kindOf(found))
}

// parseDigest reads 64 lower-case digits. One digest has one spelling, so that answers can be
// matched with what was sent by comparing text; upper case is refused with a word on what to do.
func parseDigest(dst *[32]byte, name, text string) *Error {
	const want = "a digest is 64 lower-case hexadecimal digits (SHA-256)"
	if len(text) != 2*len(dst) {
		return errorf(CodeInvalidParameter, "%s: found %d characters, %q; %s", name, len(text), clip(text, 80), want)
	}
	if !decodeDigest(dst, []byte(text)) {
		i := strings.IndexFunc(text, func(c rune) bool { return !strings.ContainsRune("0123456789abcdef", c) })
		c := []rune(text[i:])[0]
		if c >= 'A' && c <= 'F' {
			return errorf(CodeInvalidParameter, "%s: %q holds the upper-case %q at position %d; %s: write %s", name, text, c, i, want, strings.ToLower(text))
		}
		return errorf(CodeInvalidParameter, "%s: %q holds %q at position %d; %s", name, text, c, i, want)
	}
	return nil
}

// ParseArgs turns words, as typed on a command line, into parameters for Call: each becomes what
// the method wants at its place (a number, a boolean, a string). Of a method that is not in the
// table, and of words too many, JSON is taken as JSON and the rest as strings.
func ParseArgs(methodName string, words []string) []any {
	var params []param
	for _, m := range methods() {
		if m.name == methodName {
			params = m.params
		}
	}
	out := make([]any, len(words))
	for i, w := range words {
		switch {
		case i < len(params):
			out[i] = params[i].example(w)
		case json.Valid([]byte(w)):
			out[i] = json.RawMessage(w)
		default:
			out[i] = w
		}
	}
	return out
}
