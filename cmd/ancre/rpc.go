package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"ancre/internal/command"
	"ancre/rpc"

	"github.com/spf13/cobra"
)

func (a *app) rpcCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rpc METHOD [ARG…]",
		Short: "Call a method of the daemon's JSON-RPC",
		Long: `Call a method of the daemon's JSON-RPC and print its result. "ancre rpc help" lists the methods, "ancre rpc help METHOD"
explains one. ancre converts each argument to the type that the method expects. Write arrays and objects as JSON.

Everything after METHOD is an argument of it: put flags before METHOD. Other users of this machine can see arguments, so do not
pass secrets: use "ancre wallet" for passphrases.`,
		Example: `  ancre rpc getbatch 1
  ancre rpc submitbatch '["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for i, arg := range args {
				if !utf8.ValidString(arg) {
					return command.Usagef("argument %d is not UTF-8, which JSON requires; use \"ancre wallet\" for passphrases", i+1)
				}
			}
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			var result json.RawMessage
			err = client.Call(cmd.Context(), args[0], &result, rpc.ParseArgs(args[0], args[1:])...)
			var refused *rpc.Error
			if errors.As(err, &refused) && !a.json {
				return fmt.Errorf("%w (error code %d)", err, refused.Code)
			}
			if err != nil {
				return err
			}
			return a.printRaw(result)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// printRaw prints a result: JSON laid out for reading, and, unless --json is set, a string without
// its quotes, as bitcoin-cli does.
func (a *app) printRaw(result json.RawMessage) error {
	var text string
	if !a.json && json.Unmarshal(result, &text) == nil && len(result) > 0 && result[0] == '"' {
		_, err := fmt.Fprintln(a.out, text)
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, result, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := a.jsonOut().Write(b.Bytes())
	return err
}
