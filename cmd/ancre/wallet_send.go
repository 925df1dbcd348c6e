package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/money"
	"ancre/internal/printable"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

type walletSendOptions struct {
	feeRate int64
	yes     bool
}

func (a *app) walletSendCommand() *cobra.Command {
	var o walletSendOptions
	cmd := &cobra.Command{
		Use:   "send ADDRESS SATS|all",
		Short: "Send coins out of the wallet",
		Long: `Send SATS satoshi (1 BTC is 100000000) to ADDRESS, and pay the fee in addition. "all" sends everything that can be sent, less the
fee. It shows the amount, the fee and what the rest is enough for, and asks before it sends, unless --yes. It never spends what an
anchor in flight spends: that stays, and can be sent once the anchor is mined.`,
		Example: `  ancre wallet send bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 25000
  ancre wallet send bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 all`,
		Args: cobra.ExactArgs(2),
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
	sats, err := parseAmount(amount)
	if err != nil {
		return err
	}
	if o.feeRate < 0 {
		return command.Usagef("--feerate %d: must be a whole number of sat/vB, from 1", o.feeRate)
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	rate := o.feeRate
	if !o.yes {
		if !a.person {
			return command.Usagef("there is no terminal to ask whether to send: use --yes")
		}
		quote, err := client.Pay(ctx, address, sats, rate, true)
		if err != nil {
			return a.worth(err)
		}
		if err := a.confirmPayment(ctx, address, sats, quote); err != nil {
			return err
		}
		rate = quote.SatPerVByte // what was shown is what is paid
	}
	paid, err := client.Pay(ctx, address, sats, rate, false)
	if err != nil {
		return a.worth(err)
	}
	if a.json {
		return a.printJSON(paid, false)
	}
	a.say("%s\n", paid.TxID)
	if o.yes {
		for _, line := range a.paymentLines(address, paid) {
			a.note("%s", line)
		}
	}
	return nil
}

// parseAmount reads an amount in satoshi, or "all".
func parseAmount(amount string) (int64, error) {
	if amount == rpc.WordAll {
		return rpc.All, nil
	}
	sats, err := strconv.ParseInt(amount, 10, 64)
	if err != nil || sats <= 0 {
		return 0, command.Usagef("amount %q: must be a whole number of satoshi, from 1, or \"all\"; 1 BTC is 100000000", humanize.Clip(amount))
	}
	return sats, nil
}

// confirmPayment shows what a payment costs and what it leaves, and asks whether to send it.
func (a *app) confirmPayment(ctx context.Context, address string, sats int64, quote rpc.Payment) error {
	for _, line := range a.paymentLines(address, quote) {
		a.note("%s", line)
	}
	question := "Send it? It cannot be taken back. [y/N] "
	if sats == rpc.All {
		question = "Send everything that can be sent? It cannot be taken back. [y/N] "
	}
	answer, err := a.ask(ctx, question)
	if err != nil {
		return err
	}
	if s := strings.ToLower(answer); s != "y" && s != "yes" {
		return errors.New("nothing was sent")
	}
	return nil
}

// paymentLines say what a payment costs, and what it leaves.
func (a *app) paymentLines(address string, p rpc.Payment) []string {
	price := a.price()
	rest := money.Outlook{AnchorsLeft: p.AnchorsLeft, DaysLeft: p.DaysLeft}
	lines := []string{
		"to       " + printable.Line(address),
		"amount   " + price.Sats(p.AmountSats),
		fmt.Sprintf("fee      %s, at %d sat/vB", price.Sats(p.FeeSats), p.SatPerVByte),
		"rest     " + price.Sats(p.RestSats) + ", " + rest.Lasts(),
	}
	for _, part := range []struct {
		sats int64
		why  string
	}{
		{p.HeldSats, "is held for anchors in flight: send it once they are mined"},
		{p.UnconfirmedSats, "is in no block yet: send it once it is"},
		{p.SmallSats, "is in coins that cost more to send than they are worth"},
	} {
		if part.sats > 0 {
			lines = append(lines, "         of which "+price.Sats(part.sats)+" "+part.why)
		}
	}
	return lines
}

// worth adds what amounts are worth to an error of the daemon.
func (a *app) worth(err error) error {
	var refused *rpc.Error
	if errors.As(err, &refused) {
		refused.Message = a.price().Annotate(refused.Message)
	}
	return err
}
