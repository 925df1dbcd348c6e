package main

import (
	"context"
	"errors"
	"fmt"

	"ancre/config"
)

// passphrase finds the wallet's passphrase: in the file that was named, in the one that the daemon
// will open the wallet with, or by asking, twice for a new one.
//
// It is bytes, whatever the file or the terminal writes text in.
func (a *app) passphrase(ctx context.Context, file string, isNew bool) (string, error) {
	p, err := a.findPassphrase(ctx, file, isNew)
	if err != nil {
		return "", err
	}
	if isNew {
		if err := config.CheckNewPassphrase([]byte(p)); err != nil {
			return "", err
		}
	}
	if note := config.PassphraseNote([]byte(p)); note != "" {
		a.note("Note: %s.", note)
	}
	return p, nil
}

func (a *app) findPassphrase(ctx context.Context, file string, isNew bool) (string, error) {
	if file != "" {
		p, err := config.ReadPassphrase(file)
		return string(p), err
	}
	cfg, err := a.configuration()
	if err != nil {
		return "", err
	}
	if file = cfg.Wallet.PassphraseFile; file != "" {
		p, err := config.ReadPassphrase(file)
		if err != nil {
			return "", fmt.Errorf("wallet.passphrase_file of the configuration: %w; name another with --passphrase-file", err)
		}
		a.note("The passphrase is taken from %s, as the daemon takes it.", file)
		return string(p), nil
	}
	if !a.person {
		return "", usagef("there is no terminal to ask for the passphrase: name a file that holds it with --passphrase-file")
	}
	question := "Passphrase of the wallet: "
	if isNew {
		question = "A passphrase for the wallet, of 8 characters or more: "
	}
	p, err := a.askSecret(ctx, question)
	if err != nil {
		return "", err
	}
	if p == "" {
		return "", errors.New("an empty passphrase protects nothing: try again")
	}
	if !isNew {
		return p, nil
	}
	again, err := a.askSecret(ctx, "The same again: ")
	if err != nil {
		return "", err
	}
	if again != p {
		return "", errors.New("the two passphrases differ: try again")
	}
	return p, nil
}

const passphraseFileHelp = "read the passphrase from `FILE`, and ask nothing (default wallet.passphrase_file)"
