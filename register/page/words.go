package page

import (
	"fmt"
	"strings"
)

// words are the texts of each language by their key. Both languages have the same keys with the
// same verbs (a test holds it).
//
// A text of two forms, "%d document|%d documents", depends on its first argument, a number. French
// counts 0 and 1 as one, English only 1.
var words = map[Lang]map[string]string{French: wordsFR, English: wordsEN}

// wordsOf returns the text of a key. An unknown key is a defect, and an error.
func wordsOf(l Lang, key string, args ...any) (string, error) {
	text, ok := words[l][key]
	if !ok {
		return "", fmt.Errorf("there is no text %q in the language %q", key, l)
	}
	if one, many, ok := strings.Cut(text, "|"); ok && len(args) > 0 {
		text = many
		if n, ok := args[0].(int); ok && (n == 1 || n == 0 && l == French) {
			text = one
		}
	}
	if len(args) == 0 {
		return text, nil
	}
	return fmt.Sprintf(text, args...), nil
}

// say is wordsOf for keys that are in the code: tests make sure that they exist.
func say(l Lang, key string, args ...any) string {
	text, err := wordsOf(l, key, args...)
	if err != nil {
		return "[" + key + "]" // a missing word must not take the page away
	}
	return text
}

// T returns the text of a key in the language of the page.
func (v *view) T(key string, args ...any) string { return say(v.Address.Lang, key, args...) }
