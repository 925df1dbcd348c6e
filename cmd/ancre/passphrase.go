package main

import (
	"context"
	"errors"
	"fmt"

	"ancre/config"
	"ancre/internal/command"
)

const passphraseFileHelp = "read the passphrase from `FILE`, and ask nothing (default wallet.passphrase_file)"

// passphraseWish says which passphrase of the wallet a verb needs, and where it may come from.
type passphraseWish struct {
	file       string // that the user named; empty: none
	flag       string // that names it
	configured bool   // the file with which the daemon unlocks the wallet holds it, if there is one
	isNew      bool   // it is asked for twice, and checked
	question   string
}

// passphrase finds the wallet's passphrase: in the file that was named, in the one that the daemon
// will open the wallet with, or by asking, twice for a new one.
//
// It is bytes, whatever the file or the terminal writes text in.
func (a *app) passphrase(ctx context.Context, file string, isNew bool) (string, error) {
	question := "Passphrase of the wallet: "
	if isNew {
		question = "A passphrase for the wallet, of 8 characters or more: "
	}
	return a.wishedPassphrase(ctx, passphraseWish{file: file, flag: "--passphrase-file", configured: true, isNew: isNew, question: question})
}

// wishedPassphrase finds a passphrase, checks a new one, and tells what is unusual about it.
func (a *app) wishedPassphrase(ctx context.Context, wish passphraseWish) (string, error) {
	p, err := a.findPassphrase(ctx, wish)
	if err != nil {
		return "", err
	}
	if wish.isNew {
		if err := config.CheckNewPassphrase([]byte(p)); err != nil {
			return "", err
		}
	}
	if note := config.PassphraseNote([]byte(p)); note != "" {
		a.note("Note: %s.", note)
	}
	return p, nil
}

func (a *app) findPassphrase(ctx context.Context, wish passphraseWish) (string, error) {
	if wish.file != "" {
		p, err := config.ReadPassphrase(wish.file)
		return string(p), err
	}
	cfg, err := a.configuration()
	if err != nil {
		return "", err
	}
	if file := cfg.Wallet.PassphraseFile; file != "" && wish.configured {
		p, err := config.ReadPassphrase(file)
		if err != nil {
			return "", fmt.Errorf("wallet.passphrase_file of the configuration: %w; name another with %s", err, wish.flag)
		}
		a.note("The passphrase is taken from %s, as the daemon takes it.", file)
		return string(p), nil
	}
	if !a.person {
		return "", command.Usagef("there is no terminal to ask for the passphrase: name a file that holds it with %s", wish.flag)
	}
	p, err := a.askSecret(ctx, wish.question)
	if err != nil {
		return "", err
	}
	if p == "" {
		return "", errors.New("an empty passphrase protects nothing: try again")
	}
	if !wish.isNew {
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
