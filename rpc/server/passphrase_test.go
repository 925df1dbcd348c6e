package server

import (
	"strings"
	"testing"

	"ancre/rpc"
)

// A passphrase arrives unchanged or is refused. It never becomes another one.
func TestPassphrasesArriveByteForByte(t *testing.T) {
	w := &memWallet{}
	s := New(Config{Users: []rpc.User{}})
	s.Provide(Services{Wallet: w})
	for params, want := range map[string]string{
		`["plain text"]`:         "plain text",
		`["r\u00e9sum\u00e9"]`:   "r\u00e9sum\u00e9",
		`["\ud83d\ude00"]`:       "\U0001F600",
		`["\ufffd"]`:             "\ufffd",
		`["` + "\ufffd" + `"]`:   "\ufffd",
		`["72e973756de9","hex"]`: "r\xe9sum\xe9",
		`["72E9","hex"]`:         "r\xe9",
		`["72e9","text"]`:        "72e9",
		`{"passphrase":"72e9","passphrase_encoding":"hex"}`: "r\xe9",
	} {
		w.asked = ""
		m, a := methodNamed(t, "unlockwallet"), args{}
		a, err := parseParams(m, []byte(params))
		if err != nil {
			t.Errorf("%s: %v", params, err)
			continue
		}
		got, perr := passphraseOf(&call{args: a}, "passphrase")
		if perr != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", params, got, perr, want)
		}
	}
	for params, says := range map[string]string{
		`["\ud800"]`:           "surrogate",
		`["a\udfffb"]`:         "surrogate",
		`["\ufffd\ud800"]`:     "surrogate",
		`["secret","latin1"]`:  "allowed are: text, hex",
		`["secret","hex"]`:     "hex",
		`["72e9secret","hex"]`: "hex",
	} {
		a, err := parseParams(methodNamed(t, "unlockwallet"), []byte(params))
		if err == nil {
			_, err = passphraseOf(&call{args: a}, "passphrase")
		}
		if err == nil || !strings.Contains(err.Message, says) || strings.Contains(err.Message, "secret") {
			t.Errorf("%s: %v", params, err)
		}
	}
}

func methodNamed(t *testing.T, name string) *method {
	t.Helper()
	for _, m := range methods() {
		if m.Name == name {
			return &m
		}
	}
	t.Fatalf("no method %s", name)
	return nil
}
