package rpc

import (
	"encoding/json"
	"slices"
	"strings"
)

// Method describes one method. The server reads parameters by it, `help METHOD` prints it, and
// [ParseArgs] knows from it what a word on a command line means.
type Method struct {
	Name    string
	Group   string // the heading under which help lists it
	Roles   Roles  // who may call it
	About   string
	Params  []Param
	Result  string
	Example string // parameters, as a JSON array
}

// Param describes one parameter of a method.
type Param struct {
	Name     string
	Kind     Kind
	Optional bool
	Default  string // of an optional one: the value when it is absent; empty: there is none
	About    string
	Choices  []string // of a KindString: the only values allowed; nil: any
	Min, Max int64    // of a KindInteger: the range allowed
	Word     string   // of a KindInteger: this word is allowed too, and means -1; empty: none
	Secret   bool     // the value must never reach an error message or a log
}

// Kind is what a parameter may be.
type Kind int

// The kinds of parameters. All but the last three are strings in JSON.
const (
	KindString  Kind = iota
	KindDigest       // 64 lower-case hexadecimal digits, not reversed
	KindHex          // a file's hash, by any algorithm, in lower-case hexadecimal
	KindHash         // a block's hash, in the displayed (reversed) order
	KindBase64       //
	KindTime         // RFC 3339, or a day: 2026-01-31
	KindDigests      // an array of KindDigest
	KindInteger      //
	KindBoolean      //
)

// String names the JSON type as bitcoind's help does.
func (k Kind) String() string {
	switch k {
	case KindInteger:
		return "numeric"
	case KindBoolean:
		return "boolean"
	case KindDigests:
		return "json array"
	}
	return "string"
}

// JSON turns a word, as a person types it, into the JSON value that the parameter takes. A word
// that does not fit becomes a string, so that the server can say what is wrong with it.
func (p *Param) JSON(word string) json.RawMessage {
	switch p.Kind {
	case KindInteger, KindBoolean, KindDigests:
		if json.Valid([]byte(word)) {
			return json.RawMessage(word)
		}
	}
	text, _ := json.Marshal(word) // a string can always be written
	return text
}

// Roles is a set of roles: those of a user, or those that may call a method.
type Roles []Role

// Allow reports whether a user with the roles has may call what is for the roles s. An
// administrator may call everything.
func (s Roles) Allow(has Roles) bool {
	return has.Admin() || slices.ContainsFunc(has, func(r Role) bool { return slices.Contains(s, r) })
}

// Admin reports whether the set has [RoleAdmin].
func (s Roles) Admin() bool { return slices.Contains(s, RoleAdmin) }

// String lists the roles as the configuration does: "submit,read".
func (s Roles) String() string { return s.join(",") }

// AnyOf names the roles that may call what is for the roles s: "submit or read or admin".
func (s Roles) AnyOf() string { return append(slices.Clone(s), RoleAdmin).join(" or ") }

func (s Roles) join(separator string) string {
	names := make([]string, len(s))
	for i, r := range s {
		names[i] = string(r)
	}
	return strings.Join(names, separator)
}

// ParseArgs turns words, as typed on a command line, into parameters for [Client.Call]. Each
// becomes what the method wants in its place: a number, a boolean or a string. For a method that is
// not in [Methods], and for words beyond its parameters, valid JSON is sent as it is and anything
// else as a string.
func ParseArgs(method string, words []string) []any {
	var params []Param
	for _, m := range Methods() {
		if m.Name == method {
			params = m.Params
		}
	}
	out := make([]any, len(words))
	for i, w := range words {
		switch {
		case i < len(params):
			out[i] = params[i].JSON(w)
		case json.Valid([]byte(w)):
			out[i] = json.RawMessage(w)
		default:
			out[i] = w
		}
	}
	return out
}
