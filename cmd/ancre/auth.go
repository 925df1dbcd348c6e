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
		Short: "Create a user and a password for the daemon's JSON-RPC",
		Long: `Create a random password, and the line with which NAME can call the daemon's JSON-RPC. Add the line to rpc.auth in ancre.conf,
then restart the daemon. The line does not hold the password, which is shown only now.

ROLE is submit (submit digests, read their states and proofs), read (read everything, change nothing) or admin.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name a user and a role: submit, read or admin")
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
			a.say("Into ancre.conf, under [rpc]:\n\n  auth = [%s]\n\nThe password of %s, shown only now:\n\n  %s\n\n", strconv.Quote(line), args[0], password)
			a.note("Elsewhere: %s=… ancre --rpc http://HOST:PORT --rpc-user %s …", passwordVariable, args[0])
			return nil
		},
	}
}
