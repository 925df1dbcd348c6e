package main

import (
	"fmt"
	"text/tabwriter"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/money"
	"ancre/internal/printable"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

func (a *app) walletCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wallet",
		Short: "The fee wallet: create, unlock, passphrase, address, balance, …",
		Long: `The fee wallet pays for the anchors. The daemon stores it. Keep in it what some months of anchors cost, and no more. Amounts
are in satoshi.`,
		Args: cobra.ArbitraryArgs,
		RunE: command.NeedVerb,
	}
	cmd.AddCommand(a.walletCreateCommand(), a.walletUnlockCommand(), a.walletPassphraseCommand(), a.walletAddressCommand(),
		a.walletBalanceCommand(), a.walletFeesCommand(), a.walletHistoryCommand(), a.walletSendCommand())
	return cmd
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
			deposit, err := client.Deposit(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(deposit, false)
			}
			if err := a.printAddress(deposit.Address, !noQR); err != nil {
				return err
			}
			a.note("Send it %s. %s", a.proposal(deposit.Outlook), onceMined)
			return nil
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
			if err := a.showBalance(b); err != nil {
				return err
			}
			if info, err := client.Info(cmd.Context()); err == nil && info.Wallet.State == "syncing" {
				a.note("The daemon still looks for the wallet's coins: this is what it found so far.")
			}
			return nil
		},
	}
}

// showBalance prints a balance, and how long it lasts.
func (a *app) showBalance(b rpc.Balance) error {
	price := a.price()
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, line := range []struct {
		label string
		sats  int64
	}{{"confirmed", b.ConfirmedSats}, {"unconfirmed", b.PendingSats}, {"to spend now", b.SpendableSats}} {
		row(w, "%s\t%s\tsat\t", line.label, humanize.Count(line.sats))
		if worth := price.Worth(line.sats); worth != "" {
			row(w, "%s\t", worth)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if b.AnchorSats > 0 {
		a.note("That is %s at today's price of %s.", b.Lasts(), price.Sats(b.AnchorSats))
	}
	if b.AnchorsLeft < money.FewAnchors {
		a.note("\"ancre wallet address\" shows an address. Send it %s.", a.proposal(b.Outlook))
	}
	a.note("A payment shows up here once a block has it: usually within an hour.")
	return nil
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
			return a.showHistory(list)
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "list this many at most")
	cmd.Flags().IntVar(&skip, "skip", 0, "leave out this many of the newest")
	return cmd
}

// showHistory prints transactions as a table.
func (a *app) showHistory(list []rpc.Transaction) error {
	if len(list) == 0 {
		a.note("There is no transaction yet. " + onceMined)
		return nil
	}
	price := a.price()
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tKIND\tSATOSHI\tFEE\tCONFIRMATIONS\tTRANSACTION")
	for _, t := range list {
		fee := "-"
		if t.FeeSats != nil {
			fee = humanize.Count(*t.FeeSats)
		}
		amount := humanize.Count(t.AmountSats)
		if worth := price.Worth(t.AmountSats); worth != "" {
			amount += " (" + worth + ")"
		}
		row(w, "%s\t%s\t%s\t%s\t%d\t%s\n", humanize.Local(t.Time), t.Kind, amount, fee, t.Confirmations, t.TxID)
	}
	return w.Flush()
}
