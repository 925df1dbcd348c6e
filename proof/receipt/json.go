package receipt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ancre/proof"
)

const (
	maxNesting = 24    // how deep arrays and objects may lie in each other: 8 branches of version 4 need 20
	maxValues  = 10000 // in all: the largest receipt that is taken has some 3,000
	maxMembers = 16    // of an object: no receipt's has more than 7
)

// value is one JSON value and its place in the document. It keeps everything, so that unknown and
// repeated members can be refused. encoding/json would take the last of two members with one name,
// ignore case in names, and skip members that it does not know.
type value struct {
	path    string
	token   any      // string, json.Number, bool, nil, or json.Delim of an object or array
	members []member // of an object, in order
	items   []value  // of an array
}

type member struct {
	name string
	value
}

// parseJSON reads one JSON document and nothing after it.
func parseJSON(b []byte) (value, error) {
	if !json.Valid(b) {
		var any any
		err := json.Unmarshal(b, &any)
		return value{}, &SyntaxError{Reason: fmt.Sprintf("this is not JSON: %v", err)}
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	left := maxValues
	v, err := readValue(dec, "", 0, &left)
	if err == nil && v.token != json.Delim('{') {
		err = v.fail("found %s, want an object", v.kind())
	}
	return v, err
}

// readValue reads what is known to be JSON.
func readValue(dec *json.Decoder, path string, depth int, left *int) (value, error) {
	v := value{path: path}
	if depth > maxNesting {
		return v, v.fail("lies %d objects and arrays deep, at most %d are allowed", depth, maxNesting)
	}
	if *left--; *left < 0 {
		return v, v.fail("more than %d values, no receipt has as many", maxValues)
	}
	token, err := dec.Token()
	if err != nil {
		return v, v.fail("%v", err)
	}
	v.token = token
	switch token {
	case json.Delim('{'):
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return v, v.fail("%v", err)
			}
			m := member{name: plainName(name.(string))}
			m.path = join(path, clip(name.(string)))
			if v.has(m.name) {
				return v, m.fail("stands there twice: it is not clear which one counts")
			}
			if m.value, err = readValue(dec, m.path, depth+1, left); err != nil {
				return v, err
			}
			v.members = append(v.members, m)
			if len(v.members) > maxMembers {
				return v, v.fail("has more than %d members, nothing in a receipt has", maxMembers)
			}
		}
	case json.Delim('['):
		for dec.More() {
			item, err := readValue(dec, fmt.Sprintf("%s[%d]", path, len(v.items)), depth+1, left)
			if err != nil {
				return v, err
			}
			v.items = append(v.items, item)
		}
	default:
		return v, nil
	}
	if _, err := dec.Token(); err != nil {
		return v, v.fail("%v", err)
	}
	return v, nil
}

// plainName returns the name under which a member is known here. JSON-LD writes "@type" for what
// receipts call "type", and chainpoint-validate reads either. Both in one object are the same
// member twice.
func plainName(name string) string {
	if name == "@type" {
		return "type"
	}
	return name
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (v value) fail(format string, args ...any) error {
	return &SyntaxError{Member: v.path, Reason: fmt.Sprintf(format, args...)}
}

// unsupported is fail for a value that another program may understand.
func (v value) unsupported(format string, args ...any) error {
	return &SyntaxError{Member: v.path, Reason: fmt.Sprintf(format, args...), Unsupported: true}
}

func (v value) has(name string) bool {
	return slices.ContainsFunc(v.members, func(m member) bool { return m.name == name })
}

// member returns a member that is known to exist.
func (v value) member(name string) value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return value{path: join(v.path, name)}
}

// kind returns the kind of the value, in words.
func (v value) kind() string {
	switch t := v.token.(type) {
	case string:
		return fmt.Sprintf("the text %q", clip(t))
	case json.Number:
		return "the number " + clip(t.String())
	case bool:
		return fmt.Sprint(t)
	case json.Delim:
		if t == '[' {
			return "an array"
		}
		return "an object"
	}
	return "null"
}

// object checks that v is an object, that it has every member of required, and that each other
// member is in optional.
func (v value) object(required, optional []string) error {
	if v.token != json.Delim('{') {
		return v.fail("found %s, want an object", v.kind())
	}
	for _, name := range required {
		if !v.has(name) {
			return v.member(name).fail("is missing")
		}
	}
	for _, m := range v.members {
		if !slices.Contains(required, m.name) && !slices.Contains(optional, m.name) {
			return m.fail("no receipt has this member here: known are %s. It could change what the receipt proves; verify the receipt as it was made, without additions",
				strings.Join(slices.Concat(required, optional), ", "))
		}
	}
	return nil
}

// array returns the items of an array of low to high items.
func (v value) array(low, high int) ([]value, error) {
	if v.token != json.Delim('[') {
		return nil, v.fail("found %s, want an array", v.kind())
	}
	if n := len(v.items); n < low || n > high {
		return nil, v.fail("has %d elements, %d to %d are allowed", n, low, high)
	}
	return v.items, nil
}

// text returns a string of low to high bytes.
func (v value) text(low, high int) (string, error) {
	s, ok := v.token.(string)
	if !ok {
		return "", v.fail("found %s, want a string", v.kind())
	}
	if len(s) < low || len(s) > high {
		return "", v.fail("%q has %d characters, %d to %d are allowed", clip(s), len(s), low, high)
	}
	return s, nil
}

// is checks that the value is this string.
func (v value) is(want string) error {
	s, err := v.text(0, maxText)
	if err == nil && s != want {
		err = v.fail("found %q, want %q", clip(s), want)
	}
	return err
}

// isType checks that the value is this type of receipt. Other types of Chainpoint's are not
// supported.
func (v value) isType(want string) error {
	v = v.single()
	if s, ok := v.token.(string); ok && s != want && strings.HasPrefix(s, typeV4) {
		return v.unsupported("found %q, want %q", clip(s), want)
	}
	return v.is(want)
}

// hash returns 32 bytes that are written as 64 lower-case digits.
func (v value) hash() (h [32]byte, err error) {
	s, ok := v.token.(string)
	if !ok {
		return h, v.fail("found %s, want 64 hexadecimal digits", v.kind())
	}
	if len(s) != 64 {
		return h, v.fail("%q has %d characters, a SHA-256 has 64 hexadecimal digits", clip(s), len(s))
	}
	b, err := v.bytes(32)
	if err != nil {
		return h, err
	}
	return [32]byte(b), nil
}

// bytes returns at most limit bytes that are written as lower-case digits.
func (v value) bytes(limit int) ([]byte, error) {
	s, err := v.text(2, 2*limit)
	if err != nil {
		return nil, err
	}
	if i := strings.IndexFunc(s, func(c rune) bool { return !strings.ContainsRune("0123456789abcdef", c) }); i >= 0 {
		c := []rune(s[i:])[0]
		if c >= 'A' && c <= 'F' {
			return nil, v.fail("%q has the upper-case %q at place %d: hexadecimal digits are lower-case in receipts, since verifiers compare them as text", clip(s), c, i)
		}
		return nil, v.fail("%q has %q at place %d, which is no hexadecimal digit", clip(s), c, i)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, v.fail("%q has %d hexadecimal digits, two are needed for each byte", clip(s), len(s))
	}
	return b, nil
}

// height returns a block's height, which receipts write as a string.
func (v value) height() (uint64, error) {
	s, err := v.text(1, maxText)
	if err != nil {
		return 0, err
	}
	var h uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || s[0] == '0' && len(s) > 1 || h > maxHeight {
			return 0, v.fail("%q is no block's height: one is written in digits, without leading zeros, and is at most %d", clip(s), maxHeight)
		}
		h = 10*h + uint64(s[i]-'0')
	}
	if h > maxHeight {
		return 0, v.fail("%q is no block's height, one is at most %d", clip(s), maxHeight)
	}
	return h, nil
}

// steps returns the steps of a path, at most limit, each an object with either left or right.
func (v value) steps(limit int) ([]proof.Step, error) {
	items, err := v.array(0, limit)
	if err != nil {
		return nil, err
	}
	var path []proof.Step
	for _, item := range items {
		if err := item.object(nil, []string{"left", "right"}); err != nil {
			return nil, err
		}
		if len(item.members) != 1 {
			return nil, item.fail("has %d members, a step has either left or right", len(item.members))
		}
		h, err := item.members[0].hash()
		if err != nil {
			return nil, err
		}
		path = append(path, proof.Step{Left: item.members[0].name == "left", Hash: h})
	}
	return path, nil
}

// single returns the only element of an array, as JSON-LD may write a single value, and else v
// itself.
func (v value) single() value {
	if v.token == json.Delim('[') && len(v.items) == 1 {
		return v.items[0]
	}
	return v
}

// context returns the context, which says what version a receipt is. JSON-LD allows an array of
// several contexts; a receipt is read by Chainpoint's alone.
func (v value) context() (string, error) {
	const most = 8
	c := v.member("@context")
	if !v.has("@context") {
		return "", c.fail("is missing: a receipt says with it which version it is, as in %s", contextV2)
	}
	if c.token != json.Delim('[') {
		return c.text(1, maxText)
	}
	items, err := c.array(1, most)
	if err != nil {
		return "", err
	}
	var found []string
	for _, item := range items {
		s, err := item.text(1, maxText)
		if err != nil {
			return "", err
		}
		if len(items) == 1 || strings.HasPrefix(s, contextsOfChainpoint) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		return "", c.fail("has %d contexts of Chainpoint, a receipt has one, as in %s", len(found), contextV2)
	}
	return found[0], nil
}

// raw writes the value as JSON again.
func (v value) raw() json.RawMessage {
	var b bytes.Buffer
	v.writeTo(&b)
	return b.Bytes()
}

func (v value) writeTo(b *bytes.Buffer) {
	scalar := func(x any) {
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		if enc.Encode(x) == nil { // of a string, a number, a truth value or nil it never fails
			b.Truncate(b.Len() - 1) // the newline
		}
	}
	separate := func(i int) {
		if i > 0 {
			b.WriteByte(',')
		}
	}
	switch v.token {
	case json.Delim('{'):
		b.WriteByte('{')
		for i, m := range v.members {
			separate(i)
			scalar(m.name)
			b.WriteByte(':')
			m.writeTo(b)
		}
		b.WriteByte('}')
	case json.Delim('['):
		b.WriteByte('[')
		for i, item := range v.items {
			separate(i)
			item.writeTo(b)
		}
		b.WriteByte(']')
	default:
		scalar(v.token)
	}
}

// marshal writes JSON as all receipts are written: indented, with one newline at the end, and
// escaped only where JSON needs it.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

// clip shortens a stranger's text for an error.
func clip(s string) string {
	const enough = 80
	if len(s) > enough {
		return strings.ToValidUTF8(s[:enough], "") + "…"
	}
	return s
}
