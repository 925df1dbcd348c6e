package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/money"
	"ancre/internal/printable"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

type walletCreateOptions struct {
	passphraseFile string
	restore        bool
	replace, yes   bool
	birthday       string
}

func (a *app) walletCreateCommand() *cobra.Command {
	var o walletCreateOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create the wallet, and show its 24 words only now",
		Long: `Create the wallet, and show its 24 words. They restore it, here or in any BIP39/BIP84 wallet. They are never shown again, and
stored nowhere in readable form. At a terminal ancre asks for two of them, to check that you wrote them down. It asks twice for a
passphrase of 8 or more characters, which encrypts the keys on the daemon's disk.

With --restore, ancre reads the words of a wallet and searches the chain for its coins, here after the loss of a disk, or of any
BIP39/BIP84 wallet. The search takes hours from the first block that could hold a coin (August 2017); --birthday DATE begins it at a
day before the wallet first received money, and then it takes minutes.

If the words were lost before you wrote them down, create another wallet with --replace, as long as nothing was sent to the first
one. The daemon keeps the old file, and refuses if the first wallet was used.`,
		Example: `  ancre wallet create
  ancre wallet create --restore --birthday 2026-01-31`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.wantAdmin(cmd); err != nil {
				return err
			}
			return a.walletCreate(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.passphraseFile, "passphrase-file", "", passphraseFileHelp)
	f.BoolVar(&o.restore, "restore", false, "restore a wallet from its words, which are read from standard input")
	f.BoolVar(&o.replace, "replace", false, "take the place of a wallet that was never used, whose words are lost")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for two of the words")
	f.StringVar(&o.birthday, "birthday", "", "with --restore: when the wallet was first used, `YYYY-MM-DD`; earlier blocks are not searched")
	return cmd
}

func (a *app) walletCreate(ctx context.Context, o walletCreateOptions) error {
	var birthday time.Time
	if o.birthday != "" {
		if !o.restore {
			return command.Usagef("--birthday is for --restore: a new wallet is born now")
		}
		var err error
		if birthday, err = time.Parse(time.DateOnly, o.birthday); err != nil {
			return command.Usagef("--birthday %q: must be a date, YYYY-MM-DD", humanize.Clip(o.birthday))
		}
	}
	if a.outNull && !o.restore {
		return command.Usagef("standard output leads nowhere: the wallet's words, which are shown only once, would be lost")
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	// A wallet that exists, or a daemon that does not, is better told before the questions.
	info, err := client.Info(ctx)
	if err != nil {
		return err
	}
	// Of one that cannot be opened, the daemon says whether it was moved away meanwhile.
	if s := info.Wallet.State; s != "none" && s != "unusable" && !o.replace {
		return fmt.Errorf("the daemon has a wallet already (%s): \"ancre wallet address\" shows where to send coins. If its words are lost, and nothing was sent to it, "+
			"\"ancre wallet create --replace\" makes another", s)
	}
	words := ""
	if o.restore {
		if words, err = a.readWords(ctx); err != nil {
			return err
		}
	}
	passphrase, err := a.passphrase(ctx, o.passphraseFile, true)
	if err != nil {
		return err
	}
	if a.person {
		a.note("The daemon makes the wallet: this takes some seconds.")
	}
	create := client.CreateWallet
	if o.replace {
		create = client.ReplaceWallet
	}
	made, err := create(ctx, passphrase, words, birthday)
	if err != nil {
		if isFatal(callError(err)) && !o.restore {
			a.note("If the daemon has a wallet now (ancre wallet balance), its words are lost: send nothing to it, and replace it with\n" +
				"\"ancre wallet create --replace\".")
		}
		return err
	}
	return a.showWallet(ctx, client, made, o)
}

// lostWords is the remedy if the words of a new wallet were lost.
const lostWords = "send nothing to this wallet, and replace it with \"ancre wallet create --replace\""

// showWallet shows the words of a wallet that was made, and lets a person confirm them, before
// it shows the address.
func (a *app) showWallet(ctx context.Context, client *rpc.Client, made rpc.CreatedWallet, o walletCreateOptions) error {
	outlook := outlook(ctx, client)
	if a.json {
		err := a.printJSON(struct {
			rpc.CreatedWallet
			money.Outlook
		}{made, outlook}, false)
		if err != nil && !made.Restored {
			return fmt.Errorf("the words could not be shown, %s: %w", lostWords, err)
		}
		return err
	}
	if made.Restored {
		a.note("The wallet is restored. The daemon now looks for its coins: \"ancre wallet balance\" shows what it found so far.")
	} else {
		a.note("These words are the wallet. Write them on paper now, in this order, and keep the paper where you keep\n" +
			"money: whoever has them has the coins. If this disk fails, the coins are lost without them. They are\nnever shown again.\n")
		if err := a.printWords(made.Words); err != nil {
			return fmt.Errorf("the words could not be shown, %s: %w", lostWords, err)
		}
		if a.person && a.outTerm && !o.yes {
			if err := a.confirmWords(ctx, made.Words); err != nil {
				return err
			}
		}
	}
	if made.Restored {
		a.note("Its first address:")
		return a.printAddress(made.Address, false)
	}
	a.note("The first address; send it %s:", a.proposal(outlook))
	if err := a.printAddress(made.Address, true); err != nil {
		return err
	}
	a.note("%s", onceMined)
	return nil
}

// readWords reads the words of a wallet, however they are spaced and, if numbered as we show them,
// numbered.
func (a *app) readWords(ctx context.Context) (string, error) {
	var text string
	var err error
	if a.person {
		text, err = a.ask(ctx, "The words, on one line: ")
	} else {
		const maxWords = 4096 // bytes; 24 words have 240
		var data []byte
		data, err = io.ReadAll(io.LimitReader(a.in, maxWords))
		text = string(data)
	}
	if err != nil {
		return "", err
	}
	var words []string
	for _, word := range strings.Fields(strings.ToLower(text)) {
		if strings.Trim(word, "0123456789.") != "" {
			words = append(words, word)
		}
	}
	switch len(words) {
	case 12, 15, 18, 21, 24: // BIP39
		return strings.Join(words, " "), nil
	}
	return "", command.Usagef("%s came from standard input: a wallet has 24, or as BIP39 allows 12, 15, 18 or 21", humanize.Plural(len(words), "word", "words"))
}

// printWords prints them numbered, in columns that are read downwards.
func (a *app) printWords(words []string) error {
	const columns = 4
	rows := (len(words) + columns - 1) / columns
	for row := range rows {
		var line strings.Builder
		for i := row; i < len(words); i += rows {
			fmt.Fprintf(&line, "%4d %-10s", i+1, words[i])
		}
		if _, err := fmt.Fprintln(a.out, printable.Line(strings.TrimRight(line.String(), " "))); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(a.out)
	return err
}

// confirmWords asks for two of the words, which shows that they were written down. Whoever cannot
// answer has them on the screen still.
func (a *app) confirmWords(ctx context.Context, words []string) error {
	const tries = 3
	first := rand.IntN(len(words) - 1)
	second := first + 1 + rand.IntN(len(words)-1-first)
	for _, i := range []int{first, second} {
		for try := 1; ; try++ {
			answer, err := a.ask(ctx, fmt.Sprintf("To confirm, type word %d as you wrote it down: ", i+1))
			if err != nil {
				return fmt.Errorf("the words were not confirmed: if you have not written them down, %s: %w", lostWords, err)
			}
			if strings.EqualFold(answer, words[i]) {
				break
			}
			if try == tries {
				return fmt.Errorf("the words were not confirmed: write them down now as they stand above; or %s", lostWords)
			}
			a.note("That is not word %d. Compare what you wrote down with the words above.", i+1)
		}
	}
	return nil
}
