package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"ancre/internal/atomicfile"
)

// maxPassphrase bounds a passphrase, in bytes.
const maxPassphrase = 4096

// ReadPassphrase returns the only line of a passphrase file, byte for byte, without the line end.
// The client creates the wallet with it and the daemon opens the wallet with it, so both must read
// it in the same way.
func ReadPassphrase(path string) ([]byte, error) {
	f, _, err := atomicfile.OpenInput(path)
	if err != nil {
		return nil, fmt.Errorf("passphrase file: %w", atomicfile.Denied(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, fmt.Errorf("passphrase file: %w", err)
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	switch {
	case len(data) > maxPassphrase:
		err = fmt.Errorf("is longer than %d bytes", maxPassphrase)
	case len(line) == 0:
		err = errors.New("is empty")
	case bytes.ContainsAny(line, "\r\n") && isUTF16(line):
		err = errors.New("is UTF-16 text (save it as UTF-8, without a byte order mark)")
	case bytes.ContainsAny(line, "\r\n"):
		err = errors.New("holds more than one line")
	default:
		return line, nil
	}
	return nil, fmt.Errorf("passphrase file %s %w: it must hold the passphrase on one line, and nothing else", path, err)
}

// CheckNewPassphrase refuses a passphrase with bytes that an editor added silently, or that cannot
// be typed. A wallet that already has such a passphrase still opens with it.
func CheckNewPassphrase(p []byte) error {
	switch {
	case len(p) > maxPassphrase:
		return fmt.Errorf("the passphrase is longer than %d bytes", maxPassphrase)
	case isUTF16(p):
		return errors.New("the passphrase is UTF-16 text, as some editors write it: save the file as UTF-8, without a byte order mark")
	case bytes.HasPrefix(p, utf8BOM):
		return errors.New("the passphrase begins with a byte order mark, which cannot be typed: save the file as UTF-8 without one")
	case bytes.IndexByte(p, 0) >= 0:
		return errors.New("the passphrase contains a NUL byte, which cannot be typed: save the file as UTF-8 text")
	}
	return nil
}

// PassphraseNote returns what a person should know about an unusual passphrase, or nothing. It
// never contains a part of the passphrase.
func PassphraseNote(p []byte) string {
	const exactly = "; ancred uses it byte for byte"
	switch {
	case isUTF16(p):
		return "the passphrase is UTF-16 text" + exactly
	case bytes.HasPrefix(p, utf8BOM):
		return "the passphrase begins with a byte order mark (EF BB BF), which an editor may have added" + exactly
	case bytes.IndexByte(p, 0) >= 0:
		return "the passphrase contains a NUL byte" + exactly
	case !utf8.Valid(p):
		return "the passphrase is not UTF-8 (perhaps Latin-1)" + exactly + ", and typing it needs a terminal with the same encoding"
	}
	return ""
}

// utf8BOM is the byte order mark in UTF-8. Some editors begin a file with it.
var utf8BOM = []byte{0xEF, 0xBB, 0xBF}

// isUTF16 reports whether the passphrase is UTF-16 text: it has a byte order mark, or every second
// byte is zero, as in Latin text.
func isUTF16(p []byte) bool {
	if bytes.HasPrefix(p, []byte{0xFF, 0xFE}) || bytes.HasPrefix(p, []byte{0xFE, 0xFF}) {
		return true
	}
	if len(p) < 4 {
		return false
	}
	var zeros [2]int
	for i, b := range p {
		if b == 0 {
			zeros[i%2]++
		}
	}
	return max(zeros[0], zeros[1]) >= len(p)/2
}
