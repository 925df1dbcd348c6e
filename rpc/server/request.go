package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"ancre/internal/humanize"
	"ancre/rpc"
)

// request is one call. Its envelope is decoded, its parameters are not.
type request struct {
	v2      bool       // JSON-RPC 2.0; everything else is answered as 1.0
	id      []byte     // as it came, without spaces; nil: there was none
	method  string     //
	params  []byte     // an array or an object; nil: there were none
	digests [][32]byte // the only parameter, if scan has decoded it
}

// notification reports whether the call wants no answer. JSON-RPC 1.0 has notifications too (id
// null), but bitcoind answers them.
func (r *request) notification() bool { return r.v2 && r.id == nil }

// maxDepth is how deep arrays and objects may nest. No method needs more than four levels.
const maxDepth = 16

// null is the id of an answer to a request whose id is not known.
var null = []byte("null")

// split checks that the body is JSON, and splits an array into its calls.
func split(body []byte) (calls []json.RawMessage, array bool, err *rpc.Error) {
	if !utf8.Valid(body) {
		return nil, false, errorf(rpc.CodeParse, "Parse error: the body is not UTF-8")
	}
	if err := checkDepth(body); err != nil {
		return nil, false, err
	}
	var top json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, false, errorf(rpc.CodeParse, "Parse error: the body is not JSON: %v at byte %d of %d", err, syntax.Offset, len(body))
		}
		return nil, false, errorf(rpc.CodeParse, "Parse error: %v", err)
	}
	top = bytes.TrimSpace(top)
	switch top[0] {
	case '{':
		return []json.RawMessage{top}, false, nil
	case '[':
		if err := json.Unmarshal(top, &calls); err != nil {
			return nil, true, errorf(rpc.CodeParse, "Parse error: %v", err)
		}
		if len(calls) > maxCalls {
			return nil, true, errorf(rpc.CodeInvalidRequest, "the array holds %d calls; allowed are %d", len(calls), maxCalls)
		}
		return calls, true, nil
	}
	return nil, false, errorf(rpc.CodeParse, "Top-level object parse error: want a call (an object) or an array of calls, found %s", kindOf(top))
}

// checkDepth refuses a body that nests too deep, before any recursive code reads it. For invalid
// JSON its answer does not matter.
func checkDepth(body []byte) *rpc.Error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return errorf(rpc.CodeParse, "Parse error: nested deeper than %d levels at byte %d", maxDepth, i)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return nil
}

// decode reads the envelope of one call. If it returns an error, the request holds what the answer
// needs: version and id.
func decode(call []byte) (request, *rpc.Error) {
	if call[0] != '{' {
		return request{id: null}, errorf(rpc.CodeInvalidRequest, "Invalid Request object: want an object, found %s", kindOf(call))
	}
	members, err := decodeMembers(call)
	if err != nil {
		return request{id: null}, errorf(rpc.CodeInvalidRequest, "Invalid Request object: %v", err)
	}
	var r request
	var defect *rpc.Error // the first one; it is returned once version and id are known
	var version, method []byte
	for _, m := range members {
		switch m.name {
		case "id":
			var id bytes.Buffer
			json.Compact(&id, m.value) // it is valid: it was decoded
			r.id = id.Bytes()
		case "jsonrpc":
			version = m.value
		case "method":
			method = m.value
		case "params":
			r.params = m.value
		default:
			// Unknown members are ignored, as in bitcoind: some clients send a "version". A member
			// that a lax decoder would take for a known one is refused: it is a mistake, or meant
			// to deceive a filter in front of us.
			for _, known := range []string{"id", "jsonrpc", "method", "params"} {
				if strings.EqualFold(m.name, known) && defect == nil {
					defect = errorf(rpc.CodeInvalidRequest, "Invalid Request object: the member %q must be written %q", m.name, known)
				}
			}
		}
	}
	switch string(version) {
	case `"2.0"`:
		r.v2 = true
	case "", "null", `"1.0"`, `"1.1"`:
	default:
		return r, errorf(rpc.CodeInvalidRequest, `JSON-RPC version not supported: jsonrpc is %s; allowed are "1.0", "1.1" and "2.0"`, humanize.ClipTo(string(version), 20))
	}
	if defect != nil {
		return r, defect
	}
	if method == nil || string(method) == "null" {
		return r, errorf(rpc.CodeInvalidRequest, "Missing method")
	}
	if method[0] != '"' {
		return r, errorf(rpc.CodeInvalidRequest, "Method must be a string, found %s", kindOf(method))
	}
	if err := json.Unmarshal(method, &r.method); err != nil {
		return r, errorf(rpc.CodeInvalidRequest, "Method must be a string: %v", err)
	}
	if r.params != nil {
		switch r.params[0] {
		case '[', '{':
		case 'n':
			r.params = nil
		default:
			return r, errorf(rpc.CodeInvalidRequest, "Params must be an array or object, found %s", kindOf(r.params))
		}
	}
	return r, nil
}

// member is one name and value of an object.
type member struct {
	name  string
	value json.RawMessage
}

// decodeMembers splits a valid object into its members. Unlike in encoding/json, names are exact,
// and a name that comes twice is refused: a filter in front of us might have read the other value.
func decodeMembers(object []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil { // {
		return nil, err
	}
	var members []member
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: t.(string)} // the grammar allows nothing else here
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		for _, other := range members {
			if other.name == m.name {
				return nil, duplicateError(m.name)
			}
		}
		if members = append(members, m); len(members) > maxMembers {
			return nil, fmt.Errorf("more than %d members", maxMembers)
		}
	}
	return members, nil
}

// maxMembers is how many members a call or named parameters may have, so that comparing each with
// each other stays cheap.
const maxMembers = 32

// duplicateError is the name of a member that comes twice.
type duplicateError string

func (name duplicateError) Error() string {
	return fmt.Sprintf("the member %q comes twice", humanize.ClipTo(string(name), 40))
}

// kindOf names the type of a JSON value, for an error message.
func kindOf(value []byte) string {
	if len(value) == 0 {
		return "nothing"
	}
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// appendError writes the answer to a call that failed.
func appendError(dst []byte, r *request, e *rpc.Error) []byte {
	if r.v2 {
		dst = append(dst, `{"jsonrpc":"2.0","error":`...)
	} else {
		dst = append(dst, `{"result":null,"error":`...)
	}
	dst = appendJSON(dst, e)
	return appendID(dst, r)
}

// appendResult writes the answer to a call that succeeded. write adds the result; if it fails, dst
// is returned as it was.
func appendResult(dst []byte, r *request, write func([]byte) ([]byte, error)) ([]byte, error) {
	out := dst
	if r.v2 {
		out = append(out, `{"jsonrpc":"2.0","result":`...)
	} else {
		out = append(out, `{"result":`...)
	}
	out, err := write(out)
	if err != nil {
		return dst, err
	}
	if !r.v2 {
		out = append(out, `,"error":null`...)
	}
	return appendID(out, r), nil
}

func appendID(dst []byte, r *request) []byte {
	if r.id != nil {
		dst = append(dst, `,"id":`...)
		dst = append(dst, r.id...)
	}
	return append(dst, '}')
}

// appendJSON writes one of our own types, which never fails. It does not escape HTML: answers are
// not put into pages, and people read them.
func appendJSON(dst []byte, v any) []byte {
	if raw, ok := v.(json.RawMessage); ok {
		return append(dst, raw...)
	}
	b := bytes.NewBuffer(dst)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("rpc/server: cannot write an answer of type %T: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
