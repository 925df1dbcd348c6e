package rpc

import (
	"encoding/json"
	"testing"
)

func TestWordsOfACommandLineBecomeParameters(t *testing.T) {
	for _, c := range []struct {
		method string
		words  []string
		want   string
	}{
		{"submit", []string{"12"}, `["12"]`}, // a string, whatever it looks like
		{"submitbatch", []string{`["a","b"]`}, `[["a","b"]]`},
		{"getblockhash", []string{"12"}, `[12]`},
		{"getblockhash", []string{"twelve"}, `["twelve"]`}, // the server says what is wrong
		{"getblockheader", []string{"00", "false"}, `["00",false]`},
		{"createwallet", []string{"true", "a b"}, `["true","a b"]`},
		{"nosuch", []string{"1", "x", `{"a":1}`}, `[1,"x",{"a":1}]`},
		{"uptime", nil, `[]`},
	} {
		got, err := json.Marshal(ParseArgs(c.method, c.words))
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q: %s, want %s; %v", c.method, c.words, got, c.want, err)
		}
	}
}
