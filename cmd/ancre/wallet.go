package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"ancre/config"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

func (a *app) walletCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wallet",
		Short: "The fee wallet: create, unlock, address, balance, fees, history, send",
		Long: `The fee wallet pays for the anchors. The daemon stores it. Keep in it what some months of anchors cost, and no more. Amounts
are in satoshi.`,
		Args: cobra.ArbitraryArgs,
		RunE: needVerb,
	}
	cmd.AddCommand(a.walletCreateCommand(), a.walletUnlockCommand(), a.walletAddressCommand(),
		a.walletBalanceCommand(), a.walletFeesCommand(), a.walletHistoryCommand(), a.walletSendCommand())
	return cmd
}

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

If the words were lost before you wrote them down, create another wallet with --replace, as long as nothing was sent to the first
one. The daemon keeps the old file, and refuses if the first wallet was used.`,
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
			return usagef("--birthday is for --restore: a new wallet is born now")
		}
		var err error
		if birthday, err = time.Parse(time.DateOnly, o.birthday); err != nil {
			return usagef("--birthday %q: must be a date, YYYY-MM-DD", humanize.Clip(o.birthday))
		}
	}
	if a.outNull && !o.restore {
		return usagef("standard output leads nowhere: the wallet's words, which are shown only once, would be lost")
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
	return a.showWallet(ctx, made, o)
}

// lostWords is the remedy if the words of a new wallet were lost.
const lostWords = "send nothing to this wallet, and replace it with \"ancre wallet create --replace\""

// showWallet shows the words of a wallet that was made, and lets a person confirm them, before
// it shows the address.
func (a *app) showWallet(ctx context.Context, made rpc.CreatedWallet, o walletCreateOptions) error {
	if a.json {
		err := a.printJSON(made, false)
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
	} else {
		a.note("The first address; send it what some months of anchors cost:")
	}
	return a.printAddress(made.Address, !made.Restored)
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
	return "", usagef("%s came from standard input: a wallet has 24, or as BIP39 allows 12, 15, 18 or 21", humanize.Plural(len(words), "word", "words"))
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

func (a *app) walletUnlockCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Open the wallet until the daemon stops",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.wantAdmin(cmd); err != nil {
				return err
			}
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			passphrase, err := a.passphrase(cmd.Context(), file, false)
			if err != nil {
				return err
			}
			err = client.UnlockWallet(cmd.Context(), passphrase)
			if rpc.HasCode(err, rpc.CodeAlreadyUnlocked) {
				a.note("The wallet is open already.")
				err = nil
			} else if err == nil {
				a.note("The wallet is open until the daemon stops.")
			}
			if err == nil && a.json {
				return a.printJSON(map[string]bool{"unlocked": true}, false)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&file, "passphrase-file", "", passphraseFileHelp)
	a.addQuiet(cmd.Flags())
	return cmd
}

func (a *app) walletAddressCommand() *cobra.Command {
	var noQR bool
	cmd := &cobra.Command{
		Use:   "address",
		Short: "Show a new address to send coins to",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			address, err := client.NewAddress(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"address": address}, false)
			}
			return a.printAddress(address, !noQR)
		},
	}
	cmd.Flags().BoolVar(&noQR, "no-qr", false, "show no QR code")
	return cmd
}

// printAddress prints an address, and for a person with a camera the same as a QR code.
func (a *app) printAddress(address string, withQR bool) error {
	a.say("%s\n", address)
	if !withQR || !a.outTerm {
		return nil
	}
	code, err := qrText("bitcoin:" + address)
	if err != nil {
		return err
	}
	fmt.Fprint(printable.Raw(a.out), code)
	return nil
}

func (a *app) walletBalanceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "balance",
		Short: "Show the balance of the wallet",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			b, err := client.Balance(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(b, false)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
			row(w, "confirmed\t%s\tsat\t\nunconfirmed\t%s\tsat\t\nto spend now\t%s\tsat\t\n",
				humanize.Count(b.ConfirmedSats), humanize.Count(b.PendingSats), humanize.Count(b.SpendableSats))
			if err := w.Flush(); err != nil {
				return err
			}
			if info, err := client.Info(cmd.Context()); err == nil && info.Wallet.State == "syncing" {
				a.note("The daemon still looks for the wallet's coins: this is what it found so far.")
			}
			return nil
		},
	}
}

func (a *app) walletHistoryCommand() *cobra.Command {
	var limit, skip int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the wallet's transactions, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			list, err := client.Transactions(cmd.Context(), limit, skip)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list, false)
			}
			if len(list) == 0 {
				a.note("There is no transaction yet.")
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TIME\tKIND\tSATOSHI\tFEE\tCONFIRMATIONS\tTRANSACTION")
			for _, t := range list {
				fee := "-"
				if t.FeeSats != nil {
					fee = humanize.Count(*t.FeeSats)
				}
				row(w, "%s\t%s\t%s\t%s\t%d\t%s\n", humanize.Time(t.Time), t.Kind, humanize.Count(t.AmountSats), fee, t.Confirmations, t.TxID)
			}
			return w.Flush()
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "list this many at most")
	cmd.Flags().IntVar(&skip, "skip", 0, "leave out this many of the newest")
	return cmd
}

type walletSendOptions struct {
	feeRate int64
	yes     bool
}

func (a *app) walletSendCommand() *cobra.Command {
	var o walletSendOptions
	cmd := &cobra.Command{
		Use:     "send ADDRESS SATS",
		Short:   "Send coins out of the wallet",
		Long:    "Send SATS satoshi (1 BTC is 100000000) to ADDRESS, and pay the fee in addition. It asks before it sends, unless --yes.",
		Example: "  ancre wallet send bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 25000",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.wantAdmin(cmd); err != nil {
				return err
			}
			return a.walletSend(cmd.Context(), args[0], args[1], o)
		},
	}
	cmd.Flags().Int64Var(&o.feeRate, "feerate", 0, "pay `N` sat/vB (default: what the daemon estimates)")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "send without asking")
	return cmd
}

func (a *app) walletSend(ctx context.Context, address, amount string, o walletSendOptions) error {
	sats, err := strconv.ParseInt(amount, 10, 64)
	if err != nil || sats <= 0 {
		return usagef("amount %q: must be a whole number of satoshi, from 1; 1 BTC is 100000000", humanize.Clip(amount))
	}
	if o.feeRate < 0 {
		return usagef("--feerate %d: must be a whole number of sat/vB, from 1", o.feeRate)
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	if !o.yes {
		if !a.person {
			return usagef("there is no terminal to ask whether to send: use --yes")
		}
		answer, err := a.ask(ctx, fmt.Sprintf("Send %s sat to %s? It cannot be taken back. [y/N] ", humanize.Count(sats), address))
		if err != nil {
			return err
		}
		if s := strings.ToLower(answer); s != "y" && s != "yes" {
			return errors.New("nothing was sent")
		}
	}
	txid, err := client.Send(ctx, address, sats, o.feeRate)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]string{"txid": txid}, false)
	}
	a.say("%s\n", txid)
	return nil
}
