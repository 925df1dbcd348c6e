package server

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

	"ancre/internal/humanize"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// maxProofBase64 is the longest proof that is verified. Real ones have about 2,000 bytes.
const maxProofBase64 = 1 << 20

// arg is the value of one parameter. Its kind says which field holds it.
type arg struct {
	set     bool // given, or its default was filled in
	read    bool // the handler has asked for it: a test holds that every documented parameter is used
	text    string
	number  int64
	flag    bool
	bytes   []byte
	time    time.Time
	digests [][32]byte
}

// args are the parameters of a call, in the order of the method's description.
type args struct {
	params []rpc.Param
	values []arg
}

// get returns a parameter. It panics if the method has no such parameter: the first test that calls
// the method finds that.
func (a *args) get(name string) *arg {
	value := a.peek(name)
	value.read = true
	return value
}

// peek returns a parameter without counting it as used.
func (a *args) peek(name string) *arg {
	for i := range a.params {
		if a.params[i].Name == name {
			return &a.values[i]
		}
	}
	panic(fmt.Sprintf("rpc/server: the method has no parameter %q", name))
}

// parseParams reads parameters by position or by name. raw is an array, an object, or nil.
func parseParams(m *method, raw []byte) (args, *rpc.Error) {
	a := args{params: m.Params, values: make([]arg, len(m.Params))}
	given, refused := givenParams(m, raw)
	if refused != nil {
		return a, refused
	}
	for i := range m.Params {
		p, value := &m.Params[i], given[i]
		if value == nil || value[0] == 'n' { // null is the same as absent
			if !p.Optional {
				return a, errorf(m.misuse(), "%s: the parameter %s is missing: %s", m.Name, p.Name, m.usage())
			}
			if p.Default == "" {
				continue
			}
			value = p.JSON(p.Default)
		}
		if !m.ofBitcoind() {
			value = unquoted(p, value)
		}
		if err := parseParam(p, value, &a.values[i]); err != nil {
			return a, err
		}
		a.values[i].set = true
	}
	return a, nil
}

// givenParams returns the value of each parameter of the method, or nil for an absent one.
func givenParams(m *method, raw []byte) ([]json.RawMessage, *rpc.Error) {
	given := make([]json.RawMessage, len(m.Params))
	if raw == nil {
		return given, nil
	}
	if raw[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, errorf(rpc.CodeInvalidRequest, "params: %v", err)
		}
		if len(list) > len(m.Params) {
			return nil, errorf(m.misuse(), "%s takes %s, found %d: %s", m.Name, m.countParams(), len(list), m.usage())
		}
		copy(given, list)
		return given, nil
	}
	members, err := decodeMembers(raw)
	var twice duplicateError
	if errors.As(err, &twice) {
		return nil, errorf(rpc.CodeInvalidParameter, "Parameter %s specified multiple times", humanize.ClipTo(string(twice), 40))
	}
	if err != nil {
		return nil, errorf(rpc.CodeInvalidParams, "params: %v", err)
	}
	for _, mem := range members {
		i := slices.IndexFunc(m.Params, func(p rpc.Param) bool { return p.Name == mem.name })
		if i < 0 {
			return nil, errorf(rpc.CodeInvalidParameter, "Unknown named parameter %s: %s takes %s: %s",
				humanize.ClipTo(mem.name, 40), m.Name, m.countParams(), m.usage())
		}
		given[i] = mem.value
	}
	return given, nil
}

// parseParam reads one value. Its errors name the parameter, the value and what is allowed.
func parseParam(p *rpc.Param, value json.RawMessage, a *arg) *rpc.Error {
	switch p.Kind {
	case rpc.KindInteger:
		return parseInteger(p, value, a)
	case rpc.KindBoolean:
		if value[0] != 't' && value[0] != 'f' {
			return wrongType(p, "true or false", value)
		}
		a.flag = value[0] == 't'
		return nil
	case rpc.KindDigests:
		return parseDigests(p, value, a)
	}

	if value[0] != '"' {
		return wrongType(p, "a string", value)
	}
	if err := json.Unmarshal(value, &a.text); err != nil {
		return errorf(rpc.CodeType, "%s: %v", p.Name, err)
	}
	if p.Secret && losesBytes(value, a.text) {
		return errorf(rpc.CodeInvalidParameter, "%s: holds half of a surrogate pair (\\ud800 to \\udfff), which is not a character", p.Name)
	}
	return parseText(p, a)
}

// unquoted returns the JSON that a string holds in the place of a number, a boolean or an array, or
// the value itself. bitcoin-cli writes the parameters of methods that it does not know as strings:
// "1" for 1, and "[\"…\"]" for an array.
func unquoted(p *rpc.Param, value json.RawMessage) json.RawMessage {
	if p.Kind != rpc.KindInteger && p.Kind != rpc.KindBoolean && p.Kind != rpc.KindDigests || value[0] != '"' {
		return value
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return value
	}
	inner := bytes.TrimSpace([]byte(text))
	if checkDepth(inner) != nil || !json.Valid(inner) {
		return value
	}
	return inner
}

// parseText reads a value whose text is in a.
func parseText(p *rpc.Param, a *arg) *rpc.Error {
	switch p.Kind {
	case rpc.KindDigest:
		a.digests = make([][32]byte, 1)
		return parseDigest(&a.digests[0], p.Name, a.text)
	case rpc.KindHex:
		return parseFileHash(p, a)
	case rpc.KindHash:
		return parseBlockHash(p, a)
	case rpc.KindBase64:
		return parseBase64(p, a)
	case rpc.KindTime:
		return parseTime(p, a)
	}
	if p.Choices != nil && !slices.Contains(p.Choices, a.text) {
		return errorf(rpc.CodeInvalidParameter, "%s: found %q; allowed are: %s", p.Name, humanize.ClipTo(a.text, 40), strings.Join(p.Choices, ", "))
	}
	return nil
}

func parseFileHash(p *rpc.Param, a *arg) *rpc.Error {
	b, err := hex.DecodeString(a.text)
	if err != nil || strings.ToLower(a.text) != a.text || (len(b) != 20 && len(b) != 32) {
		return errorf(rpc.CodeInvalidParameter, "%s: found %d characters, %q; want 64 or 40 lower-case hexadecimal digits", p.Name, len(a.text), humanize.Clip(a.text))
	}
	a.bytes = b
	return nil
}

// parseBlockHash takes upper case too, as bitcoind does. The messages are bitcoind's.
func parseBlockHash(p *rpc.Param, a *arg) *rpc.Error {
	a.text = strings.ToLower(a.text)
	if len(a.text) != chainhash.MaxHashStringSize {
		return errorf(rpc.CodeInvalidParameter, "%s must be of length 64 (not %d, for '%s')", p.Name, len(a.text), humanize.Clip(a.text))
	}
	h, err := chainhash.NewHashFromStr(a.text)
	if err != nil {
		return errorf(rpc.CodeInvalidParameter, "%s must be hexadecimal string (not '%s')", p.Name, a.text)
	}
	a.bytes = h[:]
	return nil
}

func parseBase64(p *rpc.Param, a *arg) *rpc.Error {
	if len(a.text) > maxProofBase64 {
		return errorf(rpc.CodeInvalidParameter, "%s: has %d characters of base64; allowed are %d", p.Name, len(a.text), maxProofBase64)
	}
	var err error
	if a.bytes, err = base64.StdEncoding.Strict().DecodeString(a.text); err != nil || strings.ContainsAny(a.text, "\r\n") {
		return errorf(rpc.CodeInvalidParameter, "%s: is not base64 (RFC 4648, padded, on one line): %q", p.Name, humanize.ClipTo(a.text, 40))
	}
	return nil
}

func parseTime(p *rpc.Param, a *arg) *rpc.Error {
	var err error
	if a.time, err = time.Parse(time.RFC3339, a.text); err != nil {
		a.time, err = time.Parse(time.DateOnly, a.text)
	}
	if err != nil {
		return errorf(rpc.CodeInvalidParameter, "%s: %q is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z", p.Name, humanize.ClipTo(a.text, 40))
	}
	return nil
}

// losesBytes reports whether decoding put U+FFFD where the JSON has something else. Two different
// secrets would become the same.
func losesBytes(raw []byte, text string) bool {
	const replacement = string(utf8.RuneError)
	return strings.Count(text, replacement) > bytes.Count(raw, []byte(replacement))+bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
}

func parseInteger(p *rpc.Param, value json.RawMessage, a *arg) *rpc.Error {
	if p.Word != "" && string(value) == strconv.Quote(p.Word) {
		a.number = -1
		return nil
	}
	if c := value[0]; c != '-' && (c < '0' || c > '9') {
		want := "an integer"
		if p.Word != "" {
			want += " or " + strconv.Quote(p.Word)
		}
		return wrongType(p, want, value)
	}
	if bytes.ContainsAny(value, ".eE") {
		return errorf(rpc.CodeType, "%s: want an integer written without fraction or exponent, found %s", p.Name, humanize.ClipTo(string(value), 40))
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < p.Min || n > p.Max {
		if p.Max == math.MaxInt64 {
			return errorf(rpc.CodeInvalidParameter, "%s: found %s; allowed is %d or more", p.Name, humanize.ClipTo(string(value), 40), p.Min)
		}
		return errorf(rpc.CodeInvalidParameter, "%s: found %s; allowed is %d to %d", p.Name, humanize.ClipTo(string(value), 40), p.Min, p.Max)
	}
	a.number = n
	return nil
}

func parseDigests(p *rpc.Param, value json.RawMessage, a *arg) *rpc.Error {
	if value[0] != '[' {
		return wrongType(p, "an array of strings", value)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return errorf(rpc.CodeType, "%s: %v", p.Name, err)
	}
	if len(list) == 0 {
		return errorf(rpc.CodeInvalidParameter, "%s: the array is empty", p.Name)
	}
	if len(list) > rpc.MaxDigests {
		return errorf(rpc.CodeInvalidParameter, "%s: the array holds %d digests; allowed are %d in one call", p.Name, len(list), rpc.MaxDigests)
	}
	a.digests = make([][32]byte, len(list))
	for i, v := range list {
		if v[0] != '"' {
			return errorf(rpc.CodeType, "%s[%d]: want a string, found %s", p.Name, i, kindOf(v))
		}
		if decodeDigest(&a.digests[i], v[1:len(v)-1]) {
			continue
		}
		var text string // it may be right and have escapes
		if err := json.Unmarshal(v, &text); err != nil {
			return errorf(rpc.CodeType, "%s[%d]: %v", p.Name, i, err)
		}
		if err := parseDigest(&a.digests[i], fmt.Sprintf("%s[%d]", p.Name, i), text); err != nil {
			return err
		}
	}
	return nil
}

func wrongType(p *rpc.Param, want string, found []byte) *rpc.Error {
	return errorf(rpc.CodeType, "%s: want %s, found %s", p.Name, want, kindOf(found))
}

// parseDigest reads 64 lower-case digits. A digest has one spelling, so callers can match answers
// with what they sent by comparing text. Upper case is refused, and the error says what to do.
func parseDigest(dst *[32]byte, name, text string) *rpc.Error {
	const want = "a digest is 64 lower-case hexadecimal digits (SHA-256)"
	if len(text) != 2*len(dst) {
		return errorf(rpc.CodeInvalidParameter, "%s: found %d characters, %q; %s", name, len(text), humanize.Clip(text), want)
	}
	if !decodeDigest(dst, []byte(text)) {
		i := strings.IndexFunc(text, func(c rune) bool { return !strings.ContainsRune("0123456789abcdef", c) })
		c := []rune(text[i:])[0]
		if c >= 'A' && c <= 'F' {
			return errorf(rpc.CodeInvalidParameter, "%s: %q holds the upper-case %q at position %d; %s: write %s", name, text, c, i, want, strings.ToLower(text))
		}
		return errorf(rpc.CodeInvalidParameter, "%s: %q holds %q at position %d; %s", name, text, c, i, want)
	}
	return nil
}
