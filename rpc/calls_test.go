package rpc

import (
	"fmt"
	"strings"
	"testing"
)

// A passphrase is sent so that any bytes arrive unchanged.
func TestPassphrasesAreSentByteForByte(t *testing.T) {
	for _, p := range []string{"text", "r\xe9sum\xe9", "\xff\xfe\x00", "\ufffd"} {
		named := passphraseParams(p)
		text := fmt.Sprint(named["passphrase"])
		if (named["passphrase_encoding"] == nil) != (text == p) || checkText(named) != nil {
			t.Errorf("%q is sent as %v", p, named)
		}
	}
	for _, params := range []any{[]any{1, "r\xe9"}, Named{"passphrase": "r\xe9"}} {
		if err := checkText(params); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
			t.Errorf("%v: %v", params, err)
		}
	}
}
