package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ancre/internal/humanize"

	"github.com/spf13/cobra"
)

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
