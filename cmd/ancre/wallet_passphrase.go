package main

import (
	"context"
	"fmt"

	"ancre/rpc"

	"github.com/spf13/cobra"
)

type walletPassphraseOptions struct{ oldFile, newFile string }

func (a *app) walletPassphraseCommand() *cobra.Command {
	var o walletPassphraseOptions
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase of the wallet",
		Long: `Change the passphrase that encrypts the keys on the daemon's disk. The 24 words stay the same, and an open wallet stays open. If
the computer stops meanwhile, the wallet opens with the old passphrase or with the new one.

A file with which the daemon unlocks the wallet at each start has to hold the new passphrase too: wallet.passphrase_file, or
/etc/credstore/ancre.passphrase of the systemd service. Change it right after the wallet; this command says whether that is needed.
Backups of the wallet's file that were made before still open with the old passphrase.`,
		Example: `  ancre wallet passphrase
  ancre wallet passphrase --old-passphrase-file /etc/credstore/ancre.passphrase --new-passphrase-file new.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.wantAdmin(cmd); err != nil {
				return err
			}
			return a.walletPassphrase(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.oldFile, "old-passphrase-file", "", "read the old passphrase from `FILE`, and do not ask for it (default wallet.passphrase_file)")
	f.StringVar(&o.newFile, "new-passphrase-file", "", "read the new passphrase from `FILE`, and do not ask for it")
	return cmd
}

func (a *app) walletPassphrase(ctx context.Context, o walletPassphraseOptions) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	old, err := a.wishedPassphrase(ctx, passphraseWish{file: o.oldFile, flag: "--old-passphrase-file", configured: true, question: "The old passphrase of the wallet: "})
	if err != nil {
		return err
	}
	fresh, err := a.wishedPassphrase(ctx, passphraseWish{file: o.newFile, flag: "--new-passphrase-file", isNew: true, question: "The new passphrase, of 8 characters or more: "})
	if err != nil {
		return err
	}
	changed, err := client.ChangePassphrase(ctx, old, fresh)
	if rpc.HasCode(err, rpc.CodeWrongPassphrase) {
		return fmt.Errorf("nothing was changed, because the old passphrase does not open the wallet: %w", err)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(changed, false)
	}
	a.say("The wallet now opens with the new passphrase, and no longer with the old one.\n")
	a.warnOfStaleFile(changed, o.newFile)
	return nil
}

// serviceCredential is the file that the systemd service passes to the daemon.
const serviceCredential = "/etc/credstore/ancre.passphrase"

// warnOfStaleFile says what else has to be changed, so that the daemon can unlock the wallet after
// its next start.
func (a *app) warnOfStaleFile(changed rpc.ChangedPassphrase, newFile string) {
	if !changed.UpdateFile {
		return
	}
	file, why := changed.UnlockFile, "The daemon unlocks the wallet with this file at each start, and it does not hold the new passphrase."
	if changed.Credential {
		file = serviceCredential
		why = "systemd passes the passphrase to the daemon, and passed the old one when the service started.\nIf you encrypted it with systemd-creds, encrypt the new one in the same way instead."
	}
	how := "write the new passphrase into it now"
	if newFile != "" {
		how = fmt.Sprintf("run now: cp %s %s", shown(newFile), shown(file))
	}
	a.note("\nChange %s too: %s.\n%s\nWithout that, the wallet stays locked after the next start.", file, how, why)
}
