package main

import (
	"errors"
	"strconv"

	"ancre/rpc"

	"github.com/spf13/cobra"
)

func (a *app) authCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "auth NAME ROLE",
		Short: "Make a user and a password for the daemon's JSON-RPC",
		Long: `Make a random password, and the line that lets NAME call the daemon's JSON-RPC with it. The line, which does not
hold the password, goes into rpc.auth of ancre.conf; the daemon is to be restarted then. The password is shown this once.

ROLE is submit (hand digests in, ask for their states and proofs), read (ask for everything, change nothing) or admin.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("for whom, and for what? Name a user and a role: submit, read or admin")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			line, password, err := rpc.NewUser(args[0], rpc.Role(args[1]))
			if err != nil {
				return &exitError{exitUsage, err}
			}
			if a.json {
				return a.printJSON(map[string]string{"line": line, "password": password}, false)
			}
			a.say("Into ancre.conf, under [rpc]:\n\n  auth = [%s]\n\nThe password of %s, shown this once:\n\n  %s\n\n", strconv.Quote(line), args[0], password)
			a.note("Elsewhere: %s=… ancre --rpc http://HOST:PORT --rpc-user %s …", passwordVariable, args[0])
			return nil
		},
	}
}
