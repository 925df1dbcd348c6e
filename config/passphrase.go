package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"ancre/internal/atomicfile"
)

// ReadPassphrase returns the one line that a passphrase file holds, without its end. The client makes the wallet with it and the
// daemon opens the wallet with it, so both must read it in the same way.
func ReadPassphrase(path string) ([]byte, error) {
	const maxPassphrase = 4096
	f, _, err := atomicfile.OpenInput(path)
	if err != nil {
		return nil, fmt.Errorf("passphrase file: %w", err)
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
	case bytes.ContainsAny(line, "\r\n"):
		err = errors.New("holds more than one line")
	default:
		return line, nil
	}
	return nil, fmt.Errorf("passphrase file %s %w: it must hold the passphrase on one line, and nothing else", path, err)
}
